import Foundation
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore

private let node = NodeID(rawValue: 1)
private let storedKeys = 100_000

/// A store in a directory of its own, which goes with the process that made it.
private final class ScratchStore {
    let engine: LevelDBEngine
    private let path: String

    init(_ name: String, _ options: LevelDBOptions) throws {
        self.path = NSTemporaryDirectory() + "/gyre-micro-\(name)-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
        self.engine = try LevelDBEngine(path: self.path + "/store", owner: node, options: options)
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }
}

private func name(_ index: Int) throws -> ObjectName {
    try ObjectName(bucket: ByteBuffer(string: "bench"), key: ByteBuffer(string: "key\(index)"))
}

private func updates(_ indices: Range<Int>, from counter: UInt64) throws -> [StorageRequest] {
    let value = ByteBuffer(repeating: 7, count: 100)
    return try indices.map { index in
        let dot = Dot(node: node, counter: counter + UInt64(index - indices.lowerBound))
        let version = Version(dot: dot, time: .zero, expiry: nil, metadata: .none, value: value)
        return .update(
            StorageTag(rawValue: UInt64(index)), try name(index % storedKeys),
            .put(version, seen: .overwrite, ifAbsent: false, now: version.time.wall))
    }
}

/// Writes `storedKeys` keys and moves them into tables, so that lookups of other keys ask the filters.
private func filledStore(_ label: String, _ filter: FilterChoice) throws -> ScratchStore {
    var options = LevelDBOptions()
    options.durability = .none
    options.filter = filter
    let store = try ScratchStore(label, options)
    var writer = try CommitWriter(store.engine)
    let requests = try updates(0..<storedKeys, from: 1)
    var replies: [StorageReply] = []
    var next = 0
    while next < requests.count { next = try writer.commit(requests, from: next, into: &replies) }
    store.engine.compact()
    return store
}

private func lookups(_ label: String, _ filter: FilterChoice, missing: Bool) -> Workload {
    let what = missing ? "missing" : "present"
    return Workload(name: "storage/get-\(what)/100k-keys,100B,filter=\(label)/seed=42", operations: 200_000) {
        operations in
        let store = try filledStore(label, filter)
        return {
            var random = SeededRandom(seed: 42)
            var scratch = ByteBuffer()
            var hash = ResultHash()
            for _ in 0..<operations {
                let index = Int(random.below(UInt64(storedKeys))) + (missing ? storedKeys : 0)
                switch try store.engine.held(RecordPlace(try name(index)), scratch: &scratch) {
                case .held(let record): hash.record(record.digest.rawValue)
                case .absent, .corrupt: hash.record(0)
                }
            }
            return hash.value
        }
    }
}

let storageWorkloads: [Workload] = [
    Workload(name: "storage/put/100k-keys,100B,64-a-commit,unsynced/seed=42", operations: 200_000) { operations in
        var options = LevelDBOptions()
        options.durability = .none
        let store = try ScratchStore("put", options)
        var writer = try CommitWriter(store.engine)
        var counter: UInt64 = 1
        return {
            // The directory goes with the store, so the store must outlive its writer.
            defer { withExtendedLifetime(store) {} }
            var replies: [StorageReply] = []
            var done = 0
            while done < operations {
                let end = min(done + 64, operations)
                let requests = try updates(done..<end, from: counter)
                counter += UInt64(requests.count)
                replies.removeAll(keepingCapacity: true)
                _ = try writer.commit(requests, from: 0, into: &replies)
                done = end
            }
            return UInt64(done)
        }
    },
    lookups("own", .own(bitsPerKey: 10), missing: false),
    lookups("own", .own(bitsPerKey: 10), missing: true),
    lookups("leveldb", .builtIn(bitsPerKey: 10), missing: true),
    lookups("off", .off, missing: true),
]
