import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreQuorum
import GyreRing
import Testing

/// A cluster comes to be while more nodes arrive.
@Suite struct Founding {
    /// A node whose seed does not answer founds its cluster alone two seconds after its start; whatever it is at when another one
    /// comes, both share.
    @Test(arguments: 0..<40, 0..<2)
    func takesInWhoComesAtAnyMoment(step: Int, founder: Int) throws {
        let cluster = try TestCluster(count: 2, replicas: 1, reads: 1, writes: 1, founder: founder, waits: true)
        cluster.advance(.milliseconds(1_700 + 20 * Int64(step)))
        cluster.connect()
        cluster.advance(.seconds(8))
        for node in cluster.nodes {
            let isSettled = node.node.isRingSettled
            let owners = node.node.ringOwners.map(\.node).sorted()
            #expect(isSettled && owners == cluster.ids)
        }
    }

    /// A node that was started to wait gets nothing while the cluster is being founded either, and holds nobody up.
    @Test(arguments: 0..<40, 0..<2)
    func leavesOutWhoWaits(step: Int, founder: Int) throws {
        let cluster = try TestCluster(
            count: 2, replicas: 1, reads: 1, writes: 1, founder: founder, held: 1 - founder, waits: true)
        cluster.advance(.milliseconds(1_700 + 20 * Int64(step)))
        cluster.connect()
        cluster.advance(.seconds(8))
        let isSettled = cluster.nodes[founder].node.isRingSettled
        #expect(isSettled)
        for node in cluster.nodes {
            let owners = node.node.ringOwners.map(\.node)
            #expect(owners == [cluster.ids[founder]])
        }
    }

    /// Whatever the cluster is at when an operator lets in a node that waits, it gets its share.
    @Test(arguments: 0..<40, 0..<2)
    func takesInWhoIsToldToJoin(step: Int, founder: Int) throws {
        let cluster = try TestCluster(
            count: 2, replicas: 1, reads: 1, writes: 1, founder: founder, held: 1 - founder, waits: true)
        cluster.advance(.milliseconds(1_700))
        cluster.connect()
        cluster.advance(.milliseconds(40 * Int64(step)))
        let address = ReplyAddress(connection: 1, request: 1)
        let join = RingRequest.join(cluster.ids[1 - founder])
        cluster.deliver(1 - founder, .client(address, .ring(join), timeout: .seconds(1)))
        cluster.advance(.seconds(8))
        for node in cluster.nodes {
            let isSettled = node.node.isRingSettled
            let owners = node.node.ringOwners.map(\.node).sorted()
            #expect(isSettled && owners == cluster.ids)
        }
    }

    /// A node without a seed has nobody to wait for.
    @Test func beginsAtOnceWithoutASeed() throws {
        let cluster = try TestCluster(count: 1, replicas: 1, reads: 1, writes: 1, founder: 0)
        cluster.advance(.milliseconds(50))
        let isFounded = cluster.nodes[0].node.isFounded
        #expect(isFounded)
    }

    /// What is acknowledged while the cluster is being founded is found by every read after it, through every node.
    @Test(arguments: 0..<40, 0..<2)
    func keepsWhatItAcknowledgesMeanwhile(step: Int, founder: Int) throws {
        let cluster = try TestCluster(count: 2, replicas: 1, reads: 1, writes: 1, founder: founder, waits: true)
        cluster.advance(.milliseconds(1_700 + 20 * Int64(step)))
        let keys = (0..<20).map { "k\($0)" }
        func put(_ key: String) throws {
            cluster.ask(founder, try cluster.put("early", key, seen: .blind), timeout: .seconds(3))
        }
        for key in keys.prefix(10) { try put(key) }
        cluster.connect()
        for key in keys.dropFirst(10) { try put(key) }
        cluster.advance(.seconds(3))
        var stored = 0
        for case (let address, .stored) in cluster.nodes[founder].answers {
            stored += 1
            let key = keys[Int(address.request) - 1]
            for index in cluster.nodes.indices {
                let answer = cluster.ask(index, .get(GetRequest(name: try cluster.name(key))))
                #expect(values(answer) == ["early"], "\(key) through node \(index)")
            }
        }
        #expect(stored == keys.count, "clients wait while it is being founded")
    }

    /// Once clients are served they are served on, also while the founded ring goes to the disk.
    @Test(arguments: 1...3) func servesWithoutABreak(count: Int) throws {
        let cluster = try TestCluster(count: count, replicas: count, reads: 1, writes: 1, founder: 0)
        cluster.connect()
        var wasFounded = false
        for _ in 0..<400 {
            cluster.nodes[0].diskStuck = true
            cluster.advance(.milliseconds(10))
            for _ in 0..<100 where !cluster.nodes[0].pending.isEmpty {
                let isFounded = cluster.nodes[0].node.isFounded
                #expect(isFounded || !wasFounded)
                wasFounded = isFounded
                let request = cluster.nodes[0].pending.removeFirst()
                cluster.deliver(0, .storage(cluster.nodes[0].disk.answer(request)))
            }
        }
        #expect(wasFounded)
    }

    /// The last founder to agree knows first that it is founded, and hands on what waited there.
    @Test func waitsWithWhatAnotherFounderHandsOn() throws {
        let cluster = try TestCluster(count: 2, replicas: 1, reads: 1, writes: 1, founder: 0, waits: true)
        cluster.advance(.milliseconds(1_700))
        cluster.connect()
        cluster.advance(.milliseconds(100))
        let get = ClientRequest.get(GetRequest(name: try cluster.name("k")))
        cluster.deliver(1, .peer(cluster.ids[0], .forward(tag: 9, timeoutMilliseconds: 3_000, get)))
        func answers() -> [PeerMessage] {
            cluster.sent.map(\.message).filter { if case .forwarded(9, _) = $0 { true } else { false } }
        }
        #expect(answers().isEmpty)
        cluster.advance(.seconds(2))
        let isOwner = cluster.nodes[1].node.ring.owners(
            of: cluster.nodes[1].node.ring.partition(of: try cluster.name("k").token)
        ).contains(cluster.ids[1])
        #expect(
            answers() == [.forwarded(tag: 9, isOwner ? .notFound(context: VersionVector()) : .failed(.notMember))])
    }

    @Test func tellsWhoWaitedAtANodeThatIsBanned() throws {
        let cluster = try TestCluster(count: 2, replicas: 1, reads: 1, writes: 1, founder: 0, waits: true)
        cluster.advance(.milliseconds(1_700))
        cluster.connect()
        cluster.advance(.milliseconds(100))
        #expect(cluster.ask(1, try cluster.put("v", "k", seen: .blind), timeout: .seconds(60)) == nil)
        cluster.ask(0, .ring(.remove(cluster.ids[1], isForced: true)))
        cluster.advance(.seconds(1))
        let answer = cluster.nodes[1].answers.last?.1
        #expect(answer == .failed(.notMember))
    }

    /// A request waits for the founding no longer than its client does, and is refused then; the status is told meanwhile.
    @Test func refusesWhoWaitedTooLong() throws {
        let cluster = try TestCluster(count: 2, replicas: 1, reads: 1, writes: 1, founder: 0, waits: true)
        cluster.connect()
        cluster.advance(.milliseconds(100))
        #expect(cluster.ask(1, try cluster.put("v", "k", seen: .blind), timeout: .milliseconds(300)) == nil)
        cluster.advance(.milliseconds(250))
        #expect(cluster.latestAnswer(1) == nil)
        cluster.advance(.milliseconds(40))
        #expect(cluster.latestAnswer(1) == .failed(.notMember))
        guard case .status(let report) = cluster.ask(1, .status) else { throw DecodeError.truncated }
        #expect(report.members.allSatisfy { $0.record.state == .joining })
        cluster.advance(.seconds(2))
        guard case .stored = cluster.ask(1, try cluster.put("v", "k", seen: .blind)) else {
            throw DecodeError.truncated
        }
    }

    /// A founder that dies before the cluster is founded holds nobody up once it is known to be dead, and comes in when it is back.
    @Test func goesOnWithoutAFounderThatDied() throws {
        let cluster = try TestCluster(count: 4, replicas: 3, reads: 2, writes: 2, founder: 0, waits: true)
        cluster.advance(.milliseconds(900))
        cluster.connect()
        cluster.advance(.milliseconds(200))
        let dead = cluster.ids[3]
        cluster.silent = [dead]
        for index in 0..<3 { cluster.deliver(index, .peerDown(dead)) }
        cluster.advance(.seconds(10))
        for node in cluster.nodes.prefix(3) {
            let (isFounded, owners) = (node.node.isFounded, node.node.ringOwners.map(\.node).sorted())
            #expect(isFounded && owners == Array(cluster.ids.prefix(3)))
        }
        cluster.silent = []
        cluster.connect()
        cluster.advance(.seconds(8))
        for node in cluster.nodes {
            let (isSettled, owners) = (node.node.isRingSettled, node.node.ringOwners.map(\.node).sorted())
            #expect(isSettled && owners == cluster.ids)
        }
    }

    /// Two that cannot see the other two found nothing: the others might.
    @Test func waitsWhereMostAreMissing() throws {
        let cluster = try TestCluster(count: 4, replicas: 3, reads: 2, writes: 2, founder: 0, waits: true)
        cluster.advance(.milliseconds(900))
        cluster.connect()
        cluster.advance(.milliseconds(200))
        cluster.silent = [cluster.ids[2], cluster.ids[3]]
        for index in 0..<2 { for dead in cluster.silent { cluster.deliver(index, .peerDown(dead)) } }
        cluster.advance(.seconds(20))
        for node in cluster.nodes.prefix(2) {
            let isFounded = node.node.isFounded
            #expect(!isFounded)
        }
    }
}
