import Glibc
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore

/// Fills a store and asks it for keys that it does not have, with Gyre's filter, LevelDB's and none.
enum BloomReport {
    static func run(directory: String, keys: Int) throws {
        for (label, choice) in [
            ("gyre", FilterChoice.own(bitsPerKey: 10)), ("leveldb", .builtIn(bitsPerKey: 10)), ("off", .off),
        ] {
            var options = LevelDBOptions()
            options.durability = .none
            options.filter = choice
            let path = directory + "/bloom-\(label)"
            let engine = try LevelDBEngine(path: path, owner: Objects.node, options: options)
            try self.fill(engine, keys: keys)
            engine.compact()
            let checksBefore = engine.filterFigures
            let start = Objects.seconds
            var scratch = ByteBuffer()
            let questions = 200_000
            for number in 0..<questions {
                _ = try engine.held(
                    RecordPlace(try Objects.name(UInt64(number), bucket: "absent")), scratch: &scratch)
            }
            let elapsed = Objects.seconds - start
            let figures = engine.filterFigures
            let checks = figures.checks - checksBefore.checks
            let negatives = figures.negatives - checksBefore.negatives
            print("\(label): \(keys) keys, \(questions) absent asked for, \(Int(Double(questions) / elapsed))/s")
            if checks > 0 {
                let share = Double(negatives) / Double(checks) * 100
                print(
                    "  filter questions \(checks), answered no \(negatives): \(share) %, "
                        + "false positives \(figures.falsePositives - checksBefore.falsePositives)")
            }
        }
    }

    private static func fill(_ engine: LevelDBEngine, keys: Int) throws {
        var writer = try CommitWriter(engine)
        var next: UInt64 = 0
        let value = ByteBuffer(repeating: 7, count: 100)
        while next < UInt64(keys) {
            var batch: [StorageRequest] = []
            for _ in 0..<min(1_000, keys - Int(next)) {
                next += 1
                let update = Update.put(Objects.version(next, value: value), seen: .overwrite, ifAbsent: false)
                batch.append(.update(StorageTag(rawValue: next), try Objects.name(next), update))
            }
            var replies: [StorageReply] = []
            var start = 0
            while start < batch.count { start = try writer.commit(batch, from: start, into: &replies) }
        }
    }
}
