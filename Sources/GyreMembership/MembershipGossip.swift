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
                self.absorbAboutMe(valid, into: &effects)
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
    private mutating func absorbAboutMe(_ record: MemberRecord, into effects: inout [MembershipEffect]) {
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
            self.foreignClaims += record.address == self.me.address ? 0 : 1
            if self.foreignClaims >= 3 {
                self.foreignClaims = 0
                effects.append(.duplicateIdentity(record.address))
            }
        }
        if record.opinionOutweighs(self.me) {
            self.me.incarnation = Membership.raised(record.incarnation)
            self.noteOwnChange()
        }
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
        self.peers[index].newsLeft = self.newsTransmissions
        if old.map({ $0.recordVersion != new.recordVersion || !$0.describesTheSame(as: new) }) ?? true {
            self.persistPending = true
        }
        if Membership.ringShare(old) != Membership.ringShare(new) { self.noteRingChange() }
        if new.state == .removed {
            self.peers[index].link = nil
            self.peers[index].deadAt = .distantFuture
            self.peers[index].pingAt = .distantFuture
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
        case .suspect:
            self.peers[index].deadAt = now.advanced(by: self.options.suspicionTimeout)
            self.peers[index].pingAt = now
        case .dead:
            self.peers[index].deadAt = .distantFuture
            self.peers[index].pingAt = now.advanced(by: self.options.dialDelayMost)
            self.peers[index].dial.reset(at: now)
        }
    }

    /// The records to send along to `node`: what it should refute, then this node's own news, then the least told.
    mutating func takeNews(for node: NodeID) -> [MemberRecord] {
        var news: [MemberRecord] = []
        let target = self.index(of: node)
        if let target, self.peers[target].record.liveness != .alive { news.append(self.peers[target].record) }
        if self.myNewsLeft > 0 {
            self.myNewsLeft -= 1
            news.append(self.me)
        }
        var fresh = self.peers.indices.filter { self.peers[$0].newsLeft > 0 && $0 != target }
        fresh.sort { (-self.peers[$0].newsLeft, $0) < (-self.peers[$1].newsLeft, $1) }
        for index in fresh.prefix(MembershipOptions.gossipRecordsMax - news.count) {
            self.peers[index].newsLeft -= 1
            news.append(self.peers[index].record)
        }
        return news
    }

    /// Sends news to a few random peers without waiting for the next probes, and the full state to one now and then.
    mutating func spreadNews(
        at now: Instant,
        random: inout SeededRandom,
        into effects: inout [MembershipEffect]
    ) {
        if now >= self.gossipAt {
            self.gossipAt = now.advanced(by: self.options.gossipInterval)
            if self.myNewsLeft > 0 || self.peers.contains(where: { $0.newsLeft > 0 }) {
                for node in self.somePeers(self.options.gossipFanOut, random: &random) {
                    let news = self.takeNews(for: node)
                    if news.isEmpty { break }
                    effects.append(.send(to: node, .ping(sequence: self.nextSequence(), gossip: news)))
                }
            }
        }
        if now >= self.stateAt {
            self.stateAt = now.advanced(by: self.options.stateInterval)
            for node in self.somePeers(1, random: &random) {
                effects.append(.send(to: node, .stateRequest(self.members)))
            }
        }
    }

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
    private var newsTransmissions: Int {
        3 * (Int.bitWidth - (self.peers.count + 1).leadingZeroBitCount)
    }

    /// One more than `counter`, within its limit; only forgery gets there.
    private static func raised(_ counter: UInt64) -> UInt64 { min(counter, MemberRecord.counterMax - 1) + 1 }

    private struct RingPart: Equatable {
        let weight: Int
        let zone: String
        let replaces: NodeID?
    }

    private static func ringShare(_ record: MemberRecord?) -> RingPart? {
        guard let record, record.state.ownsRanges else { return nil }
        return RingPart(weight: record.weight, zone: record.zone, replaces: record.replaces)
    }
}
