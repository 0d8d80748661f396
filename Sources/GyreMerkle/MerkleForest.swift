package import GyreBase

/// One object as a scan of the store finds it.
package struct ScannedObject: Hashable, Sendable {
    /// Where the object lies.
    package let token: Token
    /// The digest of its record.
    package let digest: UInt64

    /// Puts both together.
    package init(token: Token, digest: UInt64) {
        self.token = token
        self.digest = digest
    }
}

/// How far the tree of a partition is.
package enum PartitionState: Hashable, Sendable {
    /// Nothing is known; changes are ignored.
    case unbuilt
    /// Leaves below `nextLeaf` are scanned and follow changes; the others are neither.
    case building(nextLeaf: Int)
    /// All leaves follow changes; the tree may be compared.
    case ready
}

/// The hash trees of all partitions of one node, kept up to date by every change of an object.
///
/// A tree is allocated when its partition gets its first object: an empty one costs ten bytes. Partitions are named by
/// their index; a question about an index outside the ring is answered as one about an unbuilt partition, because such
/// an index may come from a peer. Pure value with one owner; every operation but those that take objects is O(1).
package struct MerkleForest: Sendable {
    private static let unbuilt: Int16 = -1
    private static let ready = Int16(MerkleShape.leavesPerPartition)

    /// How tokens map to partitions and leaves.
    package let shape: MerkleShape
    /// What the elements are salted with.
    package let salt: MerkleSalt
    /// Leaves that `rebuildLeaf` found to be wrong, since the start.
    package private(set) var leavesCorrected: UInt64 = 0

    /// By partition; nil when all leaves are 0.
    private var trees: [MerkleTree?]
    /// By partition: the first leaf that is not scanned yet, or `unbuilt`. So a change counts if its leaf is below.
    private var nextLeaves: [Int16]

    /// All partitions unbuilt.
    package init(shape: MerkleShape, salt: MerkleSalt) {
        self.shape = shape
        self.salt = salt
        self.trees = [MerkleTree?](repeating: nil, count: shape.partitionCount)
        self.nextLeaves = [Int16](repeating: Self.unbuilt, count: shape.partitionCount)
    }

    // MARK: - Changes

    /// The record at `token` changed from digest `old` to `new`; nil means absent. On the path of every put.
    ///
    /// Must be told in the order in which the store changed, and in order with the scans (see `onScanned`).
    package mutating func onChange(_ token: Token, old: UInt64?, new: UInt64?) {
        let partition = self.shape.partition(of: token)
        let leaf = self.shape.leaf(of: token)
        guard leaf < self.nextLeaves[partition] else { return }
        let delta = self.salt.element(token, digest: new) &- self.salt.element(token, digest: old)
        self.add(delta, to: leaf, of: partition)
    }

    /// Makes all partitions ready and empty; only right for a store that was just created.
    package mutating func markEmpty() {
        for partition in self.trees.indices {
            self.trees[partition] = nil
            self.nextLeaves[partition] = Self.ready
        }
    }

    /// Forgets the tree of `partition`, which becomes unbuilt and gives its memory back.
    package mutating func drop(_ partition: Int) {
        guard self.trees.indices.contains(partition) else { return }
        self.trees[partition] = nil
        self.nextLeaves[partition] = Self.unbuilt
    }

    // MARK: - Building

    /// Starts to build the tree of `partition` from its first leaf; whatever was known of it is forgotten.
    package mutating func beginBuild(_ partition: Int) {
        precondition(self.trees.indices.contains(partition), "partition \(partition) of \(self.trees.count)")
        self.trees[partition] = nil
        self.nextLeaves[partition] = 0
    }

    /// A scan of `leaves` of `partition` found exactly `objects`; after the last leaf the partition is ready.
    ///
    /// `leaves` must begin at `nextLeaf`. The caller keeps scans in order with changes: a change that the scan saw was
    /// told before, and one that it did not see is told after. What is refused changes nothing.
    package mutating func onScanned(
        _ partition: Int, leaves: Range<Int>, objects: [ScannedObject]
    ) throws(MerkleError) {
        guard case .building(let next) = self.state(of: partition) else { throw .notBuilt(partition: partition) }
        guard leaves.lowerBound == next, !leaves.isEmpty, leaves.upperBound <= MerkleShape.leavesPerPartition else {
            throw .wrongLeaves(leaves, next: next)
        }
        let sums = try self.sums(of: objects, in: leaves, of: partition)
        // Leaves from `nextLeaf` on are 0, because no change has touched them.
        for (leaf, sum) in zip(leaves, sums) { self.add(sum, to: leaf, of: partition) }
        self.nextLeaves[partition] = Int16(leaves.upperBound)
    }

    /// A scan of one leaf that follows changes found exactly `objects`; true if the tree had something else.
    ///
    /// The order of scans and changes must be kept as in `onScanned`. A correction is counted in `leavesCorrected`.
    @discardableResult
    package mutating func rebuildLeaf(
        _ partition: Int, leaf: Int, objects: [ScannedObject]
    ) throws(MerkleError) -> Bool {
        guard self.trees.indices.contains(partition), leaf >= 0, leaf < self.nextLeaves[partition] else {
            throw .notBuilt(partition: partition)
        }
        let sum = try self.sums(of: objects, in: leaf..<leaf + 1, of: partition)[0]
        let held = self.trees[partition]?.leaf(leaf) ?? 0
        guard sum != held else { return false }
        self.add(sum &- held, to: leaf, of: partition)
        self.leavesCorrected += 1
        return true
    }

    /// Makes `partition` ready with `tree`, read from a checkpoint.
    mutating func install(_ tree: MerkleTree, partition: Int) {
        self.trees[partition] = tree.leaves.contains { $0 != 0 } ? tree : nil
        self.nextLeaves[partition] = Self.ready
    }

    // MARK: - Questions

    /// How far the tree of `partition` is; an index outside the ring is unbuilt.
    package func state(of partition: Int) -> PartitionState {
        guard self.trees.indices.contains(partition) else { return .unbuilt }
        switch self.nextLeaves[partition] {
        case Self.unbuilt: return .unbuilt
        case Self.ready: return .ready
        case let next: return .building(nextLeaf: Int(next))
        }
    }

    /// True if the tree of `partition` may be compared.
    package func isReady(_ partition: Int) -> Bool { self.state(of: partition) == .ready }

    /// The tree of `partition`; nil unless it is ready. Shares storage; do not keep it while changes come in, because
    /// the next change would copy it.
    package func tree(of partition: Int) -> MerkleTree? {
        guard self.isReady(partition) else { return nil }
        return self.trees[partition] ?? MerkleTree()
    }

    /// The root of `partition`; nil unless it is ready.
    package func root(of partition: Int) -> UInt64? {
        guard self.isReady(partition) else { return nil }
        return self.trees[partition]?.root ?? 0
    }

    /// The 32 inners of `partition`; nil unless it is ready.
    package func inners(of partition: Int) -> [UInt64]? { self.tree(of: partition)?.inners }

    /// The 32 leaves of `partition` under `inner` (0 to 31); nil unless it is ready and there is such an inner.
    package func leaves(of partition: Int, under inner: Int) -> [UInt64]? {
        guard (0..<MerkleShape.fanOut).contains(inner) else { return nil }
        return self.tree(of: partition)?.leaves(under: inner)
    }

    /// What all trees cost in memory, in bytes; without the ten bytes of each partition. O(Q).
    package var treeBytes: Int { self.trees.reduce(0) { $0 + ($1?.bytes ?? 0) } }

    // MARK: - Inside

    private mutating func add(_ delta: UInt64, to leaf: Int, of partition: Int) {
        guard delta != 0 else { return }
        if self.trees[partition] == nil { self.trees[partition] = MerkleTree() }
        self.trees[partition]?.add(delta, to: leaf)
    }

    /// The sum of each of `leaves`; refuses an object that lies elsewhere.
    private func sums(
        of objects: [ScannedObject], in leaves: Range<Int>, of partition: Int
    ) throws(MerkleError) -> [UInt64] {
        var sums = [UInt64](repeating: 0, count: leaves.count)
        for object in objects {
            let leaf = self.shape.leaf(of: object.token)
            guard self.shape.partition(of: object.token) == partition, leaves.contains(leaf) else {
                throw .outsideLeaves(object.token)
            }
            sums[leaf - leaves.lowerBound] &+= self.salt.element(object.token, digest: object.digest)
        }
        return sums
    }
}
