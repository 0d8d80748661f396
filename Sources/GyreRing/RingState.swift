package import GyreBase

/// How far one node has come with a change of the ring; each stage includes the ones before it.
///
/// On the wire and on disk: never renumber.
package enum RingStage: UInt8, Hashable, Comparable, Sendable, CaseIterable {
    /// It writes to the owners of both rings, and every write that it began otherwise is over.
    case knows = 1
    /// It holds all that was written before everybody knew, of every partition that it gains.
    case synced = 2
    /// It reads from the next ring, and every read that it began otherwise is over.
    case moved = 3

    /// Earlier first.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The word of one node about the change that goes on.
package struct RingMark: Hashable, Sendable {
    /// Whose word it is.
    package let node: NodeID
    /// How far the node has come.
    package var stage: RingStage

    /// Joins the two.
    package init(node: NodeID, stage: RingStage) {
        self.node = node
        self.stage = stage
    }
}

/// Who owns ranges by now, who shall next, and how far every node concerned has come (architecture D9;
/// docs/internals/ring-changes.md, docs/decisions/0005-a-ring-changes-in-three-stages.md).
///
/// Version 0 means that the cluster is still forming: then the owners follow from the member records, and `base` is empty.
/// A later version is decided once, because its proposal needs the word of every owner of the version before.
/// Pure value; safe from any thread.
package struct RingState: Hashable, Sendable {
    /// The highest version: out of reach when it rises by one, far from overflow when forged.
    package static let versionMax: UInt64 = 1 << 62

    /// Counts the changes that are over.
    package private(set) var version: UInt64
    /// The owners, sorted by place; nobody while the version is 0.
    package private(set) var base: [RingMember]
    /// The owners of `version` + 1, sorted by place; nil when no change goes on.
    package private(set) var next: [RingMember]?
    /// What nodes have said about `next`, sorted by node.
    package private(set) var marks: [RingMark]

    /// A cluster that is forming.
    package init() { self.init(version: 0, base: [], next: nil, marks: []) }

    /// A state as it is; lists are sorted, and marks without `next` are left out.
    package init(version: UInt64, base: [RingMember], next: [RingMember]?, marks: [RingMark] = []) {
        self.version = version
        self.base = Self.sorted(base)
        self.next = next.map(Self.sorted)
        self.marks = next == nil ? [] : marks.sorted { $0.node < $1.node }
    }

    private static func sorted(_ members: [RingMember]) -> [RingMember] {
        members.sorted { ($0.place, $0.node) < ($1.place, $1.node) }
    }

    /// Everybody whose word the change needs: the owners of both rings, sorted, each once.
    package var participants: [NodeID] {
        var nodes = self.base.map(\.node)
        for member in self.next ?? [] where !nodes.contains(member.node) { nodes.append(member.node) }
        return nodes.sorted()
    }

    /// What `node` has said about the change; nil for nothing.
    package func stage(of node: NodeID) -> RingStage? { self.marks.first { $0.node == node }?.stage }

    // MARK: - Changes

    /// Proposes the owners of the next version; only where none are proposed.
    package mutating func propose(_ owners: [RingMember]) {
        guard self.next == nil, self.version < Self.versionMax else { return }
        self.next = Self.sorted(owners)
        self.marks = []
    }

    /// Notes the word of `node`, which never goes back; only while a change goes on.
    package mutating func mark(_ node: NodeID, _ stage: RingStage) {
        guard self.next != nil else { return }
        if let index = self.marks.firstIndex(where: { $0.node == node }) {
            self.marks[index].stage = max(self.marks[index].stage, stage)
        } else {
            let place = self.marks.firstIndex { $0.node > node } ?? self.marks.count
            self.marks.insert(RingMark(node: node, stage: stage), at: place)
        }
    }

    /// Makes `next` the base; only right when everybody has moved.
    package mutating func commit() {
        guard let next = self.next else { return }
        self = RingState(version: self.version + 1, base: next, next: nil)
    }

    // MARK: - Merging

    /// Takes in what another node knows.
    ///
    /// The newer version wins as a whole. Within one version, marks of one proposal are united; of two proposals one that
    /// `isDecided` wins, because everybody has said a word for it; of two that are not, nobody can act on either, so
    /// both become their union, and marks begin anew. Two clusters that were founded apart have different owners in one
    /// version: the larger one wins as a whole, and the nodes of the other join it.
    ///
    /// - Parameter isDecided: whether every participant has said `knows` or more about the proposal of a state.
    package mutating func merge(_ other: RingState, isDecided: (RingState) -> Bool) {
        if self.version != other.version {
            if self.version < other.version { self = other }
            return
        }
        if self.base != other.base {
            if Self.yields(self.base, to: other.base) { self = other }
            return
        }
        guard let theirs = other.next else { return }
        guard let mine = self.next else {
            self = other
            return
        }
        if mine == theirs {
            for mark in other.marks { self.mark(mark.node, mark.stage) }
        } else if isDecided(other) {
            if !isDecided(self) || Self.yields(mine, to: theirs) { self = other }
        } else if !isDecided(self) {
            let union = Self.union(mine, theirs)
            if union == theirs { self.marks = other.marks } else if union != mine { self.marks = [] }
            self.next = union
        }
    }

    /// Members of either list; of two accounts of one node the greater one, in an order that all nodes share.
    private static func union(_ a: [RingMember], _ b: [RingMember]) -> [RingMember] {
        var united = a
        for member in b {
            guard let index = united.firstIndex(where: { $0.node == member.node }) else {
                united.append(member)
                continue
            }
            if united[index].isBelow(member) { united[index] = member }
        }
        // Two nodes for one place: the one with the higher identity waits for the change after this one.
        united = Self.sorted(united)
        var kept: [RingMember] = []
        for member in united where kept.last?.place != member.place { kept.append(member) }
        return kept
    }

    private static func yields(_ a: [RingMember], to b: [RingMember]) -> Bool {
        if a.count != b.count { return a.count < b.count }
        for (mine, theirs) in zip(a, b) where mine != theirs { return mine.isBelow(theirs) }
        return false
    }
}

extension RingMember {
    /// Any total order that all nodes share.
    fileprivate func isBelow(_ other: RingMember) -> Bool {
        if self.node != other.node { return self.node < other.node }
        if self.place != other.place { return self.place < other.place }
        if self.weight != other.weight { return self.weight < other.weight }
        return self.zone.utf8.lexicographicallyPrecedes(other.zone.utf8)
    }
}
