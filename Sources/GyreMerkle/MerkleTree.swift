/// The hash tree of one partition: 1,024 leaves, 32 inners, one root, each the sum of what is below it.
///
/// A leaf is the sum, modulo 2^64, of the elements of its objects. A sum does not depend on the order in which
/// objects came, and one object is exchanged for another by three additions. With exclusive or an object applied
/// twice would vanish; in a sum it shows. Invariant: every inner and the root are exactly the sums of their children.
///
/// Departs from Merkle's trees, where a node is a hash of its children: a collision would have to be found in 64 bits
/// of salted sums, which is enough against accidents and strangers, and not meant to be more
/// (docs/internals/merkle.md). Pure value; 8,456 bytes in one allocation.
package struct MerkleTree: Equatable, Sendable {
    /// Root, inners and leaves.
    package static let wordCount = 1 + MerkleShape.fanOut + MerkleShape.leavesPerPartition
    /// What one tree may cost in memory: 16 bytes a leaf.
    package static let bytesMax = 16 * MerkleShape.leavesPerPartition

    private static let leavesStart = 1 + MerkleShape.fanOut
    /// What Swift keeps in front of an array's elements.
    private static let arrayHeadBytes = 32

    /// The root, then the inners, then the leaves.
    private var words: [UInt64]

    /// The tree of an empty partition: all words are 0.
    package init() { self.words = [UInt64](repeating: 0, count: Self.wordCount) }

    /// The tree with these `leaves`, exactly 1,024.
    package init(leaves: [UInt64]) {
        precondition(leaves.count == MerkleShape.leavesPerPartition, "\(leaves.count) leaves")
        self.init()
        for (leaf, sum) in leaves.enumerated() where sum != 0 { self.add(sum, to: leaf) }
    }

    /// The sum of everything; 0 for an empty partition.
    package var root: UInt64 { self.words[0] }

    /// The 32 sums below the root.
    package var inners: [UInt64] { Array(self.words[1..<Self.leavesStart]) }

    /// All 1,024 leaves.
    package var leaves: [UInt64] { Array(self.words[Self.leavesStart...]) }

    /// How many leaves have something in them, as far as sums tell.
    package var filledLeafCount: Int { self.root == 0 ? 0 : self.words[Self.leavesStart...].count { $0 != 0 } }

    /// The 32 leaves under `inner` (0 to 31).
    package func leaves(under inner: Int) -> [UInt64] {
        precondition((0..<MerkleShape.fanOut).contains(inner), "inner \(inner)")
        let start = Self.leavesStart + inner * MerkleShape.fanOut
        return Array(self.words[start..<start + MerkleShape.fanOut])
    }

    /// The sum of one leaf (0 to 1,023).
    package func leaf(_ leaf: Int) -> UInt64 {
        precondition((0..<MerkleShape.leavesPerPartition).contains(leaf), "leaf \(leaf)")
        return self.words[Self.leavesStart + leaf]
    }

    /// Exchanges one object's element in `leaf` for another; 0 stands for an absent object. O(1).
    package mutating func replace(_ leaf: Int, old: UInt64, new: UInt64) { self.add(new &- old, to: leaf) }

    /// Sets the sum of `leaf` outright, for a leaf that was scanned. O(1).
    package mutating func set(_ leaf: Int, to sum: UInt64) { self.add(sum &- self.leaf(leaf), to: leaf) }

    /// Adds `delta` to `leaf` and to all above it, modulo 2^64.
    package mutating func add(_ delta: UInt64, to leaf: Int) {
        precondition((0..<MerkleShape.leavesPerPartition).contains(leaf), "leaf \(leaf)")
        self.words[Self.leavesStart + leaf] &+= delta
        self.words[1 + leaf / MerkleShape.fanOut] &+= delta
        self.words[0] &+= delta
    }

    /// What this tree costs in memory, in bytes; at most `bytesMax`.
    package var bytes: Int { Self.arrayHeadBytes + self.words.capacity * MemoryLayout<UInt64>.stride }
}
