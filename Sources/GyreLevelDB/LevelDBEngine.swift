package import GyreBase
package import GyreStorage
package import NIOCore
import Synchronization

/// Why a store could not be opened; each says what to do.
package enum StoreOpenError: Error, Equatable, CustomStringConvertible {
    /// LevelDB refuses, for instance because its files are corrupt.
    case store(StorageFailure)
    /// One of the node's own records in it is unreadable, so the store cannot be trusted with dots.
    case record(String)
    /// The store was written by another node: somebody exchanged or restored directories.
    case owner(found: NodeID, expected: NodeID)
    /// There are objects, but no note of an owner.
    case ownerMissing

    /// The explanation, for a person.
    package var description: String {
        let advice = "move the store directory away and start again: the node takes a new identity and is refilled"
        return switch self {
        case .store(let failure): "\(failure); if it is corrupt, \(advice)"
        case .record(let what): "the store's record of \(what) is corrupt; \(advice)"
        case .owner(let found, let expected):
            "the store belongs to node \(found), the directory to node \(expected); put back the store that belongs "
                + "here, or \(advice)"
        case .ownerMissing: "the store has objects but no owner; \(advice)"
        }
    }
}

/// The storage engine on LevelDB: reads from any thread, writes from one (`CommitWriter`).
///
/// Sendable: LevelDB is safe from any thread, and what changes here is atomic.
package final class LevelDBEngine: Sendable {
    /// The settings it was opened with.
    package let options: LevelDBOptions
    /// What a node learns from this disk before its first input.
    package let recovered: RecoveredState
    let database: LevelDB
    let counters = EngineCounters()
    let cache: RecordCache
    /// Bytes of a write that was under way when the last process ended, and was cut off at the start; mostly zero.
    package var bytesCutOff: Int { self.database.bytesCutOff }
    private let path: String

    /// Opens or creates the store of `owner` in the directory `path`.
    ///
    /// With `adopting`, the store of another node becomes `owner`'s: its objects stay good, and since `owner` is a new
    /// identity, no dot can be issued twice.
    package init(
        path: String, owner: NodeID, adopting: Bool = false, options: LevelDBOptions
    ) throws(StoreOpenError) {
        self.path = path
        self.options = options
        self.cache = RecordCache(bytesMax: options.recordCacheBytes)
        do {
            self.database = try LevelDB(path: path, options)
            var recovered = try Self.recover(self.database, owner, adopting, into: self.counters)
            if let author = try Self.beginLife(self.database, options) { recovered.author = author }
            self.recovered = recovered
        } catch let error as StoreOpenError {
            throw error
        } catch let error as StorageFailure {
            throw .store(error)
        } catch { throw .store(StorageFailure("\(error)")) }
    }

    // MARK: - Reads

    /// Looks an object up on the calling thread; blocks for a disk read when the block is not cached.
    /// Sees every write whose reply was given. Asks LevelDB, whatever the cache of records holds. Throws when the system refuses
    /// to read.
    package func read(_ name: ObjectName, _ depth: ReadDepth) throws(StorageFailure) -> StorageOutcome {
        var scratch = ByteBuffer()
        return RecordRules.read(try self.held(RecordPlace(name), scratch: &scratch), depth: depth)
    }

    /// The answer to a read that needs neither LevelDB nor its thread; nil for any other. From any
    /// thread; waits at most for the lock of `RecordCache`, which nobody holds during a system call of ours.
    package func cachedOutcome(_ name: ObjectName, _ depth: ReadDepth) -> StorageOutcome? {
        self.cache.outcome(name, depth)
    }

    /// As `read`, through the cache.
    func readThrough(
        _ name: ObjectName, _ depth: ReadDepth, scratch: inout ByteBuffer
    ) throws(StorageFailure) -> StorageOutcome {
        switch self.cache.look(name, depth) {
        case .found(let outcome): return outcome
        case .missed(let ticket):
            let held = try self.held(RecordPlace(name), scratch: &scratch)
            if let ticket, case .held(let record) = held { self.cache.add(name, record, ticket) }
            return RecordRules.read(held, depth: depth)
        }
    }

    /// As `read`, without judging the record; `scratch` is reused for the storage key.
    package func held(_ place: RecordPlace, scratch: inout ByteBuffer) throws(StorageFailure) -> HeldRecord {
        place.setKey(&scratch)
        let maybesBefore = self.maybes
        let value: ByteBuffer?
        do { value = try self.database.value(scratch) } catch {
            switch error {
            case .corrupt:
                self.counters.corruptRecords.wrappingAdd(1, ordering: .relaxed)
                return .corrupt
            case .unreadable(let text): throw StorageFailure("a read from the store failed: \(text)")
            }
        }
        guard let value else {
            self.counters.falsePositives.wrappingAdd(self.maybes &- maybesBefore, ordering: .relaxed)
            return .absent
        }
        let held = RecordFormat.read(value, name: place.name)
        if case .corrupt = held { self.counters.corruptRecords.wrappingAdd(1, ordering: .relaxed) }
        return held
    }

    /// The bytes of the value at `place` as far as LevelDB gives them out; zero when it does not.
    func storedBytes(_ place: RecordPlace) throws(StorageFailure) -> Int {
        var key = ByteBuffer()
        place.setKey(&key)
        do { return try self.database.value(key)?.readableBytes ?? 0 } catch {
            if case .unreadable(let text) = error { throw StorageFailure("a read from the store failed: \(text)") }
            return 0
        }
    }

    /// Answers a request that only looks at hints.
    func outcome(of hint: HintRequest, scratch: inout ByteBuffer) throws(StorageFailure) -> StorageOutcome {
        switch hint {
        case .read(let target, let name, let depth):
            return RecordRules.read(
                try self.held(RecordPlace(name, hintFor: target), scratch: &scratch), depth: depth)
        case .list(let target, let after, let countMax, let bytesMax):
            return .listed(try self.hints(for: target, after: after, countMax, bytesMax))
        case .keep, .update, .drop:
            preconditionFailure("a write among the reads: `Mailbox.append` sorts by `isRead`")
        }
    }

    // MARK: - Listings

    /// Objects of a range in storage order, up to its limits; blocks for disk reads and does not fill the block cache.
    package func list(_ range: ObjectRange) throws(StorageFailure) -> ObjectPage {
        let start = range.after.map { StorageKey.bytes(of: $0) } ?? StorageKey.lowerBound(of: range.first)
        return try self.page(from: start, range.countMax, range.bytesMax, range.shape) { key in
            guard key.getInteger(at: key.readerIndex, as: UInt8.self) == StorageTable.objects.rawValue,
                let token = key.getInteger(at: key.readerIndex + 1, as: UInt64.self), token <= range.last.rawValue
            else { return .past }
            guard let name = try? StorageKey.name(from: key) else { return .unreadable }
            return name == range.after ? .before : .entry(name)
        }
    }

    private func hints(
        for target: NodeID, after: ObjectName?, _ countMax: Int, _ bytesMax: Int
    ) throws(StorageFailure) -> ObjectPage {
        var start = StorageKey.lowerBound(ofHintsFor: target)
        if let after { RecordPlace(after, hintFor: target).setKey(&start) }
        return try self.page(from: start, countMax, bytesMax, .records) { key in
            guard key.getInteger(at: key.readerIndex, as: UInt8.self) == StorageTable.hints.rawValue,
                key.getInteger(at: key.readerIndex + 1, as: UInt64.self) == target.rawValue
            else { return .past }
            guard let name = try? StorageKey.hintName(from: key, target: target) else { return .unreadable }
            return name == after ? .before : .entry(name)
        }
    }

    /// Walks the store; blocks that LevelDB finds damaged are counted and left out, since what was in them is found missing by
    /// whoever compares the listing with that of another replica.
    private func scan(
        from start: ByteBuffer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) throws(StorageFailure) {
        do { try self.database.scan(from: start, body) } catch {
            switch error {
            case .corrupt: self.counters.corruptRecords.wrappingAdd(1, ordering: .relaxed)
            case .unreadable(let text): throw StorageFailure("a scan of the store failed: \(text)")
            }
        }
    }

    /// What a storage key means to a listing.
    private enum Listing {
        case before
        case entry(ObjectName)
        case unreadable
        case past
    }

    private func page(
        from start: ByteBuffer, _ countMax: Int, _ bytesMax: Int, _ shape: ListShape, _ judge: (ByteBuffer) -> Listing
    ) throws(StorageFailure) -> ObjectPage {
        var page = ObjectPage()
        var bytes = 0
        var scratch = ByteBuffer()
        try self.scan(from: start) { key, value in
            let name: ObjectName
            switch judge(ByteBuffer(bytes: key)) {
            case .past: return false
            case .before: return true
            case .unreadable:
                self.counters.corruptRecords.wrappingAdd(1, ordering: .relaxed)
                return true
            case .entry(let found): name = found
            }
            guard page.hasRoom(bytes, countMax, bytesMax) else {
                page.next = name
                return false
            }
            scratch.clear(minimumCapacity: value.count)
            scratch.writeBytes(value)
            let held = RecordFormat.read(scratch, name: name)
            if case .corrupt = held { self.counters.corruptRecords.wrappingAdd(1, ordering: .relaxed) }
            guard let entry = ListedObject(name, held, shape) else { return true }
            bytes += entry.bytes
            page.entries.append(entry)
            return true
        }
        return page
    }

    /// Figures as they stand; walks the directory once for the sizes of the files.
    package var figures: StorageFigures {
        var figures = StorageFigures()
        figures.keys = self.counters.keys.load(ordering: .relaxed)
        figures.tombstones = self.counters.tombstones.load(ordering: .relaxed)
        figures.diskBytes = Files.bytes(inDirectory: self.path)
        figures.corruptRecords = self.counters.corruptRecords.load(ordering: .relaxed)
        figures.commits = self.counters.commits.load(ordering: .relaxed)
        figures.committedWrites = self.counters.committedWrites.load(ordering: .relaxed)
        let filter = self.filterFigures
        figures.filterChecks = filter.checks
        figures.filterNegatives = filter.negatives
        figures.hints = self.counters.hintTotals.backlogs
        return figures
    }

    /// What the Bloom filters did since the store was opened; zero unless the filter is Gyre's own.
    package var filterFigures: FilterFigures {
        FilterFigures(
            checks: self.database.filter?.checks.load(ordering: .relaxed) ?? 0,
            negatives: self.database.filter?.negatives.load(ordering: .relaxed) ?? 0,
            falsePositives: self.counters.falsePositives.load(ordering: .relaxed))
    }

    /// What the cache of records did since the store was opened.
    package var cacheFigures: CacheFigures { self.cache.figures }

    /// What the group commits since the store was opened took.
    package var commitFigures: CommitFigures { self.counters.commitFigures }

    /// LevelDB's own account of its levels, for an operator.
    package var levelStatistics: String { self.database.property("leveldb.stats") ?? "" }

    /// Rewrites all tables; blocks until done. For tests and measurements.
    package func compact() { self.database.compact() }

    private var maybes: UInt64 {
        guard let filter = self.database.filter else { return 0 }
        return filter.checks.load(ordering: .relaxed) &- filter.negatives.load(ordering: .relaxed)
    }

    // MARK: - Opening

    private static func recover(
        _ database: LevelDB, _ owner: NodeID, _ adopting: Bool, into counters: EngineCounters
    ) throws -> RecoveredState {
        var state = RecoveredState()
        guard let ownerBody = try self.body(.owner, database, "owner") else {
            try self.claim(database, owner: owner)
            return state
        }
        guard ownerBody.readableBytes == 8, let found = ownerBody.getInteger(at: ownerBody.readerIndex, as: UInt64.self)
        else { throw StoreOpenError.record("owner") }
        if found != owner.rawValue, adopting {
            try self.note(owner, in: database)
        } else if found != owner.rawValue {
            throw StoreOpenError.owner(found: NodeID(rawValue: found), expected: owner)
        }
        if let body = try self.body(.counts, database, "counts") {
            guard let counts = try? ObjectCounts(decoding: body) else { throw StoreOpenError.record("counts") }
            counters.set(counts)
        }
        if let body = try self.body(.lease, database, "the dot lease") {
            guard body.readableBytes == 8, let ceiling = body.getInteger(at: body.readerIndex, as: UInt64.self) else {
                throw StoreOpenError.record("the dot lease")
            }
            state.counterFloor = max(1, ceiling)
        }
        if let body = try self.body(.hintTotals, database, "the hint totals") {
            guard let totals = try? HintTotals(decoding: body) else { throw StoreOpenError.record("the hint totals") }
            counters.set(totals)
            state.hints = totals.backlogs
        }
        state.members = try self.body(.members, database, "the members")
        if let body = try self.body(.author, database, "the author") {
            // Without it dots might be issued under a name that a record here no longer vouches for.
            guard let author = RecoveredState.author(from: body) else { throw StoreOpenError.record("the author") }
            state.author = author
        }
        state.isRefilled = try self.body(.refilled, database, "the refill") != nil
        state.holdsObjects = counters.objectCounts != ObjectCounts()
        state.trees = self.trees(database)
        state.buckets = try self.body(.buckets, database, "the bucket properties")
        state.ring = try self.body(.ring, database, "the ring")
        state.presence = try self.body(.presence, database, "the presence")
        return state
    }

    /// Takes another name for dots, durably, when the last life may have forgotten some that other nodes have seen, and notes what the
    /// next one has to know about this one; nil when the name stays.
    ///
    /// What was cut off the log was promised to nobody if a crash has cut it; if the disk spoilt the last write instead, that may have
    /// held the lease. Without a sync for each write, a cut of power, or a disk that failed, takes writes that other nodes have got, and
    /// leaves a log that ends as if they had never been. A context that names such a dot without holding it would remove it from the
    /// other disks too (decision 0001). Whether that happened nobody can tell from a process that was merely killed, so each life that
    /// was not stopped counts.
    private static func beginLife(_ database: LevelDB, _ options: LevelDBOptions) throws -> NodeID? {
        let mark = NodeRecord.unsynced
        let isMarked = try self.body(mark, database, "unsynced writes") != nil
        let marks = options.durability != .always
        var batch = try WriteBatch()
        if marks, !isMarked { batch.put(mark.key, mark.value(ByteBuffer())) }
        if isMarked, !marks { batch.delete(mark.key) }
        var author: NodeID?
        if isMarked || database.bytesCutOff > 0 {
            let name = NodeID(rawValue: UInt64.random(in: 1...UInt64.max))
            batch.put(NodeRecord.author.key, NodeRecord.author.value(ByteBuffer(integer: name.rawValue)))
            author = name
        }
        if batch.count > 0 { try database.write(batch, isSynced: true) }
        return author
    }

    private static func body(_ record: NodeRecord, _ database: LevelDB, _ what: String) throws -> ByteBuffer? {
        do {
            guard let value = try database.value(record.key) else { return nil }
            return try record.body(value)
        } catch LookupError.unreadable(let text) {
            throw StorageFailure("the store's record of \(what) cannot be read: \(text)")
        } catch { throw StoreOpenError.record(what) }
    }

    /// The checkpoints of hash trees; none when one of them is missing, because trees can be built anew.
    private static func trees(_ database: LevelDB) -> [ByteBuffer] {
        guard let mark = try? self.body(.checkpoint, database, "the checkpoint"), mark.readableBytes == 4,
            let count = mark.getInteger(at: mark.readerIndex, as: UInt32.self), count <= 65_536
        else { return [] }
        var trees: [ByteBuffer] = []
        for number in 0..<count {
            guard let tree = try? database.value(StorageKey.checkpoint(number)) else { return [] }
            trees.append(tree)
        }
        return trees
    }

    /// Notes the owner in a store that has none, which must be empty.
    private static func claim(_ database: LevelDB, owner: NodeID) throws {
        var isEmpty = true
        do {
            try database.scan(from: ByteBuffer()) { _, _ in
                isEmpty = false
                return false
            }
        } catch { throw StorageFailure("the store cannot be looked through: \(error)") }
        guard isEmpty else { throw StoreOpenError.ownerMissing }
        try self.note(owner, in: database)
    }

    private static func note(_ owner: NodeID, in database: LevelDB) throws {
        var batch = try WriteBatch()
        batch.put(NodeRecord.owner.key, NodeRecord.owner.value(ByteBuffer(integer: owner.rawValue)))
        try database.write(batch, isSynced: true)
    }
}

/// Numbers that several threads read while one counts.
final class EngineCounters: Sendable {
    let keys = Atomic<UInt64>(0)
    let tombstones = Atomic<UInt64>(0)
    let corruptRecords = Atomic<UInt64>(0)
    let commits = Atomic<UInt64>(0)
    let committedWrites = Atomic<UInt64>(0)
    let falsePositives = Atomic<UInt64>(0)
    private let hints = Mutex(HintTotals())
    private let groups = Mutex(CommitFigures())

    /// Counts one group commit.
    func noteCommit(nanoseconds: Int64, writes: Int) {
        self.groups.withLock { figures in
            figures.microseconds.record(UInt64(clamping: nanoseconds / 1_000))
            figures.writes.record(UInt64(writes))
            if nanoseconds >= CommitFigures.stallNanoseconds { figures.stalls &+= 1 }
        }
    }

    /// What was counted of group commits.
    var commitFigures: CommitFigures { self.groups.withLock { $0 } }

    /// Publishes the totals of hints.
    func set(_ totals: HintTotals) { self.hints.withLock { $0 = totals } }

    /// The totals of hints last published.
    var hintTotals: HintTotals { self.hints.withLock { $0 } }

    /// Publishes the counts of objects.
    func set(_ counts: ObjectCounts) {
        self.keys.store(counts.keys, ordering: .relaxed)
        self.tombstones.store(counts.tombstones, ordering: .relaxed)
    }

    /// The counts last published.
    var objectCounts: ObjectCounts {
        var counts = ObjectCounts()
        counts.keys = self.keys.load(ordering: .relaxed)
        counts.tombstones = self.tombstones.load(ordering: .relaxed)
        return counts
    }
}
