package import GyreBase
import NIOCore

/// A store in memory with the durability of a disk, for the simulator and as the twin of the LevelDB engine in tests.
///
/// Writes are staged and become durable, and visible to reads, at `sync`. A power cut keeps a prefix of the staged batches,
/// as a log does. Deterministic; a value with one owner.
package struct MemoryEngine: Sendable {
    /// The records, by place, as value bytes on a disk would be.
    private var durable: [RecordPlace: ByteBuffer] = [:]
    private var ceiling: UInt64 = 1
    private var members: ByteBuffer?
    private var buckets: ByteBuffer?
    private var trees: [ByteBuffer] = []
    private var isRefilled = false
    private var author: ByteBuffer?
    private var ring: ByteBuffer?
    private var presence: ByteBuffer?
    private var totals = StoreTotals()

    /// What was asked since the last `sync`, one entry a batch, and the newest staged record of each place in them; nil
    /// where a hint was dropped.
    private var staged: [Batch] = []
    private var overlay: [RecordPlace: ObjectRecord?] = [:]
    private var stagedTotals = StoreTotals()
    private let hintBytesMax: UInt64

    /// Commits, writes and corrupt records since the start.
    private var figures = StorageFigures()

    private struct Batch: Sendable {
        var records: [(place: RecordPlace, value: ByteBuffer?)] = []
        var ceiling: UInt64?
        var members: ByteBuffer?
        var buckets: ByteBuffer?
        var totalsAfter = StoreTotals()
        var trees: [ByteBuffer]?
        var isRefilled = false
        var author: ByteBuffer?
        var ring: ByteBuffer?
        var presence: ByteBuffer?
        var writes: UInt64 = 0
    }

    /// What is kept about all records together.
    private struct StoreTotals: Sendable {
        var objects = ObjectCounts()
        var hints = HintTotals()
    }

    /// A new, empty store that takes hints up to a limit.
    package init(hintBytesMax: UInt64 = 1 << 30) { self.hintBytesMax = hintBytesMax }

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
        changes.totalsAfter = self.stagedTotals
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
        var state = RecoveredState(
            counterFloor: self.ceiling, members: self.members, hints: self.totals.hints.backlogs)
        state.holdsObjects = self.totals.objects != ObjectCounts()
        state.buckets = self.buckets
        state.isRefilled = self.isRefilled
        state.author = self.author.flatMap { RecoveredState.author(from: $0) }
        state.trees = self.trees
        state.ring = self.ring
        state.presence = self.presence
        return state
    }

    // MARK: - For checkers

    /// The durable objects with a sound record or without one, sorted by storage key.
    package var records: [(name: ObjectName, held: HeldRecord)] {
        self.places(of: nil).map { ($0.name, self.held($0)) }
    }

    /// The durable hints for `target`, sorted by storage key.
    package func hints(for target: NodeID) -> [(name: ObjectName, held: HeldRecord)] {
        self.places(of: target).map { ($0.name, self.held($0)) }
    }

    /// What is kept for other nodes and durable, sorted by node.
    package var hintBacklogs: [HintBacklog] { self.totals.hints.backlogs }

    /// What is durable under `name`.
    package func held(_ name: ObjectName) -> HeldRecord { self.held(RecordPlace(name)) }

    /// How many objects are durable, tombstones included.
    package var objectCount: Int { self.durable.keys.count { $0.target == nil } }

    /// Flips one bit of the durable record of `name`, counted from the start and wrapped around its length.
    /// False when there is none.
    @discardableResult
    package mutating func corrupt(_ name: ObjectName, bit: UInt64 = 77) -> Bool {
        let place = RecordPlace(name)
        guard var value = self.durable[place], value.readableBytes > 0 else { return false }
        let target = bit % (UInt64(value.readableBytes) * 8)
        let index = value.readerIndex + Int(target / 8)
        guard let byte = value.getInteger(at: index, as: UInt8.self) else { return false }
        value.setInteger(byte ^ (1 << UInt8(target % 8)), at: index)
        self.durable[place] = value
        return true
    }

    /// Moves the durable record of one object under the name of another, as a misdirected write would.
    package mutating func misplace(from source: ObjectName, to target: ObjectName) {
        self.durable[RecordPlace(target)] = self.durable[RecordPlace(source)]
    }

    /// What is durable at `place`.
    package func held(_ place: RecordPlace) -> HeldRecord {
        guard let value = self.durable[place] else { return .absent }
        return RecordFormat.read(value, name: place.name)
    }

    /// All places that hold something durable, objects first, each kind in storage order.
    package var allPlaces: [RecordPlace] {
        self.totals.hints.backlogs.reduce(into: self.places(of: nil)) { $0 += self.places(of: $1.target) }
    }

    private func places(of target: NodeID?) -> [RecordPlace] {
        self.durable.keys.filter { $0.target == target }.sorted { $0.name < $1.name }
    }

    // MARK: - One request

    private mutating func outcome(of request: StorageRequest, _ changes: inout Batch) -> StorageOutcome {
        switch request {
        case .read(_, let name, let depth):
            return self.read(RecordPlace(name), depth)
        case .update(_, let name, let update):
            return self.change(RecordPlace(name), &changes) { RecordRules.update($0, update, name: name) }
        case .merge(_, let name, let record, _):
            return self.change(RecordPlace(name), &changes) {
                RecordRules.merge($0, record, name: name, heals: false)
            }
        case .heal(_, let name, let record):
            return self.change(RecordPlace(name), &changes) { RecordRules.merge($0, record, name: name, heals: true) }
        case .collect(_, let name, let moment):
            return self.change(RecordPlace(name), &changes) {
                RecordRules.collect($0, expiredBefore: moment, name: name)
            }
        case .checkpoint(_, let trees):
            changes.trees = trees
            changes.writes += 1
            return .kept
        case .hint(_, let hint): return self.outcome(of: hint, &changes)
        case .remove(_, let objects):
            return .removed(objects.map { self.remove($0.name, $0.digest, &changes) })
        case .list(_, let range): return .listed(self.list(range))
        case .lease(_, let ceiling):
            changes.ceiling = max(changes.ceiling ?? 0, ceiling)
            changes.writes += 1
            return .leased(ceiling: ceiling)
        case .keep(_, let document, let body):
            switch document {
            case .members: changes.members = body
            case .buckets: changes.buckets = body
            case .refilled: changes.isRefilled = true
            case .author: changes.author = body
            case .ring: changes.ring = body
            case .presence: changes.presence = body
            }
            changes.writes += 1
            return .kept
        case .figures:
            return .figures(self.currentFigures)
        }
    }

    private mutating func outcome(of hint: HintRequest, _ changes: inout Batch) -> StorageOutcome {
        switch hint {
        case .read(let target, let name, let depth):
            return self.read(RecordPlace(name, hintFor: target), depth)
        case .keep(let target, let name, let record, let wall):
            return self.change(RecordPlace(name, hintFor: target), at: wall, &changes) {
                RecordRules.merge($0, record, name: name, heals: false)
            }
        case .update(let target, let name, let update, let wall):
            return self.change(RecordPlace(name, hintFor: target), at: wall, &changes) {
                RecordRules.update($0, update, name: name)
            }
        case .list(let target, let after, let countMax, let bytesMax):
            let held = self.places(of: target)
                .filter { place in after.map { $0 < place.name } ?? true }
                .map { ($0.name, self.held($0)) }
            return .listed(ObjectPage(held, countMax, bytesMax, .records))
        case .drop(let target, let name, let digest):
            let place = RecordPlace(name, hintFor: target)
            let current = self.current(place)
            let drops = RecordRules.mayDrop(current, digest)
            if drops {
                let old = self.bytes(of: place, current)
                self.stagedTotals.hints.replace(target, old: old, new: nil, at: WallTime(milliseconds: 0))
                changes.records.append((place, nil))
                changes.writes += 1
                self.overlay[place] = .some(nil)
            }
            return .dropped(backlog: self.stagedTotals.hints[target], wasDropped: drops)
        }
    }

    private mutating func remove(_ name: ObjectName, _ digest: RecordDigest?, _ changes: inout Batch) -> Bool {
        let place = RecordPlace(name)
        let current = self.current(place)
        guard RecordRules.mayDrop(current, digest) else { return false }
        self.stagedTotals.objects.remove(current)
        changes.trees = []
        changes.records.append((place, nil))
        changes.writes += 1
        self.overlay[place] = .some(nil)
        return true
    }

    private mutating func read(_ place: RecordPlace, _ depth: ReadDepth) -> StorageOutcome {
        let held = self.held(place)
        if case .corrupt = held { self.figures.corruptRecords += 1 }
        return RecordRules.read(held, depth: depth)
    }

    /// Objects of a range; an ordered listing sees what is staged, as it sees all writes before it.
    private func list(_ range: ObjectRange) -> ObjectPage {
        var places = self.places(of: nil)
        if range.isOrdered {
            for (place, record) in self.overlay where place.target == nil && record != nil && self.durable[place] == nil
            {
                places.append(place)
            }
            places.sort { $0.name < $1.name }
        }
        let wanted = places.filter { place in
            place.name.token >= range.first && place.name.token <= range.last
                && range.after.map { $0 < place.name } ?? true
        }
        let held = wanted.map { place -> (ObjectName, HeldRecord) in
            guard range.isOrdered, let record = self.overlay[place] else { return (place.name, self.held(place)) }
            return (place.name, record.map(HeldRecord.held) ?? .absent)
        }
        return ObjectPage(held, range.countMax, range.bytesMax, range.shape)
    }

    private mutating func current(_ place: RecordPlace) -> HeldRecord {
        if let record = self.overlay[place] { return record.map(HeldRecord.held) ?? .absent }
        let held = self.held(place)
        if case .corrupt = held { self.figures.corruptRecords += 1 }
        return held
    }

    private mutating func change(
        _ place: RecordPlace, at wall: WallTime = WallTime(milliseconds: 0), _ changes: inout Batch,
        _ decide: (HeldRecord) -> RecordDecision
    ) -> StorageOutcome {
        let current = self.current(place)
        let decision = decide(current)
        guard let record = decision.write else { return decision.outcome }
        var writer = ByteWriter()
        writer.reserveCapacity(minimumWritableBytes: RecordFormat.headBytes + record.body.readableBytes)
        RecordFormat.write(record, into: &writer)
        let value = writer.finish()
        if let target = place.target {
            let old = self.bytes(of: place, current)
            let new = place.bytes + value.readableBytes
            guard self.stagedTotals.hints.bytes &- UInt64(old ?? 0) &+ UInt64(new) <= self.hintBytesMax else {
                return .refused(.hintsFull(bytesMax: self.hintBytesMax))
            }
            self.stagedTotals.hints.replace(target, old: old, new: new, at: wall)
        } else {
            self.stagedTotals.objects.replace(current, with: record)
            changes.trees = []
        }
        changes.records.append((place, value))
        changes.writes += 1
        self.overlay[place] = record
        return decision.outcome
    }

    /// What the hint at `place` counts for in the backlog; nil when there is none.
    private func bytes(of place: RecordPlace, _ held: HeldRecord) -> Int? {
        switch held {
        case .absent: nil
        case .held(let record): place.bytes + RecordFormat.headBytes + record.body.readableBytes
        case .corrupt: place.bytes + (self.durable[place]?.readableBytes ?? 0)
        }
    }

    private mutating func apply(prefix count: Int) {
        for batch in self.staged[..<count] {
            for (place, value) in batch.records { self.durable[place] = value }
            if let ceiling = batch.ceiling { self.ceiling = max(self.ceiling, ceiling) }
            if let members = batch.members { self.members = members }
            if let buckets = batch.buckets { self.buckets = buckets }
            if let trees = batch.trees { self.trees = trees }
            if batch.isRefilled { self.isRefilled = true }
            if let author = batch.author { self.author = author }
            if let ring = batch.ring { self.ring = ring }
            if let presence = batch.presence { self.presence = presence }
            self.totals = batch.totalsAfter
            self.figures.committedWrites += batch.writes
        }
        self.stagedTotals = self.totals
        self.staged.removeAll(keepingCapacity: true)
        self.overlay.removeAll(keepingCapacity: true)
    }

    private var currentFigures: StorageFigures {
        var figures = self.figures
        figures.keys = self.totals.objects.keys
        figures.tombstones = self.totals.objects.tombstones
        figures.hints = self.totals.hints.backlogs
        figures.diskBytes = self.durable.values.reduce(0) { $0 + UInt64($1.readableBytes) }
        return figures
    }
}
