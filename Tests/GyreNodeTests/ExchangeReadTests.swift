import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import GyreStorage
import NIOCore
import Testing

/// A node that is asked for many records reads no more than it can send.
@Suite struct ExchangeReadTests {
    /// What one question about all of `names` reads and answers.
    private func ask(_ cluster: TestCluster, _ names: [ObjectName]) throws -> (read: Int, answered: [NamedRecord]) {
        let node = cluster.nodes[0]
        node.diskStuck = true
        cluster.sent = []
        cluster.deliver(0, .peer(cluster.ids[1], .exchange(tag: 1, step: 1, partition: 0, .records(names))))
        var read = 0
        while let request = node.pending.first {
            node.pending.removeFirst()
            if case .read(_, _, .record) = request { read += 1 }
            cluster.deliver(0, .storage(node.disk.answer(request)))
        }
        node.diskStuck = false
        for case .exchanged(1, 1, .records(let records)) in cluster.sent.map(\.message) { return (read, records) }
        throw DecodeError.truncated
    }

    private func cluster(_ count: Int, bytes: Int) throws -> (TestCluster, [ObjectName]) {
        let cluster = try TestCluster(count: 2, replicas: 2, reads: 1, writes: 1)
        let keys = (0..<count).map { "k\($0)" }
        let value = String(repeating: "x", count: bytes)
        for key in keys { cluster.ask(0, try cluster.put(value, key, seen: .blind)) }
        return (cluster, try keys.map { try cluster.name($0) })
    }

    @Test func longRecordsAreReadAFewAtATime() throws {
        let (cluster, names) = try self.cluster(100, bytes: 200 << 10)
        let (read, answered) = try self.ask(cluster, names)
        #expect(read == 16)
        #expect(answered.map(\.name) == Array(names.prefix(6)), "a batch of 1 MiB and what goes beyond it")
        #expect(answered.allSatisfy { $0.record.readableBytes > 200 << 10 })
    }

    @Test func shortRecordsAreAnsweredAllAtOnce() throws {
        let (cluster, names) = try self.cluster(100, bytes: 100)
        let (read, answered) = try self.ask(cluster, names)
        #expect(read == 100)
        #expect(answered.map(\.name) == names)
    }

    @Test func recordsThatAreGoneAreAnsweredAsSuch() throws {
        let (cluster, names) = try self.cluster(40, bytes: 10)
        let strangers = try (0..<40).map { try cluster.name("none\($0)") }
        let (read, answered) = try self.ask(cluster, strangers + names)
        #expect(read == 80)
        #expect(answered.prefix(40).allSatisfy { $0.record.readableBytes == 0 })
        #expect(answered.dropFirst(40).allSatisfy { $0.record.readableBytes > 0 })
    }
}
