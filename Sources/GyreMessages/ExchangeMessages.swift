package import GyreBase
package import NIOCore

/// An object and the digest of its record.
package struct NamedDigest: Hashable, Sendable {
    /// The object.
    package let name: ObjectName
    /// The digest of its canonical record.
    package let digest: UInt64

    /// Joins the two.
    package init(name: ObjectName, digest: UInt64) {
        self.name = name
        self.digest = digest
    }
}

/// An object and its record.
package struct NamedRecord: Hashable, Sendable {
    /// The object.
    package let name: ObjectName
    /// Its canonical record; empty when there is none, or none that can be read.
    package let record: ByteBuffer

    /// Joins the two.
    package init(name: ObjectName, record: ByteBuffer) {
        self.name = name
        self.record = record
    }

    /// Bytes of name and record, for limits.
    package var bytes: Int { self.name.bucket.readableBytes + self.name.key.readableBytes + self.record.readableBytes }
}

/// What the initiator of an exchange asks another owner of a partition (anti-entropy, Dynamo §4.7).
package enum ExchangeQuestion: Hashable, Sendable {
    /// The most objects in one question or answer.
    package static let objectsMax = 512

    /// Is this your root?
    case root(UInt64)
    /// Your leaves under the inners whose bits are set.
    case leaves(mask: UInt32)
    /// Your objects with tokens in `first...last` that come after a name, in storage order, a page of them.
    case keys(first: Token, last: Token, after: ObjectName?)
    /// The records of these objects.
    case records([ObjectName])
    /// Merge these records and say when that is durable.
    case merge([NamedRecord])
    /// Build this leaf anew: it differs although no object in it does. Not answered.
    case suspect(leaf: UInt16)
    /// As `keys`, but with the records: whoever asks holds next to nothing there.
    case objects(first: Token, last: Token, after: ObjectName?)
}

/// What the other owner answers.
package enum ExchangeAnswer: Hashable, Sendable {
    /// The roots are equal.
    case same
    /// The roots differ; the 32 inners.
    case inners([UInt64])
    /// The tree is not built yet.
    case notReady
    /// 32 leaves for each inner that was asked for, in order.
    case leaves([UInt64])
    /// A page of objects, and whether nothing in the range comes after it.
    case keys([NamedDigest], isComplete: Bool)
    /// Records, in the order they were asked for; those at the end may be missing when they were too many bytes.
    case records([NamedRecord])
    /// All are durable; how many of them changed what was held.
    case merged(count: UInt32)
    /// As `merged`, but some of the records could not be merged and are not on the disk.
    case mergedInPart(count: UInt32)
    /// A limit was reached; try later.
    case overloaded
    /// A page of objects, and whether nothing in the range comes after it.
    case objects([NamedRecord], isComplete: Bool)
}

/// What `gyre repair` wants.
package struct RepairRequest: Hashable, Sendable {
    /// The repair, drawn at random by the client that starts it.
    package var id: UInt64
    /// Only this partition.
    package var partition: UInt32?
    /// Only objects of this bucket are repaired.
    package var bucket: ByteBuffer?
    /// Only comparisons that this node takes part in.
    package var node: NodeID?
    /// Compare and count, but change nothing.
    package var isDry: Bool

    /// A repair of everything.
    package init(
        id: UInt64, partition: UInt32? = nil, bucket: ByteBuffer? = nil, node: NodeID? = nil, isDry: Bool = false
    ) {
        self.id = id
        self.partition = partition
        self.bucket = bucket
        self.node = node
        self.isDry = isDry
    }
}

/// How far one node's part of a repair has come, or all parts together.
package struct RepairCounts: Hashable, Sendable {
    /// Comparisons of one partition between two owners that are to be done.
    package var planned: UInt64 = 0
    /// Comparisons done.
    package var compared: UInt64 = 0
    /// Those among them in which nothing differed.
    package var inSync: UInt64 = 0
    /// Comparisons that could not be done, because an owner could not be reached or failed.
    package var failed: UInt64 = 0
    /// Objects that differed.
    package var keysDiffering: UInt64 = 0
    /// Objects made equal.
    package var keysRepaired: UInt64 = 0
    /// Bytes sent for it, both directions.
    package var bytesSent: UInt64 = 0
    /// A sum over the roots of all partitions before and after; equal numbers on two nodes mean equal data.
    package var rootsBefore: UInt64 = 0
    /// As `rootsBefore`, now.
    package var rootsAfter: UInt64 = 0

    /// Nothing yet.
    package init() {}

    /// Whether nothing is left to do.
    package var isOver: Bool { self.compared + self.failed >= self.planned }

    /// Adds another node's part.
    package mutating func add(_ other: RepairCounts) {
        self.planned &+= other.planned
        self.compared &+= other.compared
        self.inSync &+= other.inSync
        self.failed &+= other.failed
        self.add(differing: other.keysDiffering, repaired: other.keysRepaired, bytes: other.bytesSent)
        self.rootsBefore &+= other.rootsBefore
        self.rootsAfter &+= other.rootsAfter
    }

    /// Adds what was found and done, without the comparisons that did it.
    package mutating func add(differing: UInt64, repaired: UInt64, bytes: UInt64) {
        self.keysDiffering &+= differing
        self.keysRepaired &+= repaired
        self.bytesSent &+= bytes
    }
}

/// What nodes tell each other about a repair.
package enum RepairMessage: Hashable, Sendable {
    /// Do your part; `counts` answers, now and then and at the end.
    case start(RepairRequest)
    /// How far the sender's part has come.
    case counts(id: UInt64, RepairCounts, isOver: Bool)
    /// Stop.
    case cancel(id: UInt64)
}

/// What one node knows about one object, for `gyre explain`.
package struct Inspection: Hashable, Sendable {
    /// The canonical record without its values; empty when there is none.
    package var heads: ByteBuffer
    /// The digest of the record; zero when there is none.
    package var digest: UInt64
    /// The bytes of the record.
    package var bytes: UInt64
    /// Whether the record cannot be read.
    package var isCorrupt: Bool
    /// The owners for which hints about the object are kept there.
    package var hintsFor: [NodeID]
    /// The sum of the leaf that the object belongs to; nil when the tree is not built.
    package var leaf: UInt64?

    /// Nothing known.
    package init() {
        self.heads = ByteBuffer()
        self.digest = 0
        self.bytes = 0
        self.isCorrupt = false
        self.hintsFor = []
        self.leaf = nil
    }
}

/// What `explain` answers: an object on every node that has something to do with it.
package struct ExplainReport: Hashable, Sendable {
    /// One node.
    package struct Entry: Hashable, Sendable {
        /// Which node.
        package let node: NodeID
        /// Its place among the owners, from 0; nil for a node that only keeps hints.
        package let place: UInt8?
        /// What it knows; nil when it did not answer.
        package let inspection: Inspection?

        /// Joins the parts.
        package init(node: NodeID, place: UInt8?, inspection: Inspection?) {
            self.node = node
            self.place = place
            self.inspection = inspection
        }
    }

    /// The key's token.
    package var token: Token
    /// Its partition.
    package var partition: UInt32
    /// Its leaf in the tree of the partition.
    package var leaf: UInt16
    /// Owners in order of preference, then nodes that keep hints.
    package var entries: [Entry]
    /// Whom a read with the default R would ask, in order.
    package var readers: [NodeID]

    /// Joins the parts.
    package init(token: Token, partition: UInt32, leaf: UInt16, entries: [Entry], readers: [NodeID]) {
        self.token = token
        self.partition = partition
        self.leaf = leaf
        self.entries = entries
        self.readers = readers
    }
}
