import Foundation
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore
import Testing

@Suite("Bloom filter")
struct BloomFilterTests {
    private func filter(_ hashes: some Sequence<UInt64>, keys: Int, bitsPerKey: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: BloomFilter.byteCount(keys: keys, bitsPerKey: bitsPerKey))
        bytes.withUnsafeMutableBytes { raw in
            BloomFilter.prepare(raw, probes: BloomFilter.probes(bitsPerKey: bitsPerKey))
            for hash in hashes { BloomFilter.insert(hash, into: raw) }
        }
        return bytes
    }

    private func mayContain(_ hash: UInt64, _ filter: [UInt8]) -> Bool {
        filter.withUnsafeBytes { BloomFilter.mayContain(hash, in: $0) }
    }

    private func hash(_ number: UInt64) -> UInt64 { withUnsafeBytes(of: number) { BloomFilter.hash($0) } }

    @Test(arguments: [(1, 1), (5, 3), (8, 6), (10, 7), (16, 11), (100, 30)])
    func theNumberOfProbesIsTheBestOne(bitsPerKey: Int, probes: Int) {
        #expect(BloomFilter.probes(bitsPerKey: bitsPerKey) == probes)
    }

    @Test(arguments: [0, 1, 10, 30, 1_000])
    func whatWasInsertedIsFound(keys: Int) {
        let filter = self.filter((0..<UInt64(keys)).map(self.hash), keys: keys, bitsPerKey: 10)
        for number in 0..<UInt64(keys) { #expect(self.mayContain(self.hash(number), filter)) }
    }

    /// LevelDB makes a filter for every 2 KiB of data, so sizes around 20 keys matter as much as large ones.
    @Test(arguments: [10, 20, 40, 1_000, 20_000], [8, 10, 12])
    func falsePositivesFollowTheFormula(keys: Int, bitsPerKey: Int) {
        let trials = max(2, 12_000 / keys)
        let questions = 150_000 / trials
        var positives = 0
        var expected = 0.0
        for trial in 0..<trials {
            let base = UInt64(trial) << 32
            let filter = self.filter(
                (0..<UInt64(keys)).map { self.hash(base + $0) }, keys: keys, bitsPerKey: bitsPerKey)
            for number in 0..<UInt64(questions) where self.mayContain(self.hash(base + 1 << 31 + number), filter) {
                positives += 1
            }
            let bits = Double((filter.count - 1) * 8)
            let probes = Double(BloomFilter.probes(bitsPerKey: bitsPerKey))
            expected += pow(1 - exp(-probes * Double(keys) / bits), probes)
        }
        let measured = Double(positives) / Double(trials * questions)
        let formula = expected / Double(trials)
        // The formula is a lower bound that small filters exceed a little: filled bits vary from filter to filter.
        #expect(measured < formula * (keys < 100 ? 1.35 : 1.15), "measured \(measured), formula \(formula)")
        #expect(measured > formula * 0.85, "measured \(measured), formula \(formula)")
    }

    @Test func itsBytesAreFrozen() {
        let filter = self.filter((1...4).map(self.hash), keys: 4, bitsPerKey: 10)
        #expect(filter.map { String($0, radix: 16) }.joined(separator: " ") == goldenFilter)
        #expect("\(BloomFilter.name)" == "gyre.bloom.xxh3.v1")
    }

    @Test func foreignBytesAnswerMaybe() {
        for bytes in [[], [7], [0, 0, 0, 31], [0, 0, 255]] as [[UInt8]] { #expect(self.mayContain(3, bytes)) }
    }

    @Test func absentKeysReadNoDataBlock() throws {
        let keys = UInt64(ProcessInfo.processInfo.environment["GYRE_BLOOM_KEYS"] ?? "") ?? 20_000
        var options = LevelDBOptions()
        options.durability = .none
        options.writeBufferBytes = 1 << 20
        options.tableBytes = 1 << 20
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let engine = try LevelDBEngine(path: directory.path + "/store", owner: Store.owner, options: options)
        var writer = try CommitWriter(engine)
        var next: UInt64 = 0
        while next < keys {
            var batch: [StorageRequest] = []
            for _ in 0..<1_000 {
                next += 1
                let update = Update.put(Sample.version(next, "value"), seen: .overwrite, ifAbsent: false)
                batch.append(.update(StorageTag(rawValue: next), try Sample.name("\(next)"), update))
            }
            var replies: [StorageReply] = []
            #expect(try writer.commit(batch, from: 0, into: &replies) == batch.count)
        }
        engine.compact()
        let before = engine.filterFigures
        for number in 0..<20_000 {
            guard case .absent = try engine.read(try Sample.name("absent \(number)"), .record) else {
                Issue.record("found what was never stored")
                return
            }
        }
        let after = engine.filterFigures
        let checks = after.checks - before.checks
        let negatives = after.negatives - before.negatives
        #expect(checks >= 19_000)
        #expect(Double(negatives) / Double(checks) >= 0.985, "\(negatives) of \(checks)")
        #expect(after.falsePositives - before.falsePositives == checks - negatives)
    }
}

private let goldenFilter = "4 c9 e1 6a 84 49 99 3 7"
