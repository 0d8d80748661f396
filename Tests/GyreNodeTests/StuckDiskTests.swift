import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import GyreStorage
import NIOCore
import Testing

/// A disk that answers nothing for a while must not cost all memory.
@Suite struct StuckDiskTests {
    private static let value = String(repeating: "x", count: 8 << 20)

    @Test func recordsOfOtherCoordinatorsAreRefusedAboveALimitOfBytes() throws {
        let cluster = try TestCluster(count: 3)
        let node = cluster.nodes[0]
        node.diskStuck = true
        cluster.sent = []
        let record = ByteBuffer(repeating: 7, count: 8 << 20)
        let name = try cluster.name("k")
        func refused() -> Int {
            cluster.sent.count { if case .replicated(_, .overloaded) = $0.message { true } else { false } }
        }
        for tag in 1...UInt64(40) {
            cluster.deliver(0, .peer(cluster.ids[1], .replicate(tag: tag, name: name, record: record)))
        }
        #expect(refused() == 8, "256 MiB wait")
        cluster.deliver(0, .peer(cluster.ids[1], .hint(tag: 41, target: cluster.ids[2], name: name, record: record)))
        #expect(refused() == 9)
        node.diskStuck = false
        cluster.flush(0)
        cluster.deliver(0, .peer(cluster.ids[1], .replicate(tag: 42, name: name, record: record)))
        #expect(refused() == 9, "what the disk has answered counts no more")
    }

    @Test func putsWhoseClientsGaveUpCountUntilTheDiskHasAnswered() throws {
        let cluster = try TestCluster(count: 3)
        let node = cluster.nodes[0]
        node.diskStuck = true
        for index in 0..<32 { cluster.ask(0, try cluster.put(Self.value, "k\(index)", seen: .blind)) }
        cluster.advance(.milliseconds(1_100))
        #expect(cluster.latestAnswer(0) == .failed(.unknown(needed: 2, got: 0)))
        let before = node.node.inFlight
        #expect(before >= 32)
        #expect(cluster.ask(0, try cluster.put(Self.value, "one more", seen: .blind)) == .failed(.overloaded))
        node.diskStuck = false
        cluster.flush(0)
        guard case .stored = cluster.ask(0, try cluster.put("v", "one more", seen: .blind)) else {
            Issue.record("\(String(describing: cluster.latestAnswer(0)))")
            return
        }
        let after = node.node.inFlight
        #expect(after == 0)
    }
}
