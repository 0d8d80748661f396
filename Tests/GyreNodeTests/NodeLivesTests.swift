import GyreBase
import GyreMembership
import GyreNode
import GyreQuorum
import GyreStorage
import Testing

@Suite struct LivesOfOneNode {
    /// The tag of the first request that a life makes.
    private func firstTag(floor: UInt64, wall: UInt64) throws -> StorageTag? {
        let now = Now(instant: .start, wall: WallTime(milliseconds: wall))
        var node = try Node(
            options: NodeOptions(quorum: try Quorum(replicas: 3, reads: 2, writes: 2), cluster: "test"),
            me: MemberRecord(
                node: NodeID(rawValue: 1), name: "n1", address: PeerAddress(host: "10.0.0.1", port: 7_400)),
            seeds: [], known: [], recovered: RecoveredState(counterFloor: floor), now: now)
        var effects: [NodeEffect] = []
        node.start(at: now, into: &effects)
        for case .store(let request) in effects { return request.tag }
        return nil
    }

    /// A slow peer answers the next life of a coordinator; with equal tags the answer would count for another operation.
    @Test func useDifferentTags() throws {
        let first = try #require(try self.firstTag(floor: 1, wall: 1_000))
        #expect(try self.firstTag(floor: 65, wall: 1_000) != first)
        #expect(try self.firstTag(floor: 1, wall: 1_001) != first)
    }
}
