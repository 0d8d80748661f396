import GyreBase
package import GyreStorage
import NIOCore
import Synchronization

/// Turns a batch of write requests into one LevelDB write: read, merge, write, as one step each (architecture D6).
///
/// A request sees what the ones before it in the batch do. At most one writer a store; confined to one thread.
package final class CommitWriter {
    private let engine: LevelDBEngine
    private let batch: WriteBatch
    private var cache: RecordCache
    /// What the commit under way has written and the cache did not keep.
    private var overlay: [ObjectName: ObjectRecord] = [:]
    private var counts: ObjectCounts
    private var ceiling: UInt64
    private let allocator = ByteBufferAllocator()
    private var keyScratch = ByteBuffer()
    private var batchBytes = 0
    private var hasUnsynced = false

    /// A commit takes no further request from this many bytes of records on; LevelDB's own batches end at 4 GiB.
    package static let commitBytesMax = 8 << 20

    /// A writer of `engine`, which must have no other.
    package init(_ engine: LevelDBEngine) throws(StorageFailure) {
        self.engine = engine
        self.batch = try WriteBatch()
        self.cache = RecordCache(bytesMax: engine.options.writtenRecordsBytesMax)
        self.counts = engine.counters.objectCounts
        self.ceiling = engine.recovered.counterFloor
    }

    /// True when something was written and not yet synced; never with `durability = always`.
    package var needsSync: Bool { self.hasUnsynced }

    /// Does `requests` from index `start` on, in order, as one atomic write, and appends a reply to each; returns when they
    /// are as durable as the store's setting says. The index it returns is where the next commit goes on: a commit ends
    /// early at `commitMax` requests or `commitBytesMax` bytes.
    ///
    /// After an error nothing may be acknowledged any more (architecture D13).
    package func commit(
        _ requests: [StorageRequest], from start: Int, into replies: inout [StorageReply]
    ) throws(StorageFailure) -> Int {
        let countsBefore = self.counts
        let ceilingBefore = self.ceiling
        let end = min(start + self.engine.options.commitMax, requests.count)
        var index = start
        self.batchBytes = 0
        while index < end, self.batchBytes < Self.commitBytesMax {
            let outcome = try self.outcome(of: requests[index])
            replies.append(StorageReply(tag: requests[index].tag, outcome: outcome))
            index += 1
        }
        if self.counts != countsBefore { self.put(.counts, self.counts.body) }
        if self.ceiling != ceilingBefore { self.put(.lease, ByteBuffer(integer: self.ceiling)) }
        guard self.batch.count > 0 else { return index }
        let isSynced = self.engine.options.durability == .always
        try self.engine.database.write(self.batch, isSynced: isSynced)
        if !isSynced { self.hasUnsynced = true }
        let counters = self.engine.counters
        counters.set(self.counts)
        counters.commits.wrappingAdd(1, ordering: .relaxed)
        counters.committedWrites.wrappingAdd(UInt64(self.batch.count), ordering: .relaxed)
        self.batch.clear()
        if !self.overlay.isEmpty { self.overlay = [:] }
        self.cache.trim()
        return index
    }

    /// Syncs what was written without; LevelDB syncs its log with the next write that asks for it, an empty one too.
    package func sync() throws(StorageFailure) {
        guard self.hasUnsynced else { return }
        try self.engine.database.write(self.batch, isSynced: true)
        self.hasUnsynced = false
    }

    private func outcome(of request: StorageRequest) throws(StorageFailure) -> StorageOutcome {
        switch request {
        case .read(_, let name, let depth):
            return RecordRules.read(try self.engine.held(name, scratch: &self.keyScratch), depth: depth)
        case .update(_, let name, let update):
            let current = try self.current(name)
            return self.take(RecordRules.update(current, update, name: name), name, over: current)
        case .merge(_, let name, let record):
            let current = try self.current(name)
            return self.take(RecordRules.merge(current, record, name: name, heals: false), name, over: current)
        case .heal(_, let name, let record):
            let current = try self.current(name)
            return self.take(RecordRules.merge(current, record, name: name, heals: true), name, over: current)
        case .lease(_, let ceiling):
            self.ceiling = max(self.ceiling, ceiling)
            return .leased(ceiling: ceiling)
        case .keep(_, let document, let body):
            self.put(NodeRecord(document), body)
            return .kept
        case .figures:
            return .figures(self.engine.figures)
        }
    }

    private func current(_ name: ObjectName) throws(StorageFailure) -> HeldRecord {
        if let record = self.cache.record(name) { return .held(record) }
        if !self.overlay.isEmpty, let record = self.overlay[name] { return .held(record) }
        return try self.engine.held(name, scratch: &self.keyScratch)
    }

    private func take(
        _ decision: RecordDecision, _ name: ObjectName, over current: HeldRecord
    ) -> StorageOutcome {
        guard let record = decision.write else { return decision.outcome }
        // One buffer for key and value, of the right size from the start: the cache keeps it.
        let bytes =
            StorageKey.headBytes + name.bucket.readableBytes + name.key.readableBytes
            + RecordFormat.headBytes + record.body.readableBytes
        var entry = self.allocator.buffer(capacity: bytes)
        StorageKey.write(name, into: &entry)
        let keyBytes = entry.readableBytes
        RecordFormat.write(record, into: &entry)
        self.batch.put(entry, keyBytes: keyBytes)
        self.batchBytes += entry.readableBytes - keyBytes
        self.counts.replace(current, with: record)
        if !self.cache.keep(entry, keyBytes: keyBytes, versionCount: record.versionCount, name: name) {
            self.overlay[name] = record
        } else if !self.overlay.isEmpty {
            self.overlay[name] = nil
        }
        return decision.outcome
    }

    private func put(_ record: NodeRecord, _ body: ByteBuffer) {
        self.batch.put(record.key, record.value(body))
    }
}
