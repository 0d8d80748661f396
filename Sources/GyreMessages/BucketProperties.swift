package import GyreBase
package import NIOCore

/// What a bucket is called: 1 to 255 opaque bytes. Pure value with bytes of its own; safe from any thread.
package struct BucketName: Hashable, Comparable, Sendable {
    /// The bytes.
    package let bytes: ByteBuffer

    /// Checks the length and copies, so that a name that is kept does not keep the message alive that brought it.
    /// Throws `ObjectNameError.bucket`.
    package init(_ bytes: ByteBuffer) throws(ObjectNameError) {
        guard (1...ObjectName.bucketBytesMax).contains(bytes.readableBytes) else {
            throw .bucket(bytes: bytes.readableBytes, bytesMax: ObjectName.bucketBytesMax)
        }
        self.bytes = ByteBuffer(bytes: bytes.readableBytesView)
    }

    /// In the order of the bytes.
    package static func < (a: Self, b: Self) -> Bool {
        a.bytes.readableBytesView.lexicographicallyPrecedes(b.bytes.readableBytesView)
    }
}

/// What a get of a bucket shows where there are several siblings; what is stored is the same under either rule.
package enum SiblingRule: UInt8, Hashable, Sendable {
    // On the wire and on disk; never renumber.
    /// All of them (`conflicts=siblings`).
    case showAll = 1
    /// The live one with the latest hybrid time (`conflicts=lww`), under the context of all.
    case lastWriteWins = 2

    /// The rule of a bucket that has none: `lastWriteWins` for the databases of Redis clients, which know no siblings (`redis` and
    /// `redis:1` to `redis:15`), and `showAll` for all others.
    package static func standard(of bucket: ByteBuffer) -> SiblingRule {
        guard (5...8).contains(bucket.readableBytes), bucket.readableBytesView.starts(with: "redis".utf8) else {
            return .showAll
        }
        if bucket.readableBytes == 5 { return .lastWriteWins }
        let rest = String(decoding: bucket.readableBytesView.dropFirst(5), as: UTF8.self)
        return (1...15).contains { rest == ":\($0)" } ? .lastWriteWins : .showAll
    }
}

/// What a bucket does differently from the rest of the cluster; everything may be left unset. Pure value.
package struct BucketProperties: Hashable, Sendable {
    /// R where a get does not say; `standard` when not set.
    package var reads = QuorumSize.standard
    /// W where a put or delete does not say; `standard` when not set.
    package var writes = QuorumSize.standard
    /// PR where a get does not say; `standard` when not set, which asks for none.
    package var primaryReads = QuorumSize.standard
    /// PW where a put does not say; `standard` when not set, which asks for none.
    package var primaryWrites = QuorumSize.standard
    /// What a get shows; nil when not set, which is `SiblingRule.standard`.
    package var siblings: SiblingRule?
    /// How long a value lives whose put does not say, in milliseconds, at least 1; nil for ever.
    package var timeToLiveMilliseconds: UInt64?
    /// Whether fallbacks may stand in for primaries; nil when not set, which is yes.
    package var sloppy: Bool?

    /// Nothing set.
    package init() {}

    /// Whether nothing is set.
    package var isEmpty: Bool { self == BucketProperties() }

    /// Whether fallbacks count towards a quorum (sloppy quorum), unless a request asks for primaries.
    package var allowsFallbacks: Bool { self.sloppy ?? true }

    /// Sets or unsets one property; `replicas` is only checked, by the node, and not kept.
    package mutating func apply(_ change: BucketChange) {
        switch change {
        case .replicas: break
        case .reads(let size): self.reads = size
        case .writes(let size): self.writes = size
        case .primaryReads(let size): self.primaryReads = size
        case .primaryWrites(let size): self.primaryWrites = size
        case .siblings(let rule): self.siblings = rule
        case .timeToLive(let milliseconds): self.timeToLiveMilliseconds = milliseconds
        case .sloppy(let isSloppy): self.sloppy = isSloppy
        }
    }
}

/// One property to be set, or unset with `standard` or nil.
package enum BucketChange: Hashable, Sendable {
    /// N; a node refuses anything but the cluster's.
    case replicas(UInt8)
    /// R.
    case reads(QuorumSize)
    /// W.
    case writes(QuorumSize)
    /// PR.
    case primaryReads(QuorumSize)
    /// PW.
    case primaryWrites(QuorumSize)
    /// What a get shows of several siblings.
    case siblings(SiblingRule?)
    /// The default time to live in milliseconds, at least 1.
    case timeToLive(UInt64?)
    /// Whether fallbacks may stand in.
    case sloppy(Bool?)

    /// The most changes in one request.
    package static let countMax = 32
}

/// Which of two records of one bucket is later: the higher counter, then the higher node. Pure value.
package struct BucketVersion: Hashable, Comparable, Sendable {
    /// One more than that of the record its writer knew; 0 only where nothing was ever set.
    package let counter: UInt64
    /// The node that took the change.
    package let node: NodeID

    /// Joins the two.
    package init(counter: UInt64, node: NodeID) {
        self.counter = counter
        self.node = node
    }

    /// Later versions are greater.
    package static func < (a: Self, b: Self) -> Bool { (a.counter, a.node) < (b.counter, b.node) }
}

/// All that is known of one bucket's properties. Pure value.
///
/// A record is replaced as a whole: of two changes that did not know each other, one is lost, also when they set different
/// properties. Records are never removed, as an older one could then come back; a bucket without properties keeps an
/// empty record.
package struct BucketRecord: Hashable, Sendable {
    /// The bucket.
    package let name: BucketName
    /// What is set.
    package let properties: BucketProperties
    /// Which change this is.
    package let version: BucketVersion

    /// The most records in a table and in a message; merges may pass the limit of what can be set, never this.
    package static let countMax = 4_096

    /// Joins the parts.
    package init(name: BucketName, properties: BucketProperties, version: BucketVersion) {
        self.name = name
        self.properties = properties
        self.version = version
    }

    /// The later of two records of one bucket. Commutative, associative and idempotent.
    ///
    /// Should one version name two contents, which takes a disk that forgot what it had synced, the one with the greater bytes
    /// is kept, so that all nodes still agree.
    package func merged(with other: BucketRecord) -> BucketRecord {
        if self.version != other.version { return self.version < other.version ? other : self }
        if self.properties == other.properties { return self }
        var mine = ByteWriter()
        var theirs = ByteWriter()
        self.properties.encode(into: &mine)
        other.properties.encode(into: &theirs)
        let isLess = mine.finish().readableBytesView.lexicographicallyPrecedes(theirs.finish().readableBytesView)
        return isLess ? other : self
    }
}

/// Records of buckets with what stands in for properties that are not set.
package struct BucketReport: Hashable, Sendable {
    /// N, the same for all buckets.
    package var replicas: UInt8
    /// R of the answering node, where a bucket has none.
    package var reads: UInt8
    /// W of the answering node, where a bucket has none.
    package var writes: UInt8
    /// The buckets asked for, by name.
    package var buckets: [BucketRecord]

    /// Joins the parts.
    package init(replicas: UInt8, reads: UInt8, writes: UInt8, buckets: [BucketRecord]) {
        self.replicas = replicas
        self.reads = reads
        self.writes = writes
        self.buckets = buckets
    }
}

/// What nodes tell each other about buckets; safe to lose, repeat and reorder.
package enum BucketMessage: Hashable, Sendable {
    /// The hash of all I know; answer with all you know if yours differs.
    case digest(UInt64)
    /// Take these in; with `wantsRest`, they are all I know: answer with all you know if that is something else.
    case records([BucketRecord], wantsRest: Bool)
}
