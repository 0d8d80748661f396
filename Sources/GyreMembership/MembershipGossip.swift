internal import GyreBase

/// How records come in, change what is known, and go out again (SWIM §4.1).
extension Membership {
    /// Merges records from outside into what is known.
    mutating func absorb(_ records: [MemberRecord], at now: Instant, into effects: inout [MembershipEffect]) {
        for record in records.prefix(MembershipOptions.membersMax) {
            guard let valid = try? record.validated() else {
                self.recordsRefused += 1
                continue
            }
            if valid.node == self.me.node {
                self.absorbAboutMe(valid, at: now, into: &effects)
            } else if let index = self.index(of: valid.node) {
                self.replace(index, with: self.peers[index].record.merged(with: valid), at: now, into: &effects)
            } else if self.peers.count + 1 < MembershipOptions.membersMax {
                self.absorbNew(valid, at: now, into: &effects)
            } else {
                self.recordsRefused += 1
            }
        }
        self.recordsRefused += UInt64(max(0, records.count - MembershipOptions.membersMax))
        self.banReplaced(at: now, into: &effects)
    }

    private mutating func absorbNew(_ record: MemberRecord, at now: Instant, into effects: inout [MembershipEffect]) {
        var peer = Peer(record: record)
        peer.dial.reset(at: now)
        if let stranger = self.strangers.first(where: { $0.node == record.node }) {
            peer.link = stranger.address
            peer.askAt = stranger.askAt
            self.strangers.removeAll { $0.node == record.node }
        }
        let index = self.insert(peer)
        self.noteChange(index, from: nil, at: now, into: &effects)
    }

    /// What others say about this node is true only if this node said it first. Anything else is an opinion to refute,
    /// or a record of an earlier life to outbid (SWIM §4.2). Only a ban is accepted (architecture D11).
    private mutating func absorbAboutMe(
        _ record: MemberRecord, at now: Instant, into effects: inout [MembershipEffect]
    ) {
        guard self.me.state != .removed else { return }
        if record.state == .removed {
            if self.me.state.ownsRanges { self.noteRingChange() }
            self.me.state = .removed
            self.noteOwnChange()
            return
        }
        let isEqual = record.recordVersion == self.me.recordVersion
        if record.recordVersion > self.me.recordVersion || (isEqual && !record.describesTheSame(as: self.me)) {
            self.me.recordVersion = Membership.raised(record.recordVersion)
            self.noteOwnChange()
            if record.address != self.me.address {
                self.foreignClaims += 1
                // Whoever is there says in the handshake whether it is this node as well.
                if record.liveness != .dead, now >= self.claimDialAt {
                    self.claimDialAt = now.advanced(by: self.options.dialDelayMost)
                    effects.append(.dial(record.address))
                }
            }
            if self.foreignClaims >= 3 {
                self.foreignClaims = 0
                effects.append(.duplicateIdentity(record.address))
            }
        }
        self.refute(record)
    }

    /// Takes over what an earlier life of this node wrote, so that this life outbids it.
    mutating func continueLife(_ earlier: MemberRecord) {
        self.me.incarnation = max(self.me.incarnation, Membership.raised(earlier.incarnation))
        if self.me.state == .joining || earlier.state == .removed { self.me.state = earlier.state }
        // What an operator said of this node in an earlier life stands.
        let kept = [MemberRecord.placeLabel, MemberRecord.holdLabel]
        self.me.labels.removeAll { kept.contains($0.name) }
        self.me.labels.append(contentsOf: earlier.labels.filter { kept.contains($0.name) })
        self.me.labels.sort()
        if earlier.recordVersion >= self.me.recordVersion {
            let isSame = earlier.describesTheSame(as: self.me)
            self.me.recordVersion = isSame ? earlier.recordVersion : Membership.raised(earlier.recordVersion)
        }
        self.noteOwnChange()
    }

    /// Makes this node an owner of its share of the ring.
    mutating func becomeNormal() {
        precondition(self.me.state == .joining, "becoming normal from \(self.me.state)")
        self.me.state = .normal
        self.me.recordVersion = Membership.raised(self.me.recordVersion)
        self.normalPending = true
        self.noteRingChange()
        self.noteOwnChange()
    }

    /// Adds a peer that is not there yet; returns its index.
    @discardableResult
    mutating func insert(_ peer: Peer) -> Int {
        let place = self.place(of: peer.record.node)
        if place < self.nodes.count, self.nodes[place] == peer.record.node { return place }
        self.nodes.insert(peer.record.node, at: place)
        self.peers.insert(peer, at: place)
        if peer.newsLeft > 0 { self.freshCount += 1 }
        if peer.record.liveness == .suspect { self.suspectCount += 1 }
        if peer.record.state == .removed { self.removedCount += 1 }
        self.scanAt = .start
        if !self.probeOrder.isEmpty {
            // A newcomer is probed in the running round, by each node at another time (SWIM §4.3).
            let mixed = (peer.record.node.rawValue ^ self.me.node.rawValue) &* 0x9E37_79B9_7F4A_7C15
            let turn = mixed.multipliedFullWidth(by: UInt64(self.probeOrder.count + 1)).high
            self.probeOrder.insert(peer.record.node, at: Int(turn))
        }
        return place
    }

    /// Puts `record`, which already includes what was known, in the place of what was known.
    mutating func replace(
        _ index: Int,
        with record: MemberRecord,
        at now: Instant,
        into effects: inout [MembershipEffect]
    ) {
        let old = self.peers[index].record
        guard record != old else { return }
        self.peers[index].record = record
        self.noteChange(index, from: old, at: now, into: &effects)
    }

    /// Everything that follows from a changed or new record.
    private mutating func noteChange(
        _ index: Int,
        from old: MemberRecord?,
        at now: Instant,
        into effects: inout [MembershipEffect]
    ) {
        let new = self.peers[index].record
        if self.peers[index].newsLeft == 0 { self.freshCount += 1 }
        self.peers[index].newsLeft = self.newsTransmissions
        if let old, old.liveness != new.liveness {
            self.suspectCount += (new.liveness == .suspect ? 1 : 0) - (old.liveness == .suspect ? 1 : 0)
        }
        if let old { self.removedCount += (new.state == .removed ? 1 : 0) - (old.state == .removed ? 1 : 0) }
        self.scanAt = .start
        if old.map({ !$0.isKeptLike(new) }) ?? true {
            self.persistPending = true
        }
        if Membership.ringPart(old) != Membership.ringPart(new) { self.noteRingChange() }
        if new.state == .removed {
            self.peers[index].link = nil
            self.peers[index].deadAt = .distantFuture
            self.peers[index].pingAt = .distantFuture
            self.peers[index].accusationsLeft = 0
            self.probes.removeAll { $0.target == new.node }
        } else if old?.liveness != new.liveness || old?.incarnation != new.incarnation {
            self.noteOpinion(index, at: now)
        }
        if let old, old.address != new.address { self.peers[index].dial.reset(at: now) }
        if old?.liveness != new.liveness {
            effects.append(.memberChanged(new.node, old: old?.liveness, new: new.liveness))
        }
    }

    /// Sets the timers that belong to the opinion about a peer.
    private mutating func noteOpinion(_ index: Int, at now: Instant) {
        switch self.peers[index].record.liveness {
        case .alive:
            self.peers[index].deadAt = .distantFuture
            self.peers[index].pingAt = .distantFuture
            self.peers[index].accusationsLeft = 0
            if self.peers[index].link == nil { self.peers[index].dial.reset(at: now) }
        case .suspect:
            self.beginSuspicion(index, at: now)
        case .dead:
            self.peers[index].deadAt = .distantFuture
            self.peers[index].pingAt = now.advanced(by: self.options.dialDelayMost)
            self.peers[index].accusationsLeft = 0
            self.peers[index].dial.reset(at: now)
        }
    }

    /// The records to send along to `node`: what it should refute (Lifeguard §IV-C, "buddy system"), then this node's own
    /// news, then the least told.
    mutating func takeNews(for node: NodeID) -> [MemberRecord] {
        var news: [MemberRecord] = []
        let target = self.index(of: node)
        if let target, self.isToBeTold(self.peers[target]) { news.append(self.peers[target].record) }
        if self.myNewsLeft > 0 {
            self.myNewsLeft -= 1
            news.append(self.me)
        }
        guard self.freshCount > 0 else { return news }
        let room = MembershipOptions.gossipRecordsMax - news.count
        var fresh: [Int] = []
        for index in self.peers.indices where self.peers[index].newsLeft > 0 && index != target {
            let left = self.peers[index].newsLeft
            if fresh.count == room, let last = fresh.last, self.peers[last].newsLeft >= left { continue }
            var place = fresh.count
            while place > 0, self.peers[fresh[place - 1]].newsLeft < left { place -= 1 }
            fresh.insert(index, at: place)
            if fresh.count > room { fresh.removeLast() }
        }
        for index in fresh {
            self.peers[index].newsLeft -= 1
            if self.peers[index].newsLeft == 0 { self.freshCount -= 1 }
            news.append(self.peers[index].record)
        }
        return news
    }

    private func isToBeTold(_ peer: Peer) -> Bool {
        switch peer.record.liveness {
        case .alive: false
        case .suspect: self.options.isLifeguardOn || peer.newsLeft > 0
        case .dead: true
        }
    }

    /// Sends news to a few random peers without waiting for the next probes, and the full state to one now and then.
    mutating func spreadNews(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        if now >= self.gossipAt {
            self.gossipAt = now.advanced(by: self.options.gossipInterval)
            if self.myNewsLeft > 0 || self.freshCount > 0 || self.suspectCount > 0 {
                for node in self.somePeers(self.options.gossipFanOut, random: &random) {
                    let news = self.takeNews(for: node)
                    let accusations = self.takeAccusations()
                    if !news.isEmpty {
                        effects.append(.send(to: node, .ping(sequence: self.nextSequence(), gossip: news)))
                    }
                    if !accusations.isEmpty { effects.append(.send(to: node, .accusations(accusations))) }
                    if news.isEmpty, accusations.isEmpty { break }
                }
            }
        }
        if now >= self.stateAt {
            self.stateAt = now.advanced(by: self.stretchedBySize(self.options.stateInterval))
            for node in self.somePeers(1, random: &random) {
                effects.append(.send(to: node, .stateRequest(self.members)))
            }
        }
    }

    /// `span`, or longer in proportion to the members above `stateMembersMin`: what each node does with each other node
    /// happens so much more seldom, and together it stays the same.
    func stretchedBySize(_ span: TimeSpan) -> TimeSpan {
        let count = Int64(max(self.livingCount, MembershipOptions.stateMembersMin))
        return TimeSpan(nanoseconds: span.nanoseconds / Int64(MembershipOptions.stateMembersMin) &* count)
    }

    /// The longest delay between two attempts to reach one dead or unconnected member.
    var retryDelay: TimeSpan { self.stretchedBySize(self.options.dialDelayMost) }

    /// Whether one more full state may be asked for: always in a small cluster, else some at once and then one every
    /// `stretchedBySize(probeInterval)`, so that meeting n members does not cost n full states.
    mutating func mayAskForState(at now: Instant) -> Bool {
        guard self.livingCount > MembershipOptions.stateMembersMin else { return true }
        let refill = self.stretchedBySize(self.options.probeInterval)
        while self.stateTokens < MembershipOptions.stateRequestsMax, self.stateTokenAt <= now {
            self.stateTokens += 1
            self.stateTokenAt = max(self.stateTokenAt, self.startedAt).advanced(by: refill)
        }
        if self.stateTokens == MembershipOptions.stateRequestsMax { self.stateTokenAt = now.advanced(by: refill) }
        guard self.stateTokens > 0 else { return false }
        self.stateTokens -= 1
        return true
    }

    /// Looks at the timers of the peers again at `time`, if not before.
    mutating func wake(at time: Instant) { self.scanAt = min(self.scanAt, time) }

    /// Up to `count` random peers that are not dead, in random order.
    func somePeers(_ count: Int, except: NodeID? = nil, random: inout SeededRandom) -> [NodeID] {
        var candidates: [NodeID] = []
        for peer in self.peers where peer.record.state != .removed && peer.record.liveness != .dead {
            if peer.record.node != except { candidates.append(peer.record.node) }
        }
        let picks = min(count, candidates.count)
        for index in 0..<picks {
            let other = index + Int(random.below(UInt64(candidates.count - index)))
            candidates.swapAt(index, other)
        }
        return Array(candidates.prefix(picks))
    }

    /// Notes that this node's own description changed in a way that others must hear of.
    mutating func raiseOwnRecord() {
        self.me.recordVersion = Membership.raised(self.me.recordVersion)
        self.noteRingChange()
        self.noteOwnChange()
    }

    /// Notes that this node's own record changed.
    mutating func noteOwnChange() {
        self.myNewsLeft = self.newsTransmissions
        self.persistPending = true
    }

    /// Notes that the ring must be computed anew.
    mutating func noteRingChange() {
        self.ringVersion += 1
        self.ringChangePending = true
    }

    /// How often one piece of news is sent: λ log n, with λ = 3 (SWIM §4.1).
    var newsTransmissions: Int {
        3 * (Int.bitWidth - (self.livingCount + 1).leadingZeroBitCount)
    }

    /// One more than `counter`, within its limit; only forgery gets there.
    static func raised(_ counter: UInt64) -> UInt64 { min(counter, MemberRecord.counterMax - 1) + 1 }

    /// What the ring depends on. Whoever is banned or has replaced another matters even if it never owned anything that this node heard of.
    private struct RingPart: Equatable {
        let weight: Int
        let zone: String
        let replaces: NodeID?
        let isBanned: Bool
    }

    private static func ringPart(_ record: MemberRecord?) -> RingPart? {
        guard let record else { return nil }
        let isBanned = record.state == .removed
        guard record.state.ownsRanges || isBanned || record.replaces != nil else { return nil }
        return RingPart(weight: record.weight, zone: record.zone, replaces: record.replaces, isBanned: isBanned)
    }
}
