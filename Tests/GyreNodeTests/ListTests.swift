import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import NIOCore
import Testing

extension TestCluster {
    /// Goes through a whole listing, each page through the next node; nil when a page was none.
    func list(
        bucket: String? = "default", prefix: String = "", limit: UInt32 = 1_000,
        between: (Int) throws -> Void = { _ in }
    ) throws -> [String]? {
        var names: [String] = []
        var from = ListPosition.start
        for page in 0..<10_000 {
            let request = ListRequest(
                bucket: bucket.map { ByteBuffer(string: $0) }, prefix: ByteBuffer(string: prefix), from: from,
                limit: limit)
            let answer = self.ask(page % self.nodes.count, .list(request))
            guard case .listed(let listed) = answer else { return nil }
            #expect(listed.names.count <= Int(limit) + 1)
            names += listed.names.map { String(buffer: $0) }
            guard let next = listed.next else { return names }
            #expect(next > from, "a page must get somewhere")
            from = next
            try between(page)
        }
        Issue.record("a listing without an end")
        return nil
    }
}

@Suite("A listing")
struct ListTests {
    @Test(
        "shows every live key of its bucket once, on any number of nodes and in pages of any size",
        arguments: [1, 3, 5])
    func isComplete(nodes: Int) throws {
        let cluster = try TestCluster(
            count: nodes, replicas: min(3, nodes), reads: min(2, nodes), writes: min(2, nodes))
        var expected: [String] = []
        for index in 0..<300 {
            let key = "key\(index)"
            #expect(try cluster.ask(index % nodes, cluster.put("v", key, seen: .overwrite)) != nil)
            if index % 5 == 0 {
                let id = RequestID(client: 9, sequence: UInt64(index))
                cluster.ask(0, .delete(DeleteRequest(id: id, name: try cluster.name(key), seen: .overwrite)))
            } else {
                expected.append(key)
            }
        }
        let other = try ObjectName(bucket: ByteBuffer(string: "other"), key: ByteBuffer(string: "key1"))
        cluster.ask(
            0,
            .put(
                PutRequest(
                    id: RequestID(client: 8, sequence: 1), name: other, seen: .overwrite, value: ByteBuffer(string: "v")
                )))
        for limit: UInt32 in [1, 7, 100, 10_000] {
            #expect(try cluster.list(limit: limit)?.sorted() == expected.sorted(), "pages of \(limit)")
        }
        #expect(try cluster.list(prefix: "key1")?.sorted() == expected.filter { $0.hasPrefix("key1") }.sorted())
        #expect(try cluster.list(bucket: "nothing") == [])
        #expect(Set(try cluster.list(bucket: nil) ?? []) == ["default", "other"])
    }

    @Test("misses no key that was there all the while, whatever is written and deleted meanwhile")
    func survivesWrites() throws {
        let cluster = try TestCluster(count: 5)
        let steady = (0..<200).map { "steady\($0)" }
        for key in steady { cluster.ask(0, try cluster.put("v", key, seen: .overwrite)) }
        let listed = try cluster.list(limit: 9) { page in
            for index in 0..<5 {
                let key = "passing\(page)-\(index)"
                cluster.ask(1, try cluster.put("v", key, seen: .overwrite))
                let id = RequestID(client: 9, sequence: UInt64(page * 5 + index))
                if index % 2 == 0 {
                    cluster.ask(2, .delete(DeleteRequest(id: id, name: try cluster.name(key), seen: .overwrite)))
                }
            }
            cluster.ask(3, try cluster.put("again", steady[page % steady.count], seen: .overwrite))
        }
        let seen = try #require(listed)
        #expect(Set(steady).subtracting(seen).isEmpty)
    }

    @Test("hides what has expired")
    func hidesExpired() throws {
        let cluster = try TestCluster(count: 3)
        for (index, life) in [UInt64?.none, 50, 100_000].enumerated() {
            cluster.ask(
                0,
                .put(
                    PutRequest(
                        id: RequestID(client: 9, sequence: UInt64(index)), name: try cluster.name("k\(index)"),
                        seen: .overwrite, value: ByteBuffer(string: "v"), timeToLiveMilliseconds: life)))
        }
        #expect(try cluster.list()?.count == 3)
        cluster.advance(.milliseconds(100))
        #expect(try cluster.list()?.sorted() == ["k0", "k2"])
    }

    @Test("leaves out an owner that is silent or gone, and says unavailable with fewer than R")
    func needsQuorum() throws {
        let cluster = try TestCluster(count: 3)
        for index in 0..<20 { cluster.ask(0, try cluster.put("v", "k\(index)", seen: .overwrite)) }
        let all = ListRequest(bucket: ByteBuffer(string: "default"))
        cluster.silent = [cluster.ids[1]]
        cluster.ask(0, .list(all))
        cluster.advance(.milliseconds(400))
        guard case .listed(let page) = cluster.latestAnswer(0) else {
            Issue.record("no answer although two owners can be reached")
            return
        }
        #expect(page.names.count == 20 && page.next == nil)
        cluster.deliver(0, .peerDown(cluster.ids[1]))
        #expect(cluster.ask(0, .list(all)) == .listed(page))
        cluster.deliver(0, .peerDown(cluster.ids[2]))
        #expect(cluster.ask(0, .list(all)) == .failed(.unavailable(needed: 2, got: 1)))
    }

    @Test("asks another owner when a record is damaged, and shows the key all the same")
    func meetsDamage() throws {
        let cluster = try TestCluster(count: 3)
        for index in 0..<20 { cluster.ask(0, try cluster.put("v", "k\(index)", seen: .overwrite)) }
        cluster.nodes[0].disk.corrupt(try cluster.name("k7"))
        #expect(try cluster.list(limit: 5)?.sorted() == (0..<20).map { "k\($0)" }.sorted())
    }

    @Test(
        "refuses what makes no sense",
        arguments: [
            ListRequest(bucket: ByteBuffer(), limit: 1), ListRequest(bucket: ByteBuffer(string: "b"), limit: 0),
            ListRequest(bucket: nil, limit: 10_001),
            ListRequest(bucket: nil, prefix: ByteBuffer(repeating: 1, count: 4_097)),
        ])
    func refuses(_ request: ListRequest) throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        guard case .failed(.badRequest) = cluster.ask(0, .list(request)) else {
            Issue.record("\(request) was taken")
            return
        }
    }

    @Test("refuses a page that cannot be one, and asks somebody else")
    func distrustsPeers() throws {
        let cluster = try TestCluster(count: 3)
        for index in 0..<20 { cluster.ask(0, try cluster.put("v", "k\(index)", seen: .overwrite)) }
        cluster.silent = [cluster.ids[1], cluster.ids[2]]
        cluster.ask(0, .list(ListRequest(bucket: ByteBuffer(string: "default"))))
        let asked = cluster.sent.compactMap { sent in
            if case .list(let tag, let question) = sent.message { (sent.to, tag, question) } else { nil }
        }
        let (node, tag, question) = try #require(asked.last)
        cluster.silent = []
        // It claims not to have come forward at all, which would never end.
        cluster.deliver(0, .peer(node, .listed(tag: tag, .page([], next: question.from))))
        guard case .listed(let page) = cluster.latestAnswer(0) else {
            Issue.record("no answer")
            return
        }
        #expect(page.names.count == 20)
        #expect(cluster.nodes[0].node.counters.malformedMessages == 1)
    }
}
