internal import GyreBase

/// How nodes find each other, first and again.
extension Membership {
    /// Dials members that have no connection and are due, a few a tick. Nothing is ever given up.
    mutating func dialWhoIsMissing(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        let least = self.options.dialDelayLeast
        var dials = 0
        for index in self.peers.indices where self.options.dialsMembers && self.isToBeDialled(self.peers[index]) {
            guard self.peers[index].dial.next <= now, dials < MembershipOptions.dialsPerTickMax else { continue }
            dials += 1
            self.peers[index].dial.advance(at: now, least: least, most: self.retryDelay, random: &random)
            // Another node has taken the address; that connection says so better than a new one would.
            let address = self.peers[index].record.address
            if !self.isLinked(address, except: index) { effects.append(.dial(address)) }
        }
        guard self.options.dialsMembers else { return }
        for peer in self.peers where self.isToBeDialled(peer) { self.wake(at: peer.dial.next) }
    }

    private func isToBeDialled(_ peer: Peer) -> Bool {
        (peer.link == nil || peer.record.liveness == .dead) && peer.record.state != .removed
            && peer.record.address != self.me.address
    }

    /// Dials every seed that has no connection and is due.
    mutating func dialSeeds(at now: Instant, random: inout SeededRandom, into effects: inout [MembershipEffect]) {
        let least = self.options.dialDelayLeast
        for index in self.seeds.indices where self.seeds[index].dial.next <= now {
            let seed = self.seeds[index]
            let isYoung = now.since(seed.dial.since) < .seconds(60)
            let most = isYoung ? self.options.dialDelayMost : self.options.seedDelayMost
            self.seeds[index].dial.advance(at: now, least: least, most: most, random: &random)
            if self.isCovered(seed) { continue }
            effects.append(.dial(seed.address))
        }
    }

    /// Asks for the full state of every connected peer that has not sent it, because the first request may be lost.
    mutating func askForStates(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        let again = now.advanced(by: self.options.probeInterval)
        for index in self.peers.indices where self.peers[index].askAt <= now {
            self.peers[index].askAt = again
            effects.append(.send(to: self.nodes[index], .stateRequest(self.members)))
        }
        for peer in self.peers { self.wake(at: peer.askAt) }
        for index in self.strangers.indices where self.strangers[index].askAt <= now {
            self.strangers[index].askAt = again
            effects.append(.send(to: self.strangers[index].node, .stateRequest(self.members)))
        }
        for stranger in self.strangers { self.wake(at: stranger.askAt) }
    }

    /// Notes that `node` has sent its state, which is what a joining node waits for.
    mutating func noteExchange(with node: NodeID) {
        guard let index = self.index(of: node), self.peers[index].record.liveness != .dead else { return }
        self.peers[index].askAt = .distantFuture
        if self.me.state == .joining { self.becomeNormal() }
    }

    /// Whether a seed needs no dial of its own: it is connected, or a member with that address is dialled anyway.
    private func isCovered(_ seed: Seed) -> Bool {
        if let node = seed.node, let index = self.index(of: node), self.peers[index].link != nil { return true }
        if self.isLinked(seed.address, except: nil) { return true }
        return self.peers.contains { $0.record.address == seed.address && $0.record.state != .removed }
    }

    private func isLinked(_ address: PeerAddress, except: Int?) -> Bool {
        if self.strangers.contains(where: { $0.address == address }) { return true }
        return self.peers.indices.contains { $0 != except && self.peers[$0].link == address }
    }
}
