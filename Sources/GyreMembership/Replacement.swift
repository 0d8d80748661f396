package import GyreBase

/// A node that lost its disk comes back under a new identity (architecture D4) and takes the place of the old one: the same
/// partitions, so that no other node's data moves. The label `replaces` in its record says whose place that is.
extension MemberRecord {
    /// The name of the label.
    package static let replacesLabel = "replaces"

    /// The identity whose place this node has taken; nil for its own.
    package var replaces: NodeID? {
        self.labels.first { $0.name == MemberRecord.replacesLabel }.flatMap { NodeID(hexadecimal: $0.value) }
    }
}

/// Members with a share of the ring, each with the identity that its share was first computed for.
package enum RingPlaces {
    /// The longest chain of replacements that is followed.
    private static let chainMax = 64

    /// Those of `records` that own ranges, in the order given. A member whose place another owner has taken is left out, known
    /// to be removed or not. Pure function of the set of records, hence the same on every node that knows the same.
    package static func owners(of records: [MemberRecord]) -> [(record: MemberRecord, place: NodeID)] {
        let owning = records.filter(\.state.ownsRanges)
        if owning.allSatisfy({ $0.replaces == nil }) { return owning.map { ($0, $0.node) } }
        let replaced = owning.compactMap(\.replaces)
        let left = owning.filter { !replaced.contains($0.node) }
        var places = left.map { Self.place(of: $0, records) }
        // Of two that claim one place the lower identity has it; only forgery gets there.
        for (index, member) in left.enumerated() {
            let rivals = left.indices.filter { places[$0] == places[index] }
            if rivals.contains(where: { left[$0].node < member.node }) { places[index] = member.node }
        }
        return zip(left, places).map { ($0, $1) }
    }

    private static func place(of record: MemberRecord, _ records: [MemberRecord]) -> NodeID {
        var place = record.node
        var current = record
        for _ in 0..<Self.chainMax {
            guard let earlier = current.replaces else { break }
            place = earlier
            guard let next = records.first(where: { $0.node == earlier }) else { break }
            current = next
        }
        return place
    }
}

extension Membership {
    /// Bans the identity whose place this node has taken, now and whenever it is heard of: its disk is gone, so it can never come
    /// back. Not before this node is known to the others, who would otherwise see a ring with neither.
    package mutating func retireReplaced(at now: Instant, into effects: inout [MembershipEffect]) {
        self.retiresReplaced = true
        self.banReplaced(at: now, into: &effects)
        self.finish(into: &effects)
    }

    /// See `retireReplaced`. Where the replacement is banned itself, as one that left before it was whole, everybody bans the
    /// earlier identity: nobody else is left to do it.
    mutating func banReplaced(at now: Instant, into effects: inout [MembershipEffect]) {
        if self.retiresReplaced, let earlier = self.me.replaces { self.ban(earlier, at: now, into: &effects) }
        for index in self.peers.indices where self.peers[index].record.state == .removed {
            if let earlier = self.peers[index].record.replaces { self.ban(earlier, at: now, into: &effects) }
        }
    }

    private mutating func ban(_ node: NodeID, at now: Instant, into effects: inout [MembershipEffect]) {
        guard let index = self.index(of: node), self.peers[index].record.state != .removed else { return }
        var record = self.peers[index].record
        record.state = .removed
        self.replace(index, with: record, at: now, into: &effects)
    }
}
