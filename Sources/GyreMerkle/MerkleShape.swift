package import GyreBase

/// What this room refuses.
package enum MerkleError: Error, Equatable, Sendable {
    /// Q is not a power of two within its range.
    case invalidPartitionCount(Int, allowed: ClosedRange<Int>)
    /// A scan arrived for a partition that is not being built, or a leaf is rebuilt that was never built.
    case notBuilt(partition: Int)
    /// A scan does not begin at the first leaf that is missing, is empty, or runs past the last leaf.
    case wrongLeaves(Range<Int>, next: Int)
    /// An object handed in with a scan does not lie in the leaves that were scanned.
    case outsideLeaves(Token)
}

/// How the token space is cut: Q partitions by the top bits of a token, 1,024 leaves in each by the next ten.
///
/// A leaf is a closed range of tokens, hence one contiguous range on disk (architecture D2). A tree has three levels:
/// a root, 32 inners, and 32 leaves under each. Pure value; arithmetic only.
package struct MerkleShape: Hashable, Sendable {
    /// Leaves of one partition.
    package static let leavesPerPartition = 1_024
    /// Children of the root and of each inner.
    package static let fanOut = 32
    /// The range of Q, as that of the ring.
    package static let partitionCountRange = 8...65_536

    private static let leafBits = 10

    /// Q, a power of two.
    package let partitionCount: Int
    private let partitionBits: Int

    /// Refuses a Q that is not a power of two in `partitionCountRange`.
    package init(partitionCount: Int) throws(MerkleError) {
        guard Self.partitionCountRange.contains(partitionCount), partitionCount.nonzeroBitCount == 1 else {
            throw .invalidPartitionCount(partitionCount, allowed: Self.partitionCountRange)
        }
        self.partitionCount = partitionCount
        self.partitionBits = partitionCount.trailingZeroBitCount
    }

    /// The partition of `token`, 0 to Q − 1; the same as the ring's.
    package func partition(of token: Token) -> Int {
        Int(truncatingIfNeeded: token.rawValue >> UInt64(64 - self.partitionBits))
    }

    /// The leaf of `token` within its partition, 0 to 1,023.
    package func leaf(of token: Token) -> Int {
        Int(truncatingIfNeeded: (token.rawValue << UInt64(self.partitionBits)) >> UInt64(64 - Self.leafBits))
    }

    /// The tokens of `leaves`, a run of at least one leaf of `partition`; both ends included.
    package func tokens(
        of partition: Int, leaves: Range<Int> = 0..<MerkleShape.leavesPerPartition
    ) -> ClosedRange<Token> {
        precondition((0..<self.partitionCount).contains(partition), "partition \(partition) of \(self.partitionCount)")
        precondition(
            leaves.lowerBound >= 0 && leaves.upperBound <= Self.leavesPerPartition && !leaves.isEmpty,
            "leaves \(leaves)")
        let width = UInt64(64 - self.partitionBits - Self.leafBits)
        let head = UInt64(partition) << UInt64(Self.leafBits)
        let first = (head + UInt64(leaves.lowerBound)) << width
        // The end of the last leaf of the ring is 2^64: the shift drops that bit, and one below zero is the last token.
        let last = ((head + UInt64(leaves.upperBound)) << width) &- 1
        return Token(rawValue: first)...Token(rawValue: last)
    }
}

/// What makes one cluster's hashes differ from another's, and what an object adds to its leaf.
///
/// Derived from the cluster's name, so that every member has it without being told. It keeps collisions from being
/// prepared once for all clusters; it is no secret from those who know the name. Pure value.
package struct MerkleSalt: Hashable, Sendable {
    // Both seeds are part of the frozen checkpoint format: "GYRESALT" and "GYREMARK" in ASCII.
    private static let nameSeed: UInt64 = 0x4759_5245_5341_4C54
    private static let fingerprintSeed: UInt64 = 0x4759_5245_4D41_524B

    private let rawValue: UInt64

    /// The salt of the cluster called `cluster`.
    package init(cluster: String) { self.rawValue = StableHash.xxh3(cluster, seed: Self.nameSeed) }

    /// A hash of the salt; a checkpoint carries it, so that it is refused in another cluster.
    package var fingerprint: UInt64 { StableHash.xxh3(self.rawValue, seed: Self.fingerprintSeed) }

    /// What an object at `token` whose record has `digest` adds to its leaf; an absent object adds 0.
    package func element(_ token: Token, digest: UInt64) -> UInt64 {
        StableHash.xxh3(token.rawValue, digest, seed: self.rawValue)
    }

    /// As the other `element`, with nil for an absent object.
    package func element(_ token: Token, digest: UInt64?) -> UInt64 {
        guard let digest else { return 0 }
        return self.element(token, digest: digest)
    }
}
