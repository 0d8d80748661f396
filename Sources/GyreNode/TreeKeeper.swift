package import GyreBase
import GyreMerkle
import GyreStorage
import NIOCore

/// How the hash trees are kept and how the store is read through.
package struct TreeOptions: Sendable {
    /// Whether there are trees at all, and with them anti-entropy.
    package var isOn = true
    /// Objects of one scan; a scan that ends within its first leaf is repeated with twice as many.
    package var scanCountMax = 1_024
    /// How long one pass of the scrub over the whole store takes.
    package var scrubPeriod = TimeSpan.seconds(24 * 3_600)
    /// How long after its expiry a version is collected: longer than clocks differ, so that all replicas agree that it is over.
    package var collectDelay = TimeSpan.seconds(600)
    /// Leaves that wait to be built anew; more are left to the scrub.
    package var suspectsMax = 4_096

    /// The defaults.
    package init() {}
}

/// One leaf of one partition.
struct LeafID: Hashable {
    let partition: Int
    let leaf: Int
}

/// The hash trees of a node, and the one scan that builds, corrects or scrubs them at a time. A value inside the node.
struct TreeKeeper {
    /// Why a scan is made.
    enum Purpose: Equatable {
        /// The tree of the partition is being built.
        case build
        /// One leaf is built anew.
        case leaf
        /// Everything is read from time to time.
        case scrub
    }

    /// A scan whose answer is awaited.
    struct Scan {
        let purpose: Purpose
        let partition: Int
        let leaves: Range<Int>
        let began: Instant
    }

    let options: TreeOptions
    var forest: MerkleForest
    /// The scan under way.
    var scan: Scan?
    /// No scan begins before this.
    var nextAt = Instant.start
    /// Scans that build trees follow each other without a pause until then: a tick is long for one short scan.
    var burstUntil = Instant.start
    /// No scan of the scrub begins before this.
    var scrubAt = Instant.start
    /// Where the scrub goes on.
    var scrubbed = LeafID(partition: 0, leaf: 0)
    /// Objects of the next scan.
    var countMax: Int
    /// Where the next partition to build is looked for.
    private var buildCursor = 0
    private var suspects: [LeafID] = []

    init(options: TreeOptions, shape: MerkleShape, salt: MerkleSalt) {
        self.options = options
        self.forest = MerkleForest(shape: shape, salt: salt)
        self.countMax = options.scanCountMax
    }

    /// Whether all trees are built.
    var isReady: Bool { self.buildCursor >= self.forest.shape.partitionCount }

    /// Notes that a leaf must be built anew.
    mutating func suspect(_ leaf: LeafID) {
        guard self.suspects.count < self.options.suspectsMax, !self.suspects.contains(leaf) else { return }
        self.suspects.append(leaf)
    }

    /// What to scan next; nil when nothing is due.
    mutating func nextScan(at now: Instant) -> Scan? {
        guard self.options.isOn, self.scan == nil, now >= self.nextAt else { return nil }
        if let suspect = self.suspects.first, self.forest.isReady(suspect.partition) {
            return Scan(
                purpose: .leaf, partition: suspect.partition, leaves: suspect.leaf..<suspect.leaf + 1, began: now)
        }
        let all = MerkleShape.leavesPerPartition
        while !self.isReady {
            switch self.forest.state(of: self.buildCursor) {
            case .ready: self.buildCursor += 1
            case .unbuilt:
                self.forest.beginBuild(self.buildCursor)
                return Scan(purpose: .build, partition: self.buildCursor, leaves: 0..<all, began: now)
            case .building(let leaf):
                return Scan(purpose: .build, partition: self.buildCursor, leaves: leaf..<all, began: now)
            }
        }
        guard now >= self.scrubAt else { return nil }
        return Scan(
            purpose: .scrub, partition: self.scrubbed.partition, leaves: self.scrubbed.leaf..<all, began: now)
    }

    /// Takes in what a scan found, which covers `leaves`; returns how many leaves were wrong.
    mutating func take(_ scan: Scan, leaves: Range<Int>, _ objects: [ScannedObject], at now: Instant) -> Int {
        // The scan takes its place among the writes, so the forest cannot refuse it; what it refuses stays as it was.
        var corrected = 0
        switch scan.purpose {
        case .build:
            try? self.forest.onScanned(scan.partition, leaves: leaves, objects: objects)
        case .leaf:
            self.suspects.removeAll { $0 == LeafID(partition: scan.partition, leaf: leaves.lowerBound) }
            corrected = self.compare(scan.partition, leaves, objects)
        case .scrub:
            corrected = self.compare(scan.partition, leaves, objects)
            self.advanceScrub(by: leaves.count, at: now)
        }
        return corrected
    }

    private mutating func compare(_ partition: Int, _ leaves: Range<Int>, _ objects: [ScannedObject]) -> Int {
        var corrected = 0
        var rest = objects[...]
        for leaf in leaves {
            let here = rest.prefix { self.forest.shape.leaf(of: $0.token) == leaf }
            rest = rest.dropFirst(here.count)
            if (try? self.forest.rebuildLeaf(partition, leaf: leaf, objects: Array(here))) == true { corrected += 1 }
        }
        return corrected
    }

    private mutating func advanceScrub(by leaves: Int, at now: Instant) {
        let all = Int64(self.forest.shape.partitionCount * MerkleShape.leavesPerPartition)
        let pause = TimeSpan(nanoseconds: self.options.scrubPeriod.nanoseconds / all * Int64(leaves))
        self.scrubAt = now.advanced(by: pause)
        let next = self.scrubbed.leaf + leaves
        if next < MerkleShape.leavesPerPartition {
            self.scrubbed = LeafID(partition: self.scrubbed.partition, leaf: next)
        } else {
            let partition = (self.scrubbed.partition + 1) % self.forest.shape.partitionCount
            self.scrubbed = LeafID(partition: partition, leaf: 0)
        }
    }
}
