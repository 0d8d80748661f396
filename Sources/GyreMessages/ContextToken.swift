package import GyreBase
package import GyreCausality
package import NIOCore

/// A causal context as clients outside see it: opaque, bound to one key by a checksum that is seeded with the key's token, so that
/// a context of another key, or a damaged one, is refused instead of hiding somebody's write. Pure value.
package struct ContextToken: Hashable, Sendable {
    /// The longest text that is read.
    package static let textBytesMax = 32_768
    private static let checksumBytes = 8

    /// Checksum (8 bytes, big-endian), then the canonical version vector.
    private let bytes: ByteBuffer

    /// The context of `name` that covers `vector`.
    package init(_ vector: VersionVector, of name: ObjectName) {
        var writer = ByteWriter()
        writer.writeInteger(UInt64(0))
        vector.encode(into: &writer)
        writer.setInteger(writer.xxh3(from: Self.checksumBytes, seed: name.token.rawValue), at: 0)
        self.bytes = writer.finish()
    }

    /// Reads what `text` wrote; nil for anything that is no context's text. Whether it belongs to a key shows when it is used.
    package init?(text: String) {
        guard text.utf8.count <= Self.textBytesMax, let bytes = Base64URL.decode(text),
            bytes.count > Self.checksumBytes
        else { return nil }
        self.bytes = ByteBuffer(bytes: bytes)
    }

    /// Letters, digits, `-` and `_`: fits a header, a URL and a command line.
    package var text: String { Base64URL.encode(self.bytes) }

    /// What the context covers; nil when it belongs to another key or was damaged.
    package func vector(for name: ObjectName) -> VersionVector? {
        var rest = ByteReader(self.bytes)
        let checksum = try? rest.readFixed(as: UInt64.self)
        guard checksum == rest.xxh3OfRest(seed: name.token.rawValue),
            let vector = try? VersionVector(decoding: &rest), rest.readableBytes == 0
        else { return nil }
        return vector
    }
}

/// Base64 with the URL alphabet and without padding (RFC 4648 §5).
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The text of `bytes`.
    package static func encode(_ bytes: ByteBuffer) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.readableBytes * 4 / 3 + 3)
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes.readableBytesView {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.append(Self.alphabet[Int(bits >> UInt32(bitCount)) & 63])
            }
        }
        if bitCount > 0 { text.append(Self.alphabet[Int(bits << UInt32(6 - bitCount)) & 63]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of `text`; nil for any other character, and for any form but the one that `encode` writes.
    package static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count * 3 / 4)
        var bits: UInt32 = 0
        var bitCount = 0
        for character in text.utf8 {
            guard let value = Self.value(of: character) else { return nil }
            bits = bits << 6 | value
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        guard bitCount < 6, bits & ((1 << UInt32(bitCount)) - 1) == 0 else { return nil }
        return bytes
    }

    private static func value(of character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
