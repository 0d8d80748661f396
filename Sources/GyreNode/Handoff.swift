package import GyreBase
import GyreStorage
import NIOCore

/// How hints are delivered (hinted handoff, Dynamo §4.6).
package struct HandoffOptions: Sendable {
    /// Hints of one target on their way at once.
    package var batchMax = 128
    /// Bytes of the records of one batch; the first record always fits.
    package var batchBytesMax = 256 << 10
    /// Bytes delivered to one target in a second at most, so that a node that comes back is not flooded.
    package var bytesPerSecond = 16 << 20
    /// Over how long a backlog is spread, so that clients hardly notice.
    package var drainSpan = TimeSpan.seconds(50)
    /// Hints delivered to one target in a second at least, however few are kept.
    package var hintsPerSecondMin = 250
    /// How long a delivery waits for its acknowledgement.
    package var timeout = TimeSpan.seconds(2)
    /// How long a target is left alone after a delivery failed.
    package var retryDelay = TimeSpan.seconds(1)

    /// The defaults.
    package init() {}
}

/// One hint on its way to the owners that lack it.
struct HintDelivery {
    /// Whom the hint is kept for.
    let target: NodeID
    let name: ObjectName
    /// The digest of what was sent; the hint is dropped only if it is still the same.
    let digest: RecordDigest
    /// Who has not acknowledged yet: the target, or the owners of today when the target is none any more.
    var waiting: [NodeID]
    /// The state of the ring that it was begun under.
    let generation: UInt64
    let deadline: Instant
}

/// Which nodes hints are kept for, and how far each delivery has come. A value inside the node.
struct Handoff {
    /// The state of one target.
    struct Target {
        let node: NodeID
        /// Batches continue after this object; nil to begin at the first.
        var cursor: ObjectName?
        /// Whether a listing is awaited.
        var isListing = false
        /// Whether a hint was kept since the listing was asked for: it may have looked before, and come back late.
        var hasNews = false
        /// Deliveries not acknowledged and drops not reported.
        var inFlight = 0
        /// Whether the batch under way is the last one of this round.
        var isLast = false
        /// Whether a delivery of this round failed.
        var hasFailed = false
        /// Not before this time.
        var nextAt = Instant.start
        /// When the batch under way was begun.
        var beganAt = Instant.start
        /// Bytes and hints of the batch under way.
        var bytes = 0
        var count = 0
        /// The most hints that were left after a drop, since the target was noted.
        var most: UInt64 = 0

        /// How many hints a second bring the backlog home within the span that it is spread over.
        func rate(_ options: HandoffOptions) -> Int {
            let seconds = max(1, options.drainSpan.wholeMilliseconds / 1_000)
            return max(options.hintsPerSecondMin, 1, Int(clamping: self.most / UInt64(seconds)))
        }

        /// How many hints the next batch may have: what its pace brings in a twentieth of a second.
        func batchMax(_ options: HandoffOptions) -> Int {
            min(options.batchMax, max(1, self.rate(options) / 20))
        }

        /// How long after its beginning the batch under way is followed by the next.
        func pace(_ options: HandoffOptions) -> TimeSpan {
            let byCount = Int64(self.count) * 1_000_000_000 / Int64(self.rate(options))
            let byBytes = Int64(self.bytes) * 1_000_000_000 / Int64(max(1, options.bytesPerSecond))
            return TimeSpan(nanoseconds: max(byCount, byBytes))
        }
    }

    /// The targets, sorted by node.
    private(set) var targets: [Target] = []

    init(targets: [NodeID]) {
        for node in targets.sorted() { self.insert(node) }
    }

    /// The place of a target.
    func index(of node: NodeID) -> Int? { self.targets.firstIndex { $0.node == node } }

    /// Notes that something is kept for `node`.
    mutating func insert(_ node: NodeID) {
        if let index = self.index(of: node) {
            self.targets[index].hasNews = true
            return
        }
        let place = self.targets.firstIndex { $0.node > node } ?? self.targets.count
        self.targets.insert(Target(node: node), at: place)
    }

    /// Notes that `count` hints are left for `node`.
    mutating func noteLeft(_ count: UInt64, of node: NodeID) {
        guard let index = self.index(of: node) else { return }
        self.targets[index].most = max(self.targets[index].most, count)
    }

    /// Notes that nothing is kept for the target at `index` any more.
    mutating func remove(at index: Int) { self.targets.remove(at: index) }

    /// The target at `index`, to be changed in place.
    subscript(_ index: Int) -> Target {
        get { self.targets[index] }
        set { self.targets[index] = newValue }
    }
}
