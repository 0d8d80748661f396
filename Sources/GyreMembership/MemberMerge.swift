/// How two records about one node become one. The least upper bound of both halves, hence commutative, associative
/// and idempotent.
extension MemberRecord {
    /// What follows from knowing both `self` and `other`, which must be about the same node.
    package func merged(with other: MemberRecord) -> MemberRecord {
        precondition(self.node == other.node, "merge of \(self.node) with \(other.node)")
        var result = other.describesLater(than: self) ? other : self
        if self.state == .removed || other.state == .removed { result.state = .removed }
        let opinion = other.opinionOutweighs(self) ? other : self
        result.incarnation = opinion.incarnation
        result.liveness = opinion.liveness
        return result
    }

    /// Whether the opinion of `self` replaces that of `other`: a higher incarnation does, then the worse opinion
    /// (SWIM §4.2, with `dead` bound to its incarnation so that a node can come back under its own identity).
    func opinionOutweighs(_ other: MemberRecord) -> Bool {
        (self.incarnation, self.liveness.rawValue) > (other.incarnation, other.liveness.rawValue)
    }

    /// Whether the fields that the owner writes are the same, whatever their version.
    func describesTheSame(as other: MemberRecord) -> Bool {
        self.name == other.name && self.address == other.address && self.zone == other.zone
            && self.weight == other.weight && self.state == other.state
            && self.softwareVersion == other.softwareVersion && self.labels == other.labels
    }

    /// Whether the next life needs no other record than this one: how far a node has leased dots changes too often to be
    /// kept by all others, and they hear of it again.
    func isKeptLike(_ other: MemberRecord) -> Bool {
        if self.recordVersion == other.recordVersion { return self.describesTheSame(as: other) }
        guard self.leased != other.leased else { return false }
        var same = self
        same.labels = other.labels
        return same.describesTheSame(as: other)
            && self.labels.filter { $0.name != MemberRecord.leaseLabel }
                == other.labels.filter { $0.name != MemberRecord.leaseLabel }
    }

    /// Whether the description of `self` replaces that of `other`: a higher version does. Two descriptions with one
    /// version come from two lives of one identity; any total order will do that all nodes share. State comes last in
    /// it, because `removed` may have overwritten it.
    private func describesLater(than other: MemberRecord) -> Bool {
        if self.recordVersion != other.recordVersion { return self.recordVersion > other.recordVersion }
        if self.address != other.address { return self.address > other.address }
        if self.name != other.name { return self.name > other.name }
        if self.zone != other.zone { return self.zone > other.zone }
        if self.weight != other.weight { return self.weight > other.weight }
        if self.softwareVersion != other.softwareVersion { return self.softwareVersion > other.softwareVersion }
        if self.labels != other.labels { return other.labels.lexicographicallyPrecedes(self.labels) }
        return self.state.rawValue > other.state.rawValue
    }
}
