import GyreBase
import GyreNode
import Testing

/// What has expired is removed for good, so a clock that jumped must not say what that is.
@Suite struct ClockWatchTests {
    private func now(_ seconds: Int64, ahead: Int64 = 0) -> Now {
        Now(
            instant: Instant.start.advanced(by: .seconds(seconds)),
            wall: WallTime(milliseconds: UInt64(1_700_000_000_000 + (seconds + ahead) * 1_000)))
    }

    private func steady(_ seconds: Range<Int64>, ahead: Int64, _ watch: inout ClockWatch) -> Bool {
        for second in seconds { watch.look(at: self.now(second, ahead: ahead)) }
        return watch.isSteady(at: self.now(seconds.upperBound, ahead: ahead))
    }

    @Test func believesAClockThatWentAlikeForAnHour() {
        var watch = ClockWatch(at: self.now(0))
        #expect(!self.steady(0..<3_599, ahead: 0, &watch))
        #expect(self.steady(3_599..<3_601, ahead: 0, &watch))
        // One that is adjusted a little is the same clock.
        #expect(self.steady(3_601..<3_700, ahead: 20, &watch))
    }

    @Test(arguments: [86_400, -86_400, 61, -61] as [Int64])
    func believesNoClockWithinAnHourOfAJump(_ jump: Int64) {
        var watch = ClockWatch(at: self.now(0))
        #expect(self.steady(0..<4_000, ahead: 0, &watch))
        #expect(!self.steady(4_000..<4_600, ahead: jump, &watch))
        #expect(!self.steady(4_600..<8_190, ahead: 0, &watch), "the jump back is one as well")
        #expect(self.steady(8_190..<8_210, ahead: 0, &watch))
    }
}
