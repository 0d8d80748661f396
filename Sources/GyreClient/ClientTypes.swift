import GyreBase
import GyreCausality
package import GyreMessages
public import NIOCore

/// How many replicas an operation asks for: R, W, PR or PW.
public enum ReplicaCount: Hashable, Sendable {
    /// The bucket's, else the cluster's default; for PR and PW, none.
    case standard
    /// Any one.
    case one
    /// More than half of N.
    case quorum
    /// All N.
    case all
    /// That many, 1 to N; a node refuses anything else.
    case count(UInt8)
    /// For PR and PW only: as many as R or W, a strict quorum, in which no stand-in counts. As R or W it is refused.
    case matching

    /// The same in the words of the protocol.
    package var size: QuorumSize {
        switch self {
        case .standard: .standard
        case .one: .one
        case .quorum: .quorum
        case .all: .all
        case .count(let count): .count(count)
        case .matching: .matching
        }
    }
}

/// What the writer of a put or a delete has seen of the key.
public enum WriteMode: Hashable, Sendable {
    /// Read the context at quorum first and supersede what it covers: writers one after another leave one value.
    case readFirst
    /// Supersede what this context covers, and nothing else; concurrent values stay as siblings.
    case given(CausalContext)
    /// Supersede whatever the coordinator holds, without a look: one round trip.
    case overwrite
    /// Supersede nothing: a put always adds a sibling, and a delete removes nothing.
    case blind
}

/// One field that a client stored beside a value.
public struct UserMetadata: Hashable, Sendable {
    /// The name, as it was stored.
    public let name: ByteBuffer
    /// The value, as it was stored.
    public let value: ByteBuffer

    /// Joins the two.
    public init(name: ByteBuffer, value: ByteBuffer) {
        self.name = name
        self.value = value
    }
}

/// One of the values of a key that no other of them supersedes.
public struct Sibling: Hashable, Sendable {
    /// The value; empty when only the head was asked for.
    public let value: ByteBuffer
    /// The content type; empty when its writer gave none.
    public let contentType: String
    /// Fields that its writer stored beside it.
    public let metadata: [UserMetadata]
    /// When its coordinator took it, in milliseconds since 1970-01-01T00:00Z. For people; decides nothing.
    public let modifiedMilliseconds: UInt64
    /// From when on it is no longer shown, in milliseconds since 1970-01-01T00:00Z; nil for never.
    public let expiryMilliseconds: UInt64?
    /// The name of the put that wrote it: node and counter.
    public let dot: String

    /// What a record says about one version.
    init(_ version: Version) {
        self.value = version.value
        self.contentType = String(buffer: version.metadata.contentType)
        self.metadata = version.metadata.fields.map { UserMetadata(name: $0.name, value: $0.value) }
        self.modifiedMilliseconds = version.time.wall.milliseconds
        self.expiryMilliseconds = version.expiry?.milliseconds
        self.dot = version.dot.description
    }
}

/// What a get found.
public struct GetResult: Hashable, Sendable {
    /// What this answer has seen; give it to the put or delete that follows from it. Comes with deleted keys too.
    public let context: CausalContext
    /// The values: one as a rule, several after concurrent puts, none when there is no such key.
    public let siblings: [Sibling]

    /// Whether there is any value.
    public var isFound: Bool { !self.siblings.isEmpty }
}

/// What a put or a delete did.
public struct WriteResult: Hashable, Sendable {
    /// The context of the key as the coordinator now holds it.
    public let context: CausalContext
    /// Distinct nodes that had it on disk when the answer was sent.
    public let acks: Int
    /// How many were needed.
    public let needed: Int
}

/// What `PutOptions` and its kin leave out is the cluster's default.
public struct PutOptions: Hashable, Sendable {
    /// What the writer has seen.
    public var mode = WriteMode.readFirst
    /// The content type, at most 255 UTF-8 bytes.
    public var contentType = ""
    /// Fields stored beside the value, at most 64 of 4,096 bytes each.
    public var metadata: [UserMetadata] = []
    /// How long the value lives; nil for as long as the bucket says, else for ever.
    public var timeToLive: Duration?
    /// Refuse when a value is there. Checked by one coordinator; not linearizable.
    public var ifAbsent = false
    /// W.
    public var writes = ReplicaCount.standard
    /// PW: how many of W must be primaries.
    public var primaryWrites = ReplicaCount.standard
    /// How long it may take; nil for the client's default.
    public var timeout: Duration?

    /// The defaults.
    public init() {}
}

/// How a get is done.
public struct GetOptions: Hashable, Sendable {
    /// R.
    public var reads = ReplicaCount.standard
    /// PR: how many of R must be primaries.
    public var primaryReads = ReplicaCount.standard
    /// Leave the values out.
    public var headOnly = false
    /// How long it may take; nil for the client's default.
    public var timeout: Duration?

    /// The defaults.
    public init() {}
}

/// How a delete is done.
public struct DeleteOptions: Hashable, Sendable {
    /// What the deleter has seen.
    public var mode = WriteMode.readFirst
    /// W.
    public var writes = ReplicaCount.standard
    /// PW: how many of W must be primaries.
    public var primaryWrites = ReplicaCount.standard
    /// How long it may take; nil for the client's default.
    public var timeout: Duration?

    /// The defaults.
    public init() {}
}
