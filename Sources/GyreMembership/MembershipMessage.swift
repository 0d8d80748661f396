package import GyreBase

/// What members tell each other (SWIM §3 and §4), carried over the ordinary peer connections (architecture D7).
package enum MembershipMessage: Hashable, Sendable {
    /// Are you there? Answered with `ack` of the same sequence.
    case ping(sequence: UInt64, gossip: [MemberRecord])
    /// I am here, or (as the answer to a `pingRequest`) your target is.
    case ack(sequence: UInt64, gossip: [MemberRecord])
    /// Ask `target` for me, because it does not answer me (SWIM §3.1).
    case pingRequest(sequence: UInt64, target: NodeID, gossip: [MemberRecord])
    /// All that the sender knows, with a request for all that the receiver knows.
    case stateRequest([MemberRecord])
    /// All that the sender knows; or, from a node that stops or to one that is banned, the one record that matters.
    case state([MemberRecord])
    /// I got your `pingRequest` and its target does not answer me either: the sender is not to blame (Lifeguard §IV-A).
    case nack(sequence: UInt64)
    /// Who suspects whom: each distinct accuser makes the time to refute shorter (Lifeguard §IV-B).
    case accusations([Accusation])
}

/// One member's own observation that another did not answer it. Pure value.
package struct Accusation: Hashable, Sendable {
    /// Who did not answer.
    package let node: NodeID
    /// The incarnation that the accusation is about; a higher one is not touched by it.
    package let incarnation: UInt64
    /// Whose probe failed.
    package let accuser: NodeID

    /// Wraps the three.
    package init(node: NodeID, incarnation: UInt64, accuser: NodeID) {
        self.node = node
        self.incarnation = incarnation
        self.accuser = accuser
    }

    /// Whether every field is within its limits; for accusations from outside.
    var isValid: Bool {
        self.node.rawValue != 0 && self.accuser.rawValue != 0 && self.accuser != self.node
            && self.incarnation <= MemberRecord.counterMax
    }
}

/// What the shell must do after an input, in order.
package enum MembershipEffect: Hashable, Sendable {
    /// Send over any connection to that node. Without one the message is dropped: every message may be lost.
    case send(to: NodeID, MembershipMessage)
    /// Open a connection unless one to this address is open or being opened; `onPeerUp` reports success, and failure
    /// needs no report: the dial is repeated.
    case dial(PeerAddress)
    /// The opinion about another member changed; `old` is nil when it was unknown.
    case memberChanged(NodeID, old: Liveness?, new: Liveness)
    /// `ringVersion` changed: compute the ring anew.
    case ringChanged
    /// This node owns its share of the ring from now on. At most once a life.
    case becameNormal
    /// Keep `members` on disk for the next life. Not urgent: what is lost is learned again from any other member.
    case persist
    /// Somebody else seems to use this node's identity, or this node has an address that it does not know of.
    case duplicateIdentity(PeerAddress)
}

extension MembershipMessage {
    /// Whether the sender waits for an answer.
    var asks: Bool {
        switch self {
        case .ping, .pingRequest, .stateRequest: true
        case .ack, .state, .nack, .accusations: false
        }
    }
}
