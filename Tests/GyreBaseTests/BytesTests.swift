import GyreBase
import NIOCore
import Testing

@Suite struct BytesTests {
    @Test(arguments: [0, 1, 127, 128, 16_383, 16_384, UInt64(UInt32.max), UInt64.max - 1, UInt64.max])
    func varintReadsBackWhatWasWritten(value: UInt64) throws {
        var writer = ByteWriter()
        writer.writeVarint(value)
        var reader = ByteReader(writer.finish())
        #expect(reader.readableBytes <= 10)
        #expect(try reader.readVarint() == value)
        #expect(reader.readableBytes == 0)
    }

    @Test(arguments: [
        ([], DecodeError.truncated), ([0x80], .truncated), ([0x80, 0x00], .malformedInteger),
        (Array(repeating: 0xFF, count: 9) + [0x02], .malformedInteger),
    ])
    func malformedVarintIsRefused(bytes: [UInt8], error: DecodeError) {
        var reader = ByteReader(ByteBuffer(bytes: bytes))
        #expect(throws: error) { try reader.readVarint() }
    }

    @Test func lengthIsCheckedBeforeMemoryIsReserved() {
        var writer = ByteWriter()
        writer.writeVarint(1 << 63)
        var reader = ByteReader(writer.finish())
        #expect(throws: DecodeError.tooLong(bytes: 1 << 63, bytesMax: 10)) { try reader.readCounted(bytesMax: 10) }
    }

    @Test func textThatIsNotUTF8IsRefused() {
        var writer = ByteWriter()
        writer.writeCounted(ByteBuffer(bytes: [0xFF, 0xFE]))
        var reader = ByteReader(writer.finish())
        #expect(throws: DecodeError.invalid(field: "text")) { try reader.readCountedString(bytesMax: 10) }
    }

    @Test func fieldsReadBackAsTheyWereWritten() throws {
        var buffer = ByteBuffer(string: "in front")
        buffer.moveReaderIndex(forwardBy: 3)
        var writer = ByteWriter(taking: &buffer)
        #expect(buffer.readableBytes == 0)
        let start = writer.writerIndex
        writer.writeInteger(UInt64.max)
        writer.writeInteger(UInt8(1))
        writer.writeInteger(UInt16(0x0203))
        writer.writeInteger(UInt32(0x0405_0607))
        writer.writeCounted("naïve")
        // Longer than any memory it had so far.
        writer.writeCounted(ByteBuffer(repeating: 7, count: 5_000))
        writer.setInteger(0x0809_0A0B_0C0D_0E0F, at: start)
        let hash = writer.xxh3(from: start)
        buffer = writer.finish()
        #expect(buffer.readString(length: 5) == "front")
        #expect(StableHash.xxh3(buffer) == hash)
        var reader = ByteReader(buffer)
        #expect(reader.xxh3OfRest(seed: 0) == hash)
        #expect(try reader.readFixed(as: UInt64.self) == 0x0809_0A0B_0C0D_0E0F)
        #expect(try reader.readFixed(as: UInt8.self) == 1)
        #expect(try reader.readFixed(as: UInt16.self) == 0x0203)
        #expect(try reader.readFixed(as: UInt32.self) == 0x0405_0607)
        #expect(try reader.readCountedString(bytesMax: 6) == "naïve")
        let slice = try reader.readCounted(bytesMax: 5_000)
        #expect(slice == ByteBuffer(repeating: 7, count: 5_000))
        #expect(reader.xxh3(ofLast: 5_000) == StableHash.xxh3(slice))
        try reader.requireEnd()
    }

    @Test func everyFieldIsRefusedThatEndsBeforeItsBytes() {
        var reader = ByteReader(ByteBuffer(bytes: [1, 2, 3, 4, 5, 6, 7]))
        #expect(throws: DecodeError.truncated) { try reader.readFixed(as: UInt64.self) }
        #expect(reader.readSlice(length: 8) == nil && reader.readSlice(length: -1) == nil)
        #expect(reader.readSlice(length: 4)?.readableBytes == 4)
        #expect(throws: DecodeError.truncated) { try reader.readFixed(as: UInt32.self) }
        #expect(throws: DecodeError.trailing(bytes: 3)) { try reader.requireEnd() }
        reader.end(after: 1)
        #expect(throws: DecodeError.truncated) { try reader.readFixed(as: UInt16.self) }
        #expect(throws: Never.self) { try reader.readFixed(as: UInt8.self) }
        #expect(throws: DecodeError.truncated) { try reader.readFixed(as: UInt8.self) }
        #expect(throws: DecodeError.truncated) { try reader.readVarint() }
    }

    /// Whoever holds a copy of the buffer, or a slice, sees nothing of what is written later.
    @Test func writingLeavesOtherOwnersAlone() {
        var buffer = ByteBuffer(string: "shared")
        let copy = buffer
        var reader = ByteReader(buffer)
        var writer = ByteWriter(taking: &buffer)
        writer.moveWriterIndex(to: 0)
        writer.writeInteger(UInt64(0))
        buffer = writer.finish()
        #expect(copy == ByteBuffer(string: "shared"))
        #expect(reader.readSlice(length: 6) == ByteBuffer(string: "shared"))
        #expect(buffer.readableBytes == 8)
    }
}

@Suite struct StableHashTests {
    @Test func xxh3HasTheReferenceValues() {
        #expect(StableHash.xxh3(ByteBuffer()) == 0x2D06_8005_38D3_94C2)
        #expect(StableHash.xxh3("a") == 0xE6C6_32B6_1E96_4E1F)
        #expect(StableHash.xxh3("a", seed: 1) != StableHash.xxh3("a"))
    }

    @Test func tokenDependsOnBucketAndKey() {
        let token = Token(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
        #expect(token == Token(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k")))
        #expect(token != Token(bucket: ByteBuffer(string: "bk"), key: ByteBuffer()))
        #expect(token != Token(bucket: ByteBuffer(string: "k"), key: ByteBuffer(string: "b")))
    }
}

@Suite struct SeededRandomTests {
    @Test func equalSeedsGiveEqualSequences() {
        var a = SeededRandom(seed: 7)
        var b = SeededRandom(seed: 7)
        #expect((0..<100).map { _ in a.next() } == (0..<100).map { _ in b.next() })
    }

    @Test func splitDependsOnLabelAndIndexOnly() {
        let root = SeededRandom(seed: 7)
        var network = root.split("network")
        var disk = root.split("disk", index: 0)
        var otherDisk = root.split("disk", index: 1)
        let draws = [network.next(), disk.next(), otherDisk.next()]
        #expect(Set(draws).count == 3)
        var again = root.split("disk", index: 1)
        #expect(again.next() == draws[2])
    }

    @Test func boundsAreKept() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<1_000 {
            #expect(random.below(7) < 7)
            #expect((-3...4).contains(random.within(-3...4)))
        }
        _ = random.within(Int64.min...Int64.max)
    }
}

@Suite struct InstantTests {
    @Test func arithmeticSaturates() {
        #expect(Instant.distantFuture.advanced(by: .seconds(1)) == .distantFuture)
        #expect(TimeSpan.seconds(.max).nanoseconds == .max)
        #expect(Instant(nanoseconds: 5).since(Instant(nanoseconds: 7)) == TimeSpan(nanoseconds: -2))
    }
}
