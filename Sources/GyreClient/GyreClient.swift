package import GyreBase
import GyreCausality
package import GyreMembership
package import GyreMessages
public import NIOCore
import NIOPosix

/// A client of a Gyre cluster.
///
/// Knows the ring, sends each operation straight to an owner of its key, and goes on when nodes fail. All calls may be
/// made at once and from any thread; they share `ClientOptions.connectionsPerNode` connections to each node. A call ends
/// by itself when its timeout passes; cancelling the task does not end it earlier. Call `close()` at the end.
///
/// ```swift
/// let client = try GyreClient(nodes: ["127.0.0.1:7400"])
/// try await client.put(bucket: "carts", key: "ada", value: ByteBuffer(string: "3 apples"))
/// let cart = try await client.get(bucket: "carts", key: "ada")
/// await client.close()
/// ```
public final class GyreClient: Sendable {
    /// How this client behaves.
    public let options: ClientOptions
    let loop: any EventLoop
    let core: NIOLoopBoundBox<RoutedClient?>
    private let requests: RequestIDs

    /// Starts to look for the cluster in the background; nothing is connected yet when this returns.
    /// - Parameters:
    ///   - nodes: `host:port` of one node or more; the others are learned from them.
    ///   - options: how the client behaves.
    ///   - group: where its one event loop comes from; nil for the process's shared group.
    /// - Throws: `badRequest` when `nodes` is empty or one of them is not `host:port`.
    public init(
        nodes: [String], options: ClientOptions = ClientOptions(), group: (any EventLoopGroup)? = nil
    ) throws(GyreError) {
        var seeds: [PeerAddress] = []
        for node in nodes {
            guard let seed = PeerAddress(parsing: node) else {
                throw GyreError(.badRequest, "not HOST:PORT: \(node)", try: "for example 127.0.0.1:7400")
            }
            seeds.append(seed)
        }
        guard !seeds.isEmpty else { throw GyreError(.badRequest, "no node given", try: "--node HOST:PORT") }
        let loop = (group ?? MultiThreadedEventLoopGroup.singleton).next()
        let core = NIOLoopBoundBox<RoutedClient?>.makeEmptyBox(valueType: RoutedClient.self, eventLoop: loop)
        self.options = options
        self.loop = loop
        self.core = core
        self.requests = RequestIDs()
        loop.execute { [seeds] in
            core.value = RoutedClient(seeds: seeds, options: options, loop: loop)
        }
    }

    /// Stores `value`.
    /// - Throws: `GyreError`; look at `mayHaveHappened` before doing it again.
    @discardableResult
    public func put(
        bucket: String, key: String, value: ByteBuffer, options: PutOptions = PutOptions()
    ) async throws(GyreError) -> WriteResult {
        try await self.put(Self.name(bucket, key), value: value, options: options)
    }

    /// Reads a key; a key that is not there is a result without siblings, not an error.
    public func get(
        bucket: String, key: String, options: GetOptions = GetOptions()
    ) async throws(GyreError) -> GetResult {
        try await self.get(Self.name(bucket, key), options: options)
    }

    /// Removes what the mode covers; concurrent values stay.
    @discardableResult
    public func delete(
        bucket: String, key: String, options: DeleteOptions = DeleteOptions()
    ) async throws(GyreError) -> WriteResult {
        try await self.delete(Self.name(bucket, key), options: options)
    }

    /// Ends all connections. Calls in flight fail; later ones fail with `closed`.
    public func close() async {
        let core = self.core
        await withCheckedContinuation { continuation in
            self.loop.execute {
                core.value?.close()
                continuation.resume()
            }
        }
    }

    // MARK: - For programs of the project

    /// As the public one, for names that are not text.
    package func put(
        _ name: ObjectName, value: ByteBuffer, options: PutOptions
    ) async throws(GyreError) -> WriteResult {
        let deadline = NIODeadline.now() + self.amount(options.timeout)
        let seen = try await self.seen(options.mode, of: name, until: deadline)
        let metadata: VersionMetadata
        do throws(DecodeError) {
            metadata = try VersionMetadata(
                contentType: ByteBuffer(string: options.contentType),
                fields: options.metadata.map { MetadataField(name: $0.name, value: $0.value) }
            )
        } catch {
            throw GyreError(.badRequest, "the content type or the metadata is above a limit")
        }
        let request = PutRequest(
            id: self.requests.next(), name: name, seen: seen, value: value, metadata: metadata,
            timeToLiveMilliseconds: options.timeToLive.map { UInt64(max(1, $0.span.wholeMilliseconds)) },
            ifAbsent: options.ifAbsent, writes: options.writes.size, primaryWrites: options.primaryWrites.size
        )
        return try Self.writeResult(await self.call(.put(request), until: deadline), of: name)
    }

    /// As the public one, for names that are not text.
    package func get(_ name: ObjectName, options: GetOptions) async throws(GyreError) -> GetResult {
        let request = GetRequest(
            name: name, reads: options.reads.size, primaryReads: options.primaryReads.size, headOnly: options.headOnly
        )
        let response = try await self.call(.get(request), until: .now() + self.amount(options.timeout))
        let (context, versions) = try Self.found(response)
        return GetResult(context: CausalContext(context, of: name), siblings: versions.map(Sibling.init))
    }

    /// As the public one, for names that are not text.
    package func delete(_ name: ObjectName, options: DeleteOptions) async throws(GyreError) -> WriteResult {
        let deadline = NIODeadline.now() + self.amount(options.timeout)
        let seen = try await self.seen(options.mode, of: name, until: deadline)
        let request = DeleteRequest(
            id: self.requests.next(), name: name, seen: seen, writes: options.writes.size,
            primaryWrites: options.primaryWrites.size
        )
        return try Self.writeResult(await self.call(.delete(request), until: deadline), of: name)
    }

    /// Any request, routed and retried as `RoutedClient` does it; nil for the default timeout.
    package func call(_ request: ClientRequest, timeout: Duration? = nil) async throws(GyreError) -> ClientResponse {
        try await self.call(request, until: .now() + self.amount(timeout))
    }

    /// What every member says about itself, asked directly and all at once.
    package func gatherStatus(timeout: Duration = .milliseconds(500)) async throws(GyreError) -> ClusterStatus {
        guard case .status(let first) = try await self.call(.status) else { throw Self.nonsense }
        let others = first.members.map(\.record).filter { $0.state != .removed && $0.node != first.me }
        let core = self.core
        let span = timeout.span
        let reports = await withCheckedContinuation { (continuation: CheckedContinuation<[StatusReport], Never>) in
            self.loop.execute {
                guard let client = core.value else { return continuation.resume(returning: [first]) }
                client.view.learn(first)
                var reports = [first]
                var waiting = others.count
                guard waiting > 0 else { return continuation.resume(returning: reports) }
                for member in others {
                    client.askStatus(of: member.node, timeout: span) { report in
                        // Another node may listen at the address now; its report is not this member's.
                        if let report, report.me == member.node { reports.append(report) }
                        waiting -= 1
                        if waiting == 0 { continuation.resume(returning: reports) }
                    }
                }
            }
        }
        return ClusterStatus(reports: reports.sorted { $0.me < $1.me })
    }

    /// As the other, with a moment at which it ends.
    func call(_ request: ClientRequest, until deadline: NIODeadline) async throws(GyreError) -> ClientResponse {
        let core = self.core
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<ClientResponse, GyreError>, Never>) in
            self.loop.execute {
                guard let client = core.value else {
                    return continuation.resume(returning: .failure(GyreError(.closed, "this client was closed")))
                }
                let left = TimeSpan(nanoseconds: (deadline - NIODeadline.now()).nanoseconds)
                client.submit(request, timeout: left) { continuation.resume(returning: $0) }
            }
        }
        return try result.get()
    }

    private func seen(
        _ mode: WriteMode, of name: ObjectName, until deadline: NIODeadline
    ) async throws(GyreError) -> Seen {
        switch mode {
        case .overwrite: return .overwrite
        case .blind: return .blind
        case .given(let context): return .given(try context.vector(for: name))
        case .readFirst:
            let request = GetRequest(name: name, reads: .quorum, headOnly: true)
            do throws(GyreError) {
                return .given(try Self.found(await self.call(.get(request), until: deadline)).context)
            } catch {
                // Only the read was done, so nothing can have been written.
                var error = error
                error.mayHaveHappened = false
                throw error
            }
        }
    }

    /// A timeout of a call in the units of the loop; nil for the default.
    func amount(_ timeout: Duration?) -> TimeAmount {
        .nanoseconds(max(0, (timeout ?? self.options.timeout).span.nanoseconds))
    }

    /// The name of a key given as text; refuses what is above a limit.
    static func name(_ bucket: String, _ key: String) throws(GyreError) -> ObjectName {
        do throws(ObjectNameError) {
            return try ObjectName(bucket: ByteBuffer(string: bucket), key: ByteBuffer(string: key))
        } catch {
            switch error {
            case .bucket(let bytes, let bytesMax):
                throw GyreError(.badRequest, "a bucket has 1 to \(bytesMax) bytes, this one \(bytes)")
            case .key(let bytes, let bytesMax):
                throw GyreError(.badRequest, "a key has 1 to \(bytesMax) bytes, this one \(bytes)")
            }
        }
    }

    private static func found(
        _ response: ClientResponse
    ) throws(GyreError) -> (context: VersionVector, versions: [Version]) {
        switch response {
        case .found(let record):
            guard let siblings = try? Siblings(encoded: record) else {
                throw Self.nonsense
            }
            return (siblings.context, siblings.versions)
        case .notFound(let context): return (context, [])
        case .stored, .status, .location, .explained, .repairing, .buckets, .ring, .listed, .failed: throw Self.nonsense
        }
    }

    private static func writeResult(_ response: ClientResponse, of name: ObjectName) throws(GyreError) -> WriteResult {
        guard case .stored(let context, let acks, let needed) = response else { throw Self.nonsense }
        return WriteResult(context: CausalContext(context, of: name), acks: Int(acks), needed: Int(needed))
    }

    /// What to say about an answer that does not belong to its question.
    static var nonsense: GyreError {
        GyreError(.badRequest, "the node gave an answer of another kind, or one that cannot be read")
    }
}

/// The cluster in the eyes of all its members that answered.
package struct ClusterStatus: Hashable, Sendable {
    /// What each member that answered says, by node; never empty.
    package let reports: [StatusReport]

    /// Joins the reports.
    package init(reports: [StatusReport]) { self.reports = reports }

    /// The report of `node` itself; nil when it did not answer.
    package func report(of node: NodeID) -> StatusReport? { self.reports.first { $0.me == node } }

    /// Every member that any report names, by node, each as the merge of what all say about it.
    package var members: [MemberRecord] {
        var merged: [NodeID: MemberRecord] = [:]
        for record in self.reports.flatMap(\.members).map(\.record) {
            merged[record.node] = merged[record.node]?.merged(with: record) ?? record
        }
        return merged.values.sorted { $0.node < $1.node }
    }

    /// Whether all that answered computed the same ring.
    package var agreesOnRing: Bool { Set(self.reports.map(\.ringHash)).count == 1 }

    /// Whether any that answered knows of a change of the ring that is not over.
    package var isRingChanging: Bool {
        self.reports.contains { report in
            report.counters.contains { $0.name == StatusReport.ringChanging && $0.value > 0 }
        }
    }
}
