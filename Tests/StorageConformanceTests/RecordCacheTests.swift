import Foundation
import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Testing

@testable import GyreLevelDB

@Suite("Record cache")
struct RecordCacheTests {
    /// What a decision comes to, in a form that can be compared.
    private func summary(_ outcome: StorageOutcome) -> String {
        switch outcome {
        case .updated(_, let digest, let context, let change):
            "updated \(digest.rawValue) \(context.entries) \(String(describing: change))"
        case .merged(let digest, let clash, let change):
            "merged \(digest.rawValue) \(clash) \(String(describing: change))"
        case .refused(let refusal): "refused \(refusal)"
        default: "something else"
        }
    }

    private func requests(_ batch: Int, _ random: inout SeededRandom, _ counter: inout UInt64) throws
        -> [StorageRequest]
    {
        var requests: [StorageRequest] = []
        for _ in 0...random.below(12) {
            let name = try Sample.name("key \(random.below(20))")
            counter += 1
            let tag = StorageTag(rawValue: counter)
            // One in eight is too long for the cache.
            let value = String(repeating: "v", count: random.below(8) == 0 ? 20_000 : Int(random.below(300)))
            switch random.below(4) {
            case 0:
                let theirs = Sample.record(Sample.version(counter, value, node: Sample.b))
                requests.append(.merge(tag, name, record: theirs))
            case 1: requests.append(.update(tag, name, .delete(seen: .overwrite)))
            default:
                let seen: Seen = random.below(5) == 0 ? .blind : .overwrite
                requests.append(
                    .update(tag, name, .put(Sample.version(counter, value), seen: seen, ifAbsent: random.below(6) == 0))
                )
            }
        }
        return requests
    }

    @Test(arguments: [0, 2_000, 48 << 20])
    func aWriterDecidesTheSameWhateverItsCacheHolds(bytesMax: Int) throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            var options = LevelDBOptions()
            options.writtenRecordsBytesMax = bytesMax
            let store = try Store(.levelDB, options: options)
            let naive = try Store(.memory)
            var counter: UInt64 = 0
            for batch in 0..<60 {
                let requests = try self.requests(batch, &random, &counter)
                let expected = try naive.commit(requests).map(self.summary)
                #expect(try store.commit(requests).map(self.summary) == expected, "seed \(seed), batch \(batch)")
                if batch % 20 == 19 { try store.reopen() }
            }
            let figures = (try store.figures(), try naive.figures())
            #expect(figures.0.keys == figures.1.keys && figures.0.tombstones == figures.1.tombstones, "seed \(seed)")
        }
    }

    @Test func aRecordThatRotsOnDiskIsWrittenAgainFromWhatTheWriterRemembers() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let engine = try LevelDBEngine(
            path: directory.path + "/store", owner: Store.owner, options: LevelDBOptions())
        var writer = try CommitWriter(engine)
        let name = try Sample.name("k")
        var replies: [StorageReply] = []
        let tag = StorageTag(rawValue: 1)
        let put = Update.put(Sample.version(2, "newer"), seen: .blind, ifAbsent: false)
        _ = try writer.commit([.update(tag, name, put)], from: 0, into: &replies)
        let rotten = try WriteBatch()
        rotten.put(StorageKey.bytes(of: name), ByteBuffer(string: "no record at all"))
        try engine.database.write(rotten, isSynced: true)
        guard case .refused(.corrupt) = try engine.read(name, .record) else {
            Issue.record("the record is not corrupt")
            return
        }
        let older = Sample.record(Sample.version(1, "older"))
        _ = try writer.commit([.heal(tag, name, record: older)], from: 0, into: &replies)
        guard case .record(var body, _) = try engine.read(name, .record) else {
            Issue.record("the record is still corrupt")
            return
        }
        #expect(try Siblings(decoding: &body).values == ["newer"], "what the writer knew is not forgotten")
    }

    private func keep(_ name: ObjectName, _ value: String, in cache: inout RecordCache) -> Bool {
        let body = Sample.record(Sample.version(1, value))
        let record = ObjectRecord(
            body: body, digest: RecordDigest(of: body, name: name), versionCount: 1, hasExpiry: false)
        var entry = StorageKey.bytes(of: name)
        let keyBytes = entry.readableBytes
        RecordFormat.write(record, into: &entry)
        return cache.keep(entry, keyBytes: keyBytes, record, name: name)
    }

    @Test func whatCameInFirstLeavesFirstAndTheRestIsWithinTheLimit() throws {
        var cache = RecordCache(bytesMax: 20_000)
        let names = try (0..<3_000).map { try Sample.name("key \($0)") }
        for name in names {
            #expect(self.keep(name, "value", in: &cache))
            cache.trim()
            #expect(cache.bytes <= 20_000)
        }
        let kept = names.filter { cache.record($0) != nil }
        #expect(kept.count == cache.count && !kept.isEmpty)
        #expect(kept == Array(names.suffix(kept.count)))
    }

    @Test func nothingLeavesBeforeTheCommitIsDone() throws {
        var cache = RecordCache(bytesMax: 1_000)
        let names = try (0..<50).map { try Sample.name("key \($0)") }
        for name in names { #expect(self.keep(name, "value", in: &cache)) }
        for name in names { #expect(cache.record(name) != nil) }
    }

    @Test func aRecordTooLongReplacesWhatWasKnownByNothing() throws {
        var cache = RecordCache(bytesMax: 1 << 20)
        let name = try Sample.name("key")
        #expect(self.keep(name, "value", in: &cache))
        #expect(!self.keep(name, String(repeating: "v", count: RecordCache.recordBytesMax), in: &cache))
        #expect(cache.record(name) == nil)
        #expect(self.keep(name, "again", in: &cache))
        let body = Sample.record(Sample.version(1, "again"))
        #expect(cache.record(name)?.body == body)
        #expect(cache.record(name)?.digest == RecordDigest(of: body, name: name))
    }
}
