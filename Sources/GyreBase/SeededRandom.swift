/// The only source of randomness inside the pure core: equal seed, equal sequence, on every machine.
///
/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Not for secrets. A value; not shared between threads.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Starts the sequence that belongs to `seed`.
    package init(seed: UInt64) { self.state = seed }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        return SeededRandom.mixed(self.state)
    }

    /// A generator for one concern, named by `label`; further draws from `self` do not shift its sequence.
    package func split(_ label: StaticString) -> SeededRandom {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        label.withUTF8Buffer { bytes in
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        }
        return SeededRandom(seed: SeededRandom.mixed(self.state ^ SeededRandom.mixed(hash)))
    }

    /// A generator for the `index`-th of several equals (disks, clocks, clients).
    package func split(_ label: StaticString, index: UInt64) -> SeededRandom {
        SeededRandom(seed: SeededRandom.mixed(self.split(label).state &+ SeededRandom.mixed(index &+ 1)))
    }

    /// A whole number in `0..<bound`; `bound` must be positive. Unbiased to one part in 2^64.
    package mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0, "random number below 0")
        return self.next().multipliedFullWidth(by: bound).high
    }

    /// A whole number in `range`, both ends included.
    package mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
        let width = UInt64(bitPattern: range.upperBound &- range.lowerBound)
        if width == .max { return Int64(bitPattern: self.next()) }
        return range.lowerBound &+ Int64(bitPattern: self.below(width + 1))
    }

    /// True `numerator` times out of `denominator` (a ratio of integers, so that no float reaches the core).
    package mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
        self.below(denominator) < numerator
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
