import GyreBase
package import GyreStorage
import NIOCore
import Synchronization

/// Turns a batch of write requests into one LevelDB write: read, merge, write, as one step each (architecture D6).
///
/// A request sees what the ones before it in the batch do. At most one writer a store, which is why it cannot be copied;
/// confined to one thread.
package struct CommitWriter: ~Copyable {
    private let engine: LevelDBEngine
    private var batch: WriteBatch
    /// What the commit under way has written and the cache does not keep; nil where something was taken away.
    private var overlay: [RecordPlace: ObjectRecord?] = [:]
    private var counts: ObjectCounts
    private var hints: HintTotals
    /// Whether checkpoints of hash trees are marked as true.
    private var hasTrees: Bool
    private var ceiling: UInt64
    private var keyScratch = ByteBuffer()
    private var entryScratch = ByteBuffer()
    private var batchBytes = 0
    private var tablePace: TablePace
    private var hasUnsynced = false
    /// Whether the commit under way keeps a document.
    private var mustSync = false
    /// Looks up what comes by the page; made when the commit under way first needs it.
    private var walk: RecordWalk?
    private var mayWalk = false
    /// Commits that do without, as a walk was slow.
    private var commitsWithoutWalk = 0
    private static let commitsAfterSlowWalk = 256

    /// A commit takes no further request from this many bytes of records on; LevelDB's own batches end at 4 GiB.
    package static let commitBytesMax = 8 << 20

    /// A writer of `engine`, which must have no other.
    package init(_ engine: LevelDBEngine) throws(StorageFailure) {
        self.engine = engine
        self.batch = try WriteBatch()
        self.tablePace = TablePace(bufferBytes: engine.options.writeBufferBytes)
        self.counts = engine.counters.objectCounts
        self.ceiling = engine.recovered.counterFloor
        self.hints = engine.counters.hintTotals
        self.hasTrees = !engine.recovered.trees.isEmpty
    }

    /// True when something was written and not yet synced; never with `durability = always`.
    package var needsSync: Bool { self.hasUnsynced }

    /// Does `requests` from index `start` on, in order, as one atomic write, and appends a reply to each; returns when they
    /// are as durable as the store's setting says. The index it returns is where the next commit goes on: a commit ends
    /// early at `commitMax` requests or `commitBytesMax` bytes.
    ///
    /// After an error nothing may be acknowledged any more (architecture D13).
    package mutating func commit(
        _ requests: [StorageRequest], from start: Int, into replies: inout [StorageReply]
    ) throws(StorageFailure) -> Int {
        let countsBefore = self.counts
        let ceilingBefore = self.ceiling
        let hintsBefore = self.hints
        let end = min(start + self.engine.options.commitMax, requests.count)
        var index = start
        self.batchBytes = 0
        while index < end, self.batchBytes < Self.commitBytesMax {
            // A listing that takes its place among the writes must see those before it, and so must the walk of a removal: both
            // begin a commit.
            let request = requests[index]
            if request.seesDiskOnly, self.batch.count > 0 { break }
            let outcome = try self.outcome(of: request)
            replies.append(StorageReply(tag: request.tag, outcome: outcome))
            index += 1
        }
        self.endWalk()
        if self.counts != countsBefore { self.put(.counts, self.counts.body) }
        if self.ceiling != ceilingBefore { self.put(.lease, ByteBuffer(integer: self.ceiling)) }
        if self.hints != hintsBefore { self.put(.hintTotals, self.hints.body) }
        guard self.batch.count > 0 else { return index }
        // The node's own documents and its lease are few, and others act on what they say.
        let isSynced = self.engine.options.durability == .always || self.mustSync || self.ceiling != ceilingBefore
        try self.engine.database.write(self.batch, isSynced: isSynced)
        self.hasUnsynced = !isSynced
        self.mustSync = false
        let counters = self.engine.counters
        counters.set(self.counts)
        if self.hints != hintsBefore { counters.set(self.hints) }
        counters.commits.wrappingAdd(1, ordering: .relaxed)
        counters.committedWrites.wrappingAdd(UInt64(self.batch.count), ordering: .relaxed)
        // Keys and what LevelDB adds to each entry, besides the values.
        let written = self.batchBytes + self.batch.count * 64
        self.batch.clear()
        let database = self.engine.database
        let isBehind = self.tablePace.isBehind(after: written, at: Mailbox.clock) { database.levelZeroTables }
        if let isBehind { database.setTablesBehind(isBehind) }
        for place in self.overlay.keys where place.target == nil { self.engine.cache.forget(place.name) }
        self.engine.cache.endCommit()
        if !self.overlay.isEmpty { self.overlay.removeAll(keepingCapacity: self.overlay.count <= 1_024) }
        // A scratch that one huge record has made large is not kept for ever.
        if self.entryScratch.capacity > 1 << 20 { self.entryScratch = ByteBuffer() }
        return index
    }

    /// Syncs what was written without; LevelDB syncs its log with the next write that asks for it, an empty one too.
    package mutating func sync() throws(StorageFailure) {
        guard self.hasUnsynced else { return }
        try self.engine.database.write(self.batch, isSynced: true)
        self.hasUnsynced = false
    }

    /// Syncs, and notes that nothing is missing; the last thing that a writer does.
    package mutating func end() throws(StorageFailure) {
        if self.engine.options.durability != .always { self.batch.delete(NodeRecord.unsynced.key) }
        guard self.hasUnsynced || self.batch.count > 0 else { return }
        try self.engine.database.write(self.batch, isSynced: true)
        self.batch.clear()
        self.hasUnsynced = false
    }

    private mutating func outcome(of request: StorageRequest) throws(StorageFailure) -> StorageOutcome {
        switch request {
        case .read(_, let name, let depth):
            return RecordRules.read(try self.engine.held(RecordPlace(name), scratch: &self.keyScratch), depth: depth)
        case .update(_, let name, let update):
            return try self.change(RecordPlace(name)) { RecordRules.update($0, update, name: name) }
        case .merge(_, let name, let record, let isPatient):
            if isPatient { self.mayWalk = true }
            return try self.change(RecordPlace(name)) { RecordRules.merge($0, record, name: name, heals: false) }
        case .heal(_, let name, let record):
            if self.overlay[RecordPlace(name)] == nil, let known = self.engine.cache.record(name),
                case .corrupt = try self.engine.held(RecordPlace(name), scratch: &self.keyScratch)
            {
                // What stood there is still in memory, and that is written again.
                return try self.change(RecordPlace(name)) { _ in RecordRules.restore(known, record, name: name) }
            }
            return try self.change(RecordPlace(name)) { RecordRules.merge($0, record, name: name, heals: true) }
        case .collect(_, let name, let moment):
            return try self.change(RecordPlace(name)) {
                RecordRules.collect($0, expiredBefore: moment, name: name)
            }
        case .checkpoint(_, let trees):
            self.keep(trees)
            return .kept
        case .hint(_, let hint): return try self.outcome(of: hint)
        case .remove(_, let objects):
            self.mayWalk = true
            var removed: [Bool] = []
            removed.reserveCapacity(objects.count)
            for object in objects {
                removed.append(try self.remove(object.name, object.digest))
            }
            return .removed(removed)
        case .list(_, let range): return .listed(try self.engine.list(range))
        case .lease(_, let ceiling):
            self.ceiling = max(self.ceiling, ceiling)
            return .leased(ceiling: ceiling)
        case .keep(_, let document, let body):
            self.put(NodeRecord(document), body)
            self.mustSync = true
            return .kept
        case .figures:
            return .figures(self.engine.figures)
        }
    }

    private mutating func outcome(of hint: HintRequest) throws(StorageFailure) -> StorageOutcome {
        switch hint {
        case .keep(let target, let name, let record, let wall):
            return try self.change(RecordPlace(name, hintFor: target), at: wall) {
                RecordRules.merge($0, record, name: name, heals: false)
            }
        case .update(let target, let name, let update, let wall):
            return try self.change(RecordPlace(name, hintFor: target), at: wall) {
                RecordRules.update($0, update, name: name)
            }
        case .drop(let target, let name, let digest):
            let place = RecordPlace(name, hintFor: target)
            let current = try self.current(place)
            let drops = RecordRules.mayDrop(current, digest)
            if drops {
                let old = try self.bytes(of: place, current)
                self.hints.replace(target, old: old, new: nil, at: WallTime(milliseconds: 0))
                place.setKey(&self.keyScratch)
                self.batch.delete(self.keyScratch)
                self.overlay[place] = .some(nil)
            }
            return .dropped(backlog: self.hints[target], wasDropped: drops)
        case .read, .list:
            return try self.engine.outcome(of: hint, scratch: &self.keyScratch)
        }
    }

    /// As far as a walk can tell what stands under `name`.
    private mutating func walked(_ name: ObjectName) throws(StorageFailure) -> HeldRecord? {
        guard self.mayWalk, self.commitsWithoutWalk == 0 else { return nil }
        if self.walk == nil { self.walk = try RecordWalk(self.engine.database) }
        let held = try self.walk?.held(name)
        if case .corrupt? = held { self.engine.counters.corruptRecords.wrappingAdd(1, ordering: .relaxed) }
        return held
    }

    private mutating func endWalk() {
        if self.mayWalk, self.commitsWithoutWalk > 0 { self.commitsWithoutWalk -= 1 }
        if self.walk?.wasSlow ?? false { self.commitsWithoutWalk = Self.commitsAfterSlowWalk }
        self.walk = nil
        self.mayWalk = false
    }

    private mutating func remove(_ name: ObjectName, _ digest: RecordDigest?) throws(StorageFailure) -> Bool {
        let place = RecordPlace(name)
        var current = try self.current(place, onDisk: true)
        // Whoever asks without a digest could not read what is on disk; what memory holds says nothing of that.
        if case .corrupt = current, digest != nil, let known = self.engine.cache.record(name) { current = .held(known) }
        guard RecordRules.mayDrop(current, digest) else { return false }
        self.counts.remove(current)
        self.forgetTrees()
        place.setKey(&self.keyScratch)
        self.batch.delete(self.keyScratch)
        self.overlay[place] = .some(nil)
        return true
    }

    /// What stands at `place`, the commit under way included; with `onDisk`, whatever memory holds of what was there before it.
    private mutating func current(_ place: RecordPlace, onDisk: Bool = false) throws(StorageFailure) -> HeldRecord {
        if !self.overlay.isEmpty, let record = self.overlay[place] { return record.map(HeldRecord.held) ?? .absent }
        if place.target == nil {
            if !onDisk, let record = self.engine.cache.record(place.name) { return .held(record) }
            if let held = try self.walked(place.name) { return held }
        }
        return try self.engine.held(place, scratch: &self.keyScratch)
    }

    /// Decides over what stands at `place` and puts what is to stand there into the batch.
    private mutating func change(
        _ place: RecordPlace, at wall: WallTime = WallTime(milliseconds: 0), _ decide: (HeldRecord) -> RecordDecision
    ) throws(StorageFailure) -> StorageOutcome {
        let current = try self.current(place)
        let decision = decide(current)
        guard let record = decision.write else { return decision.outcome }
        self.entryScratch.clear()
        var writer = ByteWriter(taking: &self.entryScratch)
        place.writeKey(into: &writer)
        let keyBytes = writer.writerIndex
        RecordFormat.write(record, into: &writer)
        self.entryScratch = writer.finish()
        let entryBytes = self.entryScratch.readableBytes
        if let target = place.target {
            let old = try self.bytes(of: place, current)
            let bytesMax = self.engine.options.hintBytesMax
            guard self.hints.bytes &- UInt64(old ?? 0) &+ UInt64(entryBytes) <= bytesMax else {
                return .refused(.hintsFull(bytesMax: bytesMax))
            }
            self.hints.replace(target, old: old, new: entryBytes, at: wall)
        } else {
            self.counts.replace(current, with: record)
            self.forgetTrees()
        }
        self.batch.put(self.entryScratch, keyBytes: keyBytes)
        self.batchBytes += entryBytes - keyBytes
        if place.target == nil, self.engine.cache.keep(place.name, record) {
            if !self.overlay.isEmpty { self.overlay[place] = nil }
        } else {
            self.overlay[place] = record
        }
        return decision.outcome
    }

    /// Puts the checkpoints of hash trees into the batch, and the mark that says that they are true.
    private mutating func keep(_ trees: [ByteBuffer]) {
        for (number, tree) in trees.enumerated() {
            let key = StorageKey.checkpoint(UInt32(number))
            self.batch.put(key, tree)
            self.batchBytes += tree.readableBytes
        }
        self.put(.checkpoint, ByteBuffer(integer: UInt32(trees.count)))
        self.hasTrees = true
    }

    /// Takes the mark away in the same write that makes the checkpoints untrue.
    private mutating func forgetTrees() {
        guard self.hasTrees else { return }
        self.batch.delete(NodeRecord.checkpoint.key)
        self.hasTrees = false
    }

    /// What the hint at `place` counts for in the backlog; nil when there is none.
    private mutating func bytes(of place: RecordPlace, _ held: HeldRecord) throws(StorageFailure) -> Int? {
        switch held {
        case .absent: nil
        case .held(let record): place.bytes + RecordFormat.headBytes + record.body.readableBytes
        case .corrupt: place.bytes + (try self.engine.storedBytes(place))
        }
    }

    private mutating func put(_ record: NodeRecord, _ body: ByteBuffer) {
        self.batch.put(record.key, record.value(body))
    }
}
