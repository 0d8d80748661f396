import CLevelLog
import Testing

@testable import GyreLevelDB

/// Tables are merged without rests only where writes come too fast for them, or where they wait already.
struct TablePaceTests {
    private static let interval = TablePace.interval

    @Test func itLooksNowAndThen() {
        var pace = TablePace(bufferBytes: 8 << 20)
        var looks = 0
        let levelZero = {
            looks += 1
            return 0
        }
        for step in 1...1_000 as ClosedRange<Int64> {
            let now = 7_000_000_000 + step * Self.interval / 10
            #expect(pace.isBehind(after: 200, at: now, levelZero: levelZero) != true)
        }
        #expect((99...101).contains(looks))
    }

    @Test(arguments: [(0, false), (4, false), (TablePace.levelZeroCalm, false), (6, true), (12, true)])
    func tablesThatWaitEndTheRests(_ tables: Int, _ isBehind: Bool) {
        var pace = TablePace(bufferBytes: 8 << 20)
        #expect(pace.isBehind(after: 1, at: Self.interval * 40, levelZero: { tables }) == isBehind)
    }

    @Test(arguments: [(3 << 20, false), (5 << 20, true), (800 << 20, true)])
    func soDoWritesThatFillTheMemoryTableWithinSeconds(_ bytesPerSecond: Int, _ isBehind: Bool) {
        var pace = TablePace(bufferBytes: 8 << 20)
        var now: Int64 = 3_000_000_000
        _ = pace.isBehind(after: 0, at: now, levelZero: { 0 })
        for _ in 0..<5 {
            for _ in 0..<9 {
                now += Self.interval / 10
                #expect(pace.isBehind(after: bytesPerSecond / 100, at: now, levelZero: { 0 }) == nil)
            }
            now += Self.interval / 10
            #expect(pace.isBehind(after: bytesPerSecond / 100, at: now, levelZero: { 0 }) == isBehind)
        }
    }

    /// took, behind, a write under way for, rest; microseconds.
    @Test(
        arguments: [
            (3_000, false, 0, 18_000), (3_000, false, 19_000, 18_000), (3_000, false, 21_000, 0), (3_000, true, 0, 0),
            (500_000, false, 0, 42_000), (0, false, 0, 0), (-5, false, 0, 0),
        ] as [(Int64, Bool, Int64, Int64)])
    func theThreadRestsUnlessSomebodyWaits(_ took: Int64, _ isBehind: Bool, _ writing: Int64, _ rest: Int64) {
        #expect(gyre_table_rest(took, isBehind, writing) == rest)
    }
}
