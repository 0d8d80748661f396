package import GyreBase

/// Questions about the cluster.
extension Membership {
    /// Whether requests should be sent to `node`: it is this node, alive, or a suspect that is not dead yet.
    ///
    /// - Complexity: O(log n); allocates nothing, for it is asked with every request.
    package func isAlive(_ node: NodeID) -> Bool {
        if node == self.me.node { return self.me.state != .removed }
        guard let index = self.index(of: node) else { return false }
        return self.peers[index].record.liveness != .dead && self.peers[index].record.state != .removed
    }

    /// Whether this node was given the address of another one to find its cluster by.
    package var hasSeeds: Bool { !self.seeds.isEmpty }

    /// Every known record, removed members and this node included, sorted by node.
    package var members: [MemberRecord] {
        var all: [MemberRecord] = []
        all.reserveCapacity(self.peers.count + 1)
        let place = self.place(of: self.me.node)
        for index in 0..<place { all.append(self.peers[index].record) }
        all.append(self.me)
        for index in place..<self.peers.count { all.append(self.peers[index].record) }
        return all
    }

    /// The record of `node`, if it is known.
    package func record(of node: NodeID) -> MemberRecord? {
        if node == self.me.node { return self.me }
        return self.index(of: node).map { self.peers[$0].record }
    }

    /// Members that are not the same node and yet claim one name or one address: a wiped disk, or a mistake.
    ///
    /// Both are kept, for only an operator can say which one is meant. Sorted; names first.
    package var conflicts: [MemberConflict] {
        let present = self.members.filter { $0.state != .removed }
        let byName = present.sorted { ($0.name, $0.node) < ($1.name, $1.node) }
        let byAddress = present.sorted { ($0.address, $0.node) < ($1.address, $1.node) }
        var found: [MemberConflict] = []
        for (a, b) in zip(byName, byName.dropFirst()) where a.name == b.name {
            found.append(MemberConflict(claim: .name(a.name), first: a.node, second: b.node))
        }
        for (a, b) in zip(byAddress, byAddress.dropFirst()) where a.address == b.address {
            found.append(MemberConflict(claim: .address(a.address), first: a.node, second: b.node))
        }
        return found
    }

    /// Where `node` is in `peers`.
    func index(of node: NodeID) -> Int? {
        let place = self.place(of: node)
        return place < self.nodes.count && self.nodes[place] == node ? place : nil
    }

    /// Where `node` is in `peers`, or would be.
    func place(of node: NodeID) -> Int {
        var low = 0
        var high = self.nodes.count
        while low < high {
            let middle = low + (high - low) / 2
            if self.nodes[middle] < node { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// Two members, not removed, that claim one name or one address.
package struct MemberConflict: Hashable, Sendable {
    /// What both claim.
    package enum Claim: Hashable, Sendable {
        /// A name.
        case name(String)
        /// A place to dial.
        case address(PeerAddress)
    }

    /// The name or address in question.
    package let claim: Claim
    /// The member with the lower NodeID.
    package let first: NodeID
    /// The member with the higher NodeID.
    package let second: NodeID

    /// Wraps the three.
    package init(claim: Claim, first: NodeID, second: NodeID) {
        self.claim = claim
        self.first = first
        self.second = second
    }
}
