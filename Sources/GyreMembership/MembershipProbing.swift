internal import GyreBase

/// How peers are found unreachable and found again (SWIM §3.1, §4.2, §4.3).
extension Membership {
    /// Arms the first timers, and forgives what expired while the process itself stood still.
    ///
    /// After a pause (SIGSTOP, a stuck disk, a suspended machine) every deadline is over, though nobody had a chance
    /// to answer: without this, a node that wakes up declares all others dead.
    mutating func noteTick(at now: Instant, random: inout SeededRandom) {
        defer { self.lastTick = now }
        guard let last = self.lastTick else {
            self.probeAt = now.advanced(by: random.span(upTo: self.options.probeInterval))
            self.gossipAt = now.advanced(by: random.span(upTo: self.options.gossipInterval))
            self.stateAt = now.advanced(by: random.span(upTo: self.options.stateInterval))
            return
        }
        let pause = now.since(last)
        guard pause > self.options.probeTimeout else { return }
        self.probes.removeAll()
        for index in self.peers.indices where self.peers[index].deadAt != .distantFuture {
            self.peers[index].deadAt = self.peers[index].deadAt.advanced(by: pause)
        }
    }

    /// Ends stages of running probes, and starts new ones when a protocol period begins.
    mutating func probe(at now: Instant, random: inout SeededRandom, into effects: inout [MembershipEffect]) {
        self.relays.removeAll { $0.deadline <= now }
        let due = self.probes.filter { $0.deadline <= now }
        for probe in due {
            self.probes.removeAll { $0.sequence == probe.sequence }
            guard let index = self.index(of: probe.target) else { continue }
            if probe.othersAsked {
                self.suspect(index, at: now, into: &effects)
            } else {
                var second = probe
                second.othersAsked = true
                second.deadline = now.advanced(by: self.options.probeTimeout)
                self.probes.append(second)
                let news = self.takeNews(for: probe.target)
                effects.append(.send(to: probe.target, .ping(sequence: probe.sequence, gossip: news)))
                self.askOthers(about: probe.target, sequence: probe.sequence, random: &random, into: &effects)
            }
        }
        if now >= self.probeAt {
            self.probeAt = now.advanced(by: self.options.probeInterval)
            self.startProbes(at: now, random: &random, into: &effects)
        }
    }

    /// Pings the next members of the round; a full round visits each exactly once, in random order (SWIM §4.3).
    private mutating func startProbes(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        var hasShuffled = false
        var started = 0
        while started < self.options.probesPerPeriodMax {
            if self.probeOrder.isEmpty {
                if hasShuffled { return }
                hasShuffled = true
                self.probeOrder = self.nodes
                self.probeOrder.shuffle(using: &random)
            }
            guard let node = self.probeOrder.popLast() else { return }
            guard let index = self.index(of: node), self.peers[index].record.liveness == .alive else { continue }
            guard self.peers[index].record.state != .removed else { continue }
            guard !self.probes.contains(where: { $0.target == node }) else { continue }
            let deadline = now.advanced(by: self.options.probeTimeout)
            let sequence = self.nextSequence()
            self.probes.append(Probe(sequence: sequence, target: node, deadline: deadline))
            effects.append(.send(to: node, .ping(sequence: sequence, gossip: self.takeNews(for: node))))
            started += 1
        }
    }

    /// Asks a few others to ping `target`, so that one bad path does not make a node suspect.
    mutating func askOthers(
        about target: NodeID,
        sequence: UInt64,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        for helper in self.somePeers(self.options.indirectProbes, except: target, random: &random) {
            let news = self.takeNews(for: helper)
            effects.append(.send(to: helper, .pingRequest(sequence: sequence, target: target, gossip: news)))
        }
    }

    /// Pings `target` for `requester`, or answers at once when this node is meant.
    mutating func relay(
        _ requesterSequence: UInt64,
        from requester: NodeID,
        to target: NodeID,
        at now: Instant,
        into effects: inout [MembershipEffect]
    ) {
        if target == self.me.node {
            let news = self.takeNews(for: requester)
            effects.append(.send(to: requester, .ack(sequence: requesterSequence, gossip: news)))
            return
        }
        guard self.relays.count < Membership.relaysMax, let index = self.index(of: target) else { return }
        guard self.peers[index].record.state != .removed else { return }
        let relay = Relay(
            sequence: self.nextSequence(),
            requester: requester,
            requesterSequence: requesterSequence,
            deadline: now.advanced(by: self.options.probeTimeout)
        )
        self.relays.append(relay)
        effects.append(.send(to: target, .ping(sequence: relay.sequence, gossip: self.takeNews(for: target))))
    }

    /// Ends the probe or the relay that an ack answers.
    mutating func noteAck(_ sequence: UInt64, at now: Instant, into effects: inout [MembershipEffect]) {
        if let probe = self.probes.first(where: { $0.sequence == sequence }) {
            self.probes.removeAll { $0.sequence == sequence }
            if let index = self.index(of: probe.target) { self.peers[index].heardAt = now }
        }
        if let relay = self.relays.first(where: { $0.sequence == sequence }) {
            self.relays.removeAll { $0.sequence == sequence }
            let news = self.takeNews(for: relay.requester)
            effects.append(.send(to: relay.requester, .ack(sequence: relay.requesterSequence, gossip: news)))
        }
    }

    /// A message from a peer that is thought dead: tell it so, and dial it, without waiting for the next turn.
    mutating func noteSignOfLife(_ index: Int, at now: Instant) {
        self.peers[index].heardAt = now
        if self.peers[index].record.liveness == .dead {
            // The interval between two such pings stays; only the first is brought forward.
            let soon = now.advanced(by: self.options.gossipInterval)
            self.peers[index].pingAt = min(self.peers[index].pingAt, soon)
        }
    }

    /// Makes an alive peer a suspect.
    mutating func suspect(_ index: Int, at now: Instant, into effects: inout [MembershipEffect]) {
        guard self.peers[index].record.liveness == .alive else { return }
        guard self.peers[index].record.state != .removed else { return }
        var record = self.peers[index].record
        record.liveness = .suspect
        self.replace(index, with: record, at: now, into: &effects)
    }

    /// Pings suspects and the dead with the opinion about them, and ends suspicions that nobody refuted.
    mutating func watchSuspects(at now: Instant, into effects: inout [MembershipEffect]) {
        let half = TimeSpan(nanoseconds: self.options.probeInterval.nanoseconds / 2)
        for index in self.peers.indices {
            let isDead = self.peers[index].record.liveness == .dead
            if self.peers[index].deadAt <= now, !self.isHeardDuringSuspicion(index, at: now) {
                var record = self.peers[index].record
                assert(record.liveness == .suspect, "\(record.node) expires as \(record.liveness)")
                record.liveness = .dead
                self.replace(index, with: record, at: now, into: &effects)
            }
            if self.peers[index].pingAt <= now {
                self.peers[index].pingAt = now.advanced(by: isDead ? self.options.dialDelayMost : half)
                let node = self.nodes[index]
                let news = self.takeNews(for: node)
                effects.append(.send(to: node, .ping(sequence: self.nextSequence(), gossip: news)))
            }
        }
    }

    /// A suspect that still sends something is not dead, even if its refutation was lost; it gets more time.
    private mutating func isHeardDuringSuspicion(_ index: Int, at now: Instant) -> Bool {
        guard let heardAt = self.peers[index].heardAt else { return false }
        let deadAt = heardAt.advanced(by: self.options.suspicionTimeout)
        guard deadAt > now else { return false }
        self.peers[index].deadAt = deadAt
        return true
    }

    /// A number that no other message of this life carries.
    mutating func nextSequence() -> UInt64 {
        self.sequence &+= 1
        return self.sequence
    }
}

extension SeededRandom {
    /// A random span from zero to `most`.
    mutating func span(upTo most: TimeSpan) -> TimeSpan {
        TimeSpan(nanoseconds: self.within(0...max(0, most.nanoseconds)))
    }
}
