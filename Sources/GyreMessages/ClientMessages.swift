package import GyreBase
package import GyreCausality
package import GyreMembership
package import NIOCore

/// Names one client operation, so that a coordinator that sees it again answers again instead of doing it again.
///
/// `client` is drawn at random once per client process; `sequence` counts that client's operations.
package struct RequestID: Hashable, Sendable {
    /// The client, a random number.
    package let client: UInt64
    /// The operation, unique within the client.
    package let sequence: UInt64

    /// Joins the two.
    package init(client: UInt64, sequence: UInt64) {
        self.client = client
        self.sequence = sequence
    }
}

/// How many replicas an operation asks for (the R or W of Dynamo §4.5).
package enum QuorumSize: Hashable, Sendable {
    /// The bucket's, else the cluster's default.
    case standard
    /// Any one.
    case one
    /// More than half of N.
    case quorum
    /// All N.
    case all
    /// That many, 1 to N; the node refuses anything else.
    case count(UInt8)
    /// For PR and PW only: as many as R or W, so that no stand-in counts.
    case matching
}

/// A put on its way in.
package struct PutRequest: Hashable, Sendable {
    /// The operation, for deduplication.
    package var id: RequestID
    /// What is put.
    package var name: ObjectName
    /// What the client has seen of it.
    package var seen: Seen
    /// The value, at most the node's `valueBytesMax`.
    package var value: ByteBuffer
    /// Content type and user metadata.
    package var metadata: VersionMetadata
    /// How long the value lives, in milliseconds; nil for as long as the bucket says, else for ever.
    package var timeToLiveMilliseconds: UInt64?
    /// Refuse when a live sibling is held by the coordinator (not linearizable).
    package var ifAbsent: Bool
    /// W.
    package var writes: QuorumSize
    /// PW: how many of W must be primaries; `standard` asks for as many as the bucket, else for none.
    package var primaryWrites: QuorumSize

    /// A put with the cluster's default quorum.
    package init(
        id: RequestID, name: ObjectName, seen: Seen, value: ByteBuffer, metadata: VersionMetadata = .none,
        timeToLiveMilliseconds: UInt64? = nil, ifAbsent: Bool = false, writes: QuorumSize = .standard,
        primaryWrites: QuorumSize = .standard
    ) {
        self.id = id
        self.name = name
        self.seen = seen
        self.value = value
        self.metadata = metadata
        self.timeToLiveMilliseconds = timeToLiveMilliseconds
        self.ifAbsent = ifAbsent
        self.writes = writes
        self.primaryWrites = primaryWrites
    }
}

/// A delete on its way in: a put of nothing.
package struct DeleteRequest: Hashable, Sendable {
    /// The operation, for deduplication.
    package var id: RequestID
    /// What is deleted.
    package var name: ObjectName
    /// What the client has seen of it.
    package var seen: Seen
    /// W.
    package var writes: QuorumSize
    /// PW: how many of W must be primaries; `standard` asks for none.
    package var primaryWrites: QuorumSize

    /// A delete with the cluster's default quorum.
    package init(
        id: RequestID, name: ObjectName, seen: Seen, writes: QuorumSize = .standard,
        primaryWrites: QuorumSize = .standard
    ) {
        self.id = id
        self.name = name
        self.seen = seen
        self.writes = writes
        self.primaryWrites = primaryWrites
    }
}

/// A get on its way in.
package struct GetRequest: Hashable, Sendable {
    /// What is read.
    package var name: ObjectName
    /// R.
    package var reads: QuorumSize
    /// PR: how many of R must be primaries; `standard` asks for as many as the bucket, else for none.
    package var primaryReads: QuorumSize
    /// Leave the values out of the answer; contexts, dots and metadata stay.
    package var headOnly: Bool

    /// A get with the cluster's default quorum.
    package init(
        name: ObjectName, reads: QuorumSize = .standard, primaryReads: QuorumSize = .standard, headOnly: Bool = false
    ) {
        self.name = name
        self.reads = reads
        self.primaryReads = primaryReads
        self.headOnly = headOnly
    }
}

/// Anything a client can ask of a node.
package enum ClientRequest: Hashable, Sendable {
    // Boxed, so that a request moves through the rooms as one word.

    /// Store a version.
    indirect case put(PutRequest)
    /// Read an object.
    indirect case get(GetRequest)
    /// Remove what was seen.
    indirect case delete(DeleteRequest)
    /// This node's view of the members, and its own figures.
    case status
    /// Where an object lies.
    indirect case locate(ObjectName)
    /// What every node knows about an object.
    indirect case explain(ObjectName)
    /// Start a repair across the cluster; answered at once with its counts.
    indirect case repair(RepairRequest)
    /// How far a repair has come, as the node that it was started on knows.
    case repairCounts(id: UInt64)
    /// Stop a repair.
    case repairCancel(id: UInt64)
    /// All buckets that have properties.
    case bucketList
    /// The properties of one bucket, set or not.
    indirect case bucketShow(BucketName)
    /// Change properties of one bucket: 1 to `BucketChange.countMax` changes, in order.
    indirect case bucketSet(BucketName, [BucketChange])
    /// What an operator asks of the ring.
    case ring(RingRequest)
    /// A part of the keys of a bucket, or of the buckets that have keys.
    indirect case list(ListRequest)

    /// The object concerned, if there is one.
    package var name: ObjectName? {
        switch self {
        case .put(let put): put.name
        case .get(let get): get.name
        case .delete(let delete): delete.name
        case .locate(let name), .explain(let name): name
        case .status, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow, .bucketSet, .ring, .list: nil
        }
    }
}

/// Why an operation did not succeed, as a value (architecture §7).
package enum Failure: Error, Hashable, Sendable {
    /// Too few replicas could be reached; the operation had no effect that the coordinator knows of.
    case unavailable(needed: UInt8, got: UInt8)
    /// Some replicas took the write, fewer than W: it may yet take effect.
    case unknown(needed: UInt8, got: UInt8)
    /// A limit of the node was reached; try again later.
    case overloaded
    /// Something exceeds a limit, in bytes or in siblings.
    case tooLarge(limit: UInt64)
    /// The deadline passed; a write may yet take effect.
    case timeout
    /// The request makes no sense; the reason is for people.
    case badRequest(String)
    /// The node is not (yet) a normal member of the cluster.
    case notMember
    /// Every replica that answered holds a corrupt record.
    case corrupt
    /// A live sibling is there, and the put asked for none.
    case exists
}

/// One member as a node sees it.
package struct MemberView: Hashable, Sendable {
    /// The member's record, liveness included.
    package var record: MemberRecord
    /// Slots of the ring the member owns: one a partition and replica.
    package var ownedSlots: UInt64

    /// Joins the two.
    package init(record: MemberRecord, ownedSlots: UInt64) {
        self.record = record
        self.ownedSlots = ownedSlots
    }
}

/// What `status` answers: the cluster in the eyes of one node.
package struct StatusReport: Hashable, Sendable {
    /// The answering node.
    package var me: NodeID
    /// The cluster's name.
    package var cluster: String
    /// All members, by node.
    package var members: [MemberView]
    /// Partitions of the ring, Q.
    package var partitionCount: UInt32
    /// Replicas of a key, N.
    package var replicas: UInt8
    /// Counts the changes of the ring this node has seen.
    package var ringEpoch: UInt64
    /// The stable hash of the placement; equal on all nodes that agree.
    package var ringHash: UInt64
    /// Objects the answering node holds.
    package var keys: UInt64
    /// Bytes on the answering node's disk.
    package var diskBytes: UInt64
    /// What the answering node keeps for others.
    package var hints: [Backlog]
    /// Operational counters of the answering node, by name, sorted.
    package var counters: [Counter]

    /// The counter that is 1 while another process shows itself under the answering node's identity, and for a minute after.
    package static let identityInUse = "identity_in_use_elsewhere"
    /// The counter that is 1 while the answering node knows of a change of the ring that is not over.
    package static let ringChanging = "ring_changing"

    /// Hints kept for one node.
    package struct Backlog: Hashable, Sendable {
        /// Whom they are for.
        package var target: NodeID
        /// How many.
        package var count: UInt64
        /// Bytes of keys and records.
        package var bytes: UInt64
        /// How long ago the first of them was kept, in milliseconds: no write that the target lacks is older.
        package var ageMilliseconds: UInt64

        /// Joins the parts.
        package init(target: NodeID, count: UInt64, bytes: UInt64, ageMilliseconds: UInt64) {
            self.target = target
            self.count = count
            self.bytes = bytes
            self.ageMilliseconds = ageMilliseconds
        }
    }

    /// A named counter.
    package struct Counter: Hashable, Sendable {
        /// Lower-case words joined by underscores.
        package var name: String
        /// The count since the start.
        package var value: UInt64

        /// Joins the two.
        package init(name: String, value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    /// Joins the parts.
    package init(
        me: NodeID, cluster: String, members: [MemberView], partitionCount: UInt32, replicas: UInt8,
        ringEpoch: UInt64, ringHash: UInt64, keys: UInt64, diskBytes: UInt64, hints: [Backlog] = [],
        counters: [Counter]
    ) {
        self.hints = hints
        self.me = me
        self.cluster = cluster
        self.members = members
        self.partitionCount = partitionCount
        self.replicas = replicas
        self.ringEpoch = ringEpoch
        self.ringHash = ringHash
        self.keys = keys
        self.diskBytes = diskBytes
        self.counters = counters
    }
}

/// What `locate` answers.
package struct LocationReport: Hashable, Sendable {
    /// The key's token.
    package var token: Token
    /// The partition it lies in.
    package var partition: UInt32
    /// The primaries, in preference order.
    package var owners: [NodeID]

    /// Joins the parts.
    package init(token: Token, partition: UInt32, owners: [NodeID]) {
        self.token = token
        self.partition = partition
        self.owners = owners
    }
}

/// Anything a node can answer a client.
package enum ClientResponse: Hashable, Sendable {
    /// A put or delete is durable on `acks` distinct nodes, at least `needed`.
    case stored(context: VersionVector, acks: UInt8, needed: UInt8)
    /// Canonical `Siblings` bytes with at least one version that has not expired.
    case found(record: ByteBuffer)
    /// No live sibling; the context covers what was deleted.
    case notFound(context: VersionVector)
    /// The answer to `status`.
    indirect case status(StatusReport)
    /// The answer to `locate`.
    indirect case location(LocationReport)
    /// The answer to `explain`.
    indirect case explained(ExplainReport)
    /// The answer to `repair` and `repairCounts`; `isOver` when nothing of it goes on any more. `silent` are nodes that take part and
    /// cannot be reached.
    indirect case repairing(RepairCounts, isOver: Bool, silent: [NodeID])
    /// The answer to `bucketList`, `bucketShow` (one bucket) and `bucketSet` (the one bucket, as it is durable now).
    indirect case buckets(BucketReport)
    /// The answer to `ring`.
    indirect case ring(RingReport)
    /// The answer to `list`.
    indirect case listed(ListedNames)
    /// It did not succeed.
    case failed(Failure)
}
