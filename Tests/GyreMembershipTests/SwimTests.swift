import GyreBase
import GyreMembership
import GyreMessages
import GyreRing
import GyreWire
import NIOCore
import SwimWorld
import Testing

/// The promises of the protocol in clusters of many sizes. `Tests/steps/40-membership` measures the same at full size.
@Suite struct SwimTests {
    @Test(arguments: [(5, UInt64(0)), (5, 50), (10, 50), (40, 50)])
    func aDeathIsKnownEverywhereInTime(count: Int, lossPerMille: UInt64) throws {
        let times = try #require(
            SwimRuns.detections(count: count, seed: 11, kills: 12, lossPerMille: lossPerMille),
            "the cluster did not become whole again")
        #expect(times[times.count / 2] <= 6_000, "\(times)")
        #expect(times[times.count - 1] <= 15_000, "\(times)")
    }

    @Test(arguments: [(5, Int64(900)), (12, 600), (40, 120)])
    func nobodyWhoLivesIsDeclaredDeadAtFivePercentLoss(count: Int, seconds: Int64) {
        let verdicts = SwimRuns.verdicts(
            count: count, seed: 3, seconds: seconds, lossPerMille: 50, slowness: nil, isLifeguardOn: true)
        #expect(verdicts.deaths == 0)
    }

    @Test(arguments: [(5, Int64(1_000), UInt64(0)), (5, 2_000, 0), (12, 1_000, 50), (12, 2_000, 0), (12, 100, 0)])
    func aTenthOfAProcessorMakesNobodyDead(count: Int, period: Int64, lossPerMille: UInt64) {
        let verdicts = SwimRuns.verdicts(
            count: count, seed: 5, seconds: 200, lossPerMille: lossPerMille,
            slowness: .pauses(period: period, run: period / 10), isLifeguardOn: true)
        #expect(verdicts.deaths == 0)
    }

    @Test(arguments: [5, 12, 30])
    func withoutLifeguardANodeThatFallsBehindMakesTenTimesTheFalseSuspicions(count: Int) {
        func run(_ isLifeguardOn: Bool) -> SwimRuns.Verdicts {
            SwimRuns.verdicts(
                count: count, seed: 5, seconds: 200, lossPerMille: 0, slowness: .queues(upTo: 1_500),
                isLifeguardOn: isLifeguardOn)
        }
        let (on, off) = (run(true), run(false))
        #expect(on.deaths == 0)
        #expect(off.suspicions >= 10 * max(1, on.suspicions), "\(off) without, \(on) with")
    }

    @Test func whatANodeSendsDoesNotGrowWithTheCluster() {
        let ten = SwimRuns.traffic(count: 10, seed: 1, seconds: 60)
        for count in [30, 100] {
            let traffic = SwimRuns.traffic(count: count, seed: 1, seconds: 60)
            #expect(traffic.messages <= 1.2 * ten.messages, "\(count) nodes: \(traffic), ten: \(ten)")
            // Full states grow up to stateMembersMin members, then their pace falls as their length grows.
            #expect(traffic.bytes <= 1.6 * ten.bytes, "\(count) nodes: \(traffic), ten: \(ten)")
        }
    }

    @Test func newsOnOneMessageIsBounded() {
        var settings = SwimWorld.Settings(count: 60, seed: 4)
        settings.lossPerMille = 20
        var world = SwimWorld(settings)
        for number in 0..<60 { world.start(number, seeds: [0, 1, 2]) }
        world.run(8_000)
        world.part(Array(0..<30))
        world.run(10_000)
        world.part([])
        #expect(world.run(until: 60_000, every: 200) { $0.allAgree } != nil)
        #expect(world.tally.piggybackMost == MembershipOptions.gossipRecordsMax)
    }

    @Test(arguments: [20, 80])
    func manyNodesFormOneRingAndOneJoinIsKnownWithinTwentyRounds(count: Int) throws {
        let growth = SwimRuns.growth(count: count, seed: 8)
        #expect(growth.formation != nil)
        #expect(Set(growth.views).count == 1)
        let rounds = try #require(growth.join) / MembershipOptions().gossipInterval.wholeMilliseconds
        #expect(rounds <= 20)
        // λ log n records a member for each of the two versions of its record, their acks, and full states for the newcomer.
        #expect(growth.joinRecords <= 80 * count, "\(growth.joinRecords) records")
        let owners = growth.views[0].filter(\.state.ownsRanges).map {
            RingMember(node: $0.node, place: $0.node, weight: $0.weight, zone: $0.zone)
        }
        #expect(owners.count == count)
        #expect(try Ring(members: owners, options: RingOptions(partitionCount: 64, replicas: 3)).hash != 0)
    }

    @Test func halvesThatWereApartAgreeSoonAfter() {
        for seed in UInt64(0)..<3 {
            var world = SwimWorld(SwimWorld.Settings(count: 24, seed: seed))
            world.startAllKnown()
            world.run(3_000)
            world.part(Array(0..<12))
            world.run(30_000)
            #expect(world.machine(0)?.isAlive(world.nodes[23].id) == false)
            world.part([])
            let healed = world.run(until: 60_000) { $0.allAgree }
            #expect(healed ?? .max <= 5_000, "seed \(seed) took \(healed ?? -1) ms")
        }
    }

    @Test func equalSeedsGiveEqualRuns() {
        func run(_ seed: UInt64) -> [Int] {
            var settings = SwimWorld.Settings(count: 12, seed: seed)
            settings.lossPerMille = 50
            var world = SwimWorld(settings)
            for number in 0..<12 { world.start(number, seeds: [0]) }
            world.run(5_000)
            world.kill(3)
            world.run(10_000)
            return [world.tally.messages, world.tally.bytes, world.tally.records, world.tally.falseSuspicions]
        }
        #expect(run(1) == run(1))
        #expect(run(1) != run(2))
    }

    @Test func bytesAreCountedAsTheWireWritesThem() throws {
        let records = (UInt64(1)...20).map { number in
            MemberRecord(
                node: NodeID(rawValue: number), name: "n\(number)", address: PeerAddress(host: "10.0.0.1", port: 7_400),
                zone: "z", weight: Int(number) * 40, recordVersion: number * 90, incarnation: number * 9_000,
                softwareVersion: "1.0", labels: [MemberLabel(name: "rack", value: "\(number)")])
        }
        let accusation = Accusation(node: records[0].node, incarnation: 300, accuser: records[1].node)
        for message in [
            MembershipMessage.ping(sequence: 1, gossip: Array(records.prefix(3))), .ack(sequence: 2, gossip: []),
            .pingRequest(sequence: 3, target: records[0].node, gossip: records), .stateRequest(records),
            .state(Array(repeating: records[0], count: 200)), .nack(sequence: 4),
            .accusations([accusation, accusation]),
        ] {
            var buffer = ByteBuffer()
            try FrameEncoder.encode(PeerMessage.membership(message), into: &buffer)
            #expect(message.frameBytes == buffer.readableBytes, "\(message)")
        }
    }
}
