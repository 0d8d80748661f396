import GyreBase
import GyreMessages
import GyreWire
import NIOCore
import Testing

@Suite struct BucketFrames {
    /// What a decoder makes of a payload under a valid header.
    private func decoded(_ kind: FrameKind, _ payload: ByteBuffer) throws -> Frame? {
        let word = UInt64(payload.readableBytes) << 32 | 1 << 24 | UInt64(kind.rawValue) << 16
        var bytes = ByteBuffer(integer: word)
        bytes.writeInteger(StableHash.xxh3(payload, seed: word))
        bytes.writeImmutableBuffer(payload)
        var decoder = FrameDecoder(handshakeDone: true)
        decoder.append(bytes)
        return try decoder.next()
    }

    private func records(_ names: [String]) throws -> [BucketRecord] {
        try names.map { name in
            BucketRecord(
                name: try BucketName(ByteBuffer(string: name)), properties: BucketProperties(),
                version: BucketVersion(counter: 1, node: NodeID(rawValue: 1)))
        }
    }

    @Test func theLargestTableFitsAFrame() throws {
        let names = (0..<BucketRecord.countMax).map { index in
            String(10_000 + index) + String(repeating: "x", count: 250)
        }
        var frame = ByteBuffer()
        try FrameEncoder.encode(.buckets(.records(try self.records(names), wantsRest: true)), into: &frame)
        #expect(frame.readableBytes < 2 << 20)
        var decoder = FrameDecoder(handshakeDone: true)
        decoder.append(frame)
        guard case .peer(.buckets(.records(let back, true))) = try decoder.next() else { return #expect(Bool(false)) }
        #expect(back.count == BucketRecord.countMax)
    }

    @Test func aTableAboveTheLimitIsNotSent() throws {
        let names = (0...BucketRecord.countMax).map { String(10_000 + $0) }
        var frame = ByteBuffer()
        #expect(throws: WireError.self) {
            try FrameEncoder.encode(.buckets(.records(try self.records(names), wantsRest: true)), into: &frame)
        }
        #expect(frame.readableBytes == 0)
    }

    @Test func recordsOutOfOrderAndTwiceAreRefused() throws {
        for names in [["b", "a"], ["a", "a"]] {
            var frame = ByteBuffer()
            try FrameEncoder.encode(.buckets(.records(try self.records(names), wantsRest: false)), into: &frame)
            var decoder = FrameDecoder(handshakeDone: true)
            decoder.append(frame)
            #expect(throws: WireError.malformed(.buckets, .invalid(field: "bucket order"))) { try decoder.next() }
        }
    }

    @Test(
        arguments: [
            ("a forged count of records", "0200ffffffff0f"),
            ("more records than bytes", "0200c81f"),
            ("no record of that kind", "03"),
            ("a name without bytes", "020001000100000000000000010000"),
            ("node zero", "0200010161010000000000000000" + "00"),
            ("an unknown flag", "02000101610100000000000000018000"),
            ("a quorum that says nothing", "020001016101000000000000000101" + "00"),
            ("a quorum of zero", "020001016101000000000000000101" + "0400"),
            ("an unknown rule", "020001016101000000000000000110" + "03"),
            ("no time to live at all", "020001016101000000000000000120" + "00"),
            ("neither on nor off", "020001016101000000000000000140" + "02"),
            ("one byte too many", "02000101610100000000000000010000"),
        ])
    func aPayloadThatIsNoneIsRefused(_ what: String, _ hex: String) throws {
        let digits = Array(hex)
        let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(digits[$0...($0 + 1)]), radix: 16)
        }
        #expect(throws: WireError.self, "\(what)") { try self.decoded(.buckets, ByteBuffer(bytes: bytes)) }
    }

    @Test func moreChangesThanTheLimitAreNotSent() throws {
        let name = try BucketName(ByteBuffer(string: "b"))
        let changes = Array(repeating: BucketChange.sloppy(true), count: BucketChange.countMax + 1)
        var frame = ByteBuffer()
        #expect(throws: WireError.self) {
            try FrameEncoder.encode(.bucketSet(name, changes), tag: 1, timeoutMilliseconds: 1, into: &frame)
        }
    }
}
