import GyreBase
import GyreReports
import Histogram

/// What one kind of operation did: latencies and errors. Confined to the loop of the bench.
struct BenchTally {
    /// Latencies in microseconds, to three significant digits.
    private(set) var latencies = Histogram<UInt64>(
        highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
    /// Gets that found nothing; an answer, not an error.
    var notFound: UInt64 = 0
    /// Errors by code; the common ones are there from the beginning, for programs that look one up.
    private(set) var errors: [String: UInt64] = [
        "unavailable": 0, "unknown": 0, "timeout": 0, "overloaded": 0, "connectionLost": 0,
    ]

    /// An operation succeeded after that many nanoseconds.
    mutating func record(nanoseconds: UInt64) {
        self.latencies.record(min(max(1, nanoseconds / 1_000), 600_000_000))
    }

    /// An operation failed.
    mutating func record(_ code: String) { self.errors[code, default: 0] += 1 }

    /// Operations that succeeded.
    var count: UInt64 { self.latencies.totalCount }

    /// All errors.
    var errorCount: UInt64 { self.errors.values.reduce(0, +) }

    /// A percentile in microseconds.
    func percentile(_ percent: Double) -> UInt64 {
        self.count == 0 ? 0 : self.latencies.valueAtPercentile(percent)
    }

    /// The largest latency in microseconds.
    var most: UInt64 { self.count == 0 ? 0 : self.latencies.maxRecorded }

    /// The shape that `gyre bench --json` promises for one operation.
    func json(seconds: Double) -> JSONText {
        .object([
            ("count", .unsigned(self.count)), ("per_second", .number((Double(self.count) / seconds).rounded())),
            ("p50_us", .unsigned(self.percentile(50))), ("p90_us", .unsigned(self.percentile(90))),
            ("p99_us", .unsigned(self.percentile(99))), ("p999_us", .unsigned(self.percentile(99.9))),
            ("max_us", .unsigned(self.most)), ("not_found", .unsigned(self.notFound)),
            ("errors", .object(self.errors.sorted { $0.key < $1.key }.map { ($0.key, .unsigned($0.value)) })),
        ])
    }
}
