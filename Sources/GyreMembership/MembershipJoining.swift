internal import GyreBase

/// How nodes find each other, first and again.
extension Membership {
    /// Dials every member and seed that has no connection and is due. Nothing is ever given up.
    mutating func dialWhoIsMissing(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        let least = self.options.dialDelayLeast
        for index in self.peers.indices where self.peers[index].dial.next <= now {
            let record = self.peers[index].record
            guard record.state != .removed, record.address != self.me.address else { continue }
            guard self.peers[index].link == nil || record.liveness == .dead else { continue }
            self.peers[index].dial.advance(
                at: now, least: least, most: self.options.dialDelayMost, random: &random)
            // Another node has taken the address; that connection says so better than a new one would.
            if self.isLinked(record.address, except: index) { continue }
            effects.append(.dial(record.address))
        }
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
        for index in self.strangers.indices where self.strangers[index].askAt <= now {
            self.strangers[index].askAt = again
            effects.append(.send(to: self.strangers[index].node, .stateRequest(self.members)))
        }
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
