package import NIOCore

/// Reads the fields of bytes from outside, front to back.
///
/// Decoders take one of these and not a `ByteBuffer`, because every integer read from that costs a check of its storage for
/// overlapping access, and a put reads about a hundred. A value with one owner; slices share the storage they come from.
package struct ByteReader {
    /// Keeps the memory behind `bytes` alive and unchanged: a storage with two owners is copied before it is written.
    private let source: ByteBuffer
    private var bytes: UnsafeRawBufferPointer
    private var offset = 0

    /// Begins at the first readable byte of `buffer`.
    package init(_ buffer: ByteBuffer) {
        self.source = buffer
        self.bytes = buffer.withUnsafeReadableBytesWithStorageManagement { bytes, _ in bytes }
    }

    /// The bytes not read yet.
    package var readableBytes: Int { self.bytes.count - self.offset }

    /// The bytes read so far.
    package var consumedBytes: Int { self.offset }

    /// Reads 8 bits. Not generic, nor are those below: a `package` generic is not specialised across modules.
    package mutating func readFixed(as type: UInt8.Type = UInt8.self) throws(DecodeError) -> UInt8 {
        guard self.offset < self.bytes.count else { throw .truncated }
        defer { self.offset += 1 }
        return self.bytes[self.offset]
    }

    /// Reads 16 bits, big-endian.
    package mutating func readFixed(as type: UInt16.Type = UInt16.self) throws(DecodeError) -> UInt16 {
        guard self.readableBytes >= 2 else { throw .truncated }
        defer { self.offset += 2 }
        return UInt16(bigEndian: self.bytes.loadUnaligned(fromByteOffset: self.offset, as: UInt16.self))
    }

    /// Reads 32 bits, big-endian.
    package mutating func readFixed(as type: UInt32.Type = UInt32.self) throws(DecodeError) -> UInt32 {
        guard self.readableBytes >= 4 else { throw .truncated }
        defer { self.offset += 4 }
        return UInt32(bigEndian: self.bytes.loadUnaligned(fromByteOffset: self.offset, as: UInt32.self))
    }

    /// Reads 64 bits, big-endian.
    package mutating func readFixed(as type: UInt64.Type = UInt64.self) throws(DecodeError) -> UInt64 {
        guard self.readableBytes >= 8 else { throw .truncated }
        defer { self.offset += 8 }
        return UInt64(bigEndian: self.bytes.loadUnaligned(fromByteOffset: self.offset, as: UInt64.self))
    }

    /// Reads an unsigned LEB128 integer; refuses any form but the shortest, so that equal values have equal bytes.
    package mutating func readVarint() throws(DecodeError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard self.offset < self.bytes.count else { throw .truncated }
            let byte = self.bytes[self.offset]
            self.offset += 1
            if shift == 63, byte > 1 { throw .malformedInteger }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 {
                if byte == 0, shift > 0 { throw .malformedInteger }
                return value
            }
            shift += 7
        }
    }

    /// Reads that many bytes as a slice; nil, and nothing is read, when there are fewer.
    package mutating func readSlice(length: Int) -> ByteBuffer? {
        guard length >= 0, length <= self.readableBytes else { return nil }
        defer { self.offset += length }
        return self.source.getSlice(at: self.source.readerIndex + self.offset, length: length)
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

    /// Leaves out what comes after the next `count` bytes, of which there are as many at least.
    package mutating func end(after count: Int) {
        self.bytes = UnsafeRawBufferPointer(rebasing: self.bytes[..<(self.offset + count)])
    }

    /// The hash of all that was not read yet, under `seed`.
    package func xxh3OfRest(seed: UInt64) -> UInt64 {
        StableHash.xxh3(UnsafeRawBufferPointer(rebasing: self.bytes[self.offset...]), seed: seed)
    }

    /// The hash of the last `count` bytes that were read, under `seed`.
    package func xxh3(ofLast count: Int, seed: UInt64 = 0) -> UInt64 {
        StableHash.xxh3(UnsafeRawBufferPointer(rebasing: self.bytes[self.offset - count..<self.offset]), seed: seed)
    }

    /// Refuses bytes that are left over.
    package func requireEnd() throws(DecodeError) {
        guard self.readableBytes == 0 else { throw .trailing(bytes: self.readableBytes) }
    }
}
