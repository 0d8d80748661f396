package import GyreBase
import NIOCore

/// A store in memory with the durability of a disk, for the simulator and as the twin of the LevelDB engine in tests.
///
/// Writes are staged and become durable, and visible to reads, at `sync`. A power cut keeps a prefix of the staged batches,
/// as a log does. Deterministic; a value with one owner.
package struct MemoryEngine: Sendable {
    /// The objects, by name, as value bytes on a disk would be.
    private var durable: [ObjectName: ByteBuffer] = [:]
    private var ceiling: UInt64 = 1
    private var members: ByteBuffer?
    private var buckets: ByteBuffer?
    private var counts = ObjectCounts()

    /// What was asked since the last `sync`, one entry a batch, and the newest staged record of each object in them.
    private var staged: [Batch] = []
    private var overlay: [ObjectName: ObjectRecord] = [:]
    private var stagedCounts = ObjectCounts()

    /// Commits, writes and corrupt records since the start.
    private var figures = StorageFigures()

    private struct Batch: Sendable {
        var records: [(name: ObjectName, value: ByteBuffer)] = []
        var ceiling: UInt64?
        var members: ByteBuffer?
        var buckets: ByteBuffer?
        var countsAfter = ObjectCounts()
        var writes: UInt64 = 0
    }

    /// A new, empty store.
    package init() {}

    // MARK: - Requests

    /// Does `batch` in order and appends one reply to each request.
    ///
    /// Replies to writes may be shown to the node only after the next `sync`; replies to reads at once.
    package mutating func stage(_ batch: [StorageRequest], into replies: inout [StorageReply]) {
        var changes = Batch()
        replies.reserveCapacity(replies.count + batch.count)
        for request in batch {
            replies.append(StorageReply(tag: request.tag, outcome: self.outcome(of: request, &changes)))
        }
        guard changes.writes > 0 else { return }
        changes.countsAfter = self.stagedCounts
        self.staged.append(changes)
    }

    /// Makes everything staged durable and visible.
    package mutating func sync() {
        guard !self.staged.isEmpty else { return }
        self.apply(prefix: self.staged.count)
        self.figures.commits += 1
    }

    /// The number of staged batches that wait for `sync`.
    package var stagedBatches: Int { self.staged.count }

    /// A power cut: of the staged batches the first `count` reached the disk, the rest are gone.
    ///
    /// What remains is the store as the next process finds it; `recovered` says what that process learns.
    package mutating func crash(keepingBatches count: Int) {
        self.apply(prefix: min(max(count, 0), self.staged.count))
        self.figures = StorageFigures()
    }

    /// What a node learns from this disk before its first input.
    package var recovered: RecoveredState {
        RecoveredState(counterFloor: self.ceiling, members: self.members, buckets: self.buckets)
    }

    // MARK: - For checkers

    /// The durable objects with a sound record or without one, sorted by storage key.
    package var records: [(name: ObjectName, held: HeldRecord)] {
        self.durable.sorted { StorageKey.precedes($0.key, $1.key) }
            .map { ($0.key, RecordFormat.read($0.value, name: $0.key)) }
    }

    /// What is durable under `name`.
    package func held(_ name: ObjectName) -> HeldRecord {
        guard let value = self.durable[name] else { return .absent }
        return RecordFormat.read(value, name: name)
    }

    /// How many objects are durable, tombstones included.
    package var objectCount: Int { self.durable.count }

    /// Flips one bit of the durable record of `name`, counted from the start and wrapped around its length.
    /// False when there is none.
    @discardableResult
    package mutating func corrupt(_ name: ObjectName, bit: UInt64 = 77) -> Bool {
        guard var value = self.durable[name], value.readableBytes > 0 else { return false }
        let target = bit % (UInt64(value.readableBytes) * 8)
        let index = value.readerIndex + Int(target / 8)
        guard let byte = value.getInteger(at: index, as: UInt8.self) else { return false }
        value.setInteger(byte ^ (1 << UInt8(target % 8)), at: index)
        self.durable[name] = value
        return true
    }

    /// Moves the durable record of one object under the name of another, as a misdirected write would.
    package mutating func misplace(from source: ObjectName, to target: ObjectName) {
        self.durable[target] = self.durable[source]
    }

    // MARK: - One request

    private mutating func outcome(of request: StorageRequest, _ changes: inout Batch) -> StorageOutcome {
        switch request {
        case .read(_, let name, let depth):
            let held = self.held(name)
            if case .corrupt = held { self.figures.corruptRecords += 1 }
            return RecordRules.read(held, depth: depth)
        case .update(_, let name, let update):
            let current = self.current(name)
            return self.take(RecordRules.update(current, update, name: name), name, over: current, &changes)
        case .merge(_, let name, let record):
            let current = self.current(name)
            let decision = RecordRules.merge(current, record, name: name, heals: false)
            return self.take(decision, name, over: current, &changes)
        case .heal(_, let name, let record):
            let current = self.current(name)
            let decision = RecordRules.merge(current, record, name: name, heals: true)
            return self.take(decision, name, over: current, &changes)
        case .lease(_, let ceiling):
            changes.ceiling = max(changes.ceiling ?? 0, ceiling)
            changes.writes += 1
            return .leased(ceiling: ceiling)
        case .keep(_, let document, let body):
            switch document {
            case .members: changes.members = body
            case .buckets: changes.buckets = body
            }
            changes.writes += 1
            return .kept
        case .figures:
            return .figures(self.currentFigures)
        }
    }

    private mutating func current(_ name: ObjectName) -> HeldRecord {
        if !self.overlay.isEmpty, let record = self.overlay[name] { return .held(record) }
        let held = self.held(name)
        if case .corrupt = held { self.figures.corruptRecords += 1 }
        return held
    }

    private mutating func take(
        _ decision: RecordDecision, _ name: ObjectName, over current: HeldRecord, _ changes: inout Batch
    ) -> StorageOutcome {
        guard let record = decision.write else { return decision.outcome }
        var value = ByteBuffer()
        value.reserveCapacity(RecordFormat.headBytes + record.body.readableBytes)
        RecordFormat.write(record, into: &value)
        changes.records.append((name, value))
        changes.writes += 1
        self.overlay[name] = record
        self.stagedCounts.replace(current, with: record)
        return decision.outcome
    }

    private mutating func apply(prefix count: Int) {
        for batch in self.staged[..<count] {
            for (name, value) in batch.records { self.durable[name] = value }
            if let ceiling = batch.ceiling { self.ceiling = max(self.ceiling, ceiling) }
            if let members = batch.members { self.members = members }
            if let buckets = batch.buckets { self.buckets = buckets }
            self.counts = batch.countsAfter
            self.figures.committedWrites += batch.writes
        }
        self.stagedCounts = self.counts
        self.staged.removeAll(keepingCapacity: true)
        self.overlay.removeAll(keepingCapacity: true)
    }

    private var currentFigures: StorageFigures {
        var figures = self.figures
        figures.keys = self.counts.keys
        figures.tombstones = self.counts.tombstones
        figures.diskBytes = self.durable.values.reduce(0) { $0 + UInt64($1.readableBytes) }
        return figures
    }
}
