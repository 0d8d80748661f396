import GyreBase
import GyreMessages
import GyreNode
import GyreStorage
import NIOCore

/// Changes of bucket properties: now and then by a client, and what must hold of them in the end.
extension SimWorld {
    /// How long nodes may take to agree on all buckets after all faults: a few rounds of gossip.
    static let bucketAgreementMost = TimeSpan.seconds(90)

    /// One operation in twelve, in runs that draw it, changes a bucket. The buckets are not those of the objects, so that
    /// what the checkers expect of a quorum stays simple.
    func drawBucketChange(_ client: Int) -> ClientOperation? {
        guard self.plan.setsBuckets, self.bucketRandom.chance(1, in: 12) else { return nil }
        let number = self.bucketRandom.below(4)
        guard let name = try? BucketName(ByteBuffer(string: "p\(number)")) else { return nil }
        let change: BucketChange
        switch self.bucketRandom.below(4) {
        case 0: change = .reads(.count(UInt8(1 + self.bucketRandom.below(UInt64(self.plan.replicas)))))
        case 1: change = .timeToLive(self.bucketRandom.chance(1, in: 3) ? nil : 1 + self.bucketRandom.below(100_000))
        case 2: change = .siblings(self.bucketRandom.chance(1, in: 2) ? .lastWriteWins : .showAll)
        default: change = .sloppy(self.bucketRandom.chance(1, in: 2))
        }
        let node = Int(self.bucketRandom.below(UInt64(self.plan.machineCount)))
        return ClientOperation(
            client: client, kind: .bucketSet, key: 0, request: .bucketSet(name, [change]), node: node)
    }

    /// A client is told that a change is in force: the node that says so must have it, or a later one, on its disk.
    func acknowledge(_ report: BucketReport, from index: Int) throws(Violation) {
        let durable = try self.durableBuckets(index)
        for record in report.buckets where record.version.counter > 0 {
            guard let kept = durable[record.name], kept.version >= record.version else {
                throw Violation("INV 12", "node \(index) acknowledges a change of a bucket that its disk does not have")
            }
            let known = self.acknowledgedBuckets[record.name] ?? record.version
            self.acknowledgedBuckets[record.name] = max(known, record.version)
        }
    }

    private func durableBuckets(_ index: Int) throws(Violation) -> BucketTable {
        do { return try BucketTable(document: self.nodes[index].disk.recovered.buckets) } catch {
            throw Violation("INV 12", "disk of node \(index): \(error)")
        }
    }

    /// INV 12: all nodes know the same properties, keep them on disk, and no acknowledged change is lost to an older one.
    func convergeBuckets() throws(Violation) {
        try self.run(until: self.queue.now.advanced(by: Self.bucketAgreementMost), isDone: { self.bucketsAreEqual })
        try self.run(until: self.queue.now.advanced(by: .seconds(1)))
        guard self.bucketsAreEqual, let table = self.witness?.life?.node.bucketTable else {
            throw Violation("INV 12", "the nodes know different properties of buckets")
        }
        for index in self.members.map(\.index) where try self.durableBuckets(index).hash != table.hash {
            throw Violation("INV 12", "node \(index) does not keep the properties of buckets that it knows")
        }
        for (name, version) in self.acknowledgedBuckets.sorted(by: { $0.key < $1.key }) {
            guard let record = table[name], record.version >= version else {
                throw Violation("INV 12", "an acknowledged change of bucket \(String(buffer: name.bytes)) is lost")
            }
        }
        self.hash.record(table.hash)
    }

    /// The disk of node `index` goes for good: changes of buckets that no other disk knows are owed to nobody any more. A node that
    /// leaves must have told them.
    func loseBuckets(of index: Int, hasLeft: Bool) throws(Violation) {
        for (name, version) in self.acknowledgedBuckets.sorted(by: { $0.key < $1.key }) {
            var isKnown = false
            for other in self.members where other.index != index {
                let table = try self.durableBuckets(other.index)
                if let record = table[name], record.version >= version { isKnown = true }
            }
            if isKnown { continue }
            if hasLeft {
                throw Violation(
                    "INV 12", "node \(index) left and took a change of bucket \(String(buffer: name.bytes)) along")
            }
            self.acknowledgedBuckets[name] = nil
        }
    }

    private var bucketsAreEqual: Bool {
        self.members.allSatisfy { machine in
            machine.life != nil && machine.life?.node.bucketTable.hash == self.witness?.life?.node.bucketTable.hash
        }
    }
}
