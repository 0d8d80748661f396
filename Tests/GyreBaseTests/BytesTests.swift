import GyreBase
import NIOCore
import Testing

@Suite struct BytesTests {
    @Test(arguments: [0, 1, 127, 128, 16_383, 16_384, UInt64(UInt32.max), UInt64.max - 1, UInt64.max])
    func varintReadsBackWhatWasWritten(value: UInt64) throws {
        var buffer = ByteBuffer()
        buffer.writeVarint(value)
        #expect(buffer.readableBytes <= 10)
        #expect(try buffer.readVarint() == value)
        #expect(buffer.readableBytes == 0)
    }

    @Test(arguments: [
        ([], DecodeError.truncated), ([0x80], .truncated), ([0x80, 0x00], .malformedInteger),
        (Array(repeating: 0xFF, count: 9) + [0x02], .malformedInteger),
    ])
    func malformedVarintIsRefused(bytes: [UInt8], error: DecodeError) {
        var buffer = ByteBuffer(bytes: bytes)
        #expect(throws: error) { try buffer.readVarint() }
    }

    @Test func lengthIsCheckedBeforeMemoryIsReserved() {
        var buffer = ByteBuffer()
        buffer.writeVarint(1 << 63)
        #expect(throws: DecodeError.tooLong(bytes: 1 << 63, bytesMax: 10)) { try buffer.readCounted(bytesMax: 10) }
    }

    @Test func textThatIsNotUTF8IsRefused() {
        var buffer = ByteBuffer()
        buffer.writeCounted(ByteBuffer(bytes: [0xFF, 0xFE]))
        #expect(throws: DecodeError.invalid(field: "text")) { try buffer.readCountedString(bytesMax: 10) }
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
