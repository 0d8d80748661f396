package import GyreBase

/// Which nodes own which partitions: a pure function of the member set, hence the same on every node.
///
/// Pure value; safe from any thread. Copies share storage.
package struct Ring: Sendable, Equatable {
    /// The most members.
    package static let membersMax = 1_024

    /// The members, sorted by place.
    package let members: [RingMember]
    /// What the placement was computed with.
    package let options: RingOptions
    /// XXH3 of the placement: equal on two nodes when and, but for chance, only when they agree who owns what.
    package let hash: UInt64
    /// min(N, members).
    package let ownersPerPartition: Int
    private let flat: [NodeID]
    private let shift: UInt64

    /// Computes the placement; the order of `members` does not matter, and there may be none.
    package init(members: [RingMember], options: RingOptions) throws(RingError) {
        guard members.count <= Ring.membersMax else {
            throw .tooManyMembers(members.count, countMax: Ring.membersMax)
        }
        let sorted = members.sorted { $0.place < $1.place }
        for (a, b) in zip(sorted, sorted.dropFirst()) where a.place == b.place { throw .duplicateMember(a.node) }
        let nodes = sorted.map(\.node).sorted()
        for (a, b) in zip(nodes, nodes.dropFirst()) where a == b { throw .duplicateMember(a) }
        for member in sorted where !(1...RingMember.weightMax).contains(member.weight) {
            throw .invalidWeight(member.weight, node: member.node, weightMax: RingMember.weightMax)
        }
        self.members = sorted
        self.options = options
        self.ownersPerPartition = min(options.replicas, sorted.count)
        self.shift = UInt64(64 - options.partitionCount.trailingZeroBitCount)
        self.flat =
            sorted.isEmpty ? [] : Placement(members: sorted, options: options).owners.map { sorted[$0].node }
        let head = [UInt64(options.partitionCount).littleEndian, UInt64(options.replicas).littleEndian]
        let words = head + self.flat.map { $0.rawValue.littleEndian }
        self.hash = words.withUnsafeBytes { StableHash.xxh3($0) }
    }

    /// The partition that `token` lies in: its top bits.
    package func partition(of token: Token) -> PartitionID {
        PartitionID(index: Int(truncatingIfNeeded: token.rawValue >> self.shift))
    }

    /// The owners of `partition` in order of preference: min(N, members) distinct nodes. Allocates nothing.
    package func owners(of partition: PartitionID) -> ArraySlice<NodeID> {
        let start = partition.index * self.ownersPerPartition
        return self.flat[start..<start + self.ownersPerPartition]
    }

    /// The owners of the partition of `token`, with a healthy node in the place of each that is not.
    ///
    /// Stand-ins are the next distinct healthy nodes clockwise (Dynamo §4.6).
    package func preferenceList(for token: Token, isHealthy: (NodeID) -> Bool) -> PreferenceList {
        let partition = self.partition(of: token)
        let owners = self.owners(of: partition)
        var slots: [Slot] = []
        slots.reserveCapacity(owners.count)
        var unreachable: [NodeID] = []
        var used: [NodeID] = []
        var next = partition.index * self.ownersPerPartition
        for owner in owners {
            if isHealthy(owner) {
                slots.append(.primary(owner))
            } else if let standIn = self.standIn(after: &next, notIn: owners, used: &used, isHealthy: isHealthy) {
                slots.append(.fallback(standIn, standingInFor: owner))
            } else {
                unreachable.append(owner)
            }
        }
        return PreferenceList(partition: partition, slots: slots, unreachable: unreachable)
    }

    private func standIn(
        after position: inout Int,
        notIn owners: ArraySlice<NodeID>,
        used: inout [NodeID],
        isHealthy: (NodeID) -> Bool
    ) -> NodeID? {
        for _ in 0..<self.flat.count where owners.count + used.count < self.members.count {
            let node = self.flat[position]
            position = position + 1 == self.flat.count ? 0 : position + 1
            if owners.contains(node) || used.contains(node) { continue }
            used.append(node)
            if isHealthy(node) { return node }
        }
        return nil
    }

    /// How many of the Q × min(N, members) places `node` has, and how many there are.
    package func share(of node: NodeID) -> RingShare {
        RingShare(owned: self.flat.count { $0 == node }, total: self.flat.count)
    }
}

/// A node's part of the ring as a ratio of whole places, so that no float reaches the core.
package struct RingShare: Hashable, Sendable {
    /// Places that the node has.
    package let owned: Int
    /// Places there are.
    package let total: Int
}
