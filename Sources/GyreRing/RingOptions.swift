package import GyreBase

/// One of the Q equal slices of the token space (Dynamo §6.2, strategy 3).
package struct PartitionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The slice, clockwise from token zero: 0 to Q − 1.
    package let index: Int

    /// Wraps an index.
    package init(index: Int) { self.index = index }

    /// The index in decimal.
    package var description: String { String(self.index) }

    /// Clockwise order, starting at token zero.
    package static func < (a: Self, b: Self) -> Bool { a.index < b.index }
}

/// What the placement needs to know about a node. Pure value.
package struct RingMember: Hashable, Sendable {
    /// The highest weight.
    package static let weightMax = 1_000

    /// Who it is.
    package let node: NodeID
    /// The identity that its virtual nodes are computed from: its own, or that of the node whose place it has taken.
    package let place: NodeID
    /// How much it takes in proportion to others, 1 to 1,000.
    package let weight: Int
    /// Its failure domain; replicas are put into distinct ones first.
    package let zone: String

    /// Wraps the three; `Ring.init` checks them.
    package init(node: NodeID, place: NodeID? = nil, weight: Int = 1, zone: String = "") {
        self.node = node
        self.place = place ?? node
        self.weight = weight
        self.zone = zone
    }
}

/// What all nodes of a cluster must agree on for equal placement; fixed when the cluster is created.
package struct RingOptions: Hashable, Sendable {
    /// The range of `partitionCount`.
    package static let partitionCountRange = 8...65_536
    /// The range of `replicas`.
    package static let replicasRange = 1...7

    /// Q, a power of two.
    package let partitionCount: Int
    /// N, the number of owners of a partition.
    package let replicas: Int

    /// Checks both.
    package init(partitionCount: Int = 1_024, replicas: Int = 3) throws(RingError) {
        guard RingOptions.partitionCountRange.contains(partitionCount), partitionCount.nonzeroBitCount == 1 else {
            throw .invalidPartitionCount(partitionCount, allowed: RingOptions.partitionCountRange)
        }
        guard RingOptions.replicasRange.contains(replicas) else {
            throw .invalidReplicas(replicas, allowed: RingOptions.replicasRange)
        }
        self.partitionCount = partitionCount
        self.replicas = replicas
    }
}

/// Why a ring cannot be computed; the payload holds the value and its limit.
package enum RingError: Error, Hashable, Sendable {
    /// Not a power of two, or outside the range.
    case invalidPartitionCount(Int, allowed: ClosedRange<Int>)
    /// Outside the range.
    case invalidReplicas(Int, allowed: ClosedRange<Int>)
    /// A weight outside 1 to `weightMax`.
    case invalidWeight(Int, node: NodeID, weightMax: Int)
    /// One node twice.
    case duplicateMember(NodeID)
    /// More members than a ring may have.
    case tooManyMembers(Int, countMax: Int)
}
