package import GyreBase

/// A reading of a hybrid logical clock (Kulkarni et al., OPODIS 2014): close to the wall clock, yet later than every
/// reading that its node had seen.
///
/// It dates values for people, TTL and buckets with `conflicts=lww`; it never decides which sibling is kept elsewhere
/// (architecture, idea 4). Pure value; safe from any thread.
package struct HybridTime: Hashable, Comparable, Sendable {
    /// Milliseconds since the epoch in the upper 48 bits, the logical part in the lower 16.
    package let rawValue: UInt64

    /// The largest number of milliseconds that fits 48 bits, in the year 10889.
    package static let millisecondsMax: UInt64 = (1 << 48) - 1
    /// Before every reading.
    package static let zero = HybridTime(rawValue: 0)

    /// Wraps a reading.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The reading at `wall`, saturated to 48 bits, with the given logical part.
    package init(wall: WallTime, logical: UInt16) {
        self.rawValue = min(wall.milliseconds, Self.millisecondsMax) << 16 | UInt64(logical)
    }

    /// The wall part.
    package var wall: WallTime { WallTime(milliseconds: self.rawValue >> 16) }
    /// The logical part: orders readings within one millisecond.
    package var logical: UInt16 { UInt16(truncatingIfNeeded: self.rawValue) }

    /// Clock order.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The hybrid logical clock of one node (Kulkarni et al., OPODIS 2014, figure 5).
///
/// Every `tick` is later than every earlier one and than every accepted observation, also when the wall clock jumps back.
/// Deviation from the paper: a logical overflow carries into the milliseconds instead of waiting for the wall clock.
/// A value with one owner, the node.
package struct HybridClock: Sendable {
    /// The latest reading given or accepted.
    package private(set) var last: HybridTime

    /// How far ahead of the own wall clock an observation may be: one wrong clock must not drag the cluster with it.
    package static let driftMax = TimeSpan.seconds(60)

    /// Starts a clock that never shows less than `last`.
    package init(resumingAfter last: HybridTime = .zero) { self.last = last }

    /// The next reading, later than all before; only at the end of its range, in the year 10889, does it stand still.
    package mutating func tick(at wall: WallTime) -> HybridTime {
        let next = self.last.rawValue == .max ? self.last : HybridTime(rawValue: self.last.rawValue + 1)
        self.last = max(HybridTime(wall: wall, logical: 0), next)
        return self.last
    }

    /// Takes note of another node's reading, so that the next `tick` is later.
    /// - Returns: false when `time` is further ahead of `wall` than `driftMax`; it is then ignored.
    @discardableResult
    package mutating func observe(_ time: HybridTime, at wall: WallTime) -> Bool {
        let (limit, overflow) = wall.milliseconds.addingReportingOverflow(UInt64(Self.driftMax.wholeMilliseconds))
        guard overflow || time.wall.milliseconds <= limit else { return false }
        self.last = max(self.last, time)
        return true
    }
}
