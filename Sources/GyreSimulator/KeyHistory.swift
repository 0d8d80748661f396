import GyreBase
import GyreCausality
import GyreStorage
import NIOCore

/// What a record says, as sets of writes instead of vectors: the naive twin of `Siblings`.
struct NaiveRecord: Hashable, Sendable {
    /// The writes whose values are shown.
    var live = BitSet()
    /// All writes ever heard of, live ones included.
    var seen = BitSet()

    /// What both together know: a value is kept unless the other side has seen it and does not show it.
    mutating func merge(_ other: NaiveRecord) {
        var theirs = other.live
        theirs.subtract(self.seen.subtracting(self.live))
        var mine = self.live
        mine.subtract(other.seen.subtracting(other.live))
        mine.formUnion(theirs)
        self.live = mine
        self.seen.formUnion(other.seen)
    }
}

/// Every write of one key that was ever attempted at a disk, with its causal history as a plain set.
///
/// Histories are taken where writes happen: at the coordinator's disk, which the simulator sees. Against them every
/// context that a disk, a peer or a client ever gets to see is checked. Pure value; not shared between threads.
struct KeyHistory: Sendable {
    /// One put as its coordinator applied it.
    struct Entry: Sendable {
        /// The write's name.
        let dot: Dot
        /// The client's number of the write.
        let write: UInt64
        /// A hash of the value.
        let valueHash: UInt64
        /// What the coordinator's record had seen once it was applied, this write included.
        var closure: BitSet
        /// What it superseded: all that its declared context covers, or all that an overwriting coordinator held.
        var superseded: BitSet
        /// Later writes that superseded this one.
        var removers = BitSet()
        /// Whether a delete that covers it was attempted.
        var deleted = false
        /// Whether its coordinator's disk lost it before it was synced.
        var lost = false
        /// Whether anyone but its coordinator's disk ever held it.
        var escaped = false
        /// Whether it was safe until the last disk that held it was lost or rotted.
        var wentWithDisk = false

        /// Whether it may be absent without a reason.
        var vanished: Bool { self.lost && !self.escaped }
    }

    /// The key, for messages.
    let name: ObjectName
    /// By index, in the order of being applied.
    private(set) var entries: [Entry] = []
    private var indices: [Dot: Int] = [:]
    private var indicesByWrite: [UInt64: [Int]] = [:]
    /// Writes told to a client as stored.
    var acknowledged: Set<UInt64> = []
    /// What acknowledged deletes removed.
    var deletedForGood = BitSet()
    /// Contexts that were found sound since the last write, by hash of the record.
    private var verified: Set<UInt64> = []

    init(name: ObjectName) { self.name = name }

    /// The index of the write named `dot`, if it is one of this key.
    func index(of dot: Dot) -> Int? { self.indices[dot] }

    /// The puts that stored the client's write number `write`: several when a retry met a new life of a coordinator.
    func indices(of write: UInt64) -> [Int] { self.indicesByWrite[write] ?? [] }

    /// The writes that `context` covers.
    func covered(by context: VersionVector) -> BitSet {
        var set = BitSet()
        for entry in context.entries {
            for (index, known) in self.entries.enumerated()
            where known.dot.node == entry.node && known.dot.counter <= entry.counter {
                set.insert(index)
            }
        }
        return set
    }

    /// Takes in a put that a coordinator is about to apply over `before`; returns its index.
    mutating func apply(_ version: Version, write: UInt64, seen: Seen, before: NaiveRecord) throws(Violation) -> Int {
        guard self.indices[version.dot] == nil else {
            throw Violation("INV 3", "dot \(version.dot) was issued twice for \(self.text)")
        }
        let superseded = self.declared(seen, before: before)
        let index = self.entries.count
        var closure = before.seen
        if case .given(let context) = seen { closure.formUnion(self.covered(by: context)) }
        closure.insert(index)
        self.entries.append(
            Entry(
                dot: version.dot, write: write, valueHash: StableHash.xxh3(version.value), closure: closure,
                superseded: superseded))
        self.indices[version.dot] = index
        self.indicesByWrite[write, default: []].append(index)
        superseded.visit { self.entries[$0].removers.insert(index) }
        self.verified.removeAll(keepingCapacity: true)
        return index
    }

    /// Takes in a delete that a coordinator is about to apply over `before`; returns what it removes.
    mutating func applyDelete(seen: Seen, before: NaiveRecord) -> BitSet {
        let removed = self.declared(seen, before: before)
        removed.visit { self.entries[$0].deleted = true }
        self.verified.removeAll(keepingCapacity: true)
        return removed
    }

    /// The coordinator's disk lost the write named `dot` before it was synced.
    mutating func lose(_ dot: Dot) {
        guard let index = self.indices[dot] else { return }
        self.entries[index].lost = true
        self.verified.removeAll(keepingCapacity: true)
    }

    /// The last disk that held the write named `dot` was lost or rotted.
    mutating func goWithDisk(_ dot: Dot) {
        guard let index = self.indices[dot] else { return }
        if !self.entries[index].lost { self.entries[index].wentWithDisk = true }
        self.entries[index].escaped = false
        self.lose(dot)
    }

    /// A message that left before a disk went may still bring what went with it.
    private mutating func noteReturn(in seen: BitSet) {
        for index in self.entries.indices where self.entries[index].wentWithDisk && seen.contains(index) {
            self.entries[index].wentWithDisk = false
            self.entries[index].escaped = true
            self.verified.removeAll(keepingCapacity: true)
        }
    }

    /// Someone other than its coordinator's disk holds the write at `index`.
    mutating func noteEscape(_ index: Int) { self.entries[index].escaped = true }

    private func declared(_ seen: Seen, before: NaiveRecord) -> BitSet {
        switch seen {
        case .given(let context): self.covered(by: context)
        case .overwrite: before.live
        case .blind: BitSet()
        }
    }

    /// The key's bytes as text.
    var text: String { String(buffer: self.name.key) }

    /// What `siblings` says as sets, once every claim in it was found to be true.
    ///
    /// INV 1b: every value was attempted. INV 3: every dot names the value it was issued for. INV 4: every context entry is
    /// a dot of this key; what is covered comes with its own past; what is covered and not shown was superseded or deleted
    /// by something that is covered, too; what is shown was not.
    mutating func verify(_ siblings: Siblings, where place: @autoclosure () -> String) throws(Violation) -> NaiveRecord
    {
        var record = NaiveRecord()
        for version in siblings.versions {
            guard let index = self.indices[version.dot] else {
                throw Violation("INV 1b", "\(place()): \(self.text) shows dot \(version.dot), which no put was given")
            }
            guard self.entries[index].valueHash == StableHash.xxh3(version.value) else {
                throw Violation("INV 3", "\(place()): \(self.text) shows another value under dot \(version.dot)")
            }
            record.live.insert(index)
        }
        for entry in siblings.context.entries where self.indices[entry] == nil {
            throw Violation("INV 4", "\(place()): context of \(self.text) names \(entry), which is no write of the key")
        }
        record.seen = self.covered(by: siblings.context)
        self.noteReturn(in: record.seen)
        let key = record.stableHash
        if self.verified.contains(key) { return record }
        try self.verifyPast(of: record, where: place())
        self.verified.insert(key)
        return record
    }

    /// Writes that their coordinator's disk lost before anyone else heard of them. Later dots of the same coordinator cover
    /// them, which is as good as never having been written.
    private var vanished: BitSet {
        var set = BitSet()
        for (index, entry) in self.entries.enumerated() where entry.vanished { set.insert(index) }
        return set
    }

    /// Writes that nobody is owed.
    var forgotten: BitSet { self.vanished }

    /// Whether two records say the same, writes that vanished aside.
    func agree(_ a: NaiveRecord, _ b: NaiveRecord) -> Bool {
        a == b || a.live == b.live && a.seen.subtracting(self.vanished) == b.seen.subtracting(self.vanished)
    }

    private func verifyPast(of record: NaiveRecord, where place: @autoclosure () -> String) throws(Violation) {
        var failure: Violation?
        let vanished = self.vanished
        record.seen.visit { index in
            guard failure == nil else { return }
            let entry = self.entries[index]
            if entry.vanished { return }
            if let missing = entry.closure.subtracting(record.seen).subtracting(vanished).first {
                failure = Violation(
                    "INV 4",
                    "\(place()): context of \(self.text) covers \(entry.dot) without "
                        + "\(self.entries[missing].dot), which came before it")
                return
            }
            let isSuperseded = !entry.removers.subtracting(vanished).isDisjoint(with: record.seen)
            if record.live.contains(index) {
                if isSuperseded {
                    failure = Violation(
                        "INV 4", "\(place()): \(self.text) shows \(entry.dot), which was superseded")
                }
            } else if !isSuperseded, !entry.deleted {
                failure = Violation(
                    "INV 4",
                    "\(place()): context of \(self.text) covers \(entry.dot), which nobody superseded "
                        + "and which is not shown")
            }
        }
        if let failure { throw failure }
    }
}

extension NaiveRecord {
    /// A hash that is equal in every process, unlike `hashValue`.
    fileprivate var stableHash: UInt64 {
        var hash = TraceHash()
        self.live.visit { hash.record(UInt64($0)) }
        hash.record(.max)
        self.seen.visit { hash.record(UInt64($0)) }
        return hash.value
    }
}
