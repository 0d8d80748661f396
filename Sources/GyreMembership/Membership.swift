package import GyreBase

/// Who is in the cluster and who can be reached, as one node sees it (SWIM; architecture D7, D8, D11).
///
/// A pure machine: every input takes the time and a random generator, and appends what the shell must do to `effects`.
/// Sources: SWIM (Das, Gupta, Motivala, DSN 2002), Lifeguard (Dadgar, Phillips, Currey, DSN-W 2018).
///
/// Deviations from SWIM: in a cluster of up to `probeAllMax + 1` nodes everybody is probed in each period, in a larger one
/// a fixed number; the direct ping is repeated together with the indirect ones; messages ride on the peer connections
/// (architecture D7), and a lost connection is a failed probe; full states are exchanged at first contact and from time to
/// time; fresh news does not wait for the next probe; the dead are pinged and dialled for ever, because an outage rarely
/// means a departure, and `dead` is bound to its incarnation, so that a node comes back under its own identity.
/// Deviations from Lifeguard: accusations are messages of their own, because a record has no room for who suspects; log₁₀ n
/// is rounded to whole bits; a process that stood still forgives what expired meanwhile; a suspect that is heard, even
/// through others, gets more time; it is pinged by its accusers until it refutes. `docs/internals/membership.md` says why.
/// A value with one owner; not shared between threads.
package struct Membership: Sendable {
    /// The most pings that wait for their ack on behalf of others.
    package static let relaysMax = 256

    /// This node's own record; its liveness is always `alive`.
    package internal(set) var me: MemberRecord
    /// Changes exactly when the node, weight or zone of a member that owns ranges changes, or whether it owns any.
    ///
    /// It only rises, and counts for this node alone: two nodes compare their rings by `Ring.hash`.
    package internal(set) var ringVersion: UInt64 = 1
    /// Records from outside that were refused because they break a limit.
    package internal(set) var recordsRefused: UInt64 = 0
    /// How far this node distrusts itself at the moment: 0, healthy, to `MembershipOptions.localHealthMax`.
    package var localHealthScore: Int { self.localHealth.score }

    let options: MembershipOptions
    /// Everybody else, sorted by node; `nodes` holds the same order for quick search.
    var peers: [Peer] = []
    var nodes: [NodeID] = []
    var seeds: [Seed]
    var strangers: [Stranger] = []
    var probes: [Probe] = []
    var relays: [Relay] = []
    var probeOrder: [NodeID] = []
    var sequence: UInt64 = 0
    var myNewsLeft = 0
    /// Peers with `newsLeft` above zero, and peers that are suspects.
    var freshCount = 0
    var suspectCount = 0
    /// How many peers are removed. They are remembered, and neither probed nor waited for.
    var removedCount = 0
    /// How many peers are members.
    var livingCount: Int { self.peers.count - self.removedCount }
    var localHealth: LocalHealth
    /// When the next answered probe lowers the score.
    var healthEasesAt = Instant.start
    /// How far dots are leased on disk, how far the others were told, and when they may be told again.
    var leaseCeiling: UInt64 = 0
    var leaseTold: UInt64 = 0
    var leaseNewsAt = Instant.start
    /// When an address at which somebody claims to be this node is dialled next.
    var claimDialAt = Instant.start
    /// Foreign descriptions of this very node that outbid its own; an earlier life explains a few of them.
    var foreignClaims = 0

    let startedAt: Instant
    var joinDeadline: Instant
    var lastTick: Instant?
    var probeAt = Instant.start
    var gossipAt = Instant.start
    var stateAt = Instant.start
    /// Full states that may be asked for at once, and when one more may be.
    var stateTokens = MembershipOptions.stateRequestsMax
    var stateTokenAt = Instant.start
    /// When a timer of a peer may be due; before that nobody looks at them one by one.
    var scanAt = Instant.start
    var isStopped = false
    /// Whether the identity whose place this node has taken is to be banned.
    var retiresReplaced = false
    var ringChangePending = false
    var normalPending = false
    var persistPending = false

    /// Starts a life of the node.
    ///
    /// - Parameters:
    ///   - me: the node as configured. Versions, and a state that owns ranges, are taken over from `known`.
    ///   - seeds: where other members should be; the node's own address among them is ignored.
    ///   - known: what the last `persist` kept; records that break a limit are ignored.
    ///   - options: validated by the caller.
    package init(
        me: MemberRecord,
        seeds: [PeerAddress],
        known: [MemberRecord],
        options: MembershipOptions,
        now: Instant
    ) {
        self.me = me
        self.me.liveness = .alive
        self.options = options
        self.localHealth = LocalHealth(scoreMax: options.isLifeguardOn ? options.localHealthMax : 0)
        self.startedAt = now
        self.joinDeadline = now.advanced(by: options.joinGrace)
        self.seeds = Array(Set(seeds)).sorted().filter { $0 != me.address }.map { Seed(address: $0) }
        for record in known.prefix(MembershipOptions.membersMax) {
            guard var valid = try? record.validated() else { continue }
            if valid.node == me.node {
                self.continueLife(valid)
            } else {
                // A suspicion of an earlier life has no timer in this one.
                if valid.liveness == .suspect { valid.liveness = .alive }
                self.insert(Peer(record: valid))
            }
        }
        if self.me.state == .joining, options.formsCluster, self.seeds.isEmpty,
            self.peers.allSatisfy({ $0.record.state == .removed })
        {
            self.becomeNormal()
        }
        self.normalPending = self.me.state.ownsRanges
        self.ringChangePending = self.me.state.ownsRanges || self.peers.contains { $0.record.state.ownsRanges }
        for index in self.peers.indices { self.peers[index].dial.reset(at: now) }
        for index in self.seeds.indices { self.seeds[index].dial.reset(at: now) }
    }

    /// Does everything periodic; wants to be called about every 50 ms.
    package mutating func tick(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        guard !self.isStopped else { return }
        self.noteTick(at: now, random: &random)
        if self.me.state == .joining, now >= self.joinDeadline, self.mayBecomeNormal { self.becomeNormal() }
        self.tellLease(at: now)
        if self.me.state != .removed {
            self.dialSeeds(at: now, random: &random, into: &effects)
            self.probe(at: now, random: &random, into: &effects)
            if now >= self.scanAt {
                self.scanAt = .distantFuture
                self.dialWhoIsMissing(at: now, random: &random, into: &effects)
                self.askForStates(at: now, random: &random, into: &effects)
                self.watchSuspects(at: now, into: &effects)
            }
            self.spreadNews(at: now, random: &random, into: &effects)
        }
        self.finish(into: &effects)
    }

    /// A dial of `address` succeeded and the handshake said that `node` is there.
    package mutating func onPeerUp(
        _ node: NodeID,
        address: PeerAddress,
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        guard !self.isStopped else { return }
        defer { self.finish(into: &effects) }
        if node == self.me.node {
            self.seeds.removeAll { $0.address == address }
            effects.append(.duplicateIdentity(address))
            if self.seeds.isEmpty, self.peers.isEmpty, self.me.state == .joining, self.options.formsCluster {
                self.becomeNormal()
            }
            return
        }
        for index in self.seeds.indices where self.seeds[index].address == address {
            self.seeds[index].node = node
            self.seeds[index].refuses = false
        }
        self.scanAt = .start
        let again = now.advanced(by: self.options.probeInterval)
        self.strangers.removeAll { $0.node == node || $0.address == address }
        if let index = self.index(of: node) {
            guard self.peers[index].record.state != .removed else {
                effects.append(.send(to: node, .state([self.peers[index].record])))
                return
            }
            self.peers[index].link = address
            guard self.me.state == .joining || self.mayAskForState(at: now) else {
                // It has heard of this node or hears of it now; the rest comes with gossip and the next exchanges.
                let news = self.peers[index].record.liveness == .alive ? [] : [self.peers[index].record]
                effects.append(.send(to: node, .ping(sequence: self.nextSequence(), gossip: [self.me] + news)))
                return
            }
            self.peers[index].askAt = again
        } else {
            self.strangers.append(Stranger(node: node, address: address, askAt: again))
        }
        if self.me.state == .joining {
            // A seed that answers deserves time for the exchange, but not for ever.
            let last = self.startedAt.advanced(
                by: TimeSpan(nanoseconds: self.options.joinGrace.nanoseconds &* 5))
            self.joinDeadline = max(self.joinDeadline, min(last, now.advanced(by: self.options.joinGrace)))
        }
        effects.append(.send(to: node, .stateRequest(self.members)))
    }

    /// Whoever answers at `address` belongs to another cluster, or divides the ring otherwise. A seed that says so is there: a node that
    /// took itself for the whole cluster now would acknowledge writes beside the cluster that its operator meant.
    package mutating func onRefused(by address: PeerAddress) {
        for index in self.seeds.indices where self.seeds[index].address == address { self.seeds[index].refuses = true }
    }

    /// The last connection to `node`, outbound or inbound, is gone. Only a hint: the node is suspected and dialled.
    package mutating func onPeerDown(
        _ node: NodeID,
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        guard !self.isStopped else { return }
        defer { self.finish(into: &effects) }
        self.strangers.removeAll { $0.node == node }
        for index in self.seeds.indices where self.seeds[index].node == node {
            self.seeds[index].dial.reset(at: now)
        }
        guard let index = self.index(of: node) else { return }
        self.peers[index].link = nil
        self.peers[index].askAt = .distantFuture
        self.peers[index].dial.reset(at: now)
        self.scanAt = .start
        self.suspect(index, at: now, into: &effects)
        self.askOthers(about: node, sequence: self.nextSequence(), random: &random, into: &effects)
    }

    /// A message from `node`, which the handshake has identified.
    package mutating func onMessage(
        _ message: MembershipMessage,
        from node: NodeID,
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        guard !self.isStopped, node != self.me.node else { return }
        defer { self.finish(into: &effects) }
        if let index = self.index(of: node) {
            if self.peers[index].record.state == .removed {
                // It may not know yet that it is banned.
                if message.asks { effects.append(.send(to: node, .state([self.peers[index].record]))) }
                return
            }
            self.noteSignOfLife(index, at: now)
        }
        switch message {
        case .ping(let sequence, let gossip):
            self.absorb(gossip, at: now, into: &effects)
            effects.append(.send(to: node, .ack(sequence: sequence, gossip: self.takeNews(for: node))))
            if self.index(of: node) == nil { effects.append(.send(to: node, .stateRequest(self.members))) }
        case .ack(let sequence, let gossip):
            self.absorb(gossip, at: now, into: &effects)
            self.noteAck(sequence, at: now, into: &effects)
        case .pingRequest(let sequence, let target, let gossip):
            self.absorb(gossip, at: now, into: &effects)
            self.relay(sequence, from: node, to: target, at: now, into: &effects)
        case .nack(let sequence): self.noteNack(sequence)
        case .accusations(let accusations): self.absorb(accusations, at: now, into: &effects)
        case .stateRequest(let records):
            self.absorb(records, at: now, into: &effects)
            effects.append(.send(to: node, .state(self.members)))
            self.noteExchange(with: node)
        case .state(let records):
            self.absorb(records, at: now, into: &effects)
            self.noteExchange(with: node)
        }
    }

    /// Tells every peer that this node stops, so that they see it dead at once. The last input of a life.
    package mutating func stop(into effects: inout [MembershipEffect]) {
        guard !self.isStopped else { return }
        self.leaseNewsAt = .start
        self.tellLease(at: .start)
        self.finish(into: &effects)
        self.isStopped = true
        var farewell = self.me
        farewell.liveness = .dead
        for peer in self.peers where peer.record.liveness != .dead && peer.record.state != .removed {
            effects.append(.send(to: peer.record.node, .state([farewell])))
        }
    }

    /// A node that takes another's place, was told to join, or was refused by a seed, knows that there is a cluster, and must not take
    /// itself for all of it.
    private var mayBecomeNormal: Bool {
        let isFree = self.me.replaces == nil && self.options.formsCluster && !self.seeds.contains { $0.refuses }
        return isFree || !self.peers.isEmpty
    }

    /// Emits what an input has to say once, however often it came up.
    mutating func finish(into effects: inout [MembershipEffect]) {
        assert(self.nodes.count == self.peers.count, "\(self.nodes.count) nodes, \(self.peers.count) peers")
        if self.ringChangePending { effects.append(.ringChanged) }
        if self.normalPending { effects.append(.becameNormal) }
        if self.persistPending { effects.append(.persist) }
        self.ringChangePending = false
        self.normalPending = false
        self.persistPending = false
    }
}
