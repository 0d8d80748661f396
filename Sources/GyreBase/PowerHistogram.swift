/// Counts whole numbers in buckets whose upper bounds are powers of two: bucket `e` holds those in (2^(e-1), 2^e]; with their sum.
///
/// Counting costs two additions and never allocates once made. Pure value; one owner counts, copies may be read anywhere.
package struct PowerHistogram: Hashable, Sendable {
    /// How many are in each bucket; 65 of them.
    package private(set) var counts = [UInt64](repeating: 0, count: 65)
    /// The sum of all, wrapping.
    package private(set) var sum: UInt64 = 0

    /// Empty.
    package init() {}

    /// Whether nothing was counted.
    package var isEmpty: Bool { self.counts.allSatisfy { $0 == 0 } }

    /// Counts `value`.
    package mutating func record(_ value: UInt64) {
        self.counts[Self.bucket(of: value)] &+= 1
        self.sum &+= value
    }

    /// Counts `count` numbers of at most 2^`exponent`, which together are `sum`.
    package mutating func add(count: UInt64, exponent: Int, sum: UInt64) {
        precondition((0...64).contains(exponent), "no bucket \(exponent)")
        self.counts[exponent] &+= count
        self.sum &+= sum
    }

    /// What was counted here and not yet in `earlier`, an older copy of the same histogram.
    package func since(_ earlier: PowerHistogram) -> PowerHistogram {
        var difference = PowerHistogram()
        for index in self.counts.indices { difference.counts[index] = self.counts[index] &- earlier.counts[index] }
        difference.sum = self.sum &- earlier.sum
        return difference
    }

    /// Forgets everything.
    package mutating func reset() {
        for index in self.counts.indices { self.counts[index] = 0 }
        self.sum = 0
    }

    /// The bucket of `value`: the smallest `e` with `value` <= 2^e.
    package static func bucket(of value: UInt64) -> Int {
        value <= 1 ? 0 : 64 - (value - 1).leadingZeroBitCount
    }
}
