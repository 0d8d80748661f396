import GyreBase
import GyreMessages
import GyreNode
import NIOCore
import Testing

/// Draws records of a few buckets by a few nodes, so that versions meet and clash.
private struct RandomBuckets {
    var random: SeededRandom

    mutating func record(buckets: UInt64 = 6) throws -> BucketRecord {
        var properties = BucketProperties()
        if self.random.chance(1, in: 2) { properties.reads = .count(UInt8(1 + self.random.below(3))) }
        if self.random.chance(1, in: 2) { properties.sloppy = self.random.chance(1, in: 2) }
        if self.random.chance(1, in: 2) { properties.timeToLiveMilliseconds = 1 + self.random.below(3) }
        return BucketRecord(
            name: try bucketName("b\(self.random.below(buckets))"), properties: properties,
            version: BucketVersion(
                counter: 1 + self.random.below(3), node: NodeID(rawValue: 1 + self.random.below(3))))
    }

    mutating func table(_ count: Int) throws -> BucketTable {
        var table = BucketTable()
        for _ in 0..<count { table.merge(sorted: [try self.record()]) }
        return table
    }
}

func bucketName(_ text: String) throws -> BucketName { try BucketName(ByteBuffer(string: text)) }

private func merged(_ a: BucketTable, _ b: BucketTable) -> BucketTable {
    var table = a
    table.merge(sorted: b.records)
    return table
}

@Suite struct BucketTables {
    @Test(arguments: UInt64(0)..<50)
    func mergeCommutativelyAssociativelyAndIdempotently(seed: UInt64) throws {
        var draw = RandomBuckets(random: SeededRandom(seed: seed))
        let (a, b, c) = (try draw.table(8), try draw.table(8), try draw.table(8))
        #expect(merged(a, b) == merged(b, a))
        #expect(merged(merged(a, b), c) == merged(a, merged(b, c)))
        #expect(merged(a, a) == a)
        #expect(merged(merged(a, b), b) == merged(a, b))
        #expect(merged(a, b).hash == merged(b, a).hash)
    }

    /// The naive twin: a dictionary that keeps the greatest record of each name.
    @Test(arguments: UInt64(0)..<20)
    func holdTheLatestRecordOfEachBucket(seed: UInt64) throws {
        var draw = RandomBuckets(random: SeededRandom(seed: seed))
        var table = BucketTable()
        var twin: [BucketName: BucketRecord] = [:]
        for _ in 0..<100 {
            let record = try draw.record()
            let before = twin[record.name]
            twin[record.name] = before?.merged(with: record) ?? record
            #expect(table.merge(sorted: [record]) == (twin[record.name] != before))
            #expect(table[record.name] == twin[record.name])
        }
        #expect(table.records == twin.values.sorted { $0.name < $1.name })
        for (name, record) in twin {
            #expect(table.properties(of: name.bytes) ?? BucketProperties() == record.properties)
        }
    }

    @Test func cutToTheSameNamesInEveryOrderOfMerging() throws {
        let version = BucketVersion(counter: 1, node: NodeID(rawValue: 1))
        let all = try (0..<(BucketRecord.countMax + 200)).map { index in
            BucketRecord(
                name: try bucketName(String(100_000 + index)), properties: BucketProperties(), version: version)
        }
        let first = BucketTable(sorted: Array(all.prefix(BucketRecord.countMax)))
        let last = BucketTable(sorted: Array(all.suffix(BucketRecord.countMax)))
        #expect(merged(first, last) == merged(last, first))
        #expect(merged(last, first).records.count == BucketRecord.countMax)
        #expect(merged(last, first) == first)
    }

    @Test(arguments: UInt64(0)..<20)
    func comeBackFromTheirDocument(seed: UInt64) throws {
        var draw = RandomBuckets(random: SeededRandom(seed: seed))
        let table = try draw.table(10)
        #expect(try BucketTable(document: table.document) == table)
        #expect(try BucketTable(document: nil) == BucketTable())
    }

    @Test func refuseADocumentThatIsNone() throws {
        var draw = RandomBuckets(random: SeededRandom(seed: 1))
        let document = try draw.table(10).document
        for length in 0..<document.readableBytes {
            let part = document.getSlice(at: document.readerIndex, length: length)
            #expect(throws: BucketDocumentError.self) { try BucketTable(document: part) }
        }
        var longer = document
        longer.writeInteger(UInt8(0))
        #expect(throws: BucketDocumentError(reason: .trailing(bytes: 1))) { try BucketTable(document: longer) }
        var newer = document
        newer.setInteger(UInt8(2), at: newer.readerIndex)
        #expect(throws: BucketDocumentError.self) { try BucketTable(document: newer) }
    }

    @Test func haveGoldenBytes() throws {
        var properties = BucketProperties()
        properties.reads = .one
        properties.primaryWrites = .count(2)
        properties.siblings = .lastWriteWins
        properties.timeToLiveMilliseconds = 30_000
        properties.sloppy = false
        let record = BucketRecord(
            name: try bucketName("carts"), properties: properties,
            version: BucketVersion(counter: 3, node: NodeID(rawValue: 0xA1)))
        let hex = BucketTable(sorted: [record]).document.readableBytesView
            .map { hexadecimal(UInt64($0)).suffix(2) }.joined()
        #expect(
            hex == "0101" + "056361727473" + "03" + "00000000000000a1" + "79" + "01" + "0402" + "02" + "b0ea01" + "00")
    }

    @Test func namesOfTheWrongLengthAreRefused() throws {
        #expect(throws: ObjectNameError.bucket(bytes: 0, bytesMax: 255)) { try bucketName("") }
        #expect(throws: ObjectNameError.bucket(bytes: 256, bytesMax: 255)) {
            try bucketName(String(repeating: "x", count: 256))
        }
    }
}
