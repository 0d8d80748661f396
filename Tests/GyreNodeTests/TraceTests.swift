import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import Testing

@Suite("A traced request")
struct TraceTests {
    private static func context() throws -> TraceContext {
        try #require(TraceContext(traceHigh: 1, traceLow: 2, span: 3, flags: 1))
    }

    /// What nodes asked each other since `first`, and with which trace.
    private func questions(_ cluster: TestCluster, from first: Int) -> [(from: NodeID, trace: TraceContext?)] {
        cluster.sent[first...].compactMap { sent in
            switch sent.message {
            case .traced(let trace, _): (sent.from, trace)
            default: sent.message.tracedTag.map { _ in (sent.from, nil) }
            }
        }
    }

    @Test("tells every node that it asks of its trace, and one without a trace tells nobody")
    func carried() throws {
        let cluster = try TestCluster(count: 3)
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k"), reads: .all))
        for request in [try cluster.put("v", "k", seen: .blind, writes: .all), get] {
            let first = cluster.sent.count
            let address = ReplyAddress(connection: 9, request: UInt64(first))
            cluster.deliver(0, .tracedClient(address, request, timeout: .seconds(1), try Self.context()))
            let asked = self.questions(cluster, from: first)
            #expect(asked.count == 2)
            let context = try Self.context()
            for question in asked { #expect(question.trace == context) }
            #expect(cluster.nodes[0].answers.contains { $0.0 == address })
        }
        let first = cluster.sent.count
        cluster.ask(0, try cluster.put("w", "k", seen: .blind, writes: .all))
        let asked = self.questions(cluster, from: first)
        #expect(asked.count == 2 && asked.allSatisfy { $0.trace == nil })
    }

    @Test("keeps its trace when an owner coordinates it in the place of the node that was asked")
    func forwarded() throws {
        let cluster = try TestCluster(count: 5)
        let name = try cluster.name("k")
        guard case .location(let location)? = cluster.ask(0, .locate(name)),
            let outsider = cluster.ids.firstIndex(where: { !location.owners.contains($0) })
        else { throw DecodeError.truncated }
        let first = cluster.sent.count
        let put = try cluster.put("v", "k", seen: .blind, writes: .all)
        cluster.deliver(
            outsider,
            .tracedClient(ReplyAddress(connection: 9, request: 1), put, timeout: .seconds(1), try Self.context()))
        let asked = self.questions(cluster, from: first)
        // One forward, and two replicas that its coordinator asks.
        #expect(asked.count == 3 && Set(asked.map(\.from)).count == 2)
        let context = try Self.context()
        for question in asked { #expect(question.trace == context) }
    }

    @Test("goes on without its trace when a thousand others have one, and gives its place to the next when it is over")
    func bounded() throws {
        let cluster = try TestCluster(count: 3)
        func putTraced(_ number: UInt64) throws {
            let put = try cluster.put("v", "k\(number)", seen: .blind, writes: .all)
            let address = ReplyAddress(connection: 9, request: number)
            cluster.deliver(0, .tracedClient(address, put, timeout: .milliseconds(50), try Self.context()))
        }
        cluster.silent = [cluster.ids[1], cluster.ids[2]]
        var first = cluster.sent.count
        for number in 0..<1_030 as Range<UInt64> { try putTraced(number) }
        let traced = self.questions(cluster, from: first).map { $0.trace != nil }
        #expect(traced.count == 2 * 1_030 && traced.count { $0 } == 2 * 1_024)
        cluster.advance(.milliseconds(100))
        cluster.silent = []
        first = cluster.sent.count
        try putTraced(2_000)
        let later = self.questions(cluster, from: first)
        #expect(later.count == 2 && later.allSatisfy { $0.trace != nil })
    }
}
