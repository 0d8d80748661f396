import GyreBase
import GyreMerkle
import GyreMessages
import GyreRing
import GyreStorage
import NIOCore

/// A disk that was lost is filled again from the other owners.
///
/// Until a partition was compared with all its other owners this node does not answer reads of it and does not coordinate:
/// what it lacks may have been acknowledged with the help of the disk that is gone, and a read that met this node
/// and one that had missed the write would not see it. It does take writes.
struct Refill {
    /// The repair under which the comparisons run; no client draws it.
    static let repairID: UInt64 = 0

    /// By partition: the owners it was not compared with yet; nil once it is as good as theirs.
    var waiting: [Int: [NodeID]]
}

extension Node {
    /// Whether this node may not yet speak for the partition of `token`.
    func isRefilling(_ token: Token) -> Bool {
        guard self.mustRefill else { return false }
        guard let refill = self.refill else { return true }
        return refill.waiting[self.trees.forest.shape.partition(of: token)] != nil
    }

    /// Begins to refill, once the ring is known.
    mutating func beginRefill(at now: Now, into effects: inout [NodeEffect]) {
        guard self.mustRefill, self.refill == nil, self.ring.members.contains(where: { $0.node == self.me }) else {
            return
        }
        var refill = Refill(waiting: [:])
        var part = RepairPart(
            request: RepairRequest(id: Refill.repairID), coordinator: self.me, pairs: [], patientUntil: .distantFuture)
        for partition in 0..<self.options.partitionCount {
            let owners = self.ring.owners(of: PartitionID(index: partition))
            guard owners.contains(self.me) else { continue }
            let others = owners.filter { $0 != self.me }
            guard !others.isEmpty else { continue }
            refill.waiting[partition] = others
        }
        part.pairs = self.roundsOfPairs(refill.waiting, ownersMost: self.ring.ownersPerPartition)
        part.counts.planned = UInt64(part.pairs.count)
        self.refill = refill
        self.repairParts.append(part)
        self.endRefillIfComplete(at: now, into: &effects)
    }

    /// The comparisons of a refill or of a change of the ring, last first: each partition with one other owner, and only then with the next, which by
    /// then as a rule differs in nothing. At once, both would send everything. The first are spread over all owners.
    func roundsOfPairs(_ waiting: [Int: [NodeID]], ownersMost: Int) -> [(partition: Int, peer: NodeID)] {
        var pairs: [(partition: Int, peer: NodeID)] = []
        for round in (0..<max(1, ownersMost)).reversed() {
            for partition in 0..<self.options.partitionCount {
                guard let others = waiting[partition], round < others.count else { continue }
                pairs.append((partition, others[(partition + round) % others.count]))
            }
        }
        return pairs
    }

    /// A partition was compared with one of its owners.
    mutating func noteRefilled(
        _ partition: Int, from peer: NodeID, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard var others = self.refill?.waiting[partition] else { return }
        others.removeAll { $0 == peer }
        self.refill?.waiting[partition] = others.isEmpty ? nil : others
        self.endRefillIfComplete(at: now, into: &effects)
    }

    private mutating func endRefillIfComplete(at now: Now, into effects: inout [NodeEffect]) {
        guard let refill = self.refill, refill.waiting.isEmpty, self.mustRefill else { return }
        self.mustRefill = false
        self.refill = nil
        self.retireReplaced(at: now, into: &effects)
        let tag = self.replicas.insert(.note)
        effects.append(.store(.keep(StorageTag(rawValue: tag), document: .refilled, ByteBuffer(integer: UInt8(1)))))
        effects.append(.event(.refilled))
    }
}
