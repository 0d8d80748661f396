package import GyreBase
package import GyreMembership
package import NIOCore

/// How a replica answered a write of another coordinator.
package enum ReplicateOutcome: UInt8, Hashable, Sendable {
    // On the wire; never renumber.
    /// It is on the replica's disk.
    case durable = 1
    /// The replica is at a limit.
    case overloaded = 2
    /// The replica's own record is corrupt and not healed yet.
    case corrupt = 3
    /// The record sent is not canonical.
    case malformed = 4
    /// The hints kept there have reached their limit; none is dropped to make room (architecture D10).
    case hintsFull = 5
}

/// How a replica answered a read of another coordinator.
package enum FetchOutcome: Hashable, Sendable {
    /// The canonical record.
    case record(ByteBuffer)
    /// The digest of the canonical record.
    case digest(UInt64)
    /// Nothing is held, not even a tombstone.
    case absent
    /// The replica's record is corrupt.
    case corrupt
    /// The replica is at a limit.
    case overloaded
}

/// Everything nodes say to each other. `tag` is the sender's own number; the answer carries it back.
///
/// Messages may be lost, repeated and reordered; every one of them is safe to receive twice.
package enum PeerMessage: Hashable, Sendable {
    /// Merge this canonical record and say when it is durable.
    case replicate(tag: UInt64, name: ObjectName, record: ByteBuffer)
    /// The answer to `replicate`.
    case replicated(tag: UInt64, ReplicateOutcome)
    /// Read an object; `whole` asks for the record, otherwise for the digest.
    case fetch(tag: UInt64, name: ObjectName, whole: Bool)
    /// The answer to `fetch`.
    case fetched(tag: UInt64, FetchOutcome)
    /// Coordinate this client operation; it is not forwarded again.
    case forward(tag: UInt64, timeoutMilliseconds: UInt32, ClientRequest)
    /// The answer to `forward`.
    case forwarded(tag: UInt64, ClientResponse)
    /// Gossip and probes.
    case membership(MembershipMessage)
    /// Keep this canonical record for `target`, which cannot be reached, and say when it is durable; answered by `replicated`.
    case hint(tag: UInt64, target: NodeID, name: ObjectName, record: ByteBuffer)
    /// Read what is kept of an object for `target`; answered by `fetched`.
    case fetchHint(tag: UInt64, target: NodeID, name: ObjectName, whole: Bool)
    /// A question of an exchange about one partition; `step` counts the questions of the exchange.
    indirect case exchange(tag: UInt64, step: UInt32, partition: UInt32, ExchangeQuestion)
    /// The answer to the question number `step`.
    indirect case exchanged(tag: UInt64, step: UInt32, ExchangeAnswer)
    /// About a repair that an operator asked for.
    indirect case repair(RepairMessage)
    /// What do you know about this object? Answered by `inspected`.
    case inspect(tag: UInt64, name: ObjectName)
    /// The answer to `inspect`.
    indirect case inspected(tag: UInt64, Inspection)
    /// What buckets do differently.
    case buckets(BucketMessage)
    /// Who owns ranges, and how a change of that goes.
    indirect case ring(RingMessage)
    /// Which objects do you hold? Answered by `listed`.
    indirect case list(tag: UInt64, ListQuestion)
    /// The answer to `list`.
    indirect case listed(tag: UInt64, ListAnswer)
    /// A question that has a `tracedTag`, asked on behalf of a request that somebody traces; never one inside another.
    indirect case traced(TraceContext, PeerMessage)

    /// The tag of a question that a trace may follow to other nodes: those that puts, gets and their forwards ask.
    package var tracedTag: UInt64? {
        switch self {
        case .replicate(let tag, _, _), .fetch(let tag, _, _), .forward(let tag, _, _), .hint(let tag, _, _, _),
            .fetchHint(let tag, _, _, _):
            tag
        default: nil
        }
    }
}

/// The first frame of every connection, from the side that dialled.
package struct Hello: Hashable, Sendable {
    /// Who is speaking.
    package enum Role: Hashable, Sendable {
        /// A client; any name, for logs.
        case client(name: String)
        /// A node of the same cluster, with the settings that must agree.
        case peer(node: NodeID, address: PeerAddress, partitionCount: UInt32, replicas: UInt8)
    }

    /// The newest protocol version the speaker knows; the answer names the one used.
    package var protocolVersion: UInt16
    /// The cluster meant; a client may leave it empty to accept any.
    package var cluster: String
    /// Who is speaking.
    package var role: Role

    /// Joins the parts.
    package init(protocolVersion: UInt16, cluster: String, role: Role) {
        self.protocolVersion = protocolVersion
        self.cluster = cluster
        self.role = role
    }
}

/// The answer to `Hello`; a refusal is followed by the end of the connection.
package enum HelloReply: Hashable, Sendable {
    /// The connection is open.
    case welcome(protocolVersion: UInt16, cluster: String, node: NodeID)
    /// It is not; the reason is for people and names what differs.
    case refused(reason: String)
}
