package import NIOCore

/// Why bytes from outside (client, peer, disk) could not be read as what they claim to be.
///
/// Typed and without allocation, because a decoder may throw it a million times a second.
package enum DecodeError: Error, Equatable, Sendable {
    /// The bytes end before the value does.
    case truncated
    /// A variable-length integer that is longer than needed or does not fit 64 bits.
    case malformedInteger
    /// A length above its limit.
    case tooLong(bytes: UInt64, bytesMax: UInt64)
    /// A count above its limit.
    case tooMany(count: UInt64, countMax: UInt64)
    /// A field with a value that is not one of its kind; `field` names it.
    case invalid(field: StaticString)
    /// Bytes left over after the value.
    case trailing(bytes: Int)
    /// A checksum that does not match.
    case checksumMismatch

    /// Equal when the case and its numbers are.
    package static func == (a: DecodeError, b: DecodeError) -> Bool {
        switch (a, b) {
        case (.truncated, .truncated), (.malformedInteger, .malformedInteger): true
        case (.checksumMismatch, .checksumMismatch): true
        case (.tooLong(let x, let y), .tooLong(let z, let w)): x == z && y == w
        case (.tooMany(let x, let y), .tooMany(let z, let w)): x == z && y == w
        case (.invalid(let x), .invalid(let y)): x.description == y.description
        case (.trailing(let x), .trailing(let y)): x == y
        default: false
        }
    }
}

extension ByteBuffer {
    /// Appends `value` as an unsigned LEB128 integer, 1 to 10 bytes, always the shortest form.
    package mutating func writeVarint(_ value: UInt64) {
        if value < 0x80 {
            self.writeInteger(UInt8(truncatingIfNeeded: value))
            return
        }
        var rest = value
        while rest >= 0x80 {
            self.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    /// Reads an unsigned LEB128 integer; refuses any form but the shortest, so that equal values have equal bytes.
    package mutating func readVarint() throws(DecodeError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard let byte = self.readInteger(as: UInt8.self) else { throw .truncated }
            if shift == 63, byte > 1 { throw .malformedInteger }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 {
                if byte == 0, shift > 0 { throw .malformedInteger }
                return value
            }
            shift += 7
        }
    }

    /// Appends the length of `bytes` as a varint, then the bytes.
    package mutating func writeCounted(_ bytes: ByteBuffer) {
        self.writeVarint(UInt64(bytes.readableBytes))
        self.writeImmutableBuffer(bytes)
    }

    /// Appends the length of the UTF-8 form of `text` as a varint, then that form.
    package mutating func writeCounted(_ text: String) {
        self.writeVarint(UInt64(text.utf8.count))
        self.writeString(text)
    }

    /// Reads what `writeCounted` wrote, as a slice that shares storage; refuses more than `bytesMax` bytes.
    package mutating func readCounted(bytesMax: Int) throws(DecodeError) -> ByteBuffer {
        let length = try self.readVarint()
        guard length <= UInt64(bytesMax) else { throw .tooLong(bytes: length, bytesMax: UInt64(bytesMax)) }
        guard let slice = self.readSlice(length: Int(length)) else { throw .truncated }
        return slice
    }

    /// Reads what `writeCounted` wrote, as text; refuses more than `bytesMax` bytes and anything but UTF-8.
    package mutating func readCountedString(bytesMax: Int) throws(DecodeError) -> String {
        let bytes = try self.readCounted(bytesMax: bytesMax)
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw .invalid(field: "text")
        }
        return text
    }

    /// Reads 8 bits, big-endian. Not generic: a `package` generic is not specialised across modules.
    package mutating func readFixed(as type: UInt8.Type = UInt8.self) throws(DecodeError) -> UInt8 {
        guard let value = self.readInteger(as: UInt8.self) else { throw .truncated }
        return value
    }

    /// Reads 16 bits, big-endian. Not generic: a `package` generic is not specialised across modules.
    package mutating func readFixed(as type: UInt16.Type = UInt16.self) throws(DecodeError) -> UInt16 {
        guard let value = self.readInteger(as: UInt16.self) else { throw .truncated }
        return value
    }

    /// Reads 32 bits, big-endian. Not generic: a `package` generic is not specialised across modules.
    package mutating func readFixed(as type: UInt32.Type = UInt32.self) throws(DecodeError) -> UInt32 {
        guard let value = self.readInteger(as: UInt32.self) else { throw .truncated }
        return value
    }

    /// Reads 64 bits, big-endian. Not generic: a `package` generic is not specialised across modules.
    package mutating func readFixed(as type: UInt64.Type = UInt64.self) throws(DecodeError) -> UInt64 {
        guard let value = self.readInteger(as: UInt64.self) else { throw .truncated }
        return value
    }

    /// Refuses bytes that are left over.
    package func requireEnd() throws(DecodeError) {
        guard self.readableBytes == 0 else { throw .trailing(bytes: self.readableBytes) }
    }
}
