import GyreBase
import Testing

@testable import GyreServer

@Suite("A latency histogram")
struct LatencyHistogramTests {
    @Test("names a bound that is at most 6.25 % above the true quantile", arguments: UInt64(0)..<20)
    func quantilesAreClose(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var histogram = LatencyHistogram()
        var all: [UInt64] = []
        for _ in 0..<1_000 {
            let microseconds = random.below(1 << (1 + random.below(25)))
            all.append(microseconds)
            histogram.record(.microseconds(Int64(microseconds)))
        }
        all.sort()
        for perMille in [UInt64(1), 500, 990, 999, 1_000] {
            let exact = all[Int((1_000 * perMille + 999) / 1_000) - 1]
            let shown = histogram.quantileMicroseconds(perMille: perMille)
            #expect(shown >= exact, "seed \(seed)")
            #expect(shown <= exact + exact / 16, "seed \(seed): \(shown) for \(exact)")
        }
    }

    @Test("takes what is below and above its range")
    func takesExtremes() {
        var histogram = LatencyHistogram()
        histogram.record(.zero)
        histogram.record(TimeSpan(nanoseconds: .max))
        histogram.record(TimeSpan(nanoseconds: -5))
        #expect(histogram.count == 3)
        #expect(histogram.quantileMicroseconds(perMille: 1) == 0)
    }
}
