import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreRing
import GyreStorage
import NIOCore
import Testing

@Suite struct HandoffTests {
    /// A key, its owners as indices in order of preference, and the other nodes.
    private func place(_ cluster: TestCluster, _ key: String) throws -> (owners: [Int], others: [Int]) {
        let ring = cluster.nodes[0].node.ring
        let owners = ring.owners(of: ring.partition(of: try cluster.name(key).token))
        let indices = owners.compactMap { cluster.ids.firstIndex(of: $0) }
        return (indices, cluster.nodes.indices.filter { !indices.contains($0) })
    }

    /// Lets every node see the connections to `index` break, and its messages be lost.
    private func cut(_ cluster: TestCluster, _ index: Int) {
        cluster.silent.insert(cluster.ids[index])
        for other in cluster.nodes.indices where other != index {
            cluster.deliver(other, .peerDown(cluster.ids[index]))
            cluster.deliver(index, .peerDown(cluster.ids[other]))
        }
    }

    private func mend(_ cluster: TestCluster, _ index: Int) throws {
        cluster.silent.remove(cluster.ids[index])
        for other in cluster.nodes.indices where other != index {
            cluster.deliver(other, .peerUp(cluster.ids[index], try TestCluster.record(index).address))
            cluster.deliver(index, .peerUp(cluster.ids[other], try TestCluster.record(other).address))
        }
        cluster.advance(.seconds(6))
    }

    @Test func aStandInKeepsAHintThatCountsAndBringsItHome() throws {
        let cluster = try TestCluster(count: 5)
        let (owners, others) = try self.place(cluster, "k")
        let name = try cluster.name("k")
        self.cut(cluster, owners[1])
        self.cut(cluster, owners[2])
        let answer = cluster.ask(owners[0], try cluster.put("v", "k", seen: .blind, writes: .all))
        guard case .stored(_, let acks, _) = answer else {
            Issue.record("\(String(describing: answer))")
            return
        }
        #expect(acks == 3)
        for target in [owners[1], owners[2]] {
            let keepers = others.filter { cluster.nodes[$0].disk.hint(name, for: cluster.ids[target]) != nil }
            #expect(keepers.count == 1, "hints for node \(target)")
        }
        try self.mend(cluster, owners[1])
        #expect(cluster.nodes[owners[1]].disk.siblings(name) == cluster.nodes[owners[0]].disk.siblings(name))
        for index in others {
            #expect(cluster.nodes[index].disk.hint(name, for: cluster.ids[owners[1]]) == nil)
        }
        #expect(cluster.nodes.contains { !$0.disk.engine.hintBacklogs.isEmpty }, "the other owner is still owed one")
        try self.mend(cluster, owners[2])
        #expect(cluster.nodes.allSatisfy { $0.disk.engine.hintBacklogs.isEmpty })
    }

    @Test func withoutAnOwnerInReachStandInsCoordinateAndReadTheirHints() throws {
        let cluster = try TestCluster(count: 5)
        let (owners, others) = try self.place(cluster, "k")
        for owner in owners { self.cut(cluster, owner) }
        let answer = cluster.ask(others[0], try cluster.put("v", "k", seen: .blind))
        guard case .stored(let context, _, _) = answer else {
            Issue.record("\(String(describing: answer))")
            return
        }
        #expect(context.entries.allSatisfy { !cluster.ids.contains($0.node) }, "the actor is the stand-in's own")
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k")))
        #expect(values(cluster.ask(others[1], get)) == ["v"])
        let unknown = ClientRequest.get(GetRequest(name: try cluster.name("k2")))
        let theirs = try self.place(cluster, "k2")
        if theirs.owners.allSatisfy({ owners.contains($0) }) {
            #expect(cluster.ask(others[0], unknown) == .failed(.unavailable(needed: 2, got: 0)))
        }
        for owner in owners { try self.mend(cluster, owner) }
        for owner in owners {
            #expect(cluster.nodes[owner].disk.siblings(try cluster.name("k"))?.versions.count == 1)
        }
        #expect(cluster.nodes.allSatisfy { $0.disk.engine.hintBacklogs.isEmpty })
    }

    /// Reads and writes have threads of their own: an empty listing may arrive after a hint was kept that it did not see.
    @Test func aListingThatLookedBeforeAHintWasKeptDoesNotHideIt() throws {
        let cluster = try TestCluster(count: 5)
        let (owners, others) = try self.place(cluster, "k")
        let (keeper, target) = (cluster.nodes[others[0]], owners[0])
        let name = try cluster.name("k")
        let record = try #require(self.record("v"))
        func keep(_ tag: UInt64) {
            let hint = PeerMessage.hint(tag: tag, target: cluster.ids[target], name: name, record: record)
            cluster.deliver(others[0], .peer(cluster.ids[others[1]], hint))
        }
        keep(1)
        cluster.advance(.seconds(1))
        #expect(keeper.disk.hint(name, for: cluster.ids[target]) == nil, "the first one is at home")
        keep(2)
        // That one goes home as well; the listing behind it finds nothing, and its answer is late.
        keeper.diskStuck = true
        var late: StorageReply?
        for _ in 0..<200 where late == nil {
            cluster.advance(.milliseconds(10))
            while let request = keeper.pending.first {
                keeper.pending.removeFirst()
                let reply = keeper.disk.answer(request)
                if case .hint(_, .list) = request, case .listed(let page) = reply.outcome, page.entries.isEmpty {
                    late = reply
                } else {
                    cluster.deliver(others[0], .storage(reply))
                }
            }
        }
        keeper.diskStuck = false
        keep(3)
        cluster.deliver(others[0], .storage(try #require(late)))
        cluster.advance(.seconds(2))
        #expect(keeper.disk.hint(name, for: cluster.ids[target]) == nil, "the last one has gone home too")
    }

    private func record(_ value: String) -> ByteBuffer? {
        var siblings = Siblings()
        siblings.put(
            Version(
                dot: Dot(node: NodeID(rawValue: 0xD0), counter: 1),
                time: HybridTime(wall: WallTime(milliseconds: 1), logical: 0), expiry: nil, metadata: .none,
                value: ByteBuffer(string: value)), seen: .blind)
        return siblings.encoded
    }

    /// Nodes that are all overloaded must not be asked for ever, each time with the whole record.
    @Test func standInsThatRefuseAreAskedOnlyAFewTimes() throws {
        let cluster = try TestCluster(count: 7)
        let (owners, _) = try self.place(cluster, "k")
        cluster.silent = Set(cluster.ids.filter { $0 != cluster.ids[owners[0]] })
        cluster.sent = []
        #expect(cluster.ask(owners[0], try cluster.put("v", "k", seen: .blind)) == nil)
        var refused = 0
        while refused < cluster.sent.count, refused < 1_000 {
            let (_, node, message) = cluster.sent[refused]
            refused += 1
            switch message {
            case .replicate(let tag, _, _), .hint(let tag, _, _, _):
                cluster.deliver(owners[0], .peer(node, .replicated(tag: tag, .overloaded)))
            default: continue
            }
        }
        let asked = cluster.sent.count { if case .hint = $0.message { true } else { false } }
        #expect(asked == 3)
        #expect(cluster.latestAnswer(owners[0]) == .failed(.unknown(needed: 2, got: 1)))
    }

    @Test func aBacklogGoesHomeAtItsPaceAndWhole() throws {
        let cluster = try TestCluster(count: 4)
        self.cut(cluster, 3)
        for number in 0..<1_600 {
            let answer = cluster.ask(0, try cluster.put("v", "k\(number)", seen: .blind))
            guard case .stored = answer else {
                Issue.record("\(String(describing: answer))")
                return
            }
        }
        func left() -> [UInt64] {
            cluster.nodes.map { $0.disk.engine.hintBacklogs.reduce(0) { $0 + $1.count } }
        }
        let kept = left()
        #expect(kept.dropLast().allSatisfy { $0 > 300 }, "\(kept)")
        cluster.silent.remove(cluster.ids[3])
        for other in 0..<3 {
            cluster.deliver(other, .peerUp(cluster.ids[3], try TestCluster.record(3).address))
            cluster.deliver(3, .peerUp(cluster.ids[other], try TestCluster.record(other).address))
        }
        cluster.advance(.seconds(1))
        for (before, after) in zip(kept, left()).prefix(3) {
            #expect(before - after <= 250 + 250 / 20, "no more than the pace and one batch")
        }
        cluster.advance(.seconds(6))
        #expect(left().allSatisfy { $0 == 0 })
    }

    @Test func aStandInTakesANewActorAfterItsHintWentHome() throws {
        let cluster = try TestCluster(count: 5)
        let (owners, others) = try self.place(cluster, "k")
        var actors: Set<NodeID> = []
        for round in 1...2 {
            for owner in owners { self.cut(cluster, owner) }
            let answer = cluster.ask(others[0], try cluster.put("v\(round)", "k", seen: .blind))
            for entry in context(answer).entries { actors.insert(entry.node) }
            for owner in owners { try self.mend(cluster, owner) }
        }
        #expect(actors.count == 2)
        #expect(cluster.nodes[owners[0]].disk.siblings(try cluster.name("k"))?.versions.count == 2)
    }

    @Test func primariesCanBeDemanded() throws {
        let cluster = try TestCluster(count: 5)
        let (owners, _) = try self.place(cluster, "k")
        self.cut(cluster, owners[1])
        self.cut(cluster, owners[2])
        let strict = ClientRequest.put(
            PutRequest(
                id: RequestID(client: 9, sequence: 1), name: try cluster.name("k"), seen: .blind,
                value: ByteBuffer(string: "v"), primaryWrites: .matching))
        #expect(cluster.ask(owners[0], strict) == .failed(.unavailable(needed: 2, got: 1)))
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k"), primaryReads: .quorum))
        #expect(cluster.ask(owners[0], get) == .failed(.unavailable(needed: 2, got: 1)))
    }

    @Test func withNobodyLeftToStandInTheCoordinatorKeepsWhatAnOwnerMissed() throws {
        let cluster = try TestCluster(count: 3)
        let (owners, _) = try self.place(cluster, "k")
        let name = try cluster.name("k")
        self.cut(cluster, owners[2])
        cluster.ask(owners[0], try cluster.put("v", "k", seen: .blind))
        #expect(cluster.nodes[owners[0]].disk.hint(name, for: cluster.ids[owners[2]]) != nil)
        try self.mend(cluster, owners[2])
        #expect(cluster.nodes[owners[2]].disk.siblings(name) == cluster.nodes[owners[0]].disk.siblings(name))
        #expect(cluster.nodes[owners[0]].disk.engine.hintBacklogs.isEmpty)
    }

    @Test func anOwnerThatAnswersTooLateIsOwedAHint() throws {
        let cluster = try TestCluster(count: 3)
        let (owners, _) = try self.place(cluster, "k")
        let name = try cluster.name("k")
        cluster.nodes[owners[2]].diskStuck = true
        let answer = cluster.ask(owners[0], try cluster.put("v", "k", seen: .blind))
        guard case .stored = answer else {
            Issue.record("two of three are enough: \(String(describing: answer))")
            return
        }
        #expect(cluster.nodes[owners[0]].node.inFlight == 0, "an answered write is in nobody's way")
        cluster.advance(.milliseconds(1_100))
        #expect(cluster.nodes[owners[0]].disk.hint(name, for: cluster.ids[owners[2]]) != nil)
        cluster.nodes[owners[2]].diskStuck = false
        cluster.flush(owners[2])
        cluster.advance(.seconds(5))
        #expect(cluster.nodes[owners[0]].disk.engine.hintBacklogs.isEmpty)
    }
}
