internal import GyreBase

/// What one node keeps about another beside its record. Local; never sent.
struct Peer: Sendable {
    /// What is known and spread about it.
    var record: MemberRecord
    /// The address whose dial succeeded, while that connection lasts.
    var link: PeerAddress?
    /// When to dial it next, if it needs it.
    var dial = Backoff()
    /// When to ask (again) for its full state; `distantFuture` once the two have exchanged theirs.
    var askAt = Instant.distantFuture
    /// How many more times the record rides on a message (SWIM §4.1).
    var newsLeft = 0
    /// When a suspect became one.
    var suspectedAt = Instant.start
    /// Whose probes of a suspect failed, as far as is known: the first, and those that count as confirmations.
    var accusers: [NodeID] = []
    /// How many more times the accusers are told to somebody.
    var accusationsLeft = 0
    /// When a suspect is taken for dead; `distantFuture` for others.
    var deadAt = Instant.distantFuture
    /// When a suspect or dead peer is pinged next with the opinion about it, so that it can refute.
    var pingAt = Instant.distantFuture
    /// When its last message came.
    var heardAt: Instant?
}

/// When to dial an address next: doubling delays, jittered so that nodes that start together do not dial together.
struct Backoff: Hashable, Sendable {
    /// Dials since the last success.
    private(set) var attempts = 0
    /// When this run of dials began.
    private(set) var since = Instant.start
    /// When the next one is due.
    private(set) var next = Instant.start

    /// Makes a dial due at once and the delays short again.
    mutating func reset(at now: Instant) { self = Backoff(attempts: 0, since: now, next: now) }

    /// Notes a dial; the next is due between half of the delay and the delay, which is at most `most`.
    mutating func advance(at now: Instant, least: TimeSpan, most: TimeSpan, random: inout SeededRandom) {
        let doubled = least.nanoseconds << Int64(min(self.attempts, 12))
        let delay = max(1, min(most.nanoseconds, doubled))
        self.attempts += 1
        self.next = now.advanced(by: TimeSpan(nanoseconds: random.within(delay / 2...delay)))
    }
}

/// A configured address where a member of the cluster should be.
struct Seed: Sendable {
    /// As the operator wrote it.
    let address: PeerAddress
    /// Who answered there last; a seed may be an alias of a member's own address.
    var node: NodeID?
    /// Whether what answered there last would not have this node, as it belongs to another cluster or divides the ring otherwise.
    var refuses = false
    /// When to dial it next, if it needs it.
    var dial = Backoff()
}

/// A connection to a node whose record has not come yet.
struct Stranger: Sendable {
    /// Who the handshake said it is.
    let node: NodeID
    /// What was dialled.
    let address: PeerAddress
    /// When to ask (again) for its full state.
    var askAt: Instant
}

/// A ping that waits for its ack.
struct Probe: Sendable {
    /// What the ack must carry.
    let sequence: UInt64
    /// Who must show that it lives.
    let target: NodeID
    /// When the present stage ends.
    var deadline: Instant
    /// Whether the second stage has begun: the ping repeated, and others asked to help.
    var othersAsked = false
    /// How many were asked to help.
    var helpers = 0
    /// How many of them said that they got no ack either.
    var nacks = 0
}

/// A ping sent for somebody else (SWIM §3.1).
struct Relay: Sendable {
    /// What the ack of the target will carry.
    let sequence: UInt64
    /// Who asked.
    let requester: NodeID
    /// What the ack to the requester must carry.
    let requesterSequence: UInt64
    /// When the requester is told that the target does not answer; `distantFuture` once it was.
    var nackAt: Instant
    /// When it is of no use any more.
    let deadline: Instant
}
