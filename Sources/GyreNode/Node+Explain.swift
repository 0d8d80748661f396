import GyreBase
import GyreCausality
import GyreMerkle
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// What this node finds out about one object, for itself or for another node.
struct InspectOperation {
    /// Who asked: a peer under its tag, or the own explanation with that tag.
    let from: NodeID
    let tag: UInt64
    let name: ObjectName
    var pending: Int
    var inspection: Inspection
}

/// An explanation that waits for what other nodes know.
struct ExplainOperation {
    /// The most nodes that are asked.
    static let nodesMax = 64

    let target: ReplyTarget
    let name: ObjectName
    var waiting: [NodeID]
    var report: ExplainReport
    let deadline: Instant
}

/// `gyre explain`: an object on every node that has something to do with it.
extension Node {
    /// A client wants to know all about an object.
    mutating func startExplain(
        _ name: ObjectName, _ target: ReplyTarget, timeout: TimeSpan, at now: Now, into effects: inout [NodeEffect]
    ) {
        let leaf = self.leaf(of: name.token)
        let replicas = self.replicaSet(of: name.token, isSloppy: self.options.isSloppy, isRead: true)
        let owners = Array(replicas.owners)
        let others = self.reachable.filter { !owners.contains($0) }
        let nodes = Array((owners + others).prefix(ExplainOperation.nodesMax))
        let entries = nodes.map { node in
            ExplainReport.Entry(
                node: node, place: owners.firstIndex(of: node).map { UInt8($0) }, inspection: nil)
        }
        let places = replicas.reachablePlaces { self.isReachable($0) }
        let reads = self.options.quorum.reads
        let readers = Array(places.intersection(replicas.primaries)) + Array(places.intersection(replicas.replaced))
        let report = ExplainReport(
            token: name.token, partition: UInt32(leaf.partition), leaf: UInt16(leaf.leaf), entries: entries,
            readers: readers.prefix(reads).map { replicas.node(at: $0) })
        let waiting = nodes.filter { self.isReachable($0) }
        // A little is left of the client's time, so that an answer without the slow ones still arrives.
        let patience = TimeSpan(nanoseconds: min(timeout, self.options.timeoutMost).nanoseconds / 4 * 3)
        let tag = self.explains.insert(
            ExplainOperation(
                target: target, name: name, waiting: waiting, report: report,
                deadline: now.instant.advanced(by: patience)))
        for node in waiting where node != self.me { effects.append(.send(node, .inspect(tag: tag, name: name))) }
        if waiting.contains(self.me) {
            self.inspect(name, for: self.me, tag, into: &effects)
        } else if waiting.isEmpty, let index = self.explains.index(of: tag) {
            self.endExplain(index, into: &effects)
        }
    }

    /// Finds out what this node knows about an object.
    mutating func inspect(_ name: ObjectName, for node: NodeID, _ tag: UInt64, into effects: inout [NodeEffect]) {
        guard self.inFlight < self.options.inFlightMax else {
            self.counters.overloaded += 1
            return
        }
        var inspection = Inspection()
        let leaf = self.leaf(of: name.token)
        inspection.leaf = self.trees.forest.tree(of: leaf.partition)?.leaf(leaf.leaf)
        let owners = self.ring.members.isEmpty ? [] : self.ring.owners(of: self.ring.partition(of: name.token))
        let targets = owners.filter { $0 != self.me && self.handoff.index(of: $0) != nil }
        let work = self.inspections.insert(
            InspectOperation(from: node, tag: tag, name: name, pending: 1 + targets.count, inspection: inspection))
        let read = self.replicas.insert(.inspectRead(work, target: nil))
        effects.append(.store(.read(StorageTag(rawValue: read), name, .record)))
        for target in targets {
            let hint = self.replicas.insert(.inspectRead(work, target: target))
            effects.append(.store(.hint(StorageTag(rawValue: hint), .read(target: target, name, .digest))))
        }
    }

    /// The disk has told something about an object that is inspected.
    mutating func onInspectRead(
        _ work: UInt64, target: NodeID?, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.inspections.index(of: work) else { return }
        switch (target, outcome) {
        case (let target?, .digest), (let target?, .record), (let target?, .refused):
            self.inspections[index].inspection.hintsFor.append(target)
        case (nil, .record(let record, let digest)):
            self.inspections[index].inspection.digest = digest.rawValue
            self.inspections[index].inspection.bytes = UInt64(record.readableBytes)
            if let siblings = try? Siblings(encoded: record) {
                self.inspections[index].inspection.heads = siblings.withoutValues().encoded
            }
        case (nil, .refused): self.inspections[index].inspection.isCorrupt = true
        default: break
        }
        self.inspections[index].pending -= 1
        guard self.inspections[index].pending == 0 else { return }
        let done = self.inspections.remove(index)
        if done.from == self.me {
            self.onInspected(from: self.me, done.tag, done.inspection, into: &effects)
        } else {
            effects.append(.send(done.from, .inspected(tag: done.tag, done.inspection)))
        }
    }

    /// A node has told what it knows.
    mutating func onInspected(
        from node: NodeID, _ tag: UInt64, _ inspection: Inspection, into effects: inout [NodeEffect]
    ) {
        guard let index = self.explains.index(of: tag), self.explains[index].waiting.contains(node) else { return }
        self.explains[index].waiting.removeAll { $0 == node }
        if let place = self.explains[index].report.entries.firstIndex(where: { $0.node == node }) {
            let entry = self.explains[index].report.entries[place]
            self.explains[index].report.entries[place] = ExplainReport.Entry(
                node: node, place: entry.place, inspection: inspection)
        }
        if self.explains[index].waiting.isEmpty { self.endExplain(index, into: &effects) }
    }

    private mutating func endExplain(_ index: Int, into effects: inout [NodeEffect]) {
        var operation = self.explains.remove(index)
        // Of nodes that are no owners only those that keep something for one are of interest.
        operation.report.entries.removeAll { $0.place == nil && ($0.inspection?.hintsFor.isEmpty ?? true) }
        self.answer(operation.target, .explained(operation.report), into: &effects)
    }

    /// Answers explanations whose time is up with what is known.
    mutating func expireExplains(at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.explains.indices(into: &self.found) { now.instant >= $0.deadline }
        let late = self.found
        for index in late { self.endExplain(index, into: &effects) }
    }
}
