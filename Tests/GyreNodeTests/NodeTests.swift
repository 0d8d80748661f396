import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore
import Testing

@Suite struct CoordinatingTests {
    @Test func putThroughOneNodeIsReadThroughAnother() throws {
        let cluster = try TestCluster(count: 3)
        let stored = cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        guard case .stored(_, let acks, let needed) = stored else { return #expect(Bool(false), "\(stored as Any)") }
        #expect(acks >= 2 && needed == 2)
        let found = cluster.ask(2, .get(GetRequest(name: try cluster.name("k"))))
        #expect(values(found) == ["v"])
        #expect(context(found) == context(stored))
    }

    @Test func nodeThatIsNotAnOwnerForwardsOnce() throws {
        let cluster = try TestCluster(count: 5)
        for index in 0..<5 {
            let answer = cluster.ask(index, try cluster.put("v\(index)", "k", seen: .overwrite))
            guard case .stored = answer else { return #expect(Bool(false), "node \(index): \(answer as Any)") }
        }
        let forwards = cluster.sent.filter { if case .forward = $0.message { true } else { false } }
        #expect(forwards.count == 2)
        #expect(values(cluster.ask(4, .get(GetRequest(name: try cluster.name("k"), reads: .all)))) == ["v4"])
    }

    /// A cluster, a node that does not own "k", and the owner to which it hands requests.
    private func strangerAndOwner() throws -> (cluster: TestCluster, stranger: Int, owner: Int) {
        let cluster = try TestCluster(count: 5)
        let ring = cluster.nodes[0].node.ring
        let owners = ring.owners(of: ring.partition(of: try cluster.name("k").token))
        let stranger = try #require(cluster.ids.firstIndex { !owners.contains($0) })
        return (cluster, stranger, try #require(cluster.ids.firstIndex(of: owners[0])))
    }

    @Test func forwardThatIsLostIsSentOnceMore() throws {
        let (cluster, stranger, owner) = try self.strangerAndOwner()
        cluster.silent = [cluster.ids[owner]]
        #expect(cluster.ask(stranger, try cluster.put("v", "k", seen: .blind)) == nil)
        cluster.silent = []
        cluster.advance(.milliseconds(600))
        guard case .stored = cluster.latestAnswer(stranger) else { return #expect(Bool(false)) }
    }

    @Test func forwardWhoseAnswerIsLostIsDoneOnce() throws {
        let (cluster, stranger, owner) = try self.strangerAndOwner()
        cluster.nodes[owner].diskStuck = true
        #expect(cluster.ask(stranger, try cluster.put("v", "k", seen: .blind)) == nil)
        cluster.silent = [cluster.ids[stranger]]
        cluster.nodes[owner].diskStuck = false
        cluster.flush(owner)
        cluster.silent = []
        // Even one that takes in nothing more tells what became of what it did.
        cluster.deliver(owner, .drain)
        cluster.advance(.milliseconds(600))
        guard case .stored = cluster.latestAnswer(stranger) else { return #expect(Bool(false)) }
        #expect(cluster.nodes[owner].node.counters.deduplicated == 1)
        #expect(values(cluster.ask(stranger, .get(GetRequest(name: try cluster.name("k"))))) == ["v"])
    }

    @Test func refusalOfAForwardThatWasSentTwiceSaysNothingOfTheFirst() throws {
        let (cluster, stranger, owner) = try self.strangerAndOwner()
        cluster.silent = [cluster.ids[owner]]
        #expect(cluster.ask(stranger, try cluster.put("v", "k", seen: .blind)) == nil)
        cluster.advance(.milliseconds(600))
        let tags = cluster.sent.compactMap { if case .forward(let tag, _, _) = $0.message { tag } else { nil } }
        #expect(tags.count == 2)
        cluster.deliver(
            stranger, .peer(cluster.ids[owner], .forwarded(tag: try #require(tags.last), .failed(.notMember))))
        #expect(cluster.latestAnswer(stranger) == .failed(.unknown(needed: 2, got: 0)))
    }

    /// A coordinator remembers for seconds what it did, so a request of a patient client is not sent again after half a minute.
    @Test func forwardOfAPatientClientIsSentAgainSoonOrNever() throws {
        let (cluster, stranger, owner) = try self.strangerAndOwner()
        cluster.silent = [cluster.ids[owner]]
        #expect(cluster.ask(stranger, try cluster.put("v", "k", seen: .blind), timeout: .seconds(60)) == nil)
        func count() -> Int { cluster.sent.count { if case .forward = $0.message { true } else { false } } }
        cluster.advance(.milliseconds(490))
        #expect(count() == 1)
        cluster.advance(.milliseconds(20))
        #expect(count() == 2)
        cluster.advance(.seconds(40))
        #expect(count() == 2)
    }

    /// A read may be done twice, and is not in a hurry.
    @Test func forwardOfAReadIsSentAgainAfterHalfOfItsTime() throws {
        let (cluster, stranger, owner) = try self.strangerAndOwner()
        cluster.silent = [cluster.ids[owner]]
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k")))
        #expect(cluster.ask(stranger, get, timeout: .milliseconds(1_600)) == nil)
        func count() -> Int { cluster.sent.count { if case .forward = $0.message { true } else { false } } }
        cluster.advance(.milliseconds(790))
        #expect(count() == 1)
        cluster.advance(.milliseconds(20))
        #expect(count() == 2)
    }

    @Test func readOfAKeyThatIsNotOwnedIsRefusedWithTheRing() throws {
        let cluster = try TestCluster(count: 5)
        cluster.advance(.seconds(5))
        let name = try cluster.name("k")
        let ring = cluster.nodes[0].node.ring
        let owners = ring.owners(of: ring.partition(of: name.token))
        let stranger = try #require(cluster.ids.firstIndex { !owners.contains($0) })
        let asker = owners[0]
        #expect(cluster.nodes[stranger].node.ringState.version > 0)
        cluster.sent.removeAll()
        cluster.deliver(stranger, .peer(asker, .fetch(tag: 7, name: name, whole: true)))
        let answers = cluster.sent.filter { $0.from == cluster.ids[stranger] && $0.to == asker }.map(\.message)
        #expect(answers.contains { if case .fetched(7, .overloaded) = $0 { true } else { false } }, "\(answers)")
        #expect(answers.contains { if case .ring(.state) = $0 { true } else { false } }, "\(answers)")
    }

    @Test func nothingLeavesBeforeTheOwnDiskHasIt() throws {
        let cluster = try TestCluster(count: 3)
        cluster.nodes[0].diskStuck = true
        let before = cluster.sent.count
        #expect(cluster.ask(0, try cluster.put("v", "k", seen: .overwrite)) == nil)
        #expect(cluster.sent.count == before)
        cluster.nodes[0].diskStuck = false
        cluster.flush(0)
        guard case .stored = cluster.latestAnswer(0) else { return #expect(Bool(false)) }
    }

    @Test func twoPutsWithTheSameContextThroughTwoNodesLeaveTwoSiblings() throws {
        let cluster = try TestCluster(count: 3)
        cluster.ask(0, try cluster.put("base", "k", seen: .overwrite))
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k"), reads: .all))
        let seen = Seen.given(context(cluster.ask(1, get)))
        cluster.ask(0, try cluster.put("a", "k", seen: seen))
        cluster.ask(1, try cluster.put("b", "k", seen: seen))
        let both = cluster.ask(2, get)
        #expect(values(both) == ["a", "b"])
        cluster.ask(2, try cluster.put("merged", "k", seen: .given(context(both))))
        #expect(values(cluster.ask(0, get)) == ["merged"])
    }

    @Test func deleteConcurrentWithAPutLeavesThePut() throws {
        let cluster = try TestCluster(count: 3)
        cluster.ask(0, try cluster.put("base", "k", seen: .overwrite))
        let name = try cluster.name("k")
        let get = ClientRequest.get(GetRequest(name: name, reads: .all))
        let seen = Seen.given(context(cluster.ask(1, get)))
        cluster.ask(0, try cluster.put("new", "k", seen: seen))
        cluster.ask(1, .delete(DeleteRequest(id: RequestID(client: 2, sequence: 1), name: name, seen: seen)))
        #expect(values(cluster.ask(2, get)) == ["new"])
        let all = Seen.given(context(cluster.ask(2, get)))
        cluster.ask(1, .delete(DeleteRequest(id: RequestID(client: 2, sequence: 2), name: name, seen: all)))
        guard case .notFound(let rest) = cluster.ask(0, get) else { return #expect(Bool(false)) }
        #expect(!rest.isEmpty)
    }

    @Test func readRepairsTheReplicaThatMissedAWrite() throws {
        let cluster = try TestCluster(count: 3)
        let name = try cluster.name("k")
        cluster.silent = [cluster.ids[2]]
        cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        #expect(cluster.nodes[2].disk.siblings(name) == nil)
        cluster.silent = []
        #expect(values(cluster.ask(2, .get(GetRequest(name: name)))) == ["v"])
        #expect(cluster.nodes[2].disk.siblings(name) == cluster.nodes[0].disk.siblings(name))
        #expect(cluster.nodes[2].node.counters.readRepairs == 1)
    }

    @Test func expiredValueIsHiddenAndItsContextShown() throws {
        let cluster = try TestCluster(count: 3)
        let name = try cluster.name("k")
        var put = PutRequest(
            id: RequestID(client: 9, sequence: 1), name: name, seen: .overwrite, value: ByteBuffer(string: "v"))
        put.timeToLiveMilliseconds = 500
        cluster.ask(0, .put(put))
        #expect(values(cluster.ask(1, .get(GetRequest(name: name)))) == ["v"])
        cluster.advance(.milliseconds(600))
        guard case .notFound(let rest) = cluster.ask(1, .get(GetRequest(name: name))) else {
            return #expect(Bool(false))
        }
        #expect(!rest.isEmpty)
    }
}

@Suite struct QuorumShortfallTests {
    @Test func oneDeadNodeOfThreeStopsNothing() throws {
        let cluster = try TestCluster(count: 3)
        for index in [0, 1] { cluster.deliver(index, .peerDown(cluster.ids[2])) }
        cluster.silent = [cluster.ids[2]]
        guard case .stored(_, 2, 2) = cluster.ask(0, try cluster.put("v", "k", seen: .overwrite)) else {
            return #expect(Bool(false))
        }
        #expect(values(cluster.ask(1, .get(GetRequest(name: try cluster.name("k"))))) == ["v"])
    }

    @Test func twoDeadNodesOfThreeAnswerUnavailableAtOnce() throws {
        let cluster = try TestCluster(count: 3)
        for other in [1, 2] { cluster.deliver(0, .peerDown(cluster.ids[other])) }
        let put = cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        #expect(put == .failed(.unavailable(needed: 2, got: 1)))
        let get = cluster.ask(0, .get(GetRequest(name: try cluster.name("k"))))
        #expect(get == .failed(.unavailable(needed: 2, got: 1)))
    }

    @Test func silentReplicasMakeAPutUnknownAtItsDeadlineAndNotBefore() throws {
        let cluster = try TestCluster(count: 3)
        cluster.silent = [cluster.ids[1], cluster.ids[2]]
        #expect(cluster.ask(0, try cluster.put("v", "k", seen: .overwrite), timeout: .milliseconds(500)) == nil)
        cluster.advance(.milliseconds(490))
        #expect(cluster.latestAnswer(0) == nil)
        cluster.advance(.milliseconds(20))
        #expect(cluster.latestAnswer(0) == .failed(.unknown(needed: 2, got: 1)))
    }

    @Test func silentReplicaIsHedgedByAnother() throws {
        let cluster = try TestCluster(count: 3)
        let name = try cluster.name("k")
        cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        cluster.silent = [cluster.ids[1]]
        var answer = cluster.ask(0, .get(GetRequest(name: name)))
        if answer == nil {
            cluster.advance(.milliseconds(100))
            answer = cluster.latestAnswer(0)
            #expect(cluster.nodes[0].node.counters.hedges == 1)
        }
        #expect(values(answer) == ["v"])
    }

    @Test func quorumLargerThanNIsRefused() throws {
        let cluster = try TestCluster(count: 3)
        let answer = cluster.ask(0, try cluster.put("v", "k", seen: .overwrite, writes: .count(4)))
        guard case .failed(.badRequest) = answer else { return #expect(Bool(false), "\(answer as Any)") }
        #expect(cluster.nodes[0].disk.engine.records.isEmpty)
    }

    @Test func operationsBeyondTheLimitAreRefusedAsOverloaded() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        cluster.nodes[0].diskStuck = true
        let most = cluster.nodes[0].node.options.inFlightMax
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k")))
        for _ in 0..<most { #expect(cluster.ask(0, get) == nil) }
        #expect(cluster.ask(0, get) == .failed(.overloaded))
    }

    @Test func anyNumberOfQuestionsForTheStatusIsOneLookAtATime() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        let node = cluster.nodes[0]
        node.diskStuck = true
        // One look goes on, and as many as may wait do.
        let asked = node.node.options.inFlightMax + 1
        for _ in 0..<asked { #expect(cluster.ask(0, .status) == nil) }
        #expect(cluster.ask(0, .status) == .failed(.overloaded))
        func looks() -> Int { node.pending.count { if case .figures = $0 { true } else { false } } }
        #expect(looks() == 1)
        // They are no reason to refuse what clients came for.
        #expect(cluster.ask(0, try cluster.put("v", "k", seen: .overwrite)) == nil)
        node.diskStuck = false
        cluster.flush(0)
        let reports = node.answers.compactMap { if case .status(let report) = $0.1 { report } else { nil } }
        #expect(reports.count == asked && node.answers.count == asked + 2)
        // The first look was under way before the others asked, and the put.
        #expect(reports.first?.keys == 0 && reports.last?.keys == 1)
        guard case .status = cluster.ask(0, .status) else { return #expect(Bool(false)) }
    }
}

@Suite struct DeduplicationTests {
    @Test func sameRequestTwiceHasOneEffect() throws {
        let cluster = try TestCluster(count: 3)
        let put = try cluster.put("v", "k", seen: .blind)
        let first = cluster.ask(0, put)
        let second = cluster.ask(0, put)
        #expect(first == second)
        #expect(values(cluster.ask(1, .get(GetRequest(name: try cluster.name("k"))))) == ["v"])
        #expect(cluster.nodes[0].node.counters.deduplicated == 1)
    }

    @Test func sameRequestWhileUnderWayIsAnsweredWithTheFirst() throws {
        let cluster = try TestCluster(count: 3)
        cluster.nodes[0].diskStuck = true
        let put = try cluster.put("v", "k", seen: .blind)
        cluster.ask(0, put)
        cluster.ask(0, put)
        cluster.nodes[0].diskStuck = false
        cluster.flush(0)
        let stored = cluster.nodes[0].answers.suffix(2).map(\.1)
        #expect(stored.count == 2 && stored[0] == stored[1])
        #expect(values(cluster.ask(1, .get(GetRequest(name: try cluster.name("k"))))) == ["v"])
    }
}

@Suite struct CorruptionTests {
    @Test func corruptRecordIsNeverReturnedAndHealedFromTheOthers() throws {
        let cluster = try TestCluster(count: 3)
        let name = try cluster.name("k")
        cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        cluster.nodes[0].disk.corrupt(name)
        #expect(values(cluster.ask(0, .get(GetRequest(name: name)))) == ["v"])
        #expect(cluster.nodes[0].disk.siblings(name) != nil)
        #expect(cluster.nodes[0].disk.siblings(name) == cluster.nodes[1].disk.siblings(name))
        #expect(cluster.nodes[0].node.counters.healed == 1)
    }

    @Test func coordinatorWithACorruptRecordHandsThePutOn() throws {
        let cluster = try TestCluster(count: 3)
        let name = try cluster.name("k")
        cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        cluster.nodes[0].disk.corrupt(name)
        guard case .stored = cluster.ask(0, try cluster.put("w", "k", seen: .overwrite)) else {
            return #expect(Bool(false), "\(cluster.latestAnswer(0) as Any)")
        }
        #expect(cluster.nodes[0].node.counters.forwards == 1)
        #expect(values(cluster.ask(0, .get(GetRequest(name: name, reads: .all)))) == ["w"])
    }

    @Test func contextWithADotOfTheFutureIsRefused() throws {
        let cluster = try TestCluster(count: 3)
        let owners = cluster.nodes[0].node.ring.owners(
            of: cluster.nodes[0].node.ring.partition(of: try cluster.name("k").token))
        #expect(owners.contains(cluster.ids[0]))
        let forged = VersionVector([Dot(node: cluster.ids[0], counter: 1 << 62)])
        let answer = cluster.ask(0, try cluster.put("v", "k", seen: .given(forged)))
        guard case .failed(.badRequest) = answer else { return #expect(Bool(false), "\(answer as Any)") }
    }
}

@Suite struct DrainTests {
    @Test func drainingRefusesNewWorkAndFinishesTheOld() throws {
        let cluster = try TestCluster(count: 3)
        cluster.nodes[0].diskStuck = true
        cluster.ask(0, try cluster.put("v", "k", seen: .overwrite))
        cluster.deliver(0, .drain)
        #expect(!cluster.nodes[0].events.contains(.drained))
        cluster.nodes[0].diskStuck = false
        cluster.flush(0)
        guard case .stored = cluster.latestAnswer(0) else { return #expect(Bool(false)) }
        #expect(cluster.nodes[0].events.contains(.drained))
        #expect(cluster.ask(0, try cluster.put("w", "k", seen: .overwrite)) == .failed(.notMember))
    }
}
