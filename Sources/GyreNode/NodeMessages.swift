package import GyreBase
package import GyreMembership
package import GyreMessages
package import GyreStorage

/// Where an answer to a client goes; opaque to the node, chosen by the shell.
package struct ReplyAddress: Hashable, Sendable {
    /// The connection.
    package let connection: UInt64
    /// The request on that connection.
    package let request: UInt64

    /// Joins the two.
    package init(connection: UInt64, request: UInt64) {
        self.connection = connection
        self.request = request
    }
}

/// Everything that can happen to a node.
package enum NodeInput: Sendable {
    /// A client asks; `timeout` is what is left of its deadline.
    case client(ReplyAddress, ClientRequest, timeout: TimeSpan)
    /// The same for a request that somebody traces: what follows from it carries the context to other nodes.
    indirect case tracedClient(ReplyAddress, ClientRequest, timeout: TimeSpan, TraceContext)
    /// A peer says something.
    case peer(NodeID, PeerMessage)
    /// A connection to a peer was opened and its handshake accepted.
    case peerUp(NodeID, PeerAddress)
    /// Whoever was dialled there belongs to another cluster, or divides the ring otherwise.
    case peerRefused(PeerAddress)
    /// The connection to a peer was lost.
    case peerDown(NodeID)
    /// The disk answers.
    case storage(StorageReply)
    /// Time passes; wanted about every `NodeOptions.tickInterval`.
    case tick
    /// The process is about to end and nothing more will be asked: write down what is costly to find out again.
    case rest
    /// The process is asked to stop: refuse new requests, finish what is in flight.
    case drain
}

/// Everything a node can do to the world, in order of being appended.
///
/// Durability order: the node appends an acknowledgement (`reply` with `stored`, `replicated` with `durable`) only while
/// it handles the `storage` input that reports the write durable, or the peers' reports of the same; and it sends
/// a coordinated update to other replicas only after its own disk reported it durable, so that no dot is ever known
/// elsewhere and forgotten here.
package enum NodeEffect: Sendable {
    /// Answer a client.
    case reply(ReplyAddress, ClientResponse)
    /// Say something to a peer; lost when there is no connection, which the node's deadlines notice.
    case send(NodeID, PeerMessage)
    /// Ask the disk.
    case store(StorageRequest)
    /// Keep the members on disk for the next start; lost ones are learned again.
    case persist([MemberRecord])
    /// Open a connection to an address, if there is none yet.
    case dial(PeerAddress)
    /// A point of a change of the ring was passed; of interest to the simulator only.
    case visit(RingStep)
    /// Something an operator may want to read.
    case event(NodeEvent)
}

/// What a node tells its operator.
package enum NodeEvent: Hashable, Sendable {
    /// This node became a normal member.
    case normal
    /// A member was seen for the first time or its liveness changed.
    case member(NodeID, Liveness)
    /// The ring changed; `members` own it now.
    case ring(hash: UInt64, members: Int)
    /// The local record of a key is corrupt; it is being fetched from the other replicas.
    case corruptRecord(Token)
    /// A corrupt record was rewritten from the other replicas.
    case healed(Token)
    /// A disk that was lost has been made up for: every partition was compared with all its other owners.
    case refilled
    /// One dot was found with two values; must never happen.
    case dotClash(Token)
    /// Another process uses this node's identity.
    case duplicateIdentity(PeerAddress)
    /// This node has left the cluster: all it held is with others, and it may end.
    case left
    /// Nothing is in flight any more, after `drain`.
    case drained
    /// A request took longer than `NodeOptions.slowThreshold`.
    indirect case slow(SlowRequest)
}
