import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreQuorum
import GyreStorage
import NIOCore
import Testing

extension TestCluster {
    /// Sets properties of the bucket that `name(_:)` and `put` use.
    @discardableResult
    func set(_ index: Int, _ changes: BucketChange..., bucket: String = "default") throws -> ClientResponse? {
        self.ask(index, .bucketSet(try bucketName(bucket), changes))
    }

    /// What a node shows of that bucket.
    func properties(_ index: Int, bucket: String = "default") throws -> BucketProperties? {
        guard case .buckets(let report) = self.ask(index, .bucketShow(try bucketName(bucket))) else { return nil }
        return report.buckets.first?.properties
    }

    /// The hashes of all tables.
    var bucketHashes: Set<UInt64> { Set(self.nodes.map { $0.node.bucketTable.hash }) }
}

private func isBadRequest(_ response: ClientResponse?, _ word: String) -> Bool {
    guard case .failed(.badRequest(let reason)) = response else { return false }
    return reason.contains(word)
}

@Suite struct BucketSpreadTests {
    @Test func aChangeThroughOneNodeIsKnownToAllWhenItIsAnswered() throws {
        let cluster = try TestCluster(count: 5)
        guard case .buckets(let report) = try cluster.set(1, .reads(.one), .timeToLive(30_000)) else {
            return #expect(Bool(false))
        }
        #expect(report.replicas == 3 && report.reads == 2 && report.writes == 2)
        #expect(report.buckets.map(\.version) == [BucketVersion(counter: 1, node: cluster.ids[1])])
        for index in 0..<5 {
            #expect(cluster.nodes[index].node.bucketTable.records == report.buckets, "node \(index)")
            #expect(try cluster.properties(index)?.timeToLiveMilliseconds == 30_000)
        }
        guard case .buckets(let list) = cluster.ask(4, .bucketList) else { return #expect(Bool(false)) }
        #expect(list.buckets == report.buckets)
    }

    @Test func nothingIsToldOrInForceBeforeTheOwnDiskHasIt() throws {
        let cluster = try TestCluster(count: 3)
        cluster.nodes[0].diskStuck = true
        let sent = cluster.sent.count
        #expect(try cluster.set(0, .reads(.one)) == nil)
        cluster.advance(.seconds(15))
        let messages = cluster.sent[sent...].filter { if case .buckets = $0.message { true } else { false } }
        #expect(messages.isEmpty)
        #expect(cluster.nodes[0].node.bucketTable.records.isEmpty)
        cluster.nodes[0].diskStuck = false
        cluster.flush(0)
        #expect(try cluster.properties(2)?.reads == .one)
    }

    @Test func aPeerThatMissedAChangeHearsOfItWithinAFewRounds() throws {
        let cluster = try TestCluster(count: 3)
        cluster.silent = [cluster.ids[2]]
        try cluster.set(0, .writes(.all))
        cluster.silent = []
        #expect(try cluster.properties(2)?.writes == .standard)
        cluster.advance(.seconds(31))
        #expect(try cluster.properties(2)?.writes == .all)
        #expect(cluster.nodes[2].disk.engine.recovered.buckets != nil)
    }

    @Test func peersThatMeetExchangeWhatEachAloneKnows() throws {
        let cluster = try TestCluster(count: 3)
        cluster.silent = [cluster.ids[2]]
        try cluster.set(0, .writes(.all), bucket: "a")
        try cluster.set(0, .reads(.all), bucket: "both")
        cluster.silent = [cluster.ids[0], cluster.ids[1]]
        try cluster.set(2, .reads(.one), bucket: "both")
        try cluster.set(2, .sloppy(false), bucket: "c")
        cluster.silent = []
        #expect(cluster.bucketHashes.count == 2)
        cluster.deliver(0, .peerUp(cluster.ids[2], try TestCluster.record(2).address))
        #expect(cluster.nodes[0].node.bucketTable == cluster.nodes[2].node.bucketTable)
        cluster.advance(.seconds(61))
        #expect(cluster.bucketHashes.count == 1)
        #expect(cluster.nodes[1].node.bucketTable.records.map { String(buffer: $0.name.bytes) } == ["a", "both", "c"])
        // Equal counters: the record of the higher node is the later one.
        #expect(try cluster.properties(1, bucket: "both")?.reads == .one)
    }

    @Test func peersThatAgreeSendHashesOnly() throws {
        let cluster = try TestCluster(count: 3)
        try cluster.set(0, .writes(.all))
        let sent = cluster.sent.count
        cluster.advance(.seconds(60))
        let messages = cluster.sent[sent...].compactMap {
            if case .buckets(let message) = $0.message { message } else { nil }
        }
        #expect(messages.count >= 15 && messages.count <= 21)
        #expect(messages.allSatisfy { $0 == .digest(cluster.nodes[0].node.bucketTable.hash) })
    }

    @Test func anExchangeEndsAlsoBetweenNodesThatCannotAgree() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        try cluster.set(0, .reads(.one))
        let stranger = NodeID(rawValue: 99)
        let sent = cluster.sent.count
        cluster.deliver(0, .peer(stranger, .buckets(.digest(1))))
        cluster.deliver(0, .peer(stranger, .buckets(.records([], wantsRest: true))))
        cluster.deliver(0, .peer(stranger, .buckets(.records([], wantsRest: false))))
        let answers = cluster.sent[sent...].map(\.message)
        let all = cluster.nodes[0].node.bucketTable.records
        #expect(
            answers == [.buckets(.records(all, wantsRest: true)), .buckets(.records(all, wantsRest: false))])
    }

    @Test func propertiesSurviveARestart() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        try cluster.set(0, .siblings(.lastWriteWins), .timeToLive(5))
        let document = try #require(cluster.nodes[0].disk.engine.recovered.buckets)
        let node = try Node(
            options: NodeOptions(quorum: try Quorum(replicas: 1, reads: 1, writes: 1), cluster: "test"),
            me: try TestCluster.record(0), seeds: [], known: [],
            recovered: RecoveredState(counterFloor: 100, buckets: document), now: cluster.now)
        #expect(node.bucketTable == cluster.nodes[0].node.bucketTable)
        #expect(node.bucketTable.properties(of: ByteBuffer(string: "default"))?.siblings == .lastWriteWins)
    }

    @Test func aNodeRefusesToStartFromADocumentItCannotRead() throws {
        #expect(throws: BucketDocumentError.self) {
            _ = try Node(
                options: NodeOptions(quorum: try Quorum(replicas: 1, reads: 1, writes: 1), cluster: "test"),
                me: try TestCluster.record(0), seeds: [], known: [],
                recovered: RecoveredState(buckets: ByteBuffer(string: "?")),
                now: Now(instant: .start, wall: WallTime(milliseconds: 1)))
        }
    }
}

@Suite struct BucketChangeTests {
    @Test func propertiesAreSetAndUnsetOneByOne() throws {
        let cluster = try TestCluster(count: 3)
        try cluster.set(0, .reads(.one), .timeToLive(7), .sloppy(false))
        try cluster.set(1, .reads(.standard), .writes(.count(3)))
        var expected = BucketProperties()
        expected.writes = .count(3)
        expected.timeToLiveMilliseconds = 7
        expected.sloppy = false
        #expect(try cluster.properties(2) == expected)
        try cluster.set(2, .writes(.standard), .timeToLive(nil), .sloppy(nil))
        #expect(try cluster.properties(0)?.isEmpty == true)
        #expect(cluster.nodes[0].node.bucketTable.records.map(\.version.counter) == [3])
    }

    @Test func settingWhatIsSetChangesNothing() throws {
        let cluster = try TestCluster(count: 3)
        try cluster.set(0, .reads(.one))
        let hash = cluster.nodes[0].node.bucketTable.hash
        guard case .buckets(let report) = try cluster.set(0, .reads(.one), .replicas(3)) else {
            return #expect(Bool(false))
        }
        #expect(report.buckets.map(\.version.counter) == [1])
        try cluster.set(1, .replicas(3), bucket: "other")
        #expect(cluster.bucketHashes == [hash])
    }

    @Test func whatIsNotPossibleIsRefusedWithTheReason() throws {
        let cluster = try TestCluster(count: 3)
        #expect(isBadRequest(try cluster.set(0, .replicas(2)), "n=3"))
        #expect(isBadRequest(try cluster.set(0, .reads(.count(4))), "r=4"))
        #expect(isBadRequest(try cluster.set(0, .reads(.one), .primaryWrites(.count(0))), "pw=0"))
        #expect(isBadRequest(try cluster.set(0, .timeToLive(0)), "ttl"))
        #expect(isBadRequest(cluster.ask(0, .bucketSet(try bucketName("b"), [])), "1 to 32"))
        #expect(cluster.bucketHashes == [BucketTable().hash])
        cluster.deliver(0, .drain)
        #expect(try cluster.set(0, .reads(.one)) == .failed(.notMember))
    }

    @Test func oneBucketMoreThanTheLimitIsRefusedAndAKnownOneIsNot() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        let version = BucketVersion(counter: 1, node: NodeID(rawValue: 9))
        let records = try (0..<BucketTable.recordsMax).map { index in
            BucketRecord(name: try bucketName(String(10_000 + index)), properties: BucketProperties(), version: version)
        }
        cluster.deliver(0, .peer(NodeID(rawValue: 9), .buckets(.records(records, wantsRest: false))))
        #expect(isBadRequest(try cluster.set(0, .reads(.one), bucket: "new"), "1024 buckets"))
        guard case .buckets = try cluster.set(0, .reads(.one), bucket: "10000") else { return #expect(Bool(false)) }
    }

    @Test func changesBeyondWhatTheDiskCanTakeAreRefusedAsOverloaded() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        cluster.nodes[0].diskStuck = true
        for number in 0..<64 { #expect(try cluster.set(0, .timeToLive(UInt64(number + 1))) == nil) }
        #expect(try cluster.set(0, .timeToLive(99)) == .failed(.overloaded))
    }

    @Test func aVersionThatIsUsedUpIsRefusedAndDoesNotTrap() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1)
        let record = BucketRecord(
            name: try bucketName("default"), properties: BucketProperties(),
            version: BucketVersion(counter: .max, node: NodeID(rawValue: 9)))
        cluster.deliver(0, .peer(NodeID(rawValue: 9), .buckets(.records([record], wantsRest: false))))
        #expect(isBadRequest(try cluster.set(0, .reads(.one)), "used up"))
    }
}

@Suite struct BucketEffectTests {
    @Test func lastWriteWinsShowsTheLatestUnderTheContextOfAllAndStoresAll() throws {
        let cluster = try TestCluster(count: 3)
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k"), reads: .all))
        cluster.ask(0, try cluster.put("older", "k", seen: .blind))
        cluster.advance(.milliseconds(20))
        cluster.ask(1, try cluster.put("newer", "k", seen: .blind))
        #expect(values(cluster.ask(2, get)) == ["newer", "older"])
        try cluster.set(0, .siblings(.lastWriteWins))
        let shown = cluster.ask(2, get)
        #expect(values(shown) == ["newer"])
        #expect(cluster.nodes[2].disk.siblings(try cluster.name("k"))?.versions.count == 2)
        let head = cluster.ask(1, .get(GetRequest(name: try cluster.name("k"), headOnly: true)))
        #expect(values(head) == [""] && context(head) == context(shown))
        cluster.ask(1, try cluster.put("last", "k", seen: .given(context(shown))))
        #expect(cluster.nodes[1].disk.siblings(try cluster.name("k"))?.versions.count == 1)
        try cluster.set(0, .siblings(nil))
        #expect(values(cluster.ask(2, get)) == ["last"])
    }

    @Test func otherBucketsKeepShowingSiblings() throws {
        let cluster = try TestCluster(count: 3)
        try cluster.set(0, .siblings(.lastWriteWins), bucket: "other")
        for value in ["a", "b"] { cluster.ask(0, try cluster.put(value, "k", seen: .blind)) }
        #expect(values(cluster.ask(1, .get(GetRequest(name: try cluster.name("k"))))) == ["a", "b"])
    }

    @Test func anExpiredLatestValueGivesWayToALiveOne() throws {
        let cluster = try TestCluster(count: 3)
        try cluster.set(0, .siblings(.lastWriteWins))
        cluster.ask(0, try cluster.put("lasting", "k", seen: .blind))
        cluster.advance(.milliseconds(20))
        try cluster.set(0, .timeToLive(500))
        cluster.ask(0, try cluster.put("brief", "k", seen: .blind))
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k")))
        #expect(values(cluster.ask(1, get)) == ["brief"])
        cluster.advance(.milliseconds(600))
        #expect(values(cluster.ask(1, get)) == ["lasting"])
    }

    @Test func aPutThatDoesNotSayLivesAsLongAsItsBucketSays() throws {
        let cluster = try TestCluster(count: 3)
        try cluster.set(0, .timeToLive(500))
        var put = PutRequest(
            id: RequestID(client: 9, sequence: 1), name: try cluster.name("own"), seen: .overwrite,
            value: ByteBuffer(string: "v"))
        put.timeToLiveMilliseconds = 60_000
        cluster.ask(1, .put(put))
        cluster.ask(1, try cluster.put("v", "k", seen: .overwrite))
        cluster.advance(.milliseconds(600))
        #expect(values(cluster.ask(0, .get(GetRequest(name: try cluster.name("own"))))) == ["v"])
        guard case .notFound = cluster.ask(0, .get(GetRequest(name: try cluster.name("k")))) else {
            return #expect(Bool(false))
        }
        try cluster.set(0, .timeToLive(nil))
        cluster.ask(1, try cluster.put("v", "k", seen: .overwrite))
        cluster.advance(.milliseconds(600))
        #expect(values(cluster.ask(0, .get(GetRequest(name: try cluster.name("k"))))) == ["v"])
    }

    @Test func quorumsThatARequestLeavesOpenAreTheBucketsThenTheNodes() throws {
        let cluster = try TestCluster(count: 3)
        func needed(_ writes: QuorumSize = .standard) throws -> UInt8? {
            guard
                case .stored(_, _, let needed) = cluster.ask(0, try cluster.put("v", "k", seen: .blind, writes: writes))
            else { return nil }
            return needed
        }
        #expect(try needed() == 2)
        try cluster.set(1, .writes(.all))
        #expect(try needed() == 3)
        #expect(try needed(.one) == 1)
        try cluster.set(1, .writes(.count(1)))
        #expect(try needed() == 1)
        try cluster.set(1, .primaryWrites(.count(2)))
        #expect(try needed() == 2)
        try cluster.set(1, .writes(.standard), .primaryWrites(.standard), .reads(.all))
        for other in [1, 2] { cluster.deliver(0, .peerDown(cluster.ids[other])) }
        let get = cluster.ask(0, .get(GetRequest(name: try cluster.name("k"))))
        #expect(get == .failed(.unavailable(needed: 3, got: 1)))
        let one = cluster.ask(0, .get(GetRequest(name: try cluster.name("k"), reads: .one)))
        #expect(!values(one).isEmpty)
    }

    @Test func aQuorumFromAPeerWithALargerNIsCutToN() throws {
        let cluster = try TestCluster(count: 3)
        var properties = BucketProperties()
        properties.writes = .count(7)
        let record = BucketRecord(
            name: try bucketName("default"), properties: properties,
            version: BucketVersion(counter: 1, node: cluster.ids[2]))
        cluster.deliver(0, .peer(cluster.ids[2], .buckets(.records([record], wantsRest: false))))
        guard case .stored(_, _, 3) = cluster.ask(0, try cluster.put("v", "k", seen: .blind)) else {
            return #expect(Bool(false))
        }
    }

    @Test func fallbacksCountUnlessTheBucketSaysOtherwise() throws {
        let cluster = try TestCluster(count: 3)
        #expect(try cluster.properties(0)?.allowsFallbacks == true)
        try cluster.set(0, .sloppy(false))
        #expect(try cluster.properties(2)?.allowsFallbacks == false)
    }
}
