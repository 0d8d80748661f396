import GyreBase
import GyreMembership
import Testing

/// Single inputs and what they lead to.
@Suite struct MembershipTests {
    private var random = SeededRandom(seed: 1)
    private let other = NodeID(rawValue: 9)

    private func make(
        seeds: [PeerAddress] = [],
        known: [MemberRecord] = [],
        state: MemberState = .joining
    ) -> Membership {
        Membership(
            me: makeRecord(5, state: state), seeds: seeds, known: known, options: MembershipOptions(), now: .start)
    }

    private func at(_ milliseconds: Int64) -> Instant { Instant.start.advanced(by: .milliseconds(milliseconds)) }

    /// Feeds one message and returns the effects.
    private mutating func feed(
        _ membership: inout Membership,
        _ message: MembershipMessage,
        from node: UInt64 = 9,
        at milliseconds: Int64 = 0
    ) -> [MembershipEffect] {
        var effects: [MembershipEffect] = []
        membership.onMessage(
            message, from: NodeID(rawValue: node), at: self.at(milliseconds), random: &self.random, into: &effects)
        return effects
    }

    @Test mutating func aNodeWithoutOtherSeedsIsNormalAtOnce() {
        for seeds in [[], [PeerAddress(host: "10.0.0.1", port: 7_400)]] {
            var membership = self.make(seeds: seeds)
            var effects: [MembershipEffect] = []
            membership.tick(at: .start, random: &self.random, into: &effects)
            #expect(membership.me.state == .normal)
            #expect(effects == [.ringChanged, .becameNormal, .persist])
        }
    }

    @Test mutating func aNodeThatASeedRefusesDoesNotTakeItselfForTheCluster() {
        let seeds = [PeerAddress(host: "10.0.0.8", port: 7_400), PeerAddress(host: "10.0.0.9", port: 7_400)]
        var membership = self.make(seeds: seeds)
        var effects: [MembershipEffect] = []
        membership.onRefused(by: PeerAddress(host: "10.0.0.7", port: 7_400))
        membership.onRefused(by: seeds[0])
        for milliseconds in stride(from: Int64(0), through: 60_000, by: 50) {
            membership.tick(at: self.at(milliseconds), random: &self.random, into: &effects)
        }
        #expect(membership.me.state == .joining)
        #expect(effects.contains(.dial(seeds[0])), "it may be another node tomorrow")
        // With whoever welcomes it, it is one of two.
        membership.onPeerUp(self.other, address: seeds[1], at: self.at(60_001), random: &self.random, into: &effects)
        _ = self.feed(&membership, .state([makeRecord(9, state: .normal)]), at: 60_002)
        #expect(membership.me.state == .normal)

        // The same seed, after its operator has mended it.
        var second = self.make(seeds: [seeds[0]])
        second.onRefused(by: seeds[0])
        second.onPeerUp(self.other, address: seeds[0], at: self.at(1), random: &self.random, into: &effects)
        for milliseconds in stride(from: Int64(0), through: 10_000, by: 50) {
            second.tick(at: self.at(milliseconds), random: &self.random, into: &effects)
        }
        #expect(second.me.state == .normal)
    }

    /// Bans are kept for ever. They must not make a cluster of three as slow to notice an outage as one of hundreds.
    @Test mutating func whoWasRemovedDoesNotCountAsAMember() {
        let living: [UInt64] = [8, 9]
        let removed = (100..<400).map { makeRecord($0, state: .removed) }
        var membership = self.make(known: living.map { makeRecord($0, state: .normal) } + removed, state: .normal)
        var effects: [MembershipEffect] = []
        for node in living {
            membership.onPeerUp(
                NodeID(rawValue: node), address: makeRecord(node, state: .normal).address, at: .start,
                random: &self.random, into: &effects)
        }
        effects = []
        for milliseconds in stride(from: Int64(1_000), through: 1_600, by: 50) {
            membership.tick(at: self.at(milliseconds), random: &self.random, into: &effects)
        }
        var pinged: Set<UInt64> = []
        for case .send(let node, .ping) in effects { pinged.insert(node.rawValue) }
        #expect(pinged == Set(living))
        // A member that is banned meanwhile counts no more, and one whose ban is told again not twice.
        for _ in 0..<2 { _ = self.feed(&membership, .state([makeRecord(8, state: .removed)]), at: 1_700) }
        #expect(membership.members.count { $0.state != .removed } == 2)
    }

    @Test mutating func aSeedThatIsThisNodeUnderAnotherNameIsForgotten() {
        let alias = PeerAddress(host: "localhost", port: 7_400)
        var membership = self.make(seeds: [alias])
        var effects: [MembershipEffect] = []
        membership.tick(at: .start, random: &self.random, into: &effects)
        #expect(effects == [.dial(alias)])
        effects = []
        membership.onPeerUp(
            NodeID(rawValue: 5), address: alias, at: self.at(1), random: &self.random, into: &effects)
        #expect(effects == [.duplicateIdentity(alias), .ringChanged, .becameNormal, .persist])
    }

    @Test mutating func anOpinionAgainstThisNodeIsRefutedWithAHigherIncarnation() {
        var membership = self.make()
        for liveness in [Liveness.suspect, .dead] {
            var wrong = membership.me
            wrong.liveness = liveness
            let before = membership.me.incarnation
            let effects = self.feed(&membership, .ping(sequence: 7, gossip: [wrong]))
            #expect(membership.me.incarnation == before + 1)
            #expect(effects.first == .send(to: self.other, .ack(sequence: 7, gossip: [membership.me])))
        }
    }

    @Test mutating func aLeaseThatCameSoonAfterAnotherIsToldLater() {
        var membership = self.make(state: .normal)
        var effects: [MembershipEffect] = []
        for (milliseconds, ceiling, told) in [(0, 10, 10), (4_000, 20, 10), (9_999, 20, 10), (10_000, 20, 20)] {
            membership.noteLease(UInt64(ceiling), at: self.at(Int64(milliseconds)), into: &effects)
            membership.tick(at: self.at(Int64(milliseconds)), random: &self.random, into: &effects)
            #expect(membership.me.leased == UInt64(told), "at \(milliseconds) ms")
        }
        let version = membership.me.recordVersion
        membership.noteLease(30, at: self.at(11_000), into: &effects)
        #expect(membership.me.leased == 20)
        // Whoever stops says all.
        membership.stop(into: &effects)
        #expect(membership.me.leased == 30)
        #expect(membership.me.recordVersion == version + 1)
    }

    @Test mutating func aRecordOfAnEarlierLifeIsOutbid() {
        var membership = self.make()
        var earlier = makeRecord(5, host: "10.9.9.9")
        earlier.recordVersion = 40
        earlier.incarnation = 12
        _ = self.feed(&membership, .state([earlier]))
        #expect(membership.me.recordVersion == 41)
        #expect(membership.me.incarnation == 13)
        #expect(membership.me.address.host == "10.0.0.1")
        let next = Membership(
            me: makeRecord(5, state: .joining), seeds: [], known: membership.members, options: MembershipOptions(),
            now: .start)
        #expect(next.me.incarnation == 14)
        #expect(next.me.state == .normal)
    }

    @Test mutating func claimsThatGoOnAreReportedAsADuplicateIdentity() {
        var membership = self.make()
        var reports = 0
        for _ in 0..<3 {
            var twin = makeRecord(5, host: "10.9.9.9")
            twin.recordVersion = membership.me.recordVersion + 1
            let effects = self.feed(&membership, .state([twin]))
            reports += effects.count { $0 == .duplicateIdentity(twin.address) }
        }
        #expect(reports == 1)
    }

    @Test mutating func aRemovedNodeStaysRemovedAndIsToldSo() {
        var membership = self.make()
        _ = self.feed(&membership, .state([makeRecord(9, host: "10.0.0.9")]))
        #expect(membership.isAlive(self.other))
        let before = membership.ringVersion
        _ = self.feed(&membership, .state([makeRecord(9, state: .removed)]), from: 11)
        #expect(!membership.isAlive(self.other))
        #expect(membership.ringVersion == before + 1)
        var back = makeRecord(9, host: "10.0.0.9")
        back.recordVersion = 100
        back.incarnation = 100
        let effects = self.feed(&membership, .stateRequest([back]))
        #expect(membership.record(of: self.other)?.state == .removed)
        #expect(effects.count == 1)
        guard case .send(to: self.other, .state(let told))? = effects.first else {
            Issue.record("\(effects)")
            return
        }
        #expect(told.map(\.state) == [.removed])
    }

    @Test mutating func aBannedNodeAcceptsItsBan() {
        var membership = self.make()
        let effects = self.feed(&membership, .state([makeRecord(5, state: .removed)]))
        #expect(membership.me.state == .removed)
        #expect(effects.contains(.ringChanged))
        #expect(!membership.isAlive(NodeID(rawValue: 5)))
    }

    @Test mutating func theRingChangesWithABanOfSomebodyNobodyHeardOf() {
        var membership = self.make()
        _ = self.feed(&membership, .ack(sequence: 0, gossip: []))
        let banned = makeRecord(9, host: "10.0.0.9", state: .removed)
        #expect(self.feed(&membership, .ping(sequence: 1, gossip: [banned])).contains(.ringChanged))
        #expect(!self.feed(&membership, .ping(sequence: 2, gossip: [banned])).contains(.ringChanged))
    }

    @Test mutating func ringVersionChangesExactlyWithNodeWeightZoneAndOwnership() {
        var membership = self.make()
        var record = makeRecord(9, host: "10.0.0.9", state: .joining)
        // The first input of a life always announces the ring.
        _ = self.feed(&membership, .ack(sequence: 0, gossip: []))
        var version = membership.ringVersion
        func expect(_ isChange: Bool, _ text: Comment, _ change: (inout MemberRecord) -> Void) {
            record.recordVersion += 1
            change(&record)
            let effects = self.feed(&membership, .ping(sequence: 1, gossip: [record]))
            #expect(membership.ringVersion == version + (isChange ? 1 : 0), text)
            #expect(effects.contains(.ringChanged) == isChange, text)
            version = membership.ringVersion
        }
        expect(false, "joining") { _ in }
        expect(true, "normal") { $0.state = .normal }
        expect(true, "weight") { $0.weight = 3 }
        expect(true, "zone") { $0.zone = "b" }
        expect(false, "address and labels") {
            $0.address = PeerAddress(host: "10.0.0.8", port: 1)
            $0.labels = [MemberLabel(name: "a", value: "b")]
        }
        expect(false, "leaving") { $0.state = .leaving }
        expect(false, "liveness") { $0.liveness = .dead }
        expect(true, "removed") { $0.state = .removed }
    }

    @Test mutating func recordsThatBreakALimitAreCountedAndDropped() {
        var membership = self.make()
        var bad = makeRecord(7)
        bad.weight = 0
        _ = self.feed(&membership, .state([bad, makeRecord(0), makeRecord(8)]))
        #expect(membership.members.map(\.node.rawValue) == [5, 8])
        #expect(membership.recordsRefused == 2)
        _ = self.feed(&membership, .state((100..<1_300).map { makeRecord($0) }))
        #expect(membership.members.count == MembershipOptions.membersMax)
        #expect(membership.recordsRefused > 2)
    }

    @Test mutating func twoNodesWithOneNameOrAddressAreBothKeptAndReported() {
        var membership = self.make()
        var twin = makeRecord(9, host: "10.0.0.9")
        twin.name = "n5"
        _ = self.feed(&membership, .state([twin, makeRecord(10, host: "10.0.0.9")]))
        #expect(membership.members.count == 3)
        let (five, ten) = (NodeID(rawValue: 5), NodeID(rawValue: 10))
        #expect(
            membership.conflicts == [
                MemberConflict(claim: .name("n5"), first: five, second: self.other),
                MemberConflict(claim: .address(twin.address), first: self.other, second: ten),
            ])
    }

    @Test mutating func aPingRequestIsForwardedAndItsAckRelayed() {
        var membership = self.make()
        _ = self.feed(&membership, .state([makeRecord(9, host: "10.0.0.9"), makeRecord(10, host: "10.0.0.10")]))
        let target = NodeID(rawValue: 10)
        let forwarded = self.feed(&membership, .pingRequest(sequence: 77, target: target, gossip: []))
        guard case .send(to: target, .ping(let sequence, _))? = forwarded.first else {
            Issue.record("\(forwarded)")
            return
        }
        let relayed = self.feed(&membership, .ack(sequence: sequence, gossip: []), from: 10)
        guard case .send(to: self.other, .ack(sequence: 77, _))? = relayed.first else {
            Issue.record("\(relayed)")
            return
        }
    }

    @Test mutating func aProcessThatStoodStillDeclaresNobodyDead() {
        var membership = self.make(known: [makeRecord(9, host: "10.0.0.9")], state: .normal)
        var effects: [MembershipEffect] = []
        membership.tick(at: .start, random: &self.random, into: &effects)
        membership.onPeerDown(self.other, at: self.at(10), random: &self.random, into: &effects)
        #expect(membership.record(of: self.other)?.liveness == .suspect)
        membership.tick(at: self.at(50), random: &self.random, into: &effects)
        membership.tick(at: self.at(60_050), random: &self.random, into: &effects)
        #expect(membership.isAlive(self.other))
        for step in Int64(1)...40 {
            membership.tick(at: self.at(60_050 + step * 50), random: &self.random, into: &effects)
        }
        #expect(!membership.isAlive(self.other))
    }

    @Test mutating func aStoppedNodeSaysItIsDeadAndNothingMore() {
        var membership = self.make(known: [makeRecord(9, host: "10.0.0.9")], state: .normal)
        var effects: [MembershipEffect] = []
        membership.tick(at: .start, random: &self.random, into: &effects)
        effects = []
        membership.stop(into: &effects)
        var farewell = membership.me
        farewell.liveness = .dead
        #expect(effects == [.send(to: self.other, .state([farewell]))])
        #expect(self.feed(&membership, .ping(sequence: 1, gossip: [farewell])).isEmpty)
    }
}
