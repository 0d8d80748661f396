internal import CXXHash
package import NIOCore

/// XXH3 with 64 bits: the one hash of Gyre, equal on every machine and in every version.
///
/// Used for tokens, record checksums, frame checksums, digests and Bloom filters. Not cryptographic.
package enum StableHash {
    /// The hash of `bytes` under `seed`.
    package static func xxh3(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        gyre_xxh3_64(bytes.baseAddress, bytes.count, seed)
    }

    /// The hash of the readable bytes of `buffer` under `seed`.
    package static func xxh3(_ buffer: ByteBuffer, seed: UInt64 = 0) -> UInt64 {
        buffer.withUnsafeReadableBytes { self.xxh3($0, seed: seed) }
    }

    /// The hash of the UTF-8 bytes of `text` under `seed`.
    package static func xxh3(_ text: String, seed: UInt64 = 0) -> UInt64 {
        var copy = text
        return copy.withUTF8 { self.xxh3(UnsafeRawBufferPointer($0), seed: seed) }
    }

    /// The hash of eight bytes, little-endian, under `seed`.
    package static func xxh3(_ word: UInt64, seed: UInt64 = 0) -> UInt64 {
        withUnsafeBytes(of: word.littleEndian) { self.xxh3($0, seed: seed) }
    }

    /// The hash of sixteen bytes, `first` then `second`, each little-endian, under `seed`.
    package static func xxh3(_ first: UInt64, _ second: UInt64, seed: UInt64) -> UInt64 {
        withUnsafeBytes(of: (first.littleEndian, second.littleEndian)) { self.xxh3($0, seed: seed) }
    }
}

extension Token {
    /// Where `(bucket, key)` lies: XXH3 of the key, seeded with XXH3 of the bucket.
    package init(bucket: ByteBuffer, key: ByteBuffer) {
        self.init(rawValue: StableHash.xxh3(key, seed: StableHash.xxh3(bucket)))
    }
}
