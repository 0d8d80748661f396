import GyreBase

/// A Bloom filter (Bloom 1970) over XXH3, in the bytes that LevelDB keeps in its tables; frozen under the name
/// `gyre.bloom.xxh3.v1` (docs/internals/bloom-filter.md).
///
/// Shape: bit array, then one byte with the number of probes. One 64-bit hash a key; each probe multiplies it by an odd
/// constant and takes the upper half, so that probes behave as if independent even in filters of a few hundred bits,
/// where double hashing (Kirsch and Mitzenmacher 2006) does not. Pure functions; safe from any thread.
package enum BloomFilter {
    /// On disk, beside every filter; a change of the format needs another name.
    package static let name: StaticString = "gyre.bloom.xxh3.v1"
    /// More probes than this help nobody; a filter that claims more is not one of ours.
    package static let probesMax = 30
    /// Smaller filters would answer "maybe" too often.
    package static let bitsMin = 64

    private static let remix: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// The number of probes with the fewest false positives: bits a key × ln 2, rounded.
    package static func probes(bitsPerKey: Int) -> Int {
        max(1, min((bitsPerKey * 693 + 500) / 1_000, self.probesMax))
    }

    /// The size of the filter for `keys` keys in bytes, the byte with the number of probes included.
    package static func byteCount(keys: Int, bitsPerKey: Int) -> Int {
        (max(keys * bitsPerKey, self.bitsMin) + 7) / 8 + 1
    }

    /// The hash of a key that `insert` and `mayContain` take.
    package static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { StableHash.xxh3(key) }

    /// Writes the number of probes; the bytes must be zero before.
    package static func prepare(_ filter: UnsafeMutableRawBufferPointer, probes: Int) {
        precondition(filter.count >= 2, "filter of \(filter.count) bytes")
        filter[filter.count - 1] = UInt8(truncatingIfNeeded: probes)
    }

    /// Adds a key to a prepared filter.
    package static func insert(_ hash: UInt64, into filter: UnsafeMutableRawBufferPointer) {
        let bits = UInt64(filter.count - 1) * 8
        var mixed = hash
        for _ in 0..<filter[filter.count - 1] {
            mixed = mixed &* self.remix
            let bit = Int(truncatingIfNeeded: ((mixed >> 32) &* bits) >> 32)
            filter[bit >> 3] |= 1 << UInt8(truncatingIfNeeded: bit & 7)
        }
    }

    /// False when the key was certainly not inserted. Bytes that are no filter of ours answer "maybe".
    package static func mayContain(_ hash: UInt64, in filter: UnsafeRawBufferPointer) -> Bool {
        // Above 2^32 bits the range reduction below would overflow; LevelDB's filters cover 2 KiB of data each.
        guard filter.count >= 2, filter.count <= 1 << 28 else { return true }
        let probes = filter[filter.count - 1]
        guard probes <= UInt8(self.probesMax) else { return true }
        let bits = UInt64(filter.count - 1) * 8
        var mixed = hash
        for _ in 0..<probes {
            mixed = mixed &* self.remix
            let bit = Int(truncatingIfNeeded: ((mixed >> 32) &* bits) >> 32)
            if filter[bit >> 3] & (1 << UInt8(truncatingIfNeeded: bit & 7)) == 0 { return false }
        }
        return true
    }
}
