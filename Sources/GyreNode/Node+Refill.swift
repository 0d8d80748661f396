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

    /// What a plan holds for; another one is made when it changes.
    struct Ground: Equatable {
        let ring: UInt64
        let banned: [NodeID]
    }

    var ground: Ground
    /// By partition: the owners it was not compared with yet; nil once it is as good as theirs.
    var waiting: [Int: [NodeID]] = [:]
    /// By partition: the owners it was compared with.
    var compared: [Int: [NodeID]] = [:]
}

extension Node {
    /// Whether this node may not yet speak for the partition of `token`.
    func isRefilling(_ token: Token) -> Bool {
        guard self.mustRefill else { return false }
        guard let refill = self.refill else { return true }
        return refill.waiting[self.trees.forest.shape.partition(of: token)] != nil
    }

    /// Begins to refill once the ring is known, and plans anew when a newer ring is heard of or somebody is banned: whom the
    /// plan counts on may be gone for good, and has handed over what it held or lost it.
    mutating func continueRefill(at now: Now, into effects: inout [NodeEffect]) {
        guard self.mustRefill, self.ring.members.contains(where: { $0.node == self.me }) else { return }
        let ground = Refill.Ground(ring: self.ring.hash, banned: self.ringKeeper.banned)
        guard self.refill?.ground != ground else { return }
        var refill = Refill(ground: ground, compared: self.refill?.compared ?? [:])
        for partition in 0..<self.options.partitionCount {
            let owners = self.ring.owners(of: PartitionID(index: partition))
            guard owners.contains(self.me) else { continue }
            // Who is out of the ring now may still hold what it has not handed over yet.
            let before = self.refill?.waiting[partition] ?? []
            let compared = refill.compared[partition] ?? []
            let others = (owners + before.filter { !owners.contains($0) }).filter {
                $0 != self.me && !compared.contains($0) && !self.ringKeeper.isBanned($0)
            }
            if !others.isEmpty { refill.waiting[partition] = others }
        }
        self.refill = refill
        self.planRefill(refill.waiting)
        self.endRefillIfComplete(at: now, into: &effects)
    }

    private mutating func planRefill(_ waiting: [Int: [NodeID]]) {
        let index: Int
        if let known = self.repairParts.firstIndex(where: { $0.request.id == Refill.repairID }) {
            index = known
        } else {
            let request = RepairRequest(id: Refill.repairID)
            index = self.repairParts.count
            self.repairParts.append(
                RepairPart(request: request, coordinator: self.me, pairs: [], patientUntil: .distantFuture))
        }
        let ownersMost = waiting.values.map(\.count).max() ?? 0
        self.repairParts[index].pairs = self.roundsOfPairs(waiting, ownersMost: ownersMost)
        let counts = self.repairParts[index].counts
        self.repairParts[index].counts.planned =
            counts.compared + counts.failed + UInt64(self.repairParts[index].pairs.count)
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

    /// Whether nobody waits any more for a comparison of a refill: it was done under the plan before, or its peer is gone.
    func isRefillPairStale(_ pair: (partition: Int, peer: NodeID)) -> Bool {
        !(self.refill?.waiting[pair.partition]?.contains(pair.peer) ?? false)
    }

    /// A partition was compared with one of its owners.
    mutating func noteRefilled(
        _ partition: Int, from peer: NodeID, at now: Now, into effects: inout [NodeEffect]
    ) {
        self.refill?.compared[partition, default: []].append(peer)
        guard var others = self.refill?.waiting[partition] else { return }
        others.removeAll { $0 == peer }
        self.refill?.waiting[partition] = others.isEmpty ? nil : others
        self.endRefillIfComplete(at: now, into: &effects)
    }

    /// A repair of everything that finds this node refilling counts what that brings back, before and during it: an operator
    /// who asks for the lost keys wants to read how many came, whichever comparison brought them. The comparisons of the
    /// refill stay out of it; the repair makes its own.
    func takeRefill(into part: inout RepairPart) {
        let request = part.request
        guard self.mustRefill, !request.isDry, request.bucket == nil, request.partition == nil,
            request.node == nil || request.node == self.me
        else { return }
        part.takesRefill = true
        guard let refill = self.repairParts.first(where: { $0.request.id == Refill.repairID })?.counts else { return }
        part.counts.add(
            differing: refill.keysDiffering, repaired: refill.keysRepaired, bytes: refill.bytesSent)
    }

    /// Whether a part is over; one that counts the refill as well waits for what of that can go on, as long as patience lasts.
    func isOver(_ part: RepairPart, at now: Now) -> Bool {
        guard part.isOver, part.takesRefill, self.mustRefill, now.instant < part.patientUntil,
            let refill = self.repairParts.first(where: { $0.request.id == Refill.repairID })
        else { return part.isOver }
        return refill.active == 0 && !refill.pairs.contains { self.isReachable($0.peer) }
    }

    /// The counts of a part, with what comparisons of the refill that are still under way have done.
    func countsNow(of part: RepairPart) -> RepairCounts {
        var counts = part.counts
        guard part.takesRefill else { return counts }
        var indices: [Int] = []
        self.exchanges.indices(into: &indices) { $0.repair == Refill.repairID }
        for index in indices { counts.add(self.exchanges[index]) }
        return counts
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
