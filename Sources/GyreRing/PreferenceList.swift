package import GyreBase

/// One place in a preference list.
package enum Slot: Hashable, Sendable {
    /// An owner of the partition.
    case primary(NodeID)
    /// A node that takes a hint for an owner that cannot be reached (sloppy quorum, Dynamo §4.6).
    case fallback(NodeID, standingInFor: NodeID)

    /// The node that requests for this place go to.
    package var node: NodeID {
        switch self {
        case .primary(let node): node
        case .fallback(let node, standingInFor: _): node
        }
    }
}

/// The nodes that a key's requests go to, in order of preference (Dynamo §4.3). Pure value.
package struct PreferenceList: Hashable, Sendable {
    /// The partition that the key is in.
    package let partition: PartitionID
    /// One place for each owner, in the order of `Ring.owners(of:)`: the owner, or who stands in for it.
    package let slots: [Slot]
    /// Owners that cannot be reached and that no healthy node is left to stand in for; they have no place.
    package let unreachable: [NodeID]
}
