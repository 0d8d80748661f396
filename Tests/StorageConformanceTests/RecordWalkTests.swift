import Foundation
import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Testing

@testable import GyreLevelDB

/// What comes by the page is looked up along one cursor, and decided as if each were looked up alone.
struct RecordWalkTests {
    private let everything: ObjectRange = {
        var range = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        range.countMax = 10_000
        return range
    }()

    /// Pages as they come, and such as nobody sends: thin, backwards, in no order, with names twice.
    private func page(of names: [ObjectName], _ random: inout SeededRandom) -> [ObjectName] {
        let start = Int(random.below(UInt64(names.count)))
        let end = min(names.count, start + 1 + Int(random.below(120)))
        let part = Array(names[start..<end])
        switch random.below(5) {
        case 0: return part.reversed()
        case 1:
            let step = 1 + Int(random.below(40))
            return stride(from: Int(random.below(40)), to: names.count, by: step).map { names[$0] }
        case 2: return (0..<40).map { _ in names[Int(random.below(UInt64(names.count)))] }
        case 3: return part.flatMap { [$0, $0] }
        default: return part
        }
    }

    @Test(arguments: [0, 20_000, 4 << 20], UInt64(1)...6)
    func pagesAreDecidedAsOneByOne(cacheBytes: Int, seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var options = LevelDBOptions()
        options.recordCacheBytes = cacheBytes
        options.writeBufferBytes = 64 << 10
        let disk = try Store(.levelDB, options: options)
        let memory = try Store(.memory)
        let names = try (0..<500).map { try Sample.name("k\($0)", bucket: $0 % 3 == 0 ? "b" : "carts") }.sorted()
        var counter: UInt64 = 0
        for batch in 0..<60 {
            let all = StorageRequest.list(memory.tag(), self.everything)
            guard case .listed(let listed) = try memory.commit([all])[0] else { return }
            let digests = Dictionary(uniqueKeysWithValues: listed.entries.map { ($0.name, $0.digest) })
            var requests: [StorageRequest] = []
            for _ in 0..<random.below(4) {
                counter += 1
                let name = names[Int(random.below(500))]
                let put = Update.put(Sample.version(counter, "put \(counter)"), seen: .overwrite, ifAbsent: false)
                requests.append(.update(StorageTag(rawValue: counter), name, put))
            }
            let page = self.page(of: names, &random)
            if random.chance(1, in: 3) {
                let stale = RecordDigest(rawValue: 7)
                let objects = page.map { (name: $0, digest: random.chance(1, in: 5) ? stale : digests[$0] ?? stale) }
                counter += 1
                requests.append(.remove(StorageTag(rawValue: counter), objects))
            } else {
                for name in page {
                    counter += 1
                    let version = Sample.version(counter, "merged \(counter)", node: Sample.b)
                    let record = Sample.record(version)
                    requests.append(.merge(StorageTag(rawValue: counter), name, record: record, isPatient: true))
                }
            }
            let expected = try memory.commit(requests)
            #expect("\(try disk.commit(requests))" == "\(expected)", "seed \(seed), batch \(batch)")
            if random.chance(1, in: 15) { try disk.reopen() }
        }
        var records = self.everything
        records.shape = .records
        let list = StorageRequest.list(StorageTag(rawValue: 1), records)
        #expect("\(try disk.commit([list]))" == "\(try memory.commit([list]))", "seed \(seed)")
        let figures = (try disk.figures(), try memory.figures())
        #expect(figures.0.keys == figures.1.keys && figures.0.tombstones == figures.1.tombstones, "seed \(seed)")
    }

    /// A damaged block hides what is in it, and shows what older tables have; neither is taken for what is held.
    @Test func whatIsDamagedIsNotTakenForAbsent() throws {
        let directory = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let store = directory.path + "/store"
        let names = try (1...2_000).map { try Sample.name("\($0)") }.sorted()
        let open = { try LevelDBEngine(path: store, owner: Store.owner, options: LevelDBOptions()) }
        func merges(_ counter: UInt64, _ names: [ObjectName]) -> [StorageRequest] {
            let record = Sample.record(Sample.version(counter, String(repeating: "v", count: 100)))
            return names.map { .merge(StorageTag(rawValue: 1), $0, record: record, isPatient: true) }
        }
        do {
            let engine = try open()
            var writer = try CommitWriter(engine)
            var replies: [StorageReply] = []
            _ = try writer.commit(merges(1, names), from: 0, into: &replies)
            engine.compact()
        }
        for table in try FileManager.default.contentsOfDirectory(atPath: store) where table.hasSuffix(".ldb") {
            let file = URL(fileURLWithPath: store + "/" + table)
            var bytes = try Data(contentsOf: file)
            for place in stride(from: 5_000, to: bytes.count - 20_000, by: 60_000) {
                bytes[bytes.startIndex + place] ^= 0x10
            }
            try bytes.write(to: file)
        }
        let engine = try open()
        var writer = try CommitWriter(engine)
        var scratch = ByteBuffer()
        var damaged: Set<ObjectName> = []
        for name in names {
            if case .corrupt = try engine.held(RecordPlace(name), scratch: &scratch) { damaged.insert(name) }
        }
        #expect(damaged.count > 20 && damaged.count < 1_000)
        // Twice: the second time what was merged stands in memory before the damage.
        for counter in [2, 3] as [UInt64] {
            var replies: [StorageReply] = []
            for start in stride(from: 0, to: names.count, by: 192) {
                let page = Array(names[start..<min(start + 192, names.count)])
                _ = try writer.commit(merges(counter, page), from: 0, into: &replies)
            }
            let refused = zip(names, replies).filter { $1.outcome.refusal == .corrupt }.map(\.0)
            #expect(Set(refused) == damaged)
        }
        let record = Sample.record(Sample.version(3, String(repeating: "v", count: 100)))
        let all = names.map { (name: $0, digest: RecordDigest?.some(RecordDigest(of: record, name: $0))) }
        var left: Set<ObjectName> = []
        for start in stride(from: 0, to: all.count, by: 128) {
            let page = Array(all[start..<min(start + 128, all.count)])
            var replies: [StorageReply] = []
            _ = try writer.commit([.remove(StorageTag(rawValue: 1), page)], from: 0, into: &replies)
            guard case .removed(let removed)? = replies.first?.outcome else { continue }
            left.formUnion(zip(page, removed).filter { !$1 }.map(\.0.name))
        }
        #expect(left == damaged)
    }
}
