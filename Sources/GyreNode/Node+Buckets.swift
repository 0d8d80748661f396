import GyreBase
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// What a node holds of buckets.
struct BucketState {
    /// With this many tables on their way to the disk, a client's change is refused.
    static let keepsInFlightMax = 64

    /// What is in force: changes that are durable here, and all that peers told.
    var table: BucketTable
    /// What the disk will hold when it has done all it was asked; never less than `table`.
    var staged: BucketTable
    /// Tables on their way to the disk.
    var keepsInFlight = 0
    /// When the next peer is told the hash.
    var gossipAt = Instant.start

    /// What the disk remembers.
    init(document: ByteBuffer?) throws(BucketDocumentError) {
        self.table = try BucketTable(document: document)
        self.staged = self.table
    }
}

/// Buckets: what clients ask and change, and how the changes reach every node (docs/internals/buckets.md).
///
/// A change is told to nobody, its client included, before it is durable here: otherwise a crash could make this node give
/// the same version to another change.
extension Node {
    /// What buckets do differently, as this node knows it.
    package var bucketTable: BucketTable { self.buckets.table }

    /// Answers what a client asks about buckets; never forwarded, as every node knows all of them.
    mutating func onBucketRequest(
        _ request: ClientRequest, _ target: ReplyTarget, into effects: inout [NodeEffect]
    ) {
        switch request {
        case .bucketList:
            self.answer(target, .buckets(self.report(self.buckets.table.records)), into: &effects)
        case .bucketShow(let name):
            self.answer(target, .buckets(self.report([self.record(of: name)])), into: &effects)
        case .bucketSet(let name, let changes):
            if let failure = self.refusal(of: changes, to: name) {
                if failure == .overloaded { self.counters.overloaded += 1 }
                return self.answer(target, .failed(failure), into: &effects)
            }
            self.set(changes, of: name, target, into: &effects)
        case .put, .get, .delete, .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .list: break
        }
    }

    private func report(_ records: [BucketRecord]) -> BucketReport {
        let quorum = self.options.quorum
        return BucketReport(
            replicas: UInt8(quorum.replicas), reads: UInt8(quorum.reads), writes: UInt8(quorum.writes),
            buckets: records)
    }

    private func record(of name: BucketName) -> BucketRecord {
        self.buckets.table[name]
            ?? BucketRecord(
                name: name, properties: BucketProperties(), version: BucketVersion(counter: 0, node: self.me))
    }

    // MARK: - A change

    private func refusal(of changes: [BucketChange], to name: BucketName) -> Failure? {
        if self.draining || self.ring.members.isEmpty { return .notMember }
        if self.buckets.keepsInFlight >= BucketState.keepsInFlightMax { return .overloaded }
        guard (1...BucketChange.countMax).contains(changes.count) else {
            return .badRequest("1 to \(BucketChange.countMax) properties can be set at once, not \(changes.count)")
        }
        if self.buckets.staged[name] == nil, self.buckets.staged.records.count >= BucketTable.recordsMax {
            return .badRequest("\(BucketTable.recordsMax) buckets have properties, and no more can")
        }
        for change in changes {
            if let reason = self.objection(to: change) { return .badRequest(reason) }
        }
        return nil
    }

    private func objection(to change: BucketChange) -> String? {
        let replicas = self.options.quorum.replicas
        func objection(_ property: String, _ size: QuorumSize) -> String? {
            guard case .count(let count) = size, !(1...replicas).contains(Int(count)) else { return nil }
            return "\(property)=\(count) is not possible: it must be 1 to n=\(replicas), one, quorum or all"
        }
        switch change {
        case .replicas(let count):
            if Int(count) == replicas { return nil }
            return "n=\(count) is not possible: every bucket has the cluster's n=\(replicas), because placement and "
                + "hash trees are the same for all buckets"
        case .reads(let size): return objection("r", size)
        case .writes(let size): return objection("w", size)
        case .primaryReads(let size): return objection("pr", size)
        case .primaryWrites(let size): return objection("pw", size)
        case .timeToLive(let milliseconds): return milliseconds == 0 ? "ttl must be longer than zero" : nil
        case .siblings, .sloppy: return nil
        }
    }

    private mutating func set(
        _ changes: [BucketChange], of name: BucketName, _ target: ReplyTarget, into effects: inout [NodeEffect]
    ) {
        let known = self.buckets.staged[name] ?? self.record(of: name)
        var properties = known.properties
        for change in changes { properties.apply(change) }
        if properties == known.properties, self.buckets.keepsInFlight == 0 {
            // Nothing to do, and what there is may be told: the disk has it.
            return self.answer(target, .buckets(self.report([known])), into: &effects)
        }
        let (counter, overflow) = known.version.counter.addingReportingOverflow(1)
        guard !overflow else {
            return self.answer(target, .failed(.badRequest("the bucket's versions are used up")), into: &effects)
        }
        let record = BucketRecord(
            name: name, properties: properties, version: BucketVersion(counter: counter, node: self.me))
        self.buckets.staged.merge(sorted: [record])
        self.keepBuckets(.bucketSet(target, record), into: &effects)
    }

    private mutating func keepBuckets(_ operation: ReplicaOperation, into effects: inout [NodeEffect]) {
        self.buckets.keepsInFlight += 1
        let tag = StorageTag(rawValue: self.replicas.insert(operation))
        effects.append(.store(.keep(tag, document: .buckets, self.buckets.staged.document)))
    }

    /// The disk has a table. A client's change in it comes into force, every peer that can be reached hears of it, then the
    /// client.
    mutating func onBucketsKept(_ change: (ReplyTarget, BucketRecord)?, into effects: inout [NodeEffect]) {
        self.buckets.keepsInFlight -= 1
        guard let (target, record) = change else { return }
        self.buckets.table.merge(sorted: [record])
        for node in self.reachable where node != self.me {
            effects.append(.send(node, .buckets(.records([record], wantsRest: false))))
        }
        self.answer(target, .buckets(self.report([record])), into: &effects)
    }

    // MARK: - Gossip

    /// A peer says something about buckets.
    mutating func onBuckets(from node: NodeID, _ message: BucketMessage, into effects: inout [NodeEffect]) {
        switch message {
        case .digest(let hash):
            guard hash != self.buckets.table.hash else { return }
            self.tellBuckets(to: node, wantsRest: true, into: &effects)
        case .records(let records, let wantsRest):
            self.buckets.table.merge(sorted: records)
            if self.buckets.staged.merge(sorted: records) { self.keepBuckets(.bucketsLearned, into: &effects) }
            guard wantsRest, self.buckets.table.records != records else { return }
            self.tellBuckets(to: node, wantsRest: false, into: &effects)
        }
    }

    private func tellBuckets(to node: NodeID, wantsRest: Bool, into effects: inout [NodeEffect]) {
        effects.append(.send(node, .buckets(.records(self.buckets.table.records, wantsRest: wantsRest))))
    }

    /// A peer can be reached: it may have missed something, or know something.
    ///
    /// A node that knows nothing says nothing, since whoever knows something will.
    func greetWithBuckets(_ node: NodeID, into effects: inout [NodeEffect]) {
        guard !self.buckets.table.records.isEmpty else { return }
        effects.append(.send(node, .buckets(.digest(self.buckets.table.hash))))
    }

    /// Now and then one random peer is told the hash, so that what was lost on the way is mended.
    mutating func gossipBuckets(at now: Now, random: inout SeededRandom, into effects: inout [NodeEffect]) {
        guard now.instant >= self.buckets.gossipAt else { return }
        self.buckets.gossipAt = now.instant.advanced(by: self.options.bucketGossipInterval)
        guard self.reachable.count > 1, !self.buckets.table.records.isEmpty else { return }
        let peers = self.reachable.filter { $0 != self.me }
        self.greetWithBuckets(peers[Int(random.below(UInt64(peers.count)))], into: &effects)
    }
}

extension QuorumSize {
    /// The request's own size, else the bucket's, cut to N, as a record may come from a peer with another N.
    func filled(by bucket: QuorumSize?, replicas: Int) -> QuorumSize {
        guard self == .standard, let bucket else { return self }
        guard case .count(let count) = bucket else { return bucket }
        return .count(UInt8(min(max(Int(count), 1), replicas)))
    }
}
