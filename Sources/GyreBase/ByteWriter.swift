package import NIOCore

/// Appends fields to a buffer.
///
/// Encoders take one of these and not a `ByteBuffer`, because every integer written to that costs a check for a second owner,
/// one for room and one for overlapping access. Grows like the buffer; what was written is there once `finish` gives it back.
package struct ByteWriter: ~Copyable {
    /// Has no other owner, and is touched by nobody else, as long as this value lives.
    private var buffer: ByteBuffer
    /// All of the memory behind `buffer`, by its indices.
    private var memory: UnsafeMutableRawBufferPointer
    /// Where the next byte goes, as an index of the buffer.
    package private(set) var writerIndex: Int

    /// Begins with nothing.
    package init() {
        var buffer = ByteBuffer()
        self.init(taking: &buffer)
    }

    /// Takes `buffer` away from its owner and goes on at its end.
    package init(taking buffer: inout ByteBuffer) {
        self.buffer = ByteBuffer()
        swap(&self.buffer, &buffer)
        self.writerIndex = self.buffer.writerIndex
        self.memory = self.buffer.withVeryUnsafeMutableBytes { $0 }
    }

    /// The buffer with all that was written.
    package consuming func finish() -> ByteBuffer {
        self.buffer.moveWriterIndex(to: self.writerIndex)
        return self.buffer
    }

    /// Makes room for `count` bytes, so that writing them moves no memory.
    package mutating func reserveCapacity(minimumWritableBytes count: Int) {
        guard self.memory.count - self.writerIndex < count else { return }
        self.buffer.moveWriterIndex(to: self.writerIndex)
        self.buffer.reserveCapacity(minimumWritableBytes: count)
        self.memory = self.buffer.withVeryUnsafeMutableBytes { $0 }
    }

    /// Takes back what was written from `index` on.
    package mutating func moveWriterIndex(to index: Int) {
        precondition(
            index >= self.buffer.readerIndex && index <= self.writerIndex, "back, and not before the beginning")
        self.writerIndex = index
    }

    /// Appends 8 bits.
    package mutating func writeInteger(_ value: UInt8) {
        self.reserveCapacity(minimumWritableBytes: 1)
        self.memory[self.writerIndex] = value
        self.writerIndex += 1
    }

    /// Appends 16 bits, big-endian.
    package mutating func writeInteger(_ value: UInt16) {
        self.reserveCapacity(minimumWritableBytes: 2)
        self.memory.storeBytes(of: value.bigEndian, toByteOffset: self.writerIndex, as: UInt16.self)
        self.writerIndex += 2
    }

    /// Appends 32 bits, big-endian.
    package mutating func writeInteger(_ value: UInt32) {
        self.reserveCapacity(minimumWritableBytes: 4)
        self.memory.storeBytes(of: value.bigEndian, toByteOffset: self.writerIndex, as: UInt32.self)
        self.writerIndex += 4
    }

    /// Appends 64 bits, big-endian.
    package mutating func writeInteger(_ value: UInt64) {
        self.reserveCapacity(minimumWritableBytes: 8)
        self.memory.storeBytes(of: value.bigEndian, toByteOffset: self.writerIndex, as: UInt64.self)
        self.writerIndex += 8
    }

    /// Writes 64 bits, big-endian, over those at `index`, which were appended before.
    package mutating func setInteger(_ value: UInt64, at index: Int) {
        precondition(index >= self.buffer.readerIndex && index + 8 <= self.writerIndex, "over what was appended")
        self.memory.storeBytes(of: value.bigEndian, toByteOffset: index, as: UInt64.self)
    }

    /// Appends `value` as an unsigned LEB128 integer, 1 to 10 bytes, always the shortest form.
    package mutating func writeVarint(_ value: UInt64) {
        self.reserveCapacity(minimumWritableBytes: 10)
        var rest = value
        while rest >= 0x80 {
            self.memory[self.writerIndex] = UInt8(truncatingIfNeeded: rest) | 0x80
            self.writerIndex += 1
            rest >>= 7
        }
        self.memory[self.writerIndex] = UInt8(truncatingIfNeeded: rest)
        self.writerIndex += 1
    }

    /// Appends bytes.
    package mutating func writeBytes(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        self.reserveCapacity(minimumWritableBytes: bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: self.memory[self.writerIndex..<self.writerIndex + bytes.count])
            .copyMemory(from: UnsafeRawBufferPointer(start: start, count: bytes.count))
        self.writerIndex += bytes.count
    }

    /// Appends the readable bytes of `bytes`.
    package mutating func writeImmutableBuffer(_ bytes: ByteBuffer) {
        bytes.withUnsafeReadableBytes { self.writeBytes($0) }
    }

    /// Appends the length of `bytes` as a varint, then the bytes.
    package mutating func writeCounted(_ bytes: ByteBuffer) {
        self.writeVarint(UInt64(bytes.readableBytes))
        self.writeImmutableBuffer(bytes)
    }

    /// Appends the length of the UTF-8 form of `text` as a varint, then that form.
    package mutating func writeCounted(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            self.writeVarint(UInt64(bytes.count))
            self.writeBytes(UnsafeRawBufferPointer(bytes))
        }
    }

    /// The hash of what was written from `index` on, under `seed`.
    package func xxh3(from index: Int, seed: UInt64 = 0) -> UInt64 {
        StableHash.xxh3(UnsafeRawBufferPointer(rebasing: self.memory[index..<self.writerIndex]), seed: seed)
    }
}
