import GyreBase
import GyreCausality
import NIOCore
import Testing

@Suite struct VersionVectorTests {
    @Test func anEntryCoversEveryDotUpToItsCounter() {
        let past = vector((a, 3), (c, 1))
        #expect(past.covers(Dot(node: a, counter: 1)))
        #expect(past.covers(Dot(node: a, counter: 3)))
        #expect(!past.covers(Dot(node: a, counter: 4)))
        #expect(!past.covers(Dot(node: b, counter: 1)))
        #expect(past.counter(of: b) == 0)
        #expect(VersionVector().isEmpty)
    }

    @Test func recordRaisesAndNeverLowers() {
        var past = VersionVector()
        past.record(Dot(node: b, counter: 2))
        past.record(Dot(node: a, counter: 5))
        past.record(Dot(node: b, counter: 1))
        #expect(past == vector((a, 5), (b, 2)))
        #expect(past.entries.map(\.node) == [a, b])
    }

    @Test(arguments: seeds)
    func mergeAndDescendsEqualThoseOfDotSets(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            let (x, y) = (Self.randomVector(&random), Self.randomVector(&random))
            var joined = x
            joined.merge(y)
            #expect(Self.dots(joined) == Self.dots(x).union(Self.dots(y)), "seed \(seed): \(x) with \(y)")
            #expect(x.descends(from: y) == Self.dots(y).isSubset(of: Self.dots(x)), "seed \(seed): \(x) from \(y)")
            #expect(x.entryCount(mergedWith: y) == joined.entries.count, "seed \(seed)")
        }
    }

    @Test(arguments: seeds)
    func decodingReturnsWhatWasEncoded(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<1_000 {
            let vector = Self.randomVector(&random)
            var writer = ByteWriter()
            vector.encode(into: &writer)
            var reader = ByteReader(writer.finish())
            #expect(try VersionVector(decoding: &reader) == vector, "seed \(seed)")
            #expect(reader.readableBytes == 0)
        }
    }

    @Test func goldenBytesOfAVector() {
        var writer = ByteWriter()
        vector((a, 1), (b, 300)).encode(into: &writer)
        #expect(
            Array(writer.finish().readableBytesView) == [
                2, 0, 0, 0, 0, 0, 0, 0, 0xA, 1, 0, 0, 0, 0, 0, 0, 0, 0xB, 0xAC, 2,
            ])
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let error: DecodeError
    }

    private static let entryA: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0xA, 1]
    private static let entryB: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0xB, 1]

    @Test(arguments: [
        Refusal(testDescription: "no bytes", bytes: [], error: .truncated),
        Refusal(testDescription: "an entry cut short", bytes: [1, 0, 0, 0], error: .truncated),
        Refusal(testDescription: "more entries than bytes", bytes: [9] + entryA, error: .truncated),
        Refusal(
            testDescription: "nodes unsorted", bytes: [2] + entryB + entryA,
            error: .invalid(field: "version vector order")
        ),
        Refusal(
            testDescription: "a node twice", bytes: [2] + entryA + entryA,
            error: .invalid(field: "version vector order")
        ),
        Refusal(
            testDescription: "a counter of zero", bytes: [1, 0, 0, 0, 0, 0, 0, 0, 0xA, 0],
            error: .invalid(field: "version vector counter")
        ),
        Refusal(testDescription: "a long varint", bytes: [0x81, 0x00] + entryA, error: .malformedInteger),
        Refusal(testDescription: "1,025 entries", bytes: [0x81, 0x08], error: .tooMany(count: 1_025, countMax: 1_024)),
        Refusal(
            testDescription: "2^64 − 1 entries", bytes: [UInt8](repeating: 0xFF, count: 9) + [1],
            error: .tooMany(count: .max, countMax: 1_024)
        ),
    ])
    func decodingRefuses(_ example: Refusal) {
        var reader = ByteReader(ByteBuffer(bytes: example.bytes))
        #expect(throws: example.error) { try VersionVector(decoding: &reader) }
    }

    static func randomVector(_ random: inout SeededRandom) -> VersionVector {
        var vector = VersionVector()
        for node in UInt64(1)...5 where random.chance(1, in: 2) {
            vector.record(Dot(node: NodeID(rawValue: node), counter: 1 + random.below(4)))
        }
        return vector
    }

    static func dots(_ vector: VersionVector) -> Set<Dot> {
        var dots: Set<Dot> = []
        for entry in vector.entries {
            for counter in 1...entry.counter { dots.insert(Dot(node: entry.node, counter: counter)) }
        }
        return dots
    }
}
