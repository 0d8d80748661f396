internal import GyreBase

/// How peers are found unreachable and found again (SWIM §3.1 and §4.3, Lifeguard §IV-A).
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
        guard self.options.isLifeguardOn, pause > self.options.probeTimeout else { return }
        self.localHealth.note(1)
        self.probes.removeAll()
        for index in self.peers.indices where self.peers[index].deadAt != .distantFuture {
            self.peers[index].suspectedAt = self.peers[index].suspectedAt.advanced(by: pause)
            self.peers[index].deadAt = self.peers[index].deadAt.advanced(by: pause)
        }
        self.scanAt = .start
    }

    /// Ends stages of running probes, and starts new ones when a protocol period begins.
    mutating func probe(at now: Instant, random: inout SeededRandom, into effects: inout [MembershipEffect]) {
        self.continueRelays(at: now, into: &effects)
        let due = self.probes.filter { $0.deadline <= now }
        for probe in due {
            self.probes.removeAll { $0.sequence == probe.sequence }
            guard let index = self.index(of: probe.target) else { continue }
            if probe.othersAsked {
                // Helpers that answered have shown that this node is heard; those that did not may mean that it is not.
                self.localHealth.note(probe.helpers == 0 ? 1 : max(0, probe.helpers - probe.nacks))
                self.suspect(index, at: now, into: &effects)
            } else {
                let news = self.takeNews(for: probe.target)
                effects.append(.send(to: probe.target, .ping(sequence: probe.sequence, gossip: news)))
                var second = probe
                second.othersAsked = true
                second.deadline = now.advanced(by: self.localHealth.stretched(self.options.probeTimeout))
                second.helpers = self.askOthers(
                    about: probe.target, sequence: probe.sequence, random: &random, into: &effects)
                self.probes.append(second)
            }
        }
        if now >= self.probeAt {
            self.probeAt = now.advanced(by: self.localHealth.stretched(self.options.probeInterval))
            self.startProbes(at: now, random: &random, into: &effects)
        }
    }

    /// Tells whoever asked for a ping that its target does not answer here either, and forgets what is of no use any more.
    private mutating func continueRelays(at now: Instant, into effects: inout [MembershipEffect]) {
        for index in self.relays.indices where self.relays[index].nackAt <= now {
            self.relays[index].nackAt = .distantFuture
            let relay = self.relays[index]
            effects.append(.send(to: relay.requester, .nack(sequence: relay.requesterSequence)))
        }
        self.relays.removeAll { $0.deadline <= now }
    }

    /// Whether everybody is probed in each period.
    var isSmall: Bool { self.livingCount <= self.options.probeAllMax }

    /// Pings the next members of the round; a full round visits each exactly once, in random order (SWIM §4.3).
    /// A suspect is probed as well, because each member that finds it silent for itself shortens the suspicion.
    private mutating func startProbes(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        var hasShuffled = false
        var started = 0
        while started < (self.isSmall ? self.options.probeAllMax : self.options.probesPerPeriod) {
            if self.probeOrder.isEmpty {
                if hasShuffled { return }
                hasShuffled = true
                self.probeOrder = self.nodes
                self.probeOrder.shuffle(using: &random)
            }
            guard let node = self.probeOrder.popLast() else { return }
            guard let index = self.index(of: node), self.isWorthAProbe(self.peers[index]) else { continue }
            guard !self.probes.contains(where: { $0.target == node }) else { continue }
            let deadline = now.advanced(by: self.localHealth.stretched(self.options.probeTimeout))
            let sequence = self.nextSequence()
            self.probes.append(Probe(sequence: sequence, target: node, deadline: deadline))
            effects.append(.send(to: node, .ping(sequence: sequence, gossip: self.takeNews(for: node))))
            started += 1
        }
    }

    private func isWorthAProbe(_ peer: Peer) -> Bool {
        guard peer.record.state != .removed else { return false }
        switch peer.record.liveness {
        case .alive: return true
        case .suspect: return self.options.isLifeguardOn && !peer.accusers.contains(self.me.node)
        case .dead: return false
        }
    }

    /// Asks a few others to ping `target`, so that one bad path does not make a node suspect; returns how many.
    @discardableResult
    mutating func askOthers(
        about target: NodeID,
        sequence: UInt64,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) -> Int {
        let helpers = self.somePeers(self.options.indirectProbes, except: target, random: &random)
        for helper in helpers {
            let news = self.takeNews(for: helper)
            effects.append(.send(to: helper, .pingRequest(sequence: sequence, target: target, gossip: news)))
        }
        return helpers.count
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
        guard self.relays.count < Membership.relaysMax else { return }
        guard let index = self.index(of: target), self.peers[index].record.state != .removed else {
            if self.options.isLifeguardOn {
                effects.append(.send(to: requester, .nack(sequence: requesterSequence)))
            }
            return
        }
        // Early enough to be there before the requester gives up, though ticks and the way take their time.
        let patience = TimeSpan(nanoseconds: self.options.probeTimeout.nanoseconds / 5 * 3)
        let relay = Relay(
            sequence: self.nextSequence(),
            requester: requester,
            requesterSequence: requesterSequence,
            nackAt: self.options.isLifeguardOn ? now.advanced(by: patience) : .distantFuture,
            deadline: now.advanced(by: self.options.probeTimeout)
        )
        self.relays.append(relay)
        effects.append(.send(to: target, .ping(sequence: relay.sequence, gossip: self.takeNews(for: target))))
    }

    /// Ends the probe or the relay that an ack answers.
    mutating func noteAck(_ sequence: UInt64, at now: Instant, into effects: inout [MembershipEffect]) {
        if let probe = self.probes.first(where: { $0.sequence == sequence }) {
            self.probes.removeAll { $0.sequence == sequence }
            // In a small cluster many probes are answered in one period, which is one sign of health and not many.
            if now >= self.healthEasesAt {
                self.healthEasesAt = now.advanced(by: self.options.probeInterval)
                self.localHealth.note(-1)
            }
            if let index = self.index(of: probe.target) { self.peers[index].heardAt = now }
        }
        if let relay = self.relays.first(where: { $0.sequence == sequence }) {
            self.relays.removeAll { $0.sequence == sequence }
            let news = self.takeNews(for: relay.requester)
            effects.append(.send(to: relay.requester, .ack(sequence: relay.requesterSequence, gossip: news)))
        }
    }

    /// Notes that a helper answered, though it could not reach the target.
    mutating func noteNack(_ sequence: UInt64) {
        for index in self.probes.indices where self.probes[index].sequence == sequence {
            self.probes[index].nacks += 1
        }
    }

    /// A message from a peer that is thought dead: tell it so, and dial it, without waiting for the next turn.
    mutating func noteSignOfLife(_ index: Int, at now: Instant) {
        self.peers[index].heardAt = now
        if self.peers[index].record.liveness == .dead {
            // The interval between two such pings stays; only the first is brought forward.
            let soon = now.advanced(by: self.options.gossipInterval)
            self.peers[index].pingAt = min(self.peers[index].pingAt, soon)
            self.wake(at: soon)
        }
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
