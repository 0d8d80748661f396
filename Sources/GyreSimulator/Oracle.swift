import GyreBase
import GyreCausality
import GyreMessages
import GyreStorage
import NIOCore

/// Knows everything that happened in a run and checks every record, reply and acknowledgement against it.
///
/// The numbers of the invariants are those of `docs/testing.md`. Pure value; not shared between threads.
struct Oracle: Sendable {
    /// The history of each key.
    private(set) var keys: [KeyHistory]
    private let keyIndices: [ObjectName: Int]
    /// By node and place: what the node's disk holds, written but unsynced bytes included.
    private var twins: [[Place: NaiveRecord]]
    /// By node: places touched and dots issued since the last sync, with the batch that they are in.
    private var unsynced: [[(place: Place, batch: Int, dot: Dot?)]]
    /// Every dot ever issued.
    private var issued: Set<Dot> = []
    /// Which write was applied by which life of which node.
    private var applied: Set<Application> = []

    /// A key's record among the objects of a node, or among its hints for `target`.
    private struct Place: Hashable {
        let key: Int
        let target: NodeID?
    }

    private struct Application: Hashable {
        let write: UInt64
        let node: Int
        let life: UInt64
    }

    init(names: [ObjectName], nodeCount: Int) {
        self.keys = names.map { KeyHistory(name: $0) }
        self.keyIndices = Dictionary(uniqueKeysWithValues: zip(names, names.indices))
        self.twins = Array(repeating: [:], count: nodeCount)
        self.unsynced = Array(repeating: [], count: nodeCount)
    }

    /// The client's number of a write, which every value begins with.
    static func write(of value: ByteBuffer) -> UInt64 { value.getInteger(at: value.readerIndex) ?? 0 }

    /// The decoded record, which must be canonical.
    static func decoded(_ bytes: ByteBuffer, where place: @autoclosure () -> String) throws(Violation) -> Siblings {
        guard let siblings = try? Siblings(encoded: bytes) else {
            throw Violation("INV 1b", "\(place()): a record that cannot be decoded")
        }
        return siblings
    }

    // MARK: - Disks

    /// A disk has written `request` into its batch number `batch`; nothing is durable yet.
    mutating func onStaged(
        _ request: StorageRequest, _ outcome: StorageOutcome, node: Int, life: UInt64, batch: Int
    ) throws(Violation) {
        switch (request, outcome) {
        case (.update(_, let name, let update), .updated(let record, _, _, _)):
            guard let place = self.place(name, nil) else { return }
            try self.onUpdated(update, record, place, node: node, life: life, batch: batch)
        case (.hint(_, .update(let target, let name, let update, _)), .updated(let record, _, _, _)):
            guard let place = self.place(name, target) else { return }
            try self.onUpdated(update, record, place, node: node, life: life, batch: batch)
        case (.remove(_, let objects), .removed(let gone)):
            for (object, isGone) in zip(objects, gone) where isGone {
                guard let place = self.place(object.name, nil) else { continue }
                self.twins[node][place] = nil
                self.unsynced[node].append((place, batch, nil))
            }
        case (.merge(_, let name, let record, _), .merged):
            try self.onMerged(record, self.place(name, nil), node: node, batch: batch, heals: false)
        case (.heal(_, let name, let record), .merged(_, _, let change)):
            // A record that was written anew since is merged with, like any other.
            let heals = change?.before == .unreadable
            try self.onMerged(record, self.place(name, nil), node: node, batch: batch, heals: heals)
        case (.hint(_, .keep(let target, let name, let record, _)), .merged):
            try self.onMerged(record, self.place(name, target), node: node, batch: batch, heals: false)
        case (.hint(_, .drop(let target, let name, _)), .dropped(_, true)):
            guard let place = self.place(name, target) else { return }
            self.twins[node][place] = nil
            self.unsynced[node].append((place, batch, nil))
        default: break
        }
    }

    private func place(_ name: ObjectName, _ target: NodeID?) -> Place? {
        self.keyIndices[name].map { Place(key: $0, target: target) }
    }

    private mutating func onUpdated(
        _ update: Update, _ record: ByteBuffer, _ place: Place, node: Int, life: UInt64, batch: Int
    ) throws(Violation) {
        let dot = try self.applyUpdate(update, place, node: node, life: life)
        self.unsynced[node].append((place, batch, dot))
        let siblings = try Self.decoded(record, where: "disk of node \(node)")
        let actual = try self.keys[place.key].verify(siblings, where: "disk of node \(node)")
        guard self.keys[place.key].agree(actual, self.twin(node, place)) else {
            throw Violation("INV 4", self.difference(node, place, siblings, "an update"))
        }
    }

    private mutating func onMerged(
        _ record: ByteBuffer, _ place: Place?, node: Int, batch: Int, heals: Bool
    ) throws(Violation) {
        guard let place else { return }
        let siblings = try Self.decoded(record, where: "replica write at node \(node)")
        let incoming = try self.keys[place.key].verify(siblings, where: "replica write at node \(node)")
        self.unsynced[node].append((place, batch, nil))
        incoming.live.visit { self.keys[place.key].noteEscape($0) }
        var twin = heals ? NaiveRecord() : self.twin(node, place)
        twin.merge(incoming)
        self.twins[node][place] = twin
    }

    private func twin(_ node: Int, _ place: Place) -> NaiveRecord { self.twins[node][place] ?? NaiveRecord() }

    private mutating func applyUpdate(
        _ update: Update, _ place: Place, node: Int, life: UInt64
    ) throws(Violation) -> Dot? {
        let key = place.key
        let before = self.twin(node, place)
        switch update {
        case .put(let version, let seen, _, _, _):
            guard self.issued.insert(version.dot).inserted else {
                throw Violation("INV 3", "dot \(version.dot) was issued twice, now for \(self.keys[key].text)")
            }
            let write = Self.write(of: version.value)
            guard self.applied.insert(Application(write: write, node: node, life: life)).inserted else {
                throw Violation("INV 11", "node \(node) applied write \(write) twice")
            }
            let index = try self.keys[key].apply(version, write: write, seen: seen, before: before)
            let entry = self.keys[key].entries[index]
            var live = before.live.subtracting(entry.superseded)
            live.insert(index)
            self.twins[node][place] = NaiveRecord(live: live, seen: entry.closure)
            return version.dot
        case .delete(let seen):
            let removed = self.keys[key].applyDelete(seen: seen, before: before)
            var twin = before
            twin.live.subtract(removed)
            twin.seen.formUnion(removed)
            self.twins[node][place] = twin
            return nil
        }
    }

    /// INV 10: a hint is dropped only when each of the `receivers` has on its disk all that the hint says.
    mutating func checkDrop(
        at node: Int, target: NodeID, name: ObjectName, receivers: [(node: Int, record: Siblings)]
    ) throws(Violation) {
        guard let place = self.place(name, target) else { return }
        let hint = self.twin(node, place)
        for receiver in receivers {
            let held = try self.keys[place.key].verify(receiver.record, where: "disk of node \(receiver.node)")
            let vanished = self.keys[place.key].forgotten
            guard hint.seen.subtracting(vanished).subtracting(held.seen).isEmpty else {
                throw Violation(
                    "INV 10",
                    "node \(node) drops a hint about \(self.keys[place.key].text) that node \(receiver.node) "
                        + "does not have on its disk")
            }
        }
    }

    /// INV 10 while members change: a hint is dropped only when some disk of the cluster has all that it says among its objects.
    mutating func checkDropIsKept(
        at node: Int, target: NodeID, name: ObjectName, others: [Siblings]
    ) throws(Violation) {
        guard let place = self.place(name, target) else { return }
        let hint = self.twin(node, place)
        for record in others {
            let held = try self.keys[place.key].verify(record, where: "a disk")
            if hint.seen.subtracting(self.keys[place.key].forgotten).subtracting(held.seen).isEmpty { return }
        }
        let own = self.twin(node, Place(key: place.key, target: nil))
        guard !hint.seen.subtracting(self.keys[place.key].forgotten).subtracting(own.seen).isEmpty else { return }
        throw Violation(
            "INV 10",
            "node \(node) drops a hint about \(self.keys[place.key].text) that no disk has all of among its objects")
    }

    /// INV 9: what is removed at `node` is on the disk of each of the `receivers`.
    mutating func checkRemoval(
        at node: Int, name: ObjectName, receivers: [(node: Int, record: Siblings)]
    ) throws(Violation) {
        guard let key = self.keyIndices[name] else { return }
        for receiver in receivers {
            let held = try self.keys[key].verify(receiver.record, where: "disk of node \(receiver.node)")
            let removed = self.twin(node, Place(key: key, target: nil))
            guard removed.seen.subtracting(self.keys[key].forgotten).subtracting(held.seen).isEmpty else {
                throw Violation(
                    "INV 9",
                    "node \(node) removes what it has of \(self.keys[key].text), and node \(receiver.node), an owner, "
                        + "does not have all of it on its disk")
            }
        }
    }

    /// A disk has made all it had written durable; `held` reads it.
    mutating func onSynced(node: Int, held: (RecordPlace) -> ByteBuffer?) throws(Violation) {
        let touched = self.unsynced[node]
        self.unsynced[node].removeAll(keepingCapacity: true)
        for (place, _, _) in touched {
            let siblings = try self.siblings(held(self.recordPlace(place)), node)
            let actual = try self.keys[place.key].verify(siblings, where: "disk of node \(node)")
            guard self.keys[place.key].agree(actual, self.twin(node, place)) else {
                throw Violation("INV 4", self.difference(node, place, siblings, "a merge"))
            }
        }
    }

    private func recordPlace(_ place: Place) -> RecordPlace {
        let name = self.keys[place.key].name
        return place.target.map { RecordPlace(name, hintFor: $0) } ?? RecordPlace(name)
    }

    /// A node stopped; of what its disk had written, the first `kept` batches remain. Returns how many dots are lost.
    mutating func onCrash(
        node: Int, kept: Int, places: [RecordPlace], held: (RecordPlace) -> ByteBuffer?
    ) throws(Violation) -> Int {
        var lost = 0
        for (place, batch, dot) in self.unsynced[node] where batch >= kept {
            guard let dot else { continue }
            self.keys[place.key].lose(dot)
            lost += 1
        }
        self.unsynced[node].removeAll(keepingCapacity: true)
        self.twins[node].removeAll()
        for found in places {
            guard let place = self.place(found.name, found.target) else { continue }
            let siblings = try self.siblings(held(found), node)
            self.twins[node][place] = try self.keys[place.key].verify(
                siblings, where: "disk of node \(node) after a crash")
        }
        return lost
    }

    private func siblings(_ bytes: ByteBuffer?, _ node: Int) throws(Violation) -> Siblings {
        guard let bytes else { return Siblings() }
        return try Self.decoded(bytes, where: "disk of node \(node)")
    }

    private func difference(_ node: Int, _ place: Place, _ siblings: Siblings, _ cause: String) -> String {
        let key = place.key
        var expected: [Dot] = []
        self.twin(node, place).live.visit { expected.append(self.keys[key].entries[$0].dot) }
        let role = place.target.map { " as a hint for \($0)" } ?? ""
        return
            "after \(cause), node \(node) holds\(role) \(siblings.versions.map(\.dot)) under \(siblings.context.entries) "
            + "of \(self.keys[key].text); the concurrent writes it has seen are \(expected.sorted())"
    }

    // MARK: - Replies

    /// Checks a record on its way to a client or a peer and returns what it says.
    mutating func verify(
        _ siblings: Siblings, of name: ObjectName, where place: @autoclosure () -> String
    ) throws(Violation) -> NaiveRecord {
        guard let key = self.keyIndices[name] else { return NaiveRecord() }
        return try self.keys[key].verify(siblings, where: place())
    }

    /// A client is told that a put is stored: `durable` says of each node what is safe on its disk, its hints included. Returns how
    /// many nodes have it.
    mutating func onPutStored(
        write: UInt64, name: ObjectName, acks: Int, durable: [[Siblings]]
    ) throws(Violation) -> Int {
        guard let key = self.keyIndices[name] else { return acks }
        self.keys[key].acknowledged.insert(write)
        let dots = self.keys[key].entries.filter { $0.write == write }.map(\.dot)
        let copies = durable.count { records in
            records.contains { record in dots.contains { record.context.covers($0) } }
        }
        guard copies >= acks else {
            throw Violation(
                "INV 1",
                "write \(write) of \(self.keys[key].text) \(dots) is acknowledged for \(acks) nodes and safe "
                    + "on \(copies)")
        }
        return copies
    }

    /// A client is told that a delete is stored.
    mutating func onDeleteStored(removed: BitSet, name: ObjectName, acks: Int, durable: [[Siblings]]) throws(Violation)
    {
        guard let key = self.keyIndices[name] else { return }
        self.keys[key].deletedForGood.formUnion(removed)
        var dots: [Dot] = []
        removed.visit { dots.append(self.keys[key].entries[$0].dot) }
        let copies = durable.count { records in
            records.contains { record in
                dots.allSatisfy { dot in
                    record.context.covers(dot) && !record.versions.contains { $0.dot == dot }
                }
            }
        }
        guard copies >= acks else {
            throw Violation(
                "INV 2",
                "a delete of \(dots) in \(self.keys[key].text) is acknowledged for \(acks) nodes and safe on "
                    + "\(copies)")
        }
    }

    /// What the context that a client declares covers, for a delete.
    func declared(_ seen: Seen, name: ObjectName) -> BitSet {
        guard let key = self.keyIndices[name], case .given(let context) = seen else { return BitSet() }
        return self.keys[key].covered(by: context)
    }

    /// Whether every write in `acknowledged` is in the causal past of `record` (INV 5).
    func missing(from record: NaiveRecord, of name: ObjectName, acknowledged: [UInt64]) -> UInt64? {
        guard let key = self.keyIndices[name] else { return nil }
        return acknowledged.first { write in
            !self.keys[key].indices(of: write).contains { record.seen.contains($0) }
        }
    }

    /// A write that every attempt refused must not have taken effect (INV 1b).
    func checkRefused(write: UInt64, name: ObjectName) throws(Violation) {
        guard let key = self.keyIndices[name] else { return }
        if let entry = self.keys[key].entries.first(where: { $0.write == write && !$0.lost }) {
            throw Violation(
                "INV 1b", "write \(write) of \(self.keys[key].text) was refused and yet took effect as \(entry.dot)")
        }
    }

    /// What node `index` had of `key` in `lost` is gone for good; `others` is all that is safe elsewhere. Returns the acknowledged
    /// writes that are gone with it, which from now on nobody is owed.
    mutating func onRecordLost(
        key: Int, at index: Int, lost: [Siblings], others: [Siblings]
    ) throws(Violation) -> [UInt64] {
        var elsewhere = BitSet()
        for (node, twins) in self.twins.enumerated() where node != index {
            for (place, twin) in twins where place.key == key { elsewhere.formUnion(twin.seen) }
        }
        let gone = self.keys[key].entries.enumerated().filter { number, entry in
            lost.contains { $0.context.covers(entry.dot) } && !elsewhere.contains(number)
                && !others.contains { $0.context.covers(entry.dot) }
        }.map(\.element)
        for entry in gone { self.keys[key].goWithDisk(entry.dot) }
        // A delete that only the lost record knew of is undone by the copies that had not heard of it.
        var deleted = BitSet()
        self.keys[key].deletedForGood.visit { index in
            let dot = self.keys[key].entries[index].dot
            let isKnown = others.contains { record in
                record.context.covers(dot) && !record.versions.contains { $0.dot == dot }
            }
            if isKnown { deleted.insert(index) }
        }
        self.keys[key].deletedForGood = deleted
        let writes = gone.map(\.write).filter { write in
            self.keys[key].acknowledged.contains(write)
                && self.keys[key].indices(of: write).allSatisfy { self.keys[key].entries[$0].lost }
        }
        self.keys[key].acknowledged.subtract(writes)
        return writes
    }

    /// The record of `key` on `node` cannot be read any more, so what was merged into it without a change is not there to compare.
    mutating func onRotted(node: Int, key: Int) {
        self.unsynced[node].removeAll { $0.place == Place(key: key, target: nil) && $0.dot == nil }
    }

    /// Node `index` holds nothing any more.
    mutating func onDiskLost(node: Int) {
        self.unsynced[node].removeAll()
        self.twins[node].removeAll()
    }

    // MARK: - The end

    /// What all owners hold in the end must cover every acknowledged write and show nothing that was deleted.
    mutating func checkFinal(_ siblings: Siblings, of name: ObjectName) throws(Violation) {
        guard let key = self.keyIndices[name] else { return }
        let record = try self.keys[key].verify(siblings, where: "the end")
        if let lost = self.missing(from: record, of: name, acknowledged: self.keys[key].acknowledged.sorted()) {
            let dots = self.keys[key].entries.filter { $0.write == lost }.map(\.dot)
            throw Violation(
                "INV 1",
                "acknowledged write \(lost) of \(self.keys[key].text) \(dots) is lost; held are "
                    + "\(siblings.versions.map(\.dot)) under \(siblings.context.entries)")
        }
        if let back = record.live.intersection(self.keys[key].deletedForGood).first {
            throw Violation(
                "INV 2", "\(self.keys[key].entries[back].dot) of \(self.keys[key].text) came back after its delete")
        }
    }
}
