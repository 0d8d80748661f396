package import GyreBase
package import NIOCore

/// The bytes that keep one partition's tree over a clean stop, frozen (docs/internals/merkle.md). Integers are
/// big-endian: version 0x01, Q (4 bytes), partition (4), fingerprint of the salt (8), form (1), leaves, XXH3 of all
/// before (8).
///
/// Form 0x01 has all 1,024 leaves, 8 bytes each. Form 0x00 has a count (2 bytes) and that many pairs of a leaf's
/// index (2) and its sum (8), ascending, none 0. The shorter form is used, so that equal trees have equal bytes.
/// Inners and root are sums and are computed again.
enum MerkleCheckpoint {
    static let version: UInt8 = 0x01
    private static let headBytes = 18
    private static let checksumBytes = 8
    private static let pairBytes = 10
    private static let countBytes = 2
    private static let denseBytes = 8 * MerkleShape.leavesPerPartition
    /// With more leaves than this the dense form is shorter.
    private static let sparseLeavesMax = (Self.denseBytes - Self.countBytes) / Self.pairBytes

    /// The longest checkpoint, in bytes.
    static let bytesMax = Self.headBytes + Self.denseBytes + Self.checksumBytes

    // On disk; never renumber.
    private enum Form: UInt8 {
        case sparse = 0x00
        case dense = 0x01
    }

    static func write(
        _ tree: MerkleTree, partition: Int, shape: MerkleShape, salt: MerkleSalt, into buffer: inout ByteWriter
    ) {
        let start = buffer.writerIndex
        let leaves = tree.leaves
        let count = leaves.count { $0 != 0 }
        let form = count <= Self.sparseLeavesMax ? Form.sparse : .dense
        buffer.reserveCapacity(minimumWritableBytes: Self.bytesMax)
        buffer.writeInteger(Self.version)
        // Both fit by construction of the shape.
        buffer.writeInteger(UInt32(truncatingIfNeeded: shape.partitionCount))
        buffer.writeInteger(UInt32(truncatingIfNeeded: partition))
        buffer.writeInteger(salt.fingerprint)
        buffer.writeInteger(form.rawValue)
        switch form {
        case .dense:
            for sum in leaves { buffer.writeInteger(sum) }
        case .sparse:
            buffer.writeInteger(UInt16(truncatingIfNeeded: count))
            for (leaf, sum) in leaves.enumerated() where sum != 0 {
                buffer.writeInteger(UInt16(truncatingIfNeeded: leaf))
                buffer.writeInteger(sum)
            }
        }
        buffer.writeInteger(buffer.xxh3(from: start))
    }

    /// Reads what `write` wrote, all of `bytes`. The length is settled before anything is hashed or reserved.
    static func read(
        _ bytes: ByteBuffer, shape: MerkleShape, salt: MerkleSalt
    ) throws(DecodeError) -> (partition: Int, tree: MerkleTree) {
        var rest = ByteReader(bytes)
        guard try rest.readFixed(as: UInt8.self) == Self.version else { throw .invalid(field: "checkpoint version") }
        let partitionCount = try rest.readFixed(as: UInt32.self)
        let partition = try rest.readFixed(as: UInt32.self)
        let fingerprint = try rest.readFixed(as: UInt64.self)
        guard let form = Form(rawValue: try rest.readFixed(as: UInt8.self)) else {
            throw .invalid(field: "checkpoint form")
        }
        var leafBytes = Self.denseBytes
        if form == .sparse {
            let count = Int(try rest.readFixed(as: UInt16.self))
            guard count <= Self.sparseLeavesMax else {
                throw .tooMany(count: UInt64(count), countMax: UInt64(Self.sparseLeavesMax))
            }
            leafBytes = count * Self.pairBytes
        }
        let missing = leafBytes + Self.checksumBytes - rest.readableBytes
        guard missing <= 0 else { throw .truncated }
        guard missing == 0 else { throw .trailing(bytes: -missing) }
        let checked = bytes.readableBytesView.dropLast(Self.checksumBytes)
        let checksum = checked.withUnsafeBytes { StableHash.xxh3($0) }
        guard bytes.getInteger(at: bytes.writerIndex - Self.checksumBytes, as: UInt64.self) == checksum else {
            throw .checksumMismatch
        }
        guard Int(partitionCount) == shape.partitionCount else { throw .invalid(field: "checkpoint partition count") }
        guard Int(partition) < shape.partitionCount else { throw .invalid(field: "checkpoint partition") }
        guard fingerprint == salt.fingerprint else { throw .invalid(field: "checkpoint salt") }
        let leaves: [UInt64]
        switch form {
        case .dense: leaves = try self.readDense(&rest)
        case .sparse: leaves = try self.readSparse(&rest, count: leafBytes / Self.pairBytes)
        }
        return (Int(partition), MerkleTree(leaves: leaves))
    }

    private static func readDense(_ rest: inout ByteReader) throws(DecodeError) -> [UInt64] {
        var leaves: [UInt64] = []
        leaves.reserveCapacity(MerkleShape.leavesPerPartition)
        for _ in 0..<MerkleShape.leavesPerPartition { leaves.append(try rest.readFixed(as: UInt64.self)) }
        guard leaves.count(where: { $0 != 0 }) > Self.sparseLeavesMax else { throw .invalid(field: "checkpoint form") }
        return leaves
    }

    private static func readSparse(_ rest: inout ByteReader, count: Int) throws(DecodeError) -> [UInt64] {
        var leaves = [UInt64](repeating: 0, count: MerkleShape.leavesPerPartition)
        var previous = -1
        for _ in 0..<count {
            let leaf = Int(try rest.readFixed(as: UInt16.self))
            let sum = try rest.readFixed(as: UInt64.self)
            guard leaf > previous, leaf < MerkleShape.leavesPerPartition, sum != 0 else {
                throw .invalid(field: "checkpoint leaf")
            }
            leaves[leaf] = sum
            previous = leaf
        }
        return leaves
    }
}

extension MerkleForest {
    /// The longest checkpoint of one partition, in bytes.
    package static let checkpointBytesMax = MerkleCheckpoint.bytesMax

    /// The checkpoint of `partition`; nil unless that is ready.
    ///
    /// It is true only of the store as it is now: whoever keeps it must take it away before the next change.
    package func checkpoint(of partition: Int) -> ByteBuffer? {
        guard let tree = self.tree(of: partition) else { return nil }
        var writer = ByteWriter()
        MerkleCheckpoint.write(tree, partition: partition, shape: self.shape, salt: self.salt, into: &writer)
        return writer.finish()
    }

    /// Makes a partition ready from all of `bytes`, one checkpoint, and returns its index.
    ///
    /// Refuses another version, Q or salt, a wrong length and a wrong checksum; then nothing changes. What was held
    /// of the partition is replaced, so this is for a start, before the first change.
    package mutating func readCheckpoint(_ bytes: ByteBuffer) throws(DecodeError) -> Int {
        let (partition, tree) = try MerkleCheckpoint.read(bytes, shape: self.shape, salt: self.salt)
        self.install(tree, partition: partition)
        return partition
    }
}
