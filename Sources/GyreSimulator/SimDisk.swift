import GyreBase
import GyreCausality
import GyreStorage
import NIOCore

/// The disk of one simulated node: an engine in memory behind a queue with the latencies of a disk.
///
/// Writes wait until the batch before them is synced, then are written together, then synced; replies come only then.
/// Pure value with its own stream of randomness; not shared between threads.
struct SimDisk: Sendable {
    /// The store.
    private(set) var engine: MemoryEngine
    /// Writes that wait for their turn, and those that let the others overtake them.
    private var queue: [StorageRequest] = []
    private var patient: [StorageRequest] = []
    /// Whether a batch is being written or synced.
    private(set) var isBusy = false
    /// Replies that wait for the sync under way.
    private var due: [StorageReply] = []
    /// Records written and not synced, for the mistake of showing them.
    private var written: [ObjectName: (ByteBuffer, RecordDigest)] = [:]
    /// Records that arrived as read repair, for the mistake of writing them without a merge.
    private var repairs: Set<RecordDigest> = []
    /// Hints being kept, for the mistake of counting them before they are safe.
    private var hintTags: Set<StorageTag> = []
    /// By object: what was safe under its name when a bit of it turned over.
    private var beforeRot: [ObjectName: Siblings] = [:]
    private let bug: PlantedBug?
    private let syncMost: TimeSpan
    private var random: SeededRandom

    /// The most writes of one group commit.
    static let batchMax = 64
    /// How many of them may be patient ones; few, so that they are overtaken often.
    static let pieceMax = 8

    init(bug: PlantedBug?, syncMost: TimeSpan, hintBytesMax: UInt64, random: SeededRandom) {
        self.engine = MemoryEngine(hintBytesMax: hintBytesMax)
        self.bug = bug
        self.syncMost = syncMost
        self.random = random
    }

    /// What is safe under `name`.
    func held(_ name: ObjectName) -> ByteBuffer? { self.held(RecordPlace(name)) }

    /// What is safe at `place`.
    func held(_ place: RecordPlace) -> ByteBuffer? {
        guard case .held(let record) = self.engine.held(place) else { return nil }
        return record.body
    }

    /// All that is safe about an object: its own record and every hint.
    func knowledge(_ name: ObjectName) -> [Siblings] {
        let hints = self.engine.hintBacklogs.compactMap { backlog -> Siblings? in
            guard let body = self.held(RecordPlace(name, hintFor: backlog.target)) else { return nil }
            return try? Siblings(encoded: body)
        }
        return [self.siblings(name)] + hints
    }

    /// What is safe under `name`, decoded; empty when there is nothing.
    func siblings(_ name: ObjectName) -> Siblings {
        guard let body = self.held(name) else { return Siblings() }
        return (try? Siblings(encoded: body)) ?? Siblings()
    }

    /// Whether what is kept under `name` cannot be read.
    func isUnreadable(_ name: ObjectName) -> Bool {
        if case .corrupt = self.engine.held(name) { return true }
        return false
    }

    /// What a new life of the node learns.
    var recovered: RecoveredState {
        var state = self.engine.recovered
        if self.bug == .reissueDot { state.counterFloor = 1 }
        return state
    }

    /// What is safe under `name` is gone, and nothing says so.
    mutating func lose(_ name: ObjectName) { self.remove(name) }

    /// One bit of what is safe under `name` turns over.
    mutating func rot(_ name: ObjectName, bit: UInt64) {
        self.beforeRot[name] = self.siblings(name)
        self.engine.corrupt(name, bit: bit)
    }

    /// What this disk made safe under `name`, even where it rotted since.
    func madeSafe(_ name: ObjectName) -> Siblings {
        self.isUnreadable(name) ? self.beforeRot[name] ?? Siblings() : self.siblings(name)
    }

    // MARK: - Latencies

    /// How long a read takes, until it looks and from then until its answer arrives; one in 32 waits long for the others of its group.
    mutating func drawRead() -> (before: TimeSpan, rest: TimeSpan) {
        // A run that shows a planted mistake stays the run that it was.
        guard self.bug == nil else { return (.microseconds(self.random.within(50...500)), .zero) }
        let rest = self.random.within(20...200)
        let most = self.random.chance(1, in: 32) ? rest * 50 : rest
        return (.microseconds(self.random.within(30...300)), .microseconds(most))
    }
    /// How long it takes until a batch is written.
    mutating func drawWrite() -> TimeSpan { .microseconds(self.random.within(10...200)) }
    /// How long a sync takes: one in 32 hangs for a while.
    mutating func drawSync() -> TimeSpan {
        let usual = self.random.within(100_000...self.syncMost.nanoseconds)
        return TimeSpan(nanoseconds: self.random.chance(1, in: 32) ? usual * 10 : usual)
    }

    // MARK: - Work

    /// Queues a write; true when the disk was idle and must now be driven.
    mutating func enqueue(_ request: StorageRequest) -> Bool {
        if request.isPatient { self.patient.append(request) } else { self.queue.append(request) }
        if self.isBusy { return false }
        self.isBusy = true
        return true
    }

    /// Answers a read.
    mutating func read(_ request: StorageRequest) -> StorageReply {
        if self.bug == .readBeforeSync, case .read(let tag, let name, _) = request,
            let (bytes, digest) = self.written[name]
        {
            return StorageReply(tag: tag, outcome: .record(bytes, digest))
        }
        var replies: [StorageReply] = []
        self.engine.stage([request], into: &replies)
        if self.bug == .dropHintBeforeAck, case .hint(_, .list(let target, _, _, _)) = request,
            case .listed(let page) = replies[0].outcome
        {
            let drops = page.entries.map { entry in
                StorageRequest.hint(request.tag, .drop(target: target, entry.name, digest: entry.digest))
            }
            var ignored: [StorageReply] = []
            self.engine.stage(drops, into: &ignored)
        }
        return replies[0]
    }

    /// Writes what is queued, each request for itself, so that a power cut can keep any prefix; reports each.
    mutating func writeQueue(
        report: (StorageRequest, StorageOutcome, _ batch: Int) throws(Violation) -> Void
    ) throws(Violation) {
        let taken = Array(self.queue.prefix(Self.batchMax))
        let piece = Array(self.patient.prefix(Self.pieceMax))
        self.queue.removeFirst(taken.count)
        self.patient.removeFirst(piece.count)
        for request in taken + piece {
            let (asked, planted) = self.planted(request)
            var replies: [StorageReply] = []
            if planted == nil { self.engine.stage([asked], into: &replies) }
            let outcome = self.plantedAnswer(to: request, planted ?? replies[0].outcome)
            self.due.append(StorageReply(tag: request.tag, outcome: outcome))
            if case .updated(let bytes, let digest, _, _) = outcome, case .update(_, let name, _) = request {
                self.written[name] = (bytes, digest)
            }
            try report(request, outcome, max(0, self.engine.stagedBatches - 1))
        }
    }

    /// Replies that the mistake of acknowledging early lets out before the sync.
    mutating func takeEarlyReplies() -> [StorageReply] {
        switch self.bug {
        case .acknowledgeBeforeSync:
            defer { self.due.removeAll() }
            return self.due
        case .countHintInMemory:
            let early = self.due.filter { self.hintTags.contains($0.tag) }
            self.due.removeAll { self.hintTags.contains($0.tag) }
            return early
        default: return []
        }
    }

    /// Syncs what is written and returns the replies; `isBusy` stays true when more is queued.
    mutating func sync() -> [StorageReply] {
        self.engine.sync()
        self.written.removeAll()
        if self.bug == .removeTombstoneEarly { self.removeTombstones() }
        self.isBusy = !self.queue.isEmpty || !self.patient.isEmpty
        defer { self.due.removeAll() }
        return self.due
    }

    /// Stops: the queue is gone; of what is written, `keep` decides. Returns how many batches were written and how
    /// many of them remain.
    mutating func stop(losingPower: Bool) -> (written: Int, kept: Int) {
        let written = self.engine.stagedBatches
        let kept = losingPower ? Int(self.random.below(UInt64(written) + 1)) : written
        self.engine.crash(keepingBatches: kept)
        self.queue.removeAll()
        self.patient.removeAll()
        self.due.removeAll()
        self.written.removeAll()
        self.isBusy = false
        return (written, kept)
    }
}

/// Mistakes made on purpose.
extension SimDisk {
    /// Takes note that `record` comes from a read repair.
    mutating func noteRepair(_ record: ByteBuffer, of name: ObjectName) {
        if self.bug == .readRepairWritesLoser { self.repairs.insert(RecordDigest(of: record, name: name)) }
    }

    /// What the disk does instead of `request`, or what it answers instead of doing it.
    private mutating func planted(_ request: StorageRequest) -> (StorageRequest, StorageOutcome?) {
        switch (self.bug, request) {
        case (
            .contextTooNarrow,
            .update(let tag, let name, .put(let version, .given(let context), let ifAbsent, let now, _))
        ):
            let narrow = VersionVector(Array(context.entries.dropLast()))
            return (.update(tag, name, .put(version, seen: .given(narrow), ifAbsent: ifAbsent, now: now)), nil)
        case (.mergeByTime, .merge(_, let name, let record, _)):
            guard case .held(let mine) = self.engine.held(name) else { return (request, nil) }
            if Self.time(mine.body) > Self.time(record) {
                return (request, .merged(mine.digest, clash: false, change: nil))
            }
            self.remove(name)
        case (.readRepairWritesLoser, .merge(_, let name, let record, _)):
            if self.repairs.remove(RecordDigest(of: record, name: name)) != nil { self.remove(name) }
        case (.forgetSiblingsOnMerge, .merge(let tag, let name, let record, _)):
            guard var merged = try? Siblings(encoded: record) else { return (request, nil) }
            merged.merge(self.siblings(name))
            guard merged.versions.count > 1,
                let one = Siblings(context: merged.context, versions: Array(merged.versions.suffix(1)))
            else { return (request, nil) }
            return (.merge(tag, name, record: one.encoded), nil)
        default: break
        }
        return (request, nil)
    }

    /// What the disk answers instead of the truth.
    private mutating func plantedAnswer(to request: StorageRequest, _ outcome: StorageOutcome) -> StorageOutcome {
        guard case .hint(let tag, .keep(_, let name, let record, _)) = request else { return outcome }
        if self.bug == .countHintInMemory { self.hintTags.insert(tag) }
        if self.bug == .dropHintAtCap, case .refused(.hintsFull) = outcome {
            return .merged(RecordDigest(of: record, name: name), clash: false, change: nil)
        }
        return outcome
    }

    private mutating func removeTombstones() {
        for (name, held) in self.engine.records {
            if case .held(let record) = held, record.versionCount == 0 { self.remove(name) }
        }
    }

    private mutating func remove(_ name: ObjectName) {
        guard let nowhere = try? ObjectName(bucket: ByteBuffer(string: "none"), key: ByteBuffer(string: "none")) else {
            return
        }
        self.engine.misplace(from: nowhere, to: name)
    }

    private static func time(_ record: ByteBuffer) -> HybridTime {
        return (try? Siblings(encoded: record))?.versions.map(\.time).max() ?? .zero
    }
}
