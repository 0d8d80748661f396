import GyreBase
import GyreMembership
import Testing

/// The promises of the protocol in virtual time, over many seeds.
@Suite struct TimingTests {
    static let sizes = [3, 5, 9]

    private func cluster(_ count: Int, _ seed: UInt64) -> MessageShuffler {
        var world = MessageShuffler(count: count, seed: seed)
        for index in 0..<count { world.start(index, seeds: [0, 1, 2]) }
        #expect(world.run(until: .seconds(10)) { $0.allNormal } != nil, "seed \(seed)")
        return world
    }

    @Test(arguments: sizes)
    func nodesThatStartAtOnceAreNormalWithinThreeSeconds(count: Int) {
        for seed in UInt64(0)..<20 {
            var world = MessageShuffler(count: count, seed: seed)
            world.lossPerMille = seed % 2 == 0 ? 0 : 50
            for index in 0..<count { world.start(index, seeds: seed % 3 == 0 ? [0] : [0, 1, 2]) }
            let time = world.run(until: .seconds(10)) { $0.allNormal }
            #expect(time ?? .seconds(99) <= .seconds(3), "seed \(seed) took \(String(describing: time))")
        }
    }

    @Test(arguments: sizes)
    func aKilledPeerIsDeadForAllWithinThreeSecondsAndItsReturnSeenWithinTwo(count: Int) {
        for seed in UInt64(0)..<15 {
            var world = self.cluster(count, seed)
            world.run(for: .milliseconds(Int64(seed) * 137))
            let victim = Int(seed) % count
            world.kill(victim)
            let death = world.run(until: .seconds(10)) { $0.allSee(victim, alive: false) }
            #expect(death ?? .seconds(99) <= .seconds(3), "seed \(seed) took \(String(describing: death))")
            world.run(for: .seconds(seed % 4 == 0 ? 200 : 3))
            world.start(victim, seeds: seed % 2 == 0 ? [0, 1, 2] : [], forgetful: seed % 3 == 0)
            let back = world.run(until: .seconds(10)) { $0.allSee(victim, alive: true) }
            #expect(back ?? .seconds(99) <= .seconds(2), "seed \(seed) took \(String(describing: back))")
        }
    }

    @Test(arguments: sizes)
    func aPeerThatFallsSilentIsDeadForAllWithinFiveSeconds(count: Int) {
        for seed in UInt64(0)..<15 {
            var world = self.cluster(count, seed)
            world.run(for: .milliseconds(Int64(seed) * 91))
            world.lossPerMille = 50
            world.kill(count - 1, silently: true)
            let death = world.run(until: .seconds(10)) { $0.allSee(count - 1, alive: false) }
            #expect(death ?? .seconds(99) <= .seconds(5), "seed \(seed) took \(String(describing: death))")
        }
    }

    @Test(arguments: sizes)
    func bothSidesOfAPartitionSeeEachOtherAgainWithinTwoSecondsOfItsEnd(count: Int) {
        for seed in UInt64(0)..<10 {
            var world = self.cluster(count, seed)
            for a in 0..<count / 2 { for b in count / 2..<count { world.cut(a, b) } }
            world.run(for: .seconds(8))
            #expect(world.nodes[0].machine?.isAlive(world.nodes[count - 1].id) == false, "seed \(seed)")
            world.run(for: .seconds(seed % 3 == 0 ? 300 : 1))
            world.cuts = []
            let healed = world.run(until: .seconds(10)) { $0.allNormal }
            #expect(healed ?? .seconds(99) <= .seconds(2), "seed \(seed) took \(String(describing: healed))")
        }
    }

    @Test func onePathThatFailsMakesNobodyDead() {
        for seed in UInt64(0)..<10 {
            var world = self.cluster(5, seed)
            world.cut(0, 1)
            world.run(for: .seconds(120))
            #expect(world.nodes.allSatisfy { $0.deaths.isEmpty }, "seed \(seed)")
        }
    }

    @Test(arguments: [(3, 3_600), (5, 900), (9, 200)])
    func noLiveReachableNodeIsDeclaredDeadAtFivePercentLoss(count: Int, seconds: Int64) {
        var world = self.cluster(count, 77)
        world.lossPerMille = 50
        world.run(for: .seconds(seconds))
        #expect(world.nodes.allSatisfy { $0.deaths.isEmpty })
        #expect(world.allNormal || world.nodes.allSatisfy { $0.machine != nil })
    }

    @Test func anyStartOrderEndsInOneCluster() {
        for seed in UInt64(0)..<12 {
            var random = SeededRandom(seed: seed)
            var world = MessageShuffler(count: 5, seed: seed)
            for index in [0, 1, 2, 3, 4].shuffled(using: &random) {
                world.start(index, seeds: index == 0 ? [] : [0, index - 1])
                world.run(for: .milliseconds(random.within(0...4_000)))
            }
            #expect(world.run(until: .seconds(5)) { $0.allNormal } != nil, "seed \(seed)")
        }
    }

    @Test func seedsThatAreDownForMinutesAreDialledForEver() {
        var world = MessageShuffler(count: 3, seed: 5)
        world.start(2, seeds: [0, 1])
        world.run(for: .milliseconds(900))
        #expect(world.nodes[2].normalAt == nil)
        world.run(for: .milliseconds(200))
        #expect(world.nodes[2].normalAt != nil)
        world.run(for: .seconds(600))
        let times = world.dials.filter { $0.to == MessageShuffler.address(0) }.map { $0.at }
        for (a, b) in zip(times, times.dropFirst()) {
            let gap = b.since(a)
            #expect(gap <= (b < Instant.start.advanced(by: .seconds(60)) ? .milliseconds(1_050) : .milliseconds(5_050)))
        }
        #expect(times.count > 120)
        world.start(0, seeds: [0])
        world.start(1, seeds: [0])
        #expect(world.run(until: .seconds(6)) { $0.allNormal } != nil)
    }

    @Test func aGracefulStopIsSeenAtOnce() {
        for seed in UInt64(0)..<10 {
            var world = self.cluster(5, seed)
            world.stop(1)
            let seen = world.run(until: .seconds(5)) { $0.allSee(1, alive: false) }
            #expect(seen ?? .seconds(99) <= .milliseconds(50), "seed \(seed)")
            world.start(1, seeds: [0])
            let back = world.run(until: .seconds(5)) { $0.allSee(1, alive: true) }
            #expect(back ?? .seconds(99) <= .seconds(2), "seed \(seed)")
        }
    }

    @Test func equalSeedsGiveEqualEffects() {
        func trace(_ seed: UInt64) -> UInt64 {
            var world = self.cluster(5, seed)
            world.lossPerMille = 50
            world.kill(2)
            world.run(for: .seconds(10))
            world.start(2, seeds: [0])
            world.run(for: .seconds(10))
            return world.trace
        }
        #expect(trace(1) == trace(1))
        #expect(trace(1) != trace(2))
    }

    @Test func allNodesDownAndBackFromDiskAreNormalAtOnce() {
        var world = self.cluster(3, 9)
        world.run(for: .seconds(2))
        for index in 0..<3 { world.kill(index) }
        world.run(for: .seconds(30))
        for index in 0..<3 { world.start(index, seeds: []) }
        world.run(for: .milliseconds(50))
        #expect(world.nodes.allSatisfy { $0.normalAt != nil })
        #expect(world.run(until: .seconds(2)) { $0.allNormal } != nil)
    }
}
