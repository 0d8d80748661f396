/// Time since the process (or the simulated world) started, on the injected monotonic clock.
///
/// Resolution one nanosecond, range 292 years. Pure value; safe from any thread.
package struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since the start; never negative in practice, but signed so that subtraction is safe.
    package let nanoseconds: Int64

    /// The start.
    package static let start = Instant(nanoseconds: 0)
    /// Later than every instant that a clock shows.
    package static let distantFuture = Instant(nanoseconds: .max)

    /// Wraps a reading of the clock.
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The instant `span` later; saturates instead of overflowing.
    package func advanced(by span: TimeSpan) -> Instant {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(span.nanoseconds)
        return Instant(nanoseconds: overflow ? (span.nanoseconds > 0 ? .max : .min) : sum)
    }

    /// The span from `earlier` to `self`; negative when `earlier` is later; saturates.
    package func since(_ earlier: Instant) -> TimeSpan {
        let (difference, overflow) = self.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return TimeSpan(nanoseconds: overflow ? (self.nanoseconds > 0 ? .max : .min) : difference)
    }

    /// Chronological order.
    package static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }
}

/// A length of time in whole nanoseconds.
///
/// `Duration` is 128 bits wide; this one is a machine word, because every request carries several.
/// Pure value; safe from any thread.
package struct TimeSpan: Hashable, Comparable, Sendable {
    /// The length; may be negative.
    package let nanoseconds: Int64

    /// No time at all.
    package static let zero = TimeSpan(nanoseconds: 0)

    /// Wraps a count of nanoseconds.
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// `count` microseconds; saturates.
    package static func microseconds(_ count: Int64) -> TimeSpan { TimeSpan(count, unit: 1_000) }
    /// `count` milliseconds; saturates.
    package static func milliseconds(_ count: Int64) -> TimeSpan { TimeSpan(count, unit: 1_000_000) }
    /// `count` seconds; saturates.
    package static func seconds(_ count: Int64) -> TimeSpan { TimeSpan(count, unit: 1_000_000_000) }

    private init(_ count: Int64, unit: Int64) {
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        self.nanoseconds = overflow ? (count > 0 ? .max : .min) : product
    }

    /// Whole milliseconds, rounded towards zero.
    package var wholeMilliseconds: Int64 { self.nanoseconds / 1_000_000 }
    /// Seconds, for people and metrics only.
    package var seconds: Double { Double(self.nanoseconds) / 1e9 }

    /// Shorter first.
    package static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }
}

/// What a clock on the wall shows: milliseconds since 1970-01-01T00:00Z.
///
/// Wall clocks never decide what is kept (architecture, idea 4); they date values and end their lives (TTL).
package struct WallTime: Hashable, Comparable, Sendable {
    /// Milliseconds since the epoch.
    package let milliseconds: UInt64

    /// Wraps a reading.
    package init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    /// Chronological order.
    package static func < (a: Self, b: Self) -> Bool { a.milliseconds < b.milliseconds }
}

/// Both clocks, read once per input by whoever owns them.
package struct Now: Hashable, Sendable {
    /// The monotonic clock: deadlines, probes, hedges.
    package let instant: Instant
    /// The wall clock: hybrid time and expiry only.
    package let wall: WallTime

    /// A reading of both clocks.
    package init(instant: Instant, wall: WallTime) {
        self.instant = instant
        self.wall = wall
    }
}
