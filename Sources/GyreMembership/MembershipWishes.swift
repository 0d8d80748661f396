package import GyreBase

/// What an operator wants of members (architecture D8, D11).
extension MemberRecord {
    /// The name of the label that says whose place in the ring a node wants.
    package static let placeLabel = "place"

    /// The name of the label of a node that was started to wait for a place.
    package static let holdLabel = "hold"

    /// Whether the node takes no share of the ring before an operator says so.
    package var isHeld: Bool { self.labels.contains { $0.name == MemberRecord.holdLabel } }

    /// The place that an operator gave to this node; nil for its own.
    package var placeTaken: NodeID? {
        self.labels.first { $0.name == MemberRecord.placeLabel }.flatMap { NodeID(hexadecimal: $0.value) }
    }
}

extension Membership {
    /// This node wants to hand over all it has and go.
    package mutating func leave(into effects: inout [MembershipEffect]) {
        guard self.me.state == .normal || self.me.state == .joining else { return }
        self.me.state = .leaving
        self.raiseOwnRecord()
        self.finish(into: &effects)
    }

    /// This node, which waits to be told or for the place of another, wants a share of the ring of its own.
    package mutating func stopWaiting(into effects: inout [MembershipEffect]) {
        let waits = [MemberRecord.holdLabel, MemberRecord.placeLabel]
        guard self.me.labels.contains(where: { waits.contains($0.name) }) else { return }
        self.me.labels.removeAll { waits.contains($0.name) }
        self.raiseOwnRecord()
        self.finish(into: &effects)
    }

    /// This node shall have the place of `place` in the ring, with the next change.
    package mutating func takePlace(_ place: NodeID, into effects: inout [MembershipEffect]) {
        self.me.labels.removeAll { $0.name == MemberRecord.placeLabel || $0.name == MemberRecord.holdLabel }
        self.me.labels.append(MemberLabel(name: MemberRecord.placeLabel, value: place.description))
        self.me.labels.sort()
        self.raiseOwnRecord()
        self.finish(into: &effects)
    }

    /// Bans `node` for good; false when it is not known or this node itself.
    package mutating func remove(_ node: NodeID, at now: Instant, into effects: inout [MembershipEffect]) -> Bool {
        guard let index = self.index(of: node) else { return false }
        var record = self.peers[index].record
        record.state = .removed
        self.replace(index, with: record, at: now, into: &effects)
        self.finish(into: &effects)
        return true
    }
}
