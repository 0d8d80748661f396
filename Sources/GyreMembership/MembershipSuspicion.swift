internal import GyreBase

/// How a suspicion begins, is confirmed, refuted and ends (SWIM §4.2, Lifeguard §IV-B and §IV-C).
extension Membership {
    /// Notes that this node's own probe of a peer failed: an alive one becomes a suspect, a suspect has one more accuser.
    mutating func suspect(_ index: Int, at now: Instant, into effects: inout [MembershipEffect]) {
        guard self.peers[index].record.state != .removed else { return }
        if self.peers[index].record.liveness == .alive {
            var record = self.peers[index].record
            record.liveness = .suspect
            self.replace(index, with: record, at: now, into: &effects)
        }
        self.noteAccuser(index, self.me.node, at: now)
    }

    /// Takes in who suspects whom. An accusation is an opinion as well, so none needs to come after its record.
    mutating func absorb(_ accusations: [Accusation], at now: Instant, into effects: inout [MembershipEffect]) {
        for accusation in accusations.prefix(MembershipOptions.accusationsMax) where accusation.isValid {
            if accusation.node == self.me.node {
                var claim = self.me
                claim.incarnation = accusation.incarnation
                claim.liveness = .suspect
                self.refute(claim)
                continue
            }
            guard let index = self.index(of: accusation.node), self.peers[index].record.state != .removed else {
                continue
            }
            var record = self.peers[index].record
            let known = (record.incarnation, record.liveness.rawValue)
            if (accusation.incarnation, Liveness.suspect.rawValue) > known {
                record.incarnation = accusation.incarnation
                record.liveness = .suspect
                self.replace(index, with: record, at: now, into: &effects)
            }
            // Members that nobody has heard of cannot hurry a suspicion.
            guard accusation.accuser == self.me.node || self.index(of: accusation.accuser) != nil else { continue }
            if accusation.incarnation == self.peers[index].record.incarnation {
                self.noteAccuser(index, accusation.accuser, at: now)
            }
        }
    }

    /// Raises this node's incarnation above an opinion against it (SWIM §4.2). Being suspected is a sign of being slow.
    mutating func refute(_ claim: MemberRecord) {
        guard claim.opinionOutweighs(self.me) else { return }
        self.me.incarnation = Membership.raised(claim.incarnation)
        if claim.liveness != .alive { self.localHealth.note(1) }
        self.noteOwnChange()
    }

    /// Adds a distinct accuser of a suspect, which leaves it less time and is news to spread.
    private mutating func noteAccuser(_ index: Int, _ accuser: NodeID, at now: Instant) {
        guard self.options.isLifeguardOn, self.peers[index].record.liveness == .suspect else { return }
        guard self.peers[index].accusers.count <= MembershipOptions.confirmationsMax else { return }
        guard !self.peers[index].accusers.contains(accuser) else { return }
        self.peers[index].accusers.append(accuser)
        self.peers[index].accusationsLeft = self.newsTransmissions
        self.peers[index].deadAt = self.peers[index].suspectedAt.advanced(by: self.suspicionTime(index))
        if accuser == self.me.node { self.peers[index].pingAt = now }
        self.scanAt = .start
    }

    /// Sets the timers of a peer that has just become a suspect.
    mutating func beginSuspicion(_ index: Int, at now: Instant) {
        self.peers[index].suspectedAt = now
        self.peers[index].accusers = []
        self.peers[index].accusationsLeft = 0
        self.peers[index].deadAt = now.advanced(by: self.suspicionTime(index))
        // In a large cluster its accusers ping it, or everybody would.
        self.peers[index].pingAt = self.options.isLifeguardOn && self.isSmall ? now : .distantFuture
    }

    /// The time that a suspect has in all, as things are.
    private func suspicionTime(_ index: Int) -> TimeSpan {
        let least = self.suspicionLeast
        guard self.options.isLifeguardOn else { return least }
        var present = 0
        for peer in self.peers where peer.record.liveness != .dead && peer.record.state != .removed { present += 1 }
        // Who could confirm: all but the suspect and the first accuser. Too few are not waited for, or the outage of a
        // node would be noticed later in a small cluster than in a large one.
        let others = present - 1
        let wanted = others < MembershipOptions.confirmationsMax ? 0 : MembershipOptions.confirmationsMax
        let confirmations = max(0, self.peers[index].accusers.count - 1)
        return SuspicionTime.after(
            confirmations, of: wanted, least: least, factor: self.options.suspicionFactorMax)
    }

    private var suspicionLeast: TimeSpan {
        SuspicionTime.least(self.options.suspicionTimeout, members: self.livingCount + 1)
    }

    /// Pings suspects and the dead with the opinion about them, and ends suspicions that nobody refuted.
    mutating func watchSuspects(at now: Instant, into effects: inout [MembershipEffect]) {
        let half = TimeSpan(nanoseconds: self.options.probeInterval.nanoseconds / 2)
        var pings = 0
        for index in self.peers.indices where min(self.peers[index].deadAt, self.peers[index].pingAt) <= now {
            if self.peers[index].deadAt <= now, !self.isHeardDuringSuspicion(index, at: now) {
                var record = self.peers[index].record
                assert(record.liveness == .suspect, "\(record.node) expires as \(record.liveness)")
                record.liveness = .dead
                self.replace(index, with: record, at: now, into: &effects)
            }
            guard self.peers[index].pingAt <= now, pings < MembershipOptions.watchedPerTickMax else { continue }
            pings += 1
            let isDead = self.peers[index].record.liveness == .dead
            self.peers[index].pingAt = now.advanced(by: isDead ? self.retryDelay : half)
            let node = self.nodes[index]
            effects.append(
                .send(to: node, .ping(sequence: self.nextSequence(), gossip: self.takeNews(for: node))))
        }
        for peer in self.peers { self.wake(at: min(peer.deadAt, peer.pingAt)) }
    }

    /// A suspect that still sends something is not dead, even if its refutation was lost; it gets more time.
    private mutating func isHeardDuringSuspicion(_ index: Int, at now: Instant) -> Bool {
        guard self.options.isLifeguardOn, let heardAt = self.peers[index].heardAt else { return false }
        let deadAt = heardAt.advanced(by: self.suspicionLeast)
        guard deadAt > now else { return false }
        self.peers[index].deadAt = deadAt
        return true
    }

    /// The accusations to send along, the accused in order of their nodes.
    mutating func takeAccusations() -> [Accusation] {
        guard self.suspectCount > 0 else { return [] }
        var taken: [Accusation] = []
        for index in self.peers.indices where self.peers[index].accusationsLeft > 0 {
            let record = self.peers[index].record
            guard taken.count + self.peers[index].accusers.count <= MembershipOptions.accusationsMax else { break }
            self.peers[index].accusationsLeft -= 1
            for accuser in self.peers[index].accusers {
                taken.append(Accusation(node: record.node, incarnation: record.incarnation, accuser: accuser))
            }
        }
        return taken
    }
}
