import GyreBase

/// Counts latencies in buckets that are at most 6.25 % wide, without allocating; 1 µs to 68 s.
///
/// Sixteen linear buckets per power of two of microseconds, as HdrHistogram with one significant digit and a half.
/// A value with one owner, the shell.
struct LatencyHistogram {
    private static let stepsBits = 4
    private static let powers = 23
    private var counts: [UInt64]
    /// How many were recorded.
    private(set) var count: UInt64 = 0
    /// The sum of all, in microseconds, wrapping.
    private(set) var sumMicroseconds: UInt64 = 0

    /// Empty.
    init() { self.counts = [UInt64](repeating: 0, count: (Self.powers + 1) << Self.stepsBits) }

    /// Counts one latency.
    mutating func record(_ span: TimeSpan) {
        let microseconds = UInt64(clamping: span.nanoseconds / 1_000)
        self.counts[Self.bucket(of: microseconds)] &+= 1
        self.count &+= 1
        self.sumMicroseconds &+= microseconds
    }

    /// The upper bound, in microseconds, of the bucket that holds the quantile `perMille` of 1,000; 0 when empty.
    func quantileMicroseconds(perMille: UInt64) -> UInt64 {
        guard self.count > 0 else { return 0 }
        let rank = max(1, (self.count * perMille + 999) / 1_000)
        var seen: UInt64 = 0
        for (index, count) in self.counts.enumerated() where count > 0 {
            seen += count
            if seen >= rank { return Self.upperBound(of: index) }
        }
        return Self.upperBound(of: self.counts.count - 1)
    }

    /// Forgets everything.
    mutating func reset() {
        for index in self.counts.indices { self.counts[index] = 0 }
        self.count = 0
        self.sumMicroseconds = 0
    }

    /// Adds what another one counted.
    mutating func merge(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        for index in self.counts.indices { self.counts[index] &+= other.counts[index] }
        self.count &+= other.count
        self.sumMicroseconds &+= other.sumMicroseconds
    }

    /// The same in buckets of powers of two of a microsecond, for export.
    var powers: PowerHistogram {
        var powers = PowerHistogram()
        // A bucket's latencies are cut to whole microseconds, so that they are below the next one.
        for (index, count) in self.counts.enumerated() where count > 0 {
            powers.add(count: count, exponent: PowerHistogram.bucket(of: Self.upperBound(of: index) + 1), sum: 0)
        }
        powers.add(count: 0, exponent: 0, sum: self.sumMicroseconds)
        return powers
    }

    static func bucket(of microseconds: UInt64) -> Int {
        let steps: UInt64 = 1 << Self.stepsBits
        if microseconds < steps { return Int(microseconds) }
        let power = 63 - microseconds.leadingZeroBitCount - Self.stepsBits
        if power >= Self.powers { return (Self.powers + 1) << Self.stepsBits - 1 }
        return (power + 1) << Self.stepsBits + Int((microseconds >> UInt64(power)) - steps)
    }

    static func upperBound(of bucket: Int) -> UInt64 {
        let steps = 1 << Self.stepsBits
        if bucket < steps { return UInt64(bucket) }
        let power = bucket >> Self.stepsBits - 1
        return (UInt64(bucket & (steps - 1) + steps + 1) << UInt64(power)) - 1
    }
}
