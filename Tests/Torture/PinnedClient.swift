import GyreBase
import GyreCausality
import GyreClient
import GyreMembership
import GyreMessages
import NIOCore
import NIOPosix

/// A client that talks to one node and no other, so that a test decides who coordinates. Safe from any thread.
final class PinnedClient: Sendable {
    private let loop: any EventLoop
    private let core: NIOLoopBoundBox<RoutedClient?>
    private let requests = RequestIDs()
    private let timeout: Duration

    init(_ address: String, timeout: Duration = .seconds(1)) throws {
        guard let seed = PeerAddress(parsing: address) else { throw Broken("not HOST:PORT: \(address)") }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let core = NIOLoopBoundBox<RoutedClient?>.makeEmptyBox(valueType: RoutedClient.self, eventLoop: loop)
        self.loop = loop
        self.core = core
        self.timeout = timeout
        loop.execute {
            // A view that nobody keeps stays empty: only the seed is known, for ever.
            core.value = RoutedClient(seeds: [seed], options: ClientOptions(), loop: loop, sharing: ClusterView())
        }
    }

    /// Stores `value`; the context after it.
    @discardableResult
    func put(
        _ name: ObjectName, _ value: String, _ seen: Seen, writes: QuorumSize = .standard
    ) async throws -> VersionVector {
        let put = PutRequest(
            id: self.requests.next(), name: name, seen: seen, value: ByteBuffer(string: value), writes: writes)
        return try self.context(await self.call(.put(put)))
    }

    /// Removes what was seen.
    @discardableResult
    func delete(_ name: ObjectName, _ seen: Seen) async throws -> VersionVector {
        try self.context(await self.call(.delete(DeleteRequest(id: self.requests.next(), name: name, seen: seen))))
    }

    /// What the key holds, values sorted.
    func get(
        _ name: ObjectName, reads: QuorumSize = .standard
    ) async throws -> (context: VersionVector, values: [String], dots: [Dot]) {
        switch try await self.call(.get(GetRequest(name: name, reads: reads))) {
        case .found(let record):
            let siblings = try Siblings(encoded: record)
            return (
                siblings.context, siblings.versions.map { String(buffer: $0.value) }.sorted(),
                siblings.versions.map(\.dot)
            )
        case .notFound(let context): return (context, [], [])
        case let other: throw Broken("a get was answered with \(other)")
        }
    }

    /// The node's own report.
    func status() async throws -> StatusReport {
        guard case .status(let report) = try await self.call(.status) else { throw Broken("no status report") }
        return report
    }

    /// The names of the members that this node sees normal and alive; empty when it does not answer.
    func normalMembers() async -> [String] {
        guard let report = try? await self.status() else { return [] }
        return report.members.map(\.record).filter { $0.state == .normal && $0.liveness == .alive }.map(\.name)
    }

    /// Whether the node can ask every replica of a key.
    func reachesAllReplicas() async -> Bool {
        guard let absent = try? objectName("absent") else { return false }
        return (try? await self.get(absent, reads: .all)) != nil
    }

    /// The names of the members that this node holds dead; nil when it does not answer.
    func deadMembers() async -> [String]? {
        guard let report = try? await self.status() else { return nil }
        return report.members.map(\.record).filter { $0.state != .removed && $0.liveness == .dead }.map(\.name)
    }

    /// The node's counter of that name.
    func counter(_ name: String) async throws -> UInt64 {
        try await self.status().counters.first { $0.name == name }?.value ?? 0
    }

    /// Ends the connection.
    func close() async {
        let core = self.core
        await withCheckedContinuation { continuation in
            self.loop.execute {
                core.value?.close()
                continuation.resume()
            }
        }
    }

    private func call(_ request: ClientRequest) async throws -> ClientResponse {
        let core = self.core
        let nanoseconds = Int64(milliseconds(self.timeout)) * 1_000_000
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<ClientResponse, GyreError>, Never>) in
            self.loop.execute {
                core.value?.submit(request, timeout: TimeSpan(nanoseconds: nanoseconds)) {
                    continuation.resume(returning: $0)
                }
            }
        }
        return try result.get()
    }

    private func context(_ response: ClientResponse) throws -> VersionVector {
        guard case .stored(let context, _, _) = response else { throw Broken("a write was answered with \(response)") }
        return context
    }
}

/// A name in the bucket of the tests.
func objectName(_ key: String) throws -> ObjectName {
    try ObjectName(bucket: ByteBuffer(string: "torture"), key: ByteBuffer(string: key))
}
