import GyreBase
import GyreCausality
import Testing

@Suite struct HybridTimeTests {
    private func wall(_ milliseconds: UInt64) -> WallTime { WallTime(milliseconds: milliseconds) }

    @Test func readingsSplitIntoWallAndLogicalParts() {
        let time = HybridTime(wall: self.wall(7), logical: 9)
        #expect(time.rawValue == 7 << 16 | 9)
        #expect(time.wall == self.wall(7))
        #expect(time.logical == 9)
        #expect(HybridTime(wall: self.wall(.max), logical: 0).wall.milliseconds == HybridTime.millisecondsMax)
    }

    @Test func aClockFollowsTheWallAndCountsWithinAMillisecond() {
        var clock = HybridClock()
        #expect(clock.tick(at: self.wall(5)) == HybridTime(wall: self.wall(5), logical: 0))
        #expect(clock.tick(at: self.wall(5)) == HybridTime(wall: self.wall(5), logical: 1))
        #expect(clock.tick(at: self.wall(6)) == HybridTime(wall: self.wall(6), logical: 0))
    }

    @Test func anObservationMovesTheNextTickBehindIt() {
        var clock = HybridClock()
        let seen = HybridTime(wall: self.wall(100), logical: 3)
        let accepted = clock.observe(seen, at: self.wall(50))
        #expect(accepted)
        #expect(clock.tick(at: self.wall(50)) > seen)
    }

    @Test func anObservationBeyondTheDriftIsIgnored() {
        var clock = HybridClock()
        let atLimit = clock.observe(HybridTime(wall: self.wall(60_000), logical: .max), at: self.wall(0))
        #expect(atLimit)
        let before = clock.last
        let beyond = clock.observe(HybridTime(wall: self.wall(60_001), logical: 0), at: self.wall(0))
        #expect(!beyond)
        #expect(clock.last == before)
    }

    @Test func theEndOfTheRangeDoesNotTrap() {
        var clock = HybridClock(resumingAfter: HybridTime(rawValue: .max))
        #expect(clock.tick(at: self.wall(.max)) == HybridTime(rawValue: .max))
        let accepted = clock.observe(HybridTime(rawValue: .max), at: self.wall(.max))
        #expect(accepted)
    }

    @Test(arguments: seeds)
    func ticksNeverGoBackWhateverTheWallClockDoes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var clock = HybridClock()
        var latest = HybridTime.zero
        for step in 0..<5_000 {
            let wall = self.wall(random.below(200_000))
            if random.chance(1, in: 3) {
                let seen = HybridTime(rawValue: random.below(300_000 << 16))
                if clock.observe(seen, at: wall) { latest = max(latest, seen) }
            } else {
                let tick = clock.tick(at: wall)
                #expect(tick > latest, "seed \(seed), step \(step)")
                latest = tick
            }
        }
    }
}
