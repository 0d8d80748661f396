import Foundation
import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Synchronization
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

    @Test(arguments: [0, 5_000, 200_000, 48 << 20])
    func aWriterDecidesTheSameWhateverItsCacheHolds(bytesMax: Int) throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            var options = LevelDBOptions()
            options.recordCacheBytes = bytesMax
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
        var rotten = try WriteBatch()
        rotten.put(StorageKey.bytes(of: name), ByteBuffer(string: "no record at all"))
        try engine.database.write(rotten, isSynced: true)
        guard case .refused(.corrupt) = try engine.read(name, .record) else {
            Issue.record("the record is not corrupt")
            return
        }
        let older = Sample.record(Sample.version(1, "older"))
        _ = try writer.commit([.heal(tag, name, record: older)], from: 0, into: &replies)
        guard case .record(let body, _) = try engine.read(name, .record) else {
            Issue.record("the record is still corrupt")
            return
        }
        #expect(try Siblings(encoded: body).values == ["newer"], "what the writer knew is not forgotten")
    }

    @Test func aRecordThatIsUnreadableOnDiskCanBeRemovedWhateverIsCached() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let engine = try LevelDBEngine(
            path: directory.path + "/store", owner: Store.owner, options: LevelDBOptions())
        var writer = try CommitWriter(engine)
        let name = try Sample.name("k")
        let tag = StorageTag(rawValue: 1)
        var replies: [StorageReply] = []
        let put = Update.put(Sample.version(1, "value"), seen: .blind, ifAbsent: false)
        _ = try writer.commit([.update(tag, name, put)], from: 0, into: &replies)
        #expect(engine.cachedOutcome(name, .record) != nil)
        var rotten = try WriteBatch()
        rotten.put(StorageKey.bytes(of: name), ByteBuffer(string: "no record at all"))
        try engine.database.write(rotten, isSynced: true)
        _ = try writer.commit([.remove(tag, [(name: name, digest: nil)])], from: 0, into: &replies)
        guard case .removed([true])? = replies.last?.outcome, case .absent = try engine.read(name, .record) else {
            Issue.record("it is still there")
            return
        }
        #expect(engine.cachedOutcome(name, .record) == nil)
    }

    // MARK: - What is kept

    private func record(_ value: String, of name: ObjectName) -> ObjectRecord {
        let body = Sample.record(Sample.version(1, value))
        return ObjectRecord(body: body, digest: RecordDigest(of: body, name: name), versionCount: 1, hasExpiry: false)
    }

    private func commit(_ names: [ObjectName], _ value: String = "value", in slab: inout RecordSlab) {
        for name in names {
            let isKept = slab.keep(name, self.record(value, of: name), isCommitted: false)
            #expect(isKept)
        }
        slab.endCommit()
    }

    @Test func whatCameInFirstLeavesFirst() throws {
        var slab = RecordSlab(bytesMax: 20_000)
        let names = try (0..<3_000).map { try Sample.name("key \($0)") }
        for name in names { self.commit([name], in: &slab) }
        // `holds` is no question that keeps an entry, so it changes nothing here.
        let kept = names.filter { slab.holds($0) }
        let count = slab.count
        #expect(kept.count == count && count > 80)
        #expect(kept == Array(names.suffix(kept.count)))
    }

    @Test func whatIsAskedForStaysAndTheRestLeaves() throws {
        var slab = RecordSlab(bytesMax: 20_000)
        let wanted = try (0..<10).map { try Sample.name("wanted \($0)") }
        self.commit(wanted, in: &slab)
        for number in 0..<1_000 {
            self.commit([try Sample.name("key \(number)")], in: &slab)
            let left = wanted.filter { slab.record($0, isCommitted: true) != nil }
            #expect(left == wanted)
        }
    }

    @Test func nothingLeavesBeforeTheCommitIsDone() throws {
        var slab = RecordSlab(bytesMax: 5_000)
        let names = try (0..<50).map { try Sample.name("key \($0)") }
        let kept = names.filter { slab.keep($0, self.record("value", of: $0), isCommitted: false) }
        #expect(kept.count < names.count && !kept.isEmpty)
        let written = kept.filter { slab.record($0, isCommitted: false) != nil }
        let shown = kept.filter { slab.record($0, isCommitted: true) != nil }
        #expect(written == kept && shown.isEmpty)
        slab.endCommit()
        let committed = kept.filter { slab.record($0, isCommitted: true) != nil }
        #expect(committed == kept)
        self.commit([names[49]], in: &slab)
    }

    @Test func aRecordTooLongReplacesWhatWasKnownByNothing() throws {
        var slab = RecordSlab(bytesMax: 1 << 20)
        let name = try Sample.name("key")
        self.commit([name], in: &slab)
        let long = String(repeating: "v", count: RecordSlab.entryBytesMax)
        let isKept = slab.keep(name, self.record(long, of: name), isCommitted: false)
        let known = slab.record(name, isCommitted: false)
        #expect(!isKept && known == nil)
        self.commit([name], "again", in: &slab)
        let again = self.record("again", of: name)
        let (now, digest) = (slab.record(name, isCommitted: true), slab.committedDigest(name))
        #expect(now?.body == again.body && digest == again.digest)
    }

    /// Against a dictionary: a slab may forget, but never tell what is not so.
    @Test(arguments: [4_096, 9_000, 100_000, 1 << 20])
    func aSlabNeverTellsWhatIsNotSo(bytesMax: Int) throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            var slab = RecordSlab(bytesMax: bytesMax)
            var written: [ObjectName: ByteBuffer] = [:]
            let names = try (0..<400).map {
                try Sample.name("\(String(repeating: "k", count: Int(random.below(60))))\($0)")
            }
            var found = 0
            for step in 0..<6_000 {
                let name = names[Int(random.below(400))]
                switch random.below(8) {
                case 0:
                    slab.forget(name)
                    written[name] = nil
                case 1: slab.endCommit()
                case 2...4:
                    let record = self.record(String(repeating: "v", count: Int(random.below(900))), of: name)
                    written[name] = record.body
                    if !slab.keep(name, record, isCommitted: random.below(2) == 0) { slab.forget(name) }
                default:
                    guard let record = slab.record(name, isCommitted: false) else { break }
                    found += 1
                    #expect(record.body == written[name], "seed \(seed), step \(step)")
                    #expect(record.digest == RecordDigest(of: record.body, name: name))
                }
            }
            #expect(found > 25, "seed \(seed)")
        }
    }

    // MARK: - Readers beside the writer

    @Test func whatIsNotCommittedIsNotShownAndWhatIsOutOfDateIsNotAdded() throws {
        let cache = RecordCache(bytesMax: 1 << 20)
        let name = try Sample.name("key")
        let (old, new) = (self.record("old", of: name), self.record("new", of: name))
        func shown() -> RecordDigest? {
            if case .digest(let digest)? = cache.outcome(name, .digest) { return digest }
            return nil
        }
        guard case .missed(let ticket?) = cache.look(name, .digest) else {
            Issue.record("no ticket for a name that nobody writes")
            return
        }
        #expect(cache.keep(name, new))
        #expect(shown() == nil, "the commit is under way")
        guard case .missed(nil) = cache.look(name, .digest) else {
            Issue.record("a ticket while the name is being written")
            return
        }
        cache.add(name, old, ticket)
        cache.endCommit()
        #expect(shown() == new.digest)
        // What is not kept is not shown either, nor what was read while it was written.
        guard case .missed(let late?) = cache.look(try Sample.name("other"), .digest) else { return }
        cache.forget(name)
        cache.forget(name)
        cache.endCommit()
        #expect(shown() == nil)
        cache.add(name, new, ticket)
        #expect(shown() == nil, "the ticket is older than a write")
        cache.add(try Sample.name("other"), old, late)
        #expect(cache.count == 1)
        #expect(cache.figures.hits > 0 && cache.figures.misses > 0)
    }

    /// One writer counts keys up while readers look by both ways: nobody sees a count that is older than one acknowledged before
    /// the question. The cache is so small that entries come and go all the time.
    @Test(arguments: [0, 4_096, 16_384, 1 << 20])
    func aReaderNeverSeesLessThanWasAcknowledged(bytesMax: Int) throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        var options = LevelDBOptions()
        options.recordCacheBytes = bytesMax
        options.durability = .none
        let engine = try LevelDBEngine(path: directory.path + "/store", owner: Store.owner, options: options)
        let names = try (0..<40).map { try Sample.name("key \($0)") }
        let acknowledged = Mutex([UInt64](repeating: 0, count: names.count))
        let isOver = Atomic<Bool>(false)
        let failures = Mutex<[String]>([])
        let reads = Atomic<Int>(0)
        let readers = (0..<2).map { number in
            let thread = Thread {
                var random = SeededRandom(seed: UInt64(number))
                var scratch = ByteBuffer()
                while !isOver.load(ordering: .relaxed) {
                    let index = Int(random.below(UInt64(names.count)))
                    let least = acknowledged.withLock { $0[index] }
                    let outcome =
                        (random.below(2) == 0 ? engine.cachedOutcome(names[index], .record) : nil)
                        ?? (try? engine.readThrough(names[index], .record, scratch: &scratch))
                    var seen: UInt64 = 0
                    if case .record(let body, _)? = outcome, let siblings = try? Siblings(encoded: body) {
                        seen = siblings.versions.map(\.dot.counter).max() ?? 0
                    }
                    if seen < least { failures.withLock { $0.append("key \(index): \(seen) < \(least)") } }
                    reads.wrappingAdd(1, ordering: .relaxed)
                }
            }
            thread.start()
            return thread
        }
        var writer = try CommitWriter(engine)
        var random = SeededRandom(seed: 7)
        var counter: UInt64 = 0
        for _ in 0..<4_000 {
            var requests: [StorageRequest] = []
            var changed: [Int: UInt64] = [:]
            for _ in 0...random.below(12) {
                counter += 1
                let index = Int(random.below(UInt64(names.count)))
                changed[index] = counter
                let value = String(repeating: "v", count: random.below(20) == 0 ? 17_000 : Int(random.below(400)))
                let put = Update.put(Sample.version(counter, value), seen: .overwrite, ifAbsent: false)
                requests.append(.update(StorageTag(rawValue: counter), names[index], put))
            }
            var replies: [StorageReply] = []
            _ = try writer.commit(requests, from: 0, into: &replies)
            acknowledged.withLock { for (index, count) in changed { $0[index] = count } }
        }
        isOver.store(true, ordering: .relaxed)
        for thread in readers { while !thread.isFinished { usleep(1_000) } }
        #expect(failures.withLock { $0 } == [])
        #expect(reads.load(ordering: .relaxed) > 1_000)
    }
}
