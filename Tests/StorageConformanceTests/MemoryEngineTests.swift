import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Testing

@Suite("Memory engine")
struct MemoryEngineTests {
    private func put(_ counter: UInt64, _ key: String) throws -> StorageRequest {
        let update = Update.put(Sample.version(counter, "\(counter)"), seen: .overwrite, ifAbsent: false)
        return .update(StorageTag(rawValue: counter), try Sample.name(key), update)
    }

    @Test func nothingIsVisibleBeforeItsSync() throws {
        var engine = MemoryEngine()
        var replies: [StorageReply] = []
        engine.stage([try self.put(1, "k")], into: &replies)
        #expect(engine.stagedBatches == 1)
        guard case .absent = engine.held(try Sample.name("k")) else {
            Issue.record("visible before the sync")
            return
        }
        engine.sync()
        #expect(engine.stagedBatches == 0)
        #expect(engine.objectCount == 1)
    }

    @Test(arguments: 0...4)
    func aPowerCutKeepsAPrefixOfTheBatches(kept: Int) throws {
        var engine = MemoryEngine()
        var replies: [StorageReply] = []
        for batch in 1...3 as ClosedRange<UInt64> {
            let requests = [try self.put(batch, "k\(batch)"), .lease(StorageTag(rawValue: 9), ceiling: batch * 100)]
            engine.stage(requests, into: &replies)
        }
        engine.crash(keepingBatches: kept)
        let survivors = min(kept, 3)
        #expect(engine.objectCount == survivors)
        #expect(engine.recovered.counterFloor == max(1, UInt64(survivors) * 100))
        replies = []
        engine.stage([.figures(StorageTag(rawValue: 1))], into: &replies)
        guard case .figures(let figures) = replies[0].outcome else {
            Issue.record("no figures")
            return
        }
        #expect(figures.keys == UInt64(survivors))
    }

    @Test func aCrashForgetsStagedRecordsForLaterRequestsToo() throws {
        var engine = MemoryEngine()
        var replies: [StorageReply] = []
        engine.stage([try self.put(1, "k")], into: &replies)
        engine.crash(keepingBatches: 0)
        replies = []
        let update = Update.put(Sample.version(2, "b"), seen: .blind, ifAbsent: true)
        engine.stage([.update(StorageTag(rawValue: 2), try Sample.name("k"), update)], into: &replies)
        #expect(replies[0].outcome.isUpdated)
    }

    @Test func recordsComeInStorageKeyOrder() throws {
        var engine = MemoryEngine()
        var replies: [StorageReply] = []
        engine.stage(try (1...100).map { try self.put($0, "k\($0)") }, into: &replies)
        engine.sync()
        let names = engine.records.map(\.name)
        #expect(names.count == 100)
        #expect(zip(names, names.dropFirst()).allSatisfy { $0 < $1 })
    }
}
