package import GyreBase
package import GyreCausality
package import NIOCore

/// The node's own number for one storage request; the reply carries it back.
package struct StorageTag: Hashable, Sendable {
    /// Chosen by the node, unique among its requests in flight.
    package let rawValue: UInt64

    /// Wraps a number.
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A 64-bit fingerprint of one object's canonical record; equal records of one key have equal digests.
///
/// XXH3 of the canonical bytes, seeded with the key's token, and the same number that guards the record on disk.
package struct RecordDigest: Hashable, Sendable {
    /// The fingerprint.
    package let rawValue: UInt64

    /// Wraps a fingerprint.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The fingerprint of `record`, the canonical `Siblings` bytes stored under `name`.
    package init(of record: ByteBuffer, name: ObjectName) {
        self.rawValue = StableHash.xxh3(record, seed: name.token.rawValue)
    }
}

/// What a coordinator does to its own record: a client's put or delete.
package enum Update: Sendable {
    /// Adds a version whose dot was never used before; with `ifAbsent`, only where no sibling is held that lives at `now`. What expired
    /// before `collecting` is taken out with it; nil to leave that to the scrub.
    case put(
        Version, seen: Seen, ifAbsent: Bool, now: WallTime = WallTime(milliseconds: 0), collecting: WallTime? = nil)
    /// Removes what `seen` covers; issues no dot.
    case delete(seen: Seen)
}

/// How much of an object a read wants.
package enum ReadDepth: UInt8, Sendable {
    // On the wire; never renumber.
    /// The digest only.
    case digest = 1
    /// The whole record.
    case record = 2
}

/// One thing the node asks of its disk. Every request gets exactly one reply, unless the process dies first.
///
/// Writes take effect in the order of their replies, which is the order in which they were asked for, except that patient ones
/// (`isPatient`) are overtaken by others. A reply to a write means that it is durable in the sense of the node's `durability`
/// setting: with `always`, that the bytes were synced.
package enum StorageRequest: Sendable {
    /// Looks an object up. Replies: `record`, `digest`, `absent`, `refused(.corrupt)`.
    case read(StorageTag, ObjectName, ReadDepth)
    /// Reads, applies the update, writes, as one step. Replies: `updated`, `refused`.
    indirect case update(StorageTag, ObjectName, Update)
    /// Reads, merges canonical `Siblings` bytes from a replica, writes, as one step; patient where no client waits for it.
    /// Replies: `merged`, `refused`.
    case merge(StorageTag, ObjectName, record: ByteBuffer, isPatient: Bool = false)
    /// As `merge`, but over a record that is corrupt: the old bytes are replaced. Replies: `merged`, `refused`.
    case heal(StorageTag, ObjectName, record: ByteBuffer)
    /// Makes sure that after any crash the dot counter restarts at `ceiling` or above (architecture D4).
    /// Reply: `leased`.
    case lease(StorageTag, ceiling: UInt64)
    /// Replaces a small document kept beside the objects, such as the membership. Reply: `kept`.
    case keep(StorageTag, document: Document, ByteBuffer)
    /// Asks for figures. Reply: `figures`.
    case figures(StorageTag)
    /// Keeps the checkpoints of hash trees, at most one a partition, until the next change of an object. Reply: `kept`.
    case checkpoint(StorageTag, trees: [ByteBuffer])
    /// Work on the hints kept for another node; replies as `HintRequest` says.
    indirect case hint(StorageTag, HintRequest)
    /// Lists objects in storage order. Reply: `listed`.
    indirect case list(StorageTag, ObjectRange)
    /// Removes the versions that expired before a moment, as one step; what they leave is their context, as after a delete.
    /// Replies: `merged`, `refused`.
    case collect(StorageTag, ObjectName, expiredBefore: WallTime)
    /// Removes objects that this node owns no longer and that their owners have: each only while it has the digest given, or, with
    /// nil, while it cannot be read. Reply: `removed`.
    indirect case remove(StorageTag, [(name: ObjectName, digest: RecordDigest?)])

    /// The small documents a node keeps.
    package enum Document: UInt8, Sendable, CaseIterable {
        // On disk; never renumber.
        /// The members known at the last change, read again at the next start.
        case members = 1
        /// What buckets do differently, as the node encodes it.
        case buckets = 2
        /// The name under which the node issues dots, when it is no longer its identity: 8 bytes, big-endian.
        case author = 4
        /// Who owns ranges, as the node encodes it.
        case ring = 5
        /// Written when a lost disk has been made up for.
        case refilled = 3
        /// When the node last took part in its cluster, as the process around the node encodes it.
        case presence = 6
    }

    /// The request's number.
    package var tag: StorageTag {
        switch self {
        case .read(let tag, _, _), .update(let tag, _, _), .merge(let tag, _, _, _), .heal(let tag, _, _),
            .lease(let tag, _), .keep(let tag, _, _), .figures(let tag), .hint(let tag, _), .list(let tag, _),
            .collect(let tag, _, _), .checkpoint(let tag, _), .remove(let tag, _):
            tag
        }
    }

    /// Whether the request only looks; such requests may overtake others and run on another thread.
    package var isRead: Bool {
        switch self {
        case .read, .figures: true
        case .update, .merge, .heal, .lease, .keep, .collect, .checkpoint, .remove: false
        case .hint(_, let request): request.isRead
        case .list(_, let range): !range.isOrdered
        }
    }

    /// Whether the request is of work that comes by the hundred and that no client waits for: requests of clients overtake it,
    /// and it is done in pieces of `pieceMax`.
    package var isPatient: Bool {
        switch self {
        case .merge(_, _, _, let isPatient): isPatient
        case .list(_, let range): range.isOrdered || range.shape != .heads
        case .remove, .collect: true
        case .read, .update, .heal, .lease, .keep, .figures, .checkpoint, .hint: false
        }
    }

    /// Whether it is answered from what is on disk, to which writes of the same commit have not come yet.
    package var seesDiskOnly: Bool {
        switch self {
        case .list, .remove: true
        case .read, .update, .merge, .heal, .lease, .keep, .figures, .checkpoint, .hint, .collect: false
        }
    }

    /// About how much work the request is, where a merge is 1.
    package var weight: Int {
        switch self {
        case .remove(_, let objects): objects.count
        case .list(_, let range): range.countMax / 2
        default: 1
        }
    }

    /// Patient requests of this weight together, or a single one, are done between two looks at what clients want: some three
    /// milliseconds on one processor.
    package static let pieceMax = 192
}

/// Why storage did not do what was asked; nothing was changed.
package enum StorageRefusal: Hashable, Sendable {
    /// The record on disk fails its checksum or cannot be decoded; other replicas have it.
    case corrupt
    /// The bytes to merge are not a canonical record.
    case malformed
    /// The object already has a live sibling and the put asked for none.
    case exists
    /// The dot of the put is covered by the context held: somebody forged a context. Another coordinator can do it.
    case dotCovered
    /// One more sibling would exceed the limit for new client data.
    case tooManySiblings(limit: Int)
    /// Several siblings would make the record longer than `limit` bytes.
    case recordTooLarge(limit: Int)
    /// The hints kept here have reached their limit, in bytes; none is ever dropped to make room (architecture D10).
    case hintsFull(bytesMax: UInt64)
}

/// Figures of one store, for `gyre status` and metrics.
package struct StorageFigures: Hashable, Sendable {
    /// Objects with at least one sibling.
    package var keys: UInt64 = 0
    /// Fully deleted objects whose causal context is kept.
    package var tombstones: UInt64 = 0
    /// Bytes of all files.
    package var diskBytes: UInt64 = 0
    /// Records found corrupt since the start.
    package var corruptRecords: UInt64 = 0
    /// Group commits since the start, and the writes in them.
    package var commits: UInt64 = 0
    /// Writes in all group commits since the start.
    package var committedWrites: UInt64 = 0
    /// Bloom filter questions asked since the start.
    package var filterChecks: UInt64 = 0
    /// Bloom filter questions answered "not here".
    package var filterNegatives: UInt64 = 0
    /// What is kept for other nodes, sorted by node; only nodes for which something is.
    package var hints: [HintBacklog] = []

    /// All zero.
    package init() {}
}

/// What became of one request.
package enum StorageOutcome: Sendable {
    /// The whole record, as canonical `Siblings` bytes.
    case record(ByteBuffer, RecordDigest)
    /// The digest of the record held.
    case digest(RecordDigest)
    /// Nothing is held under that name, not even a tombstone.
    case absent
    /// The update is durable; this is the record that now stands, and the context its writer may be told: it covers no
    /// sibling that the writer was not shown.
    case updated(ByteBuffer, RecordDigest, context: VersionVector, change: RecordChange?)
    /// The merge is durable; `clash` when one dot was found with two values (a broken invariant to report).
    case merged(RecordDigest, clash: Bool, change: RecordChange?)
    /// Objects or hints in storage order.
    case listed(ObjectPage)
    /// The hint is gone, and that is durable; not `wasDropped` when there was none, or when it has learned more since and stays.
    /// `backlog` is what is left for its target.
    case dropped(backlog: HintBacklog, wasDropped: Bool)
    /// By place in the request: whether the object is gone, and that is durable.
    case removed([Bool])
    /// The lease is durable.
    case leased(ceiling: UInt64)
    /// The document is durable.
    case kept
    /// The figures asked for.
    case figures(StorageFigures)
    /// Nothing was changed.
    case refused(StorageRefusal)
}

/// The answer to one request.
package struct StorageReply: Sendable {
    /// The request's number.
    package let tag: StorageTag
    /// What became of it.
    package let outcome: StorageOutcome

    /// Joins the two.
    package init(tag: StorageTag, outcome: StorageOutcome) {
        self.tag = tag
        self.outcome = outcome
    }
}

/// What a node learns from its disk before its first input.
package struct RecoveredState: Sendable {
    /// Every dot this node ever issued has a counter below this one.
    package var counterFloor: UInt64
    /// The document `members`, if there is one.
    package var members: ByteBuffer?
    /// The document `buckets`, if there is one.
    package var buckets: ByteBuffer?
    /// The document `ring`, if there is one.
    package var ring: ByteBuffer?
    /// The hints found, by target.
    package var hints: [HintBacklog] = []
    /// The document `author`, if there is one.
    package var author: NodeID?
    /// The document `presence`, if there is one.
    package var presence: ByteBuffer?
    /// Whether the document `refilled` is there.
    package var isRefilled = false
    /// Whether there are objects or tombstones.
    package var holdsObjects = false
    /// Checkpoints of hash trees, when no object was changed after them.
    package var trees: [ByteBuffer] = []

    /// Reads the document `author`; nil for anything that is none.
    package static func author(from body: ByteBuffer) -> NodeID? {
        guard body.readableBytes == 8, let value = body.getInteger(at: body.readerIndex, as: UInt64.self), value != 0
        else { return nil }
        return NodeID(rawValue: value)
    }

    /// What a new directory holds.
    package init(
        counterFloor: UInt64 = 1, members: ByteBuffer? = nil, buckets: ByteBuffer? = nil, hints: [HintBacklog] = []
    ) {
        self.counterFloor = counterFloor
        self.members = members
        self.buckets = buckets
        self.hints = hints
    }
}

/// The disk no longer does what it is told: the process must stop acknowledging and exit (architecture D13).
package struct StorageFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was being done, and what the system answered, for a person.
    package let description: String

    /// Wraps the explanation.
    package init(_ description: String) { self.description = description }
}
