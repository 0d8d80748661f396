package import GyreBase
package import GyreCausality
import NIOCore

/// What a client has seen of one key: comes with every answer, goes back with the next put or delete of that key.
///
/// Opaque; programs keep and pass on `text`. It belongs to one key: the checksum inside is seeded with the key's token,
/// so that a context of another key, or a damaged one, is refused instead of hiding somebody's write. Pure value; safe
/// from any thread.
public struct CausalContext: Hashable, Sendable, CustomStringConvertible {
    /// The longest text that is read.
    public static let textBytesMax = 32_768
    private static let checksumBytes = 8

    /// Checksum (8 bytes, big-endian), then the canonical version vector.
    private let bytes: ByteBuffer

    /// The context of `name` that covers `vector`.
    package init(_ vector: VersionVector, of name: ObjectName) {
        var encoded = ByteBuffer()
        vector.encode(into: &encoded)
        var bytes = ByteBuffer(integer: StableHash.xxh3(encoded, seed: name.token.rawValue))
        bytes.writeImmutableBuffer(encoded)
        self.bytes = bytes
    }

    /// Reads what `text` wrote. Whether it belongs to a key shows when it is used.
    /// - Throws: `badRequest` when it is not the text of any context.
    public init(text: String) throws(GyreError) {
        guard text.utf8.count <= Self.textBytesMax, let bytes = Base64URL.decode(text),
            bytes.count > Self.checksumBytes
        else {
            throw GyreError(.badRequest, "not a causal context: \(text.prefix(40))", try: Self.advice)
        }
        self.bytes = ByteBuffer(bytes: bytes)
    }

    /// Letters, digits, `-` and `_`: fits a header, a URL and a command line.
    public var text: String { Base64URL.encode(self.bytes) }

    /// The same as `text`.
    public var description: String { self.text }

    /// What the context covers.
    /// - Throws: `badRequest` when it belongs to another key or was damaged.
    package func vector(for name: ObjectName) throws(GyreError) -> VersionVector {
        var rest = self.bytes
        let checksum = rest.readInteger(as: UInt64.self)
        guard checksum == StableHash.xxh3(rest, seed: name.token.rawValue),
            let vector = try? VersionVector(decoding: &rest), rest.readableBytes == 0
        else {
            throw GyreError(.badRequest, "the context is damaged or belongs to another key", try: Self.advice)
        }
        return vector
    }

    private static let advice = "use the context that 'gyre get' prints for this key"
}

/// Base64 with the URL alphabet and without padding (RFC 4648 §5).
enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The text of `bytes`.
    static func encode(_ bytes: ByteBuffer) -> String {
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
    static func decode(_ text: String) -> [UInt8]? {
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
