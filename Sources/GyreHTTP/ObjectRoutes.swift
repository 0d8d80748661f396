import GyreBase
import GyreCausality
import GyreClient
import GyreMessages
import GyreServer
import HTTPTypes
import NIOCore

/// What is done with keys: read, stored, deleted. Sendable; every request goes to the node through its desk.
struct ObjectRoutes: Sendable {
    let desk: RequestDesk
    let limits: HTTPLimits

    /// `GET` and `HEAD`.
    func read(_ request: ObjectRequest) async throws(Refusal) -> Answer {
        let found = ObjectAnswer(name: request.name, siblings: try await self.look(request))
        if let ifMatch = request.ifMatch, !ifMatch.matches(found.siblings) { throw .precondition }
        if let ifNoneMatch = request.ifNoneMatch {
            if ifNoneMatch.matches(found.siblings) { return found.notModified }
        } else if let since = request.ifModifiedSince, !found.siblings.versions.isEmpty,
            found.modifiedMilliseconds / 1_000 <= since
        {
            return found.notModified
        }
        return found.answer(vtag: request.vtag, accept: request.accept, boundary: Self.makeBoundary())
    }

    /// `PUT` and `POST`.
    /// - Parameter location: where a key that was made up can be found; nil for a key that the client named.
    func store(_ request: ObjectRequest, _ value: ByteBuffer, location: String?) async throws(Refusal) -> Answer {
        var seen = try await self.seenByWriter(request)
        if request.needsLook {
            let siblings = try await self.look(request)
            guard request.allowsWrite(over: siblings) else { throw .precondition }
            // What was compared is what is replaced: a write in between stays beside this one instead of being lost.
            if request.seen == nil { seen = .given(siblings.context) }
        }
        let put = PutRequest(
            id: self.desk.makeRequestID(), name: request.name, seen: seen, value: value, metadata: request.metadata,
            ifAbsent: request.ifNoneMatch == .any, writes: request.writes, primaryWrites: request.primaryWrites)
        let context = try await self.written(.put(put), request)
        var answer: Answer
        if request.returnsBody, let siblings = await self.shown(request, after: context) {
            let found = ObjectAnswer(name: request.name, siblings: siblings)
            answer = found.answer(
                vtag: nil, accept: request.accept, boundary: Self.makeBoundary(),
                status: location == nil ? .ok : .created)
        } else {
            answer = Answer(location == nil ? .noContent : .created)
            answer.fields[.vectorClock] = CausalContext(context, of: request.name).text
        }
        if let location { answer.fields[.location] = location }
        return answer
    }

    /// `DELETE`.
    func delete(_ request: ObjectRequest) async throws(Refusal) -> Answer {
        var seen = request.seen
        if seen == nil || request.needsLook {
            let siblings = try await self.look(request)
            guard request.allowsWrite(over: siblings) else { throw .precondition }
            if siblings.versions.isEmpty { return ObjectAnswer(name: request.name, siblings: siblings).notFound }
            seen = seen ?? siblings.context
        }
        let delete = DeleteRequest(
            id: self.desk.makeRequestID(), name: request.name, seen: seen.map(Seen.given) ?? .blind,
            writes: request.writes, primaryWrites: request.primaryWrites)
        let context = try await self.written(.delete(delete), request)
        var answer = Answer(.noContent)
        answer.fields[.vectorClock] = CausalContext(context, of: request.name).text
        return answer
    }

    // MARK: - The node

    /// What a put without a context covers: nothing, so that concurrent writers see each other; in a bucket that shows one value
    /// only, whatever there is, because nobody would ever see the others.
    private func seenByWriter(_ request: ObjectRequest) async throws(Refusal) -> Seen {
        if let seen = request.seen { return .given(seen) }
        let bucket: BucketName
        do { bucket = try BucketName(request.name.bucket) } catch { throw .badRequest("\(error)") }
        guard case .buckets(let report) = try await self.ask(.bucketShow(bucket), request.timeout),
            report.buckets.first?.showsLatestOnly ?? false
        else { return .blind }
        return .overwrite
    }

    /// What a get shows behind a put that succeeded; nil when it cannot say, does not know that put yet, or shows nothing any more.
    /// None of this is a failure of the put, whose client must not be told that nothing was changed.
    private func shown(_ request: ObjectRequest, after context: VersionVector) async -> Siblings? {
        guard let siblings = try? await self.look(request), siblings.context.descends(from: context),
            !siblings.versions.isEmpty
        else { return nil }
        return siblings
    }

    /// What a get shows; without versions when there is nothing.
    private func look(_ request: ObjectRequest) async throws(Refusal) -> Siblings {
        let get = GetRequest(name: request.name, reads: request.reads, primaryReads: request.primaryReads)
        switch try await self.ask(.get(get), request.timeout) {
        case .found(let record):
            guard let siblings = try? Siblings(encoded: record) else {
                throw Refusal(.corrupt)
            }
            return siblings
        case .notFound(let context): return Siblings(context: context, sorted: [])
        default: throw Self.nonsense
        }
    }

    private func written(_ write: ClientRequest, _ request: ObjectRequest) async throws(Refusal) -> VersionVector {
        guard case .stored(let context, _, _) = try await self.ask(write, request.timeout) else { throw Self.nonsense }
        return context
    }

    /// Asks the node; a failure becomes the refusal that fits.
    func ask(_ request: ClientRequest, _ timeout: TimeSpan) async throws(Refusal) -> ClientResponse {
        let response: ClientResponse
        do { response = try await self.desk.submit(request, timeout: timeout, trace: RequestTrace.current).get() } catch
        { throw Self.nonsense }
        if case .failed(let failure) = response {
            let isWrite =
                switch request {
                case .put, .delete, .bucketSet: true
                default: false
                }
            throw Refusal(GyreError(failure, isRead: !isWrite))
        }
        return response
    }

    private static var nonsense: Refusal {
        Refusal(.internalServerError, "failed", "the node gave an answer of another kind")
    }

    /// 128 random bits: no value contains them by accident, and nobody can know them in advance.
    private static func makeBoundary() -> String {
        hexadecimal(UInt64.random(in: .min ... .max)) + hexadecimal(UInt64.random(in: .min ... .max))
    }
}
