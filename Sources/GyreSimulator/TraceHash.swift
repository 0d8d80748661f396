import GyreBase
package import NIOCore

/// FNV-1a over the 64-bit words of everything that happened in a run, in order.
///
/// Two runs with equal hashes took, but for chance, the same steps. Pure value; not shared between threads.
package struct TraceHash: Hashable, Sendable, CustomStringConvertible {
    /// The hash so far.
    package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    /// The hash of a run in which nothing happened.
    package init() {}

    /// Takes in one word.
    package mutating func record(_ word: UInt64) { self.value = (self.value ^ word) &* 0x0000_0100_0000_01B3 }

    /// Takes in the readable bytes of `bytes`, as one word.
    package mutating func record(_ bytes: ByteBuffer) { self.record(StableHash.xxh3(bytes)) }

    /// Sixteen hexadecimal digits.
    package var description: String { hexadecimal(self.value) }
}
