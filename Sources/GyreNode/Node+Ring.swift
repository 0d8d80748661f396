import GyreBase
import GyreMembership
import GyreMessages
package import GyreRing
import GyreStorage
import NIOCore

/// The ring as it is and as it changes (architecture D8, D9; docs/internals/ring-changes.md).
///
/// What a node says about itself is on its disk before anybody hears it, so that no crash takes a word back. The ring in
/// force changes only with what is on the disk.
extension Node {
    /// What is known of the ring and its change.
    package var ringState: RingState { self.ringKeeper.state }

    /// Whether a node that asks may be sure that nothing is changing, and the cluster was founded.
    package var isRingSettled: Bool {
        self.ringState.version > 0 && self.ringState.next == nil && self.wantedOwners == nil
    }

    /// Whether this node holds nothing any more of partitions that it does not own.
    package var hasHandedOver: Bool {
        self.ringKeeper.handovers.isEmpty && self.ringKeeper.cleanCount >= self.options.partitionCount
    }

    /// Whether this node was removed from the cluster.
    var isBanned: Bool { self.membership.me.state == .removed }

    /// Whether this node wanted to leave and owns nothing any more.
    var isOut: Bool {
        self.membership.me.state == .leaving && self.ringKeeper.state.version > 0
            && !self.baseOwners.contains { $0.node == self.me }
    }

    /// The owners of today, each as whoever acts for it.
    package var ringOwners: [RingMember] { self.baseOwners }

    /// Whether neither ring gives this node the partition of `token`.
    func isForeign(_ token: Token) -> Bool {
        guard self.ringKeeper.state.version > 0, !self.ring.members.isEmpty else { return false }
        let partition = self.ring.partition(of: token)
        if self.ring.owners(of: partition).contains(self.me) { return false }
        return !(self.otherRing?.owners(of: partition).contains(self.me) ?? false)
    }

    /// The owners of a partition in both rings, each once.
    func allOwners(of token: Token) -> [NodeID] {
        let partition = self.ring.partition(of: token)
        var owners = Array(self.ring.owners(of: partition))
        guard let other = self.otherRing else { return owners }
        for node in other.owners(of: partition) where !owners.contains(node) { owners.append(node) }
        return owners
    }

    // MARK: - The rings in force

    /// Somebody owns ranges that did not, or no longer, or was banned, or took the place of another.
    mutating func onMembersChanged(into effects: inout [NodeEffect]) {
        let members = self.membership.members
        let bannedBefore = self.ringKeeper.banned
        self.ringKeeper.banned = members.filter { $0.state == .removed }.map(\.node)
        self.ringKeeper.substitutes = members.compactMap { record in
            record.replaces.map { RingKeeper.Substitute(old: $0, new: record.node) }
        }.sorted { ($0.old, $0.new) < ($1.old, $1.new) }
        if self.ringKeeper.banned != bannedBefore { self.visit(.removalHeard, into: &effects) }
        self.rebuildRings(into: &effects)
    }

    /// The owners of today, from the ring or, while the cluster forms, from the member records.
    var baseOwners: [RingMember] {
        let state = self.ringKeeper.state
        if state.version > 0 { return self.ringKeeper.acting(state.base) }
        guard self.ringKeeper.isConfirmed else { return [] }
        // Who comes once all founders know each other is none: it is given its share when the cluster is founded.
        if let founders = state.next, self.isFoundingAgreed { return self.ringKeeper.acting(founders) }
        return self.formingOwners
    }

    /// Computes both rings anew and says which of them reads go to.
    mutating func rebuildRings(into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        // Members were validated when they came in, so a ring cannot refuse them; if it does, the old ring stands.
        guard let base = self.ring(of: self.baseOwners, known: self.ringKeeper.baseRing) else { return }
        var next: Ring?
        if let owners = state.next {
            next = self.ring(of: self.ringKeeper.acting(owners), known: self.ringKeeper.nextRing)
            guard next != nil else { return }
        }
        self.ringKeeper.baseRing = base
        self.ringKeeper.nextRing = next
        var reads = base
        var other = next
        if let next, self.ringKeeper.hasReached(.synced, state) {
            reads = next
            other = base
        }
        // Where both place everything alike there is one ring.
        if other?.hash == reads.hash { other = nil }
        guard reads != self.ring || other != self.otherRing else { return }
        let isNews = reads != self.ring
        self.ring = reads
        self.otherRing = other
        self.ringKeeper.generation += 1
        self.ringKeeper.cleanCount = 0
        if isNews, self.otherRing != nil { self.visit(.readsMoved, into: &effects) }
        if isNews { effects.append(.event(.ring(hash: reads.hash, members: reads.members.count))) }
    }

    private func ring(of owners: [RingMember], known: Ring?) -> Ring? {
        if let known, known.members == owners.sorted(by: { $0.place < $1.place }) { return known }
        return try? Ring(members: owners, options: self.ring.options)
    }

    // MARK: - Hearing and telling

    /// Another node says something about the ring.
    mutating func onRing(from node: NodeID, _ message: RingMessage, into effects: inout [NodeEffect]) {
        switch message {
        case .digest(let hash):
            guard hash != self.ringKeeper.state.hash else {
                self.ringKeeper.versions[node] = self.ringKeeper.state.version
                return
            }
            self.tellRing(to: node, wantsRest: true, into: &effects)
        case .state(let theirs, let wantsRest):
            self.ringKeeper.versions[node] = theirs.version
            if theirs.version == 0, self.ringKeeper.state.version == 0, !self.ringKeeper.isConfirmed,
                self.mayForm(with: theirs)
            {
                self.ringKeeper.isConfirmed = true
                self.visit(.clusterFormed, into: &effects)
                self.rebuildRings(into: &effects)
            }
            self.learn(theirs, into: &effects)
            if wantsRest, self.ringKeeper.state != theirs { self.tellRing(to: node, wantsRest: false, into: &effects) }
        }
    }

    /// Takes in a state and puts what it changes on the disk.
    mutating func learn(_ theirs: RingState, into effects: inout [NodeEffect]) {
        var merged = self.ringKeeper.staged
        let keeper = self.ringKeeper
        merged.merge(theirs) { keeper.hasReached(.knows, $0) }
        guard merged != self.ringKeeper.staged else { return }
        if merged.version > self.ringKeeper.staged.version { self.visit(.newerRingLearned, into: &effects) }
        if self.ringKeeper.staged.next == nil, merged.next != nil { self.visit(.proposalLearned, into: &effects) }
        if merged.version == self.ringKeeper.staged.version, let mine = self.ringKeeper.staged.next, merged.next != mine
        {
            self.visit(.proposalsUnited, into: &effects)
        }
        self.keepRing(merged, into: &effects)
    }

    mutating func keepRing(_ state: RingState, into effects: inout [NodeEffect]) {
        self.ringKeeper.staged = state
        self.ringKeeper.keepsInFlight += 1
        let tag = StorageTag(rawValue: self.replicas.insert(.ringKept(state)))
        effects.append(.store(.keep(tag, document: .ring, state.document)))
    }

    /// The disk has a state: it comes into force, and everybody connected hears of it with the next tick.
    mutating func onRingKept(_ state: RingState, into effects: inout [NodeEffect]) {
        self.ringKeeper.keepsInFlight -= 1
        let before = self.ringKeeper.state
        self.ringKeeper.state = state
        self.ringKeeper.isNews = true
        if before.version != state.version || before.next != state.next { self.ringKeeper.sync = nil }
        self.visitKept(before, state, into: &effects)
        self.rebuildRings(into: &effects)
    }

    /// Tells a peer what is known and on the disk.
    func tellRing(to node: NodeID, wantsRest: Bool, into effects: inout [NodeEffect]) {
        effects.append(.send(node, .ring(.state(self.ringKeeper.state, wantsRest: wantsRest))))
    }

    /// All that time brings about for the ring.
    mutating func continueRing(at now: Now, random: inout SeededRandom, into effects: inout [NodeEffect]) {
        if self.isBanned {
            self.answerEarly(at: now, into: &effects)
            return self.endBanned(at: now, into: &effects)
        }
        if self.ringKeeper.state.version == 0, !self.ringKeeper.isConfirmed {
            self.confirmAlone()
            if self.ringKeeper.isConfirmed { self.rebuildRings(into: &effects) }
        }
        self.spreadRing(at: now, random: &random, into: &effects)
        self.continueSync(at: now, into: &effects)
        self.continueChange(at: now, into: &effects)
        self.continueWish(at: now, into: &effects)
        self.continueHandovers(at: now, into: &effects)
        self.finishLeaving(at: now, into: &effects)
        self.answerEarly(at: now, into: &effects)
    }

    private mutating func spreadRing(at now: Now, random: inout SeededRandom, into effects: inout [NodeEffect]) {
        if self.ringKeeper.isNews {
            self.ringKeeper.isNews = false
            for node in self.connected { self.tellRing(to: node, wantsRest: false, into: &effects) }
        } else if self.ringKeeper.state.version == 0, !self.ringKeeper.isConfirmed {
            guard now.instant >= self.ringKeeper.askAt else { return }
            self.ringKeeper.askAt = now.instant.advanced(by: self.options.ringChange.askInterval)
            for node in self.connected { self.tellRing(to: node, wantsRest: true, into: &effects) }
        } else if now.instant >= self.ringKeeper.gossipAt, !self.connected.isEmpty {
            self.ringKeeper.gossipAt = now.instant.advanced(by: self.options.ringChange.gossipInterval)
            let peer = self.connected[Int(random.below(UInt64(self.connected.count)))]
            effects.append(.send(peer, .ring(.digest(self.ringKeeper.state.hash))))
        }
    }

    // MARK: - A change

    /// Says how far this node has come, and ends the change when everybody has moved.
    private mutating func continueChange(at now: Now, into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        guard let next = state.next, self.ringKeeper.staged == state else { return }
        if self.ringKeeper.hasReached(.moved, state) {
            var over = state
            over.commit()
            self.visit(.changeCommitted, into: &effects)
            return self.keepRing(over, into: &effects)
        }
        let isConcerned = state.participants.contains { self.ringKeeper.whoActs(for: $0) == self.me }
        guard isConcerned, self.mayMark(next) else { return }
        let mine = state.stage(of: self.me)
        let stage: RingStage
        if mine == nil {
            stage = .knows
        } else if mine == .knows, self.ringKeeper.hasReached(.knows, state), self.isSynced {
            stage = .synced
        } else if mine == .synced, self.ringKeeper.hasReached(.synced, state) {
            stage = .moved
        } else {
            return
        }
        self.visitMark(stage, into: &effects)
        var marked = state
        marked.mark(self.me, stage)
        self.keepRing(marked, into: &effects)
    }

    /// Whether everything is over that this node began when it knew less, and nothing is on its way out.
    private func mayMark(_ next: [RingMember]) -> Bool {
        if self.ringKeeper.handovers.contains(where: \.isRemoving) { return false }
        if self.ringKeeper.state.version == 0, !self.isFoundingAgreed {
            guard self.ringKeeper.isConfirmed else { return false }
            let known = next.map { self.ringKeeper.whoActs(for: $0.node) }
            guard self.founders.allSatisfy({ known.contains($0.node) }) else { return false }
        }
        let generation = self.ringKeeper.generation
        var older: [Int] = []
        self.puts.indices(into: &older) { $0.generation < generation }
        self.gets.indices(into: &older) { $0.generation < generation }
        self.deliveries.indices(into: &older) { $0.generation < generation }
        return older.isEmpty
    }

    // MARK: - Wishes

    /// Who should own ranges and how, where that is not what is; nil when all is as it should be.
    var wantedOwners: [RingMember]? {
        let base = self.baseOwners
        let known = Dictionary(base.map { ($0.node, $0.place) }, uniquingKeysWith: { first, _ in first })
        let given = Set(known.values)
        var wanted: [RingMember] = []
        var newcomers: [RingMember] = []
        for (record, place) in RingPlaces.owners(of: self.membership.members) where record.state == .normal {
            if let place = known[record.node] {
                wanted.append(RingMember(node: record.node, place: place, weight: record.weight, zone: record.zone))
            } else if self.isReachable(record.node), !record.isHeld {
                // A node that is not there yet must not hold everybody up.
                // A lost disk comes back in its old place, unless somebody else has been given that meanwhile.
                let isGiven = place != record.node && given.contains(place)
                let own = record.placeTaken ?? (isGiven ? record.node : place)
                newcomers.append(RingMember(node: record.node, place: own, weight: record.weight, zone: record.zone))
            }
        }
        // Whoever wants the place of another waits until that one goes.
        var taken = Set(wanted.map(\.place))
        for member in newcomers where taken.insert(member.place).inserted { wanted.append(member) }
        wanted.sort { $0.place < $1.place }
        guard !wanted.isEmpty, wanted != base.sorted(by: { $0.place < $1.place }) else { return nil }
        return wanted
    }

    private mutating func continueWish(at now: Now, into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        guard self.ringKeeper.staged == state, !self.draining else { return }
        if state.version == 0 { return self.continueFounding(at: now, into: &effects) }
        // With a thousand members a look costs more than a tick has.
        guard now.instant >= self.ringKeeper.lookAt else { return }
        self.ringKeeper.lookAt = now.instant.advanced(by: self.options.ringChange.lookInterval)
        guard state.next == nil, let wanted = self.wantedOwners else {
            self.ringKeeper.wish = []
            return
        }
        guard let rank = self.rank(among: self.baseOwners), self.hasWaited(for: wanted, rank, at: now) else { return }
        var proposal = state
        proposal.propose(wanted)
        self.visit(.changeProposed, into: &effects)
        self.keepRing(proposal, into: &effects)
    }

    /// This node's place among `owners` when all of them can be reached; nil when one cannot, and when it is none.
    func rank(among owners: [RingMember]) -> Int? {
        let acting = owners.map(\.node).filter { !self.ringKeeper.isBanned($0) }.sorted()
        guard acting.allSatisfy({ self.isReachable($0) }) else { return nil }
        return acting.firstIndex(of: self.me)
    }

    mutating func hasWaited(
        for wish: [RingMember], _ rank: Int, at now: Now, least: TimeSpan? = nil
    ) -> Bool {
        if self.ringKeeper.wish != wish {
            self.ringKeeper.wish = wish
            self.ringKeeper.wishSince = now.instant
            return false
        }
        let settle = least ?? self.options.ringChange.settleDelay
        let patience = TimeSpan(nanoseconds: self.options.ringChange.patience.nanoseconds * Int64(rank))
        return now.instant.since(self.ringKeeper.wishSince).nanoseconds >= settle.nanoseconds + patience.nanoseconds
    }
}
