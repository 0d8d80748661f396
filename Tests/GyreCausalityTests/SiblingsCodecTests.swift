import GyreBase
import GyreCausality
import NIOCore
import Testing

@Suite struct SiblingsCodecTests {
    /// The example of docs/internals/causality.md.
    private static let golden: [UInt8] = [
        0x11,  // format 1, some version expires
        0x02,  // two versions
        0x02, 0, 0, 0, 0, 0, 0, 0, 0x0A, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x0B, 0xAC, 0x02,  // context {a: 3, b: 300}
        0x00, 0x02,  // dot a:2
        0, 0, 0, 0, 0, 0x05, 0, 0x01,  // 5 ms, logical 1
        0x00, 0x02, 0x68, 0x69,  // no flags, "hi"
        0x01, 0xAC, 0x02,  // dot b:300
        0, 0, 0, 0, 0, 0x06, 0, 0x00,  // 6 ms, logical 0
        0x03, 0xE8, 0x07,  // expiry and metadata; expires at 1,000 ms
        0x01, 0x74, 0x01, 0x01, 0x6B, 0x01, 0x76,  // content type "t", one field "k" = "v"
        0x00,  // an empty value
    ]

    private static func goldenValue() throws -> Siblings {
        let field = MetadataField(name: ByteBuffer(string: "k"), value: ByteBuffer(string: "v"))
        let first = Version(
            dot: Dot(node: a, counter: 2), time: HybridTime(wall: WallTime(milliseconds: 5), logical: 1), expiry: nil,
            metadata: .none, value: ByteBuffer(string: "hi")
        )
        let second = Version(
            dot: Dot(node: b, counter: 300), time: HybridTime(wall: WallTime(milliseconds: 6), logical: 0),
            expiry: WallTime(milliseconds: 1_000),
            metadata: try VersionMetadata(contentType: ByteBuffer(string: "t"), fields: [field]), value: ByteBuffer()
        )
        return Siblings(context: vector((a, 3), (b, 300)), sorted: [first, second])
    }

    @Test func goldenBytesStayAsTheyAre() throws {
        let value = try Self.goldenValue()
        #expect(Array(value.encoded.readableBytesView) == Self.golden)
        let buffer = ByteBuffer(bytes: Self.golden)
        #expect(try Siblings(encoded: buffer) == value)
        #expect(Array(Siblings().encoded.readableBytesView) == [0x01, 0x00, 0x00])
        var tombstone = value
        tombstone.delete(seen: .overwrite)
        #expect(Array(tombstone.encoded.readableBytesView) == [0x01, 0x00] + Self.golden[2..<22])
    }

    @Test(arguments: seeds)
    func decodingReturnsWhatWasEncodedAndLeavesTheRest(seed: UInt64) throws {
        var source = SiblingsSource(random: SeededRandom(seed: seed))
        for round in 0..<1_000 {
            let value = source.next()
            var buffer = value.encoded
            let summary = try Siblings.peek(buffer)
            #expect(summary.versionCount == value.versions.count)
            #expect(summary.hasExpiry == value.versions.contains { $0.expiry != nil })
            buffer.writeInteger(UInt8(0xEE))
            var reader = ByteReader(buffer)
            #expect(try Siblings(decoding: &reader) == value, "seed \(seed), round \(round)")
            #expect(reader.readableBytes == 1)
            #expect(throws: DecodeError.trailing(bytes: 1)) { try Siblings(encoded: buffer) }
        }
    }

    @Test(arguments: seeds)
    func whateverMutatedBytesDecodeToHasThoseBytes(seed: UInt64) {
        var source = SiblingsSource(random: SeededRandom(seed: seed))
        var decoded = 0
        for round in 0..<6_000 {
            var bytes = Array(source.next().encoded.readableBytesView)
            for _ in 0...source.random.below(3) {
                let index = Int(source.random.below(UInt64(bytes.count)))
                switch source.random.below(4) {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: source.random.next())
                case 1: bytes[index] ^= 1 << UInt8(source.random.below(8))
                case 2: bytes.insert(UInt8(truncatingIfNeeded: source.random.below(4)), at: index)
                default: if bytes.count > 1 { bytes.remove(at: index) }
                }
            }
            if Self.reencodes(bytes, "seed \(seed), round \(round)") { decoded += 1 }
        }
        #expect(decoded > 100, "only \(decoded) mutations decoded: the test looks at nothing")
    }

    @Test(arguments: seeds)
    func randomBytesNeverTrap(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<10_000 {
            var bytes: [UInt8] = [0x01 | (random.chance(1, in: 2) ? 0x10 : 0)]
            for _ in 0..<random.below(60) {
                let small = random.chance(2, in: 3)
                bytes.append(UInt8(truncatingIfNeeded: small ? random.below(4) : random.next()))
            }
            _ = Self.reencodes(bytes, "seed \(seed), round \(round)")
            _ = Self.reencodes(Array(bytes.dropFirst()), "seed \(seed), round \(round)")
        }
    }

    @Test func everyPrefixIsTruncated() {
        for length in Self.golden.indices {
            let buffer = ByteBuffer(bytes: Self.golden[..<length])
            #expect(throws: DecodeError.truncated) { try Siblings(encoded: buffer) }
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let error: DecodeError
    }

    private static let contextOfA: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 0xA, 2]
    private static func version(_ dot: [UInt8], _ rest: [UInt8]) -> [UInt8] { dot + [0, 0, 0, 0, 0, 0, 0, 0] + rest }

    @Test(arguments: [
        Refusal(
            testDescription: "another format version", bytes: [0x02, 0, 0], error: .invalid(field: "siblings format")
        ),
        Refusal(testDescription: "an unknown flag", bytes: [0x21, 0, 0], error: .invalid(field: "siblings format")),
        Refusal(
            testDescription: "an expiry flag over no versions", bytes: [0x11, 0, 0],
            error: .invalid(field: "siblings flags")
        ),
        Refusal(
            testDescription: "an expiry flag over versions without one",
            bytes: [0x11, 1] + contextOfA + version([0, 1], [0, 0]), error: .invalid(field: "siblings flags")
        ),
        Refusal(
            testDescription: "4,097 versions", bytes: [0x01, 0x81, 0x20, 0],
            error: .tooMany(count: 4_097, countMax: 4_096)
        ),
        Refusal(
            testDescription: "a version outside the context",
            bytes: [0x01, 1] + contextOfA + version([0, 3], [0, 0]),
            error: .invalid(field: "sibling counter")
        ),
        Refusal(
            testDescription: "a version of an actor that the context lacks",
            bytes: [0x01, 1] + contextOfA + version([1, 1], [0, 0]), error: .invalid(field: "sibling actor")
        ),
        Refusal(
            testDescription: "a counter of zero", bytes: [0x01, 1] + contextOfA + version([0, 0], [0, 0]),
            error: .invalid(field: "sibling counter")
        ),
        Refusal(
            testDescription: "a dot twice",
            bytes: [0x01, 2] + contextOfA + version([0, 1], [0, 0]) + version([0, 1], [0, 0]),
            error: .invalid(field: "siblings order")
        ),
        Refusal(
            testDescription: "a metadata flag over no metadata",
            bytes: [0x01, 1] + contextOfA + version([0, 1], [2, 0, 0, 0]), error: .invalid(field: "version flags")
        ),
        Refusal(
            testDescription: "a content type of 256 bytes",
            bytes: [0x01, 1] + contextOfA + version([0, 1], [2, 0x80, 2]), error: .tooLong(bytes: 256, bytesMax: 255)
        ),
        Refusal(
            testDescription: "65 fields",
            bytes: [0x01, 1] + contextOfA + version([0, 1], [2, 0, 65]), error: .tooMany(count: 65, countMax: 64)
        ),
        Refusal(
            testDescription: "a value above 64 MiB",
            bytes: [0x01, 1] + contextOfA + version([0, 1], [0, 0x81, 0x80, 0x80, 0x20]),
            error: .tooLong(bytes: 67_108_865, bytesMax: 67_108_864)
        ),
    ])
    func decodingRefuses(_ example: Refusal) {
        let buffer = ByteBuffer(bytes: example.bytes)
        #expect(throws: example.error) { try Siblings(encoded: buffer) }
    }

    @Test func metadataAboveALimitIsRefused() {
        let long = ByteBuffer(repeating: 0x61, count: 4_096)
        let one = ByteBuffer(string: "k")
        #expect(throws: DecodeError.tooLong(bytes: 4_097, bytesMax: 4_096)) {
            try VersionMetadata(contentType: one, fields: [MetadataField(name: one, value: long)])
        }
        #expect(throws: DecodeError.tooLong(bytes: 4_096, bytesMax: 255)) {
            try VersionMetadata(contentType: long, fields: [])
        }
        #expect(throws: DecodeError.tooMany(count: 65, countMax: 64)) {
            let field = MetadataField(name: one, value: one)
            return try VersionMetadata(contentType: one, fields: Array(repeating: field, count: 65))
        }
    }

    /// Decodes `bytes` if it can and expects exactly the bytes that were read back; true when they decoded.
    private static func reencodes(_ bytes: [UInt8], _ label: String) -> Bool {
        let whole = ByteBuffer(bytes: bytes)
        var rest = ByteReader(whole)
        guard let value = try? Siblings(decoding: &rest) else { return false }
        let read = whole.getSlice(at: 0, length: whole.readableBytes - rest.readableBytes)
        if value.encoded != read { Issue.record("\(label): \(bytes) has a second form") }
        return true
    }
}
