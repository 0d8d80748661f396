import GyreBase
import GyreMembership
import GyreMerkle
import GyreMessages
import GyreRing
import GyreStorage
import NIOCore

/// Fetching what a change of the ring gives this node, and handing over what it takes.
///
/// A partition is fetched by comparing it with each of its owners of before, after everybody writes to both rings: what was
/// acknowledged earlier is on their disks, and what comes later is written here as well. The objects that are here already are the
/// progress: after a crash the comparisons begin again, and what is equal costs next to nothing.
extension Node {
    /// Whether all that the change gives this node is here.
    var isSynced: Bool {
        guard let sync = self.ringKeeper.sync, sync.plan == self.syncPlan else { return false }
        return sync.waiting.isEmpty
    }

    private var syncPlan: RingSync.Plan? {
        guard let next = self.ringKeeper.nextRing else { return nil }
        return RingSync.Plan(
            version: self.ringKeeper.state.version, from: self.ringKeeper.baseRing.hash, to: next.hash,
            banned: self.ringKeeper.banned, substitutes: self.ringKeeper.substitutes)
    }

    /// Plans the comparisons, once everybody knows, and anew when what they were planned for has changed.
    mutating func continueSync(at now: Now, into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        guard state.next != nil, state.stage(of: self.me) == .knows, self.ringKeeper.hasReached(.knows, state),
            self.trees.options.isOn, let plan = self.syncPlan, self.ringKeeper.sync?.plan != plan,
            let next = self.ringKeeper.nextRing
        else { return }
        self.repairParts.removeAll { RepairPart.isReserved($0.request.id) && $0.request.id != Refill.repairID }
        self.ringKeeper.syncNumber += 1
        let id = UInt64.max - self.ringKeeper.syncNumber % RingSync.idsMax
        let base = self.ringKeeper.baseRing
        var sync = RingSync(plan: plan, id: id, waiting: [:], began: now.instant)
        var part = RepairPart(
            request: RepairRequest(id: id), coordinator: self.me, pairs: [], patientUntil: .distantFuture)
        var gainedByAll = 0
        for index in 0..<self.options.partitionCount {
            let partition = PartitionID(index: index)
            guard !base.members.isEmpty else { break }
            let before = base.owners(of: partition)
            let gaining = next.owners(of: partition).filter { !before.contains($0) }
            gainedByAll += gaining.count
            guard gaining.contains(self.me) else { continue }
            sync.gained += 1
            let sources = before.filter { !self.ringKeeper.isBanned($0) }
            if !sources.isEmpty { sync.waiting[index] = sources }
        }
        part.pairs = self.roundsOfPairs(sync.waiting, ownersMost: base.ownersPerPartition)
        sync.pace(share: Double(sync.gained) / Double(max(1, gainedByAll)), options: self.options.ringChange)
        part.counts.planned = UInt64(part.pairs.count)
        sync.planned = part.pairs.count
        self.ringKeeper.sync = sync
        self.visit(part.pairs.isEmpty ? .syncPlannedEmpty : .syncPlanned, into: &effects)
        if !part.pairs.isEmpty { self.repairParts.append(part) }
    }

    /// A partition was compared with one of its owners of before.
    mutating func noteSynced(_ operation: ExchangeOperation, into effects: inout [NodeEffect]) {
        self.visit(.comparisonDone, into: &effects)
        guard let sync = self.ringKeeper.sync, sync.id == operation.repair,
            var sources = sync.waiting[operation.partition]
        else { return }
        sources.removeAll { $0 == operation.peer }
        self.ringKeeper.sync?.begun.insert(operation.partition)
        self.ringKeeper.sync?.waiting[operation.partition] = sources.isEmpty ? nil : sources
        self.ringKeeper.sync?.bytes += operation.bytes
        self.ringKeeper.sync?.keys += operation.keysRepaired
        if sources.isEmpty { self.visit(.partitionSynced, into: &effects) }
    }

    /// Whether a node that lost its disk is not whole yet: what it lacks may be what this node needs.
    func isPeerRefilling(_ node: NodeID) -> Bool {
        guard let old = self.membership.record(of: node)?.replaces else { return false }
        if let record = self.membership.record(of: old) { return record.state != .removed }
        // It is banned when its replacement is whole, but nobody can ban an identity that went before anybody heard of it.
        return self.ringKeeper.state.base.contains { $0.node == old }
    }

    // MARK: - Handing over

    /// Looks for partitions that are here and belong to others, and brings those that were found further.
    mutating func continueHandovers(at now: Now, into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        guard state.version > 0, self.trees.options.isOn, !self.ring.members.isEmpty, !self.draining else { return }
        guard state.next == nil, self.ringKeeper.staged == state else {
            // The owners are about to be others.
            self.ringKeeper.handovers.removeAll { !$0.isRemoving }
            self.ringKeeper.cleanCount = 0
            return
        }
        // Another node may own the place of one that lost its disk without any change of the ring.
        let generation = self.ringKeeper.generation
        self.ringKeeper.handovers.removeAll { $0.generation != generation && !$0.isRemoving }
        self.findForeignPartitions(into: &effects)
        for index in self.ringKeeper.handovers.indices { self.continueHandover(index, at: now, into: &effects) }
    }

    private mutating func findForeignPartitions(into effects: inout [NodeEffect]) {
        let partitions = self.options.partitionCount
        for _ in 0..<min(64, partitions) {
            guard self.ringKeeper.handovers.count < self.options.ringChange.handoversMax else { return }
            let index = self.ringKeeper.handoverCursor
            self.ringKeeper.handoverCursor = (index + 1) % partitions
            let owners = self.ring.owners(of: PartitionID(index: index))
            if owners.slot(of: self.me) != nil {
                self.ringKeeper.cleanCount += 1
                continue
            }
            guard let root = self.trees.forest.root(of: index) else {
                self.ringKeeper.cleanCount = 0
                continue
            }
            if root == 0 {
                self.ringKeeper.cleanCount += 1
                continue
            }
            self.ringKeeper.cleanCount = 0
            // An owner that is banned leaves the ring with the next change; until then this copy is worth something.
            guard owners.allSatisfy({ !self.ringKeeper.isBanned($0) }),
                !self.ringKeeper.handovers.contains(where: { $0.partition == index })
            else { continue }
            self.visit(.foreignPartitionFound, into: &effects)
            self.ringKeeper.handovers.append(
                Handover(partition: index, waiting: Array(owners), generation: self.ringKeeper.generation))
        }
    }

    private mutating func continueHandover(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        let handover = self.ringKeeper.handovers[index]
        guard !handover.isRemoving, !handover.isComparing, now.instant >= handover.retryAt else { return }
        if handover.isSpoilt {
            self.visit(.handoverSpoilt, into: &effects)
            self.ringKeeper.handovers[index].isSpoilt = false
            self.ringKeeper.handovers[index].removedUpTo = nil
            self.ringKeeper.handovers[index].waiting = Array(
                self.ring.owners(of: PartitionID(index: handover.partition)))
            return
        }
        guard let peer = handover.waiting.first else {
            if handover.removedUpTo == nil { self.visit(.handoverVerified, into: &effects) }
            return self.listForRemoval(index, at: now, into: &effects)
        }
        guard self.isReachable(peer), !self.isPeerRefilling(peer), !self.mustYield,
            self.beginExchange(
                handover.partition, with: peer, repair: nil, handover: handover.generation, at: now, into: &effects)
        else {
            self.ringKeeper.handovers[index].retryAt = now.instant.advanced(by: .milliseconds(200))
            return
        }
        self.visit(.handoverBegun, into: &effects)
        self.ringKeeper.handovers[index].isComparing = true
    }

    /// A comparison with an owner is over; all that is here is on its disk when nothing failed.
    mutating func noteHandedOver(
        _ operation: ExchangeOperation, succeeded: Bool, at now: Now, into effects: inout [NodeEffect]
    ) {
        self.visit(succeeded ? .handoverCompared : .handoverFailed, into: &effects)
        guard
            let index = self.ringKeeper.handovers.firstIndex(where: {
                $0.partition == operation.partition && $0.generation == operation.handover
            })
        else { return }
        self.ringKeeper.handovers[index].isComparing = false
        if succeeded {
            self.ringKeeper.handovers[index].waiting.removeAll { $0 == operation.peer }
        } else {
            self.ringKeeper.handovers[index].retryAt = now.instant.advanced(by: .milliseconds(500))
        }
    }

    private mutating func listForRemoval(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        self.ringKeeper.handovers[index].isRemoving = true
        self.ringKeeper.handovers[index].pageAt = now.instant
        let partition = self.ringKeeper.handovers[index].partition
        let tokens = self.trees.forest.shape.tokens(of: partition)
        var range = ObjectRange(first: tokens.lowerBound, last: tokens.upperBound)
        range.after = self.ringKeeper.handovers[index].removedUpTo
        range.countMax = self.options.ringChange.removeMax
        // In its place among the writes, so that whatever it shows was told of before it.
        range.isOrdered = true
        let tag = self.replicas.insert(.handoverList(partition: partition))
        effects.append(.store(.list(StorageTag(rawValue: tag), range)))
    }

    /// Where the removal of a partition goes on; nil when it must not, because something came in between.
    private mutating func removal(of partition: Int) -> Int? {
        guard let index = self.ringKeeper.handovers.firstIndex(where: { $0.partition == partition && $0.isRemoving })
        else { return nil }
        let isStable = self.ringKeeper.state.next == nil && self.ringKeeper.staged == self.ringKeeper.state
        if self.ringKeeper.handovers[index].isSpoilt || !isStable
            || self.ringKeeper.handovers[index].generation != self.ringKeeper.generation
        {
            self.ringKeeper.handovers.remove(at: index)
            return nil
        }
        return index
    }

    /// The disk has listed a page of what is to be removed.
    mutating func onHandoverList(
        _ partition: Int, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.removal(of: partition), case .listed(let page) = outcome else { return }
        self.visit(.removalListed, into: &effects)
        if page.entries.isEmpty {
            guard self.ringKeeper.handovers[index].removedUpTo == nil else {
                // Once more from the start, for what could not be removed or has come since.
                self.ringKeeper.handovers[index].removedUpTo = nil
                return self.listForRemoval(index, at: now, into: &effects)
            }
            self.visit(.partitionHandedOver, into: &effects)
            self.ringKeeper.handovers.remove(at: index)
            return
        }
        let objects = page.entries.map { (name: $0.name, digest: $0.digest) }
        self.visit(.removalAsked, into: &effects)
        let tag = self.replicas.insert(.handoverRemove(partition: partition, objects))
        effects.append(.store(.remove(StorageTag(rawValue: tag), objects)))
    }

    /// The disk has removed a page.
    mutating func onHandoverRemoved(
        _ partition: Int, _ objects: [(name: ObjectName, digest: RecordDigest?)], _ outcome: StorageOutcome,
        at now: Now, into effects: inout [NodeEffect]
    ) {
        guard case .removed(let gone) = outcome else { return }
        self.visit(.removalDone, into: &effects)
        for (object, isGone) in zip(objects, gone) where isGone {
            self.counters.objectsRemoved += 1
            if let digest = object.digest {
                self.trees.forest.onChange(object.name.token, old: digest.rawValue, new: nil)
            } else {
                self.trees.suspect(self.leaf(of: object.name.token))
            }
        }
        guard let index = self.removal(of: partition) else { return }
        self.ringKeeper.handovers[index].removedUpTo = objects.last?.name
        guard self.draining || self.ring.members.contains(where: { $0.node == self.me }) else {
            return self.listForRemoval(index, at: now, into: &effects)
        }
        let began = self.ringKeeper.handovers[index].pageAt
        self.ringKeeper.handovers[index].isRemoving = false
        self.ringKeeper.handovers[index].retryAt = now.rest(self.options.ringChange.removeRest, since: began)
    }

    // MARK: - Leaving

    /// A node that wants to leave, owns nothing and holds nothing any more is removed by its own word.
    mutating func finishLeaving(at now: Now, into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        guard self.membership.me.state == .leaving, state.version > 0, state.next == nil,
            self.ringKeeper.staged == state, !self.baseOwners.contains(where: { $0.node == self.me }),
            self.hasHandedOver, self.handoff.targets.isEmpty
        else { return }
        // Whom the others have banned gets no more answers from them, so what clients asked must be over before that.
        self.ringKeeper.isClosed = true
        guard self.inFlight == 0 else { return }
        guard now.instant >= self.ringKeeper.farewellAt, !self.connected.isEmpty else { return }
        self.ringKeeper.farewellAt = now.instant.advanced(by: .milliseconds(200))
        // Whoever's disk is slow still asks this node for its part of a write, and would take the ban for a loss.
        let late = self.connected.filter {
            !self.ringKeeper.isBanned($0) && self.ringKeeper.versions[$0, default: 0] < state.version
        }
        guard late.isEmpty else {
            for node in late { self.tellRing(to: node, wantsRest: true, into: &effects) }
            return
        }
        // The others ban it first: only what they have heard can no longer be forgotten.
        self.visit(.leaverHandedOver, into: &effects)
        guard self.areBucketsKeptElsewhere else {
            for node in self.connected { self.tellBuckets(to: node, wantsRest: true, into: &effects) }
            return
        }
        var gone = self.membership.me
        gone.state = .removed
        for node in self.connected { effects.append(.send(node, .membership(.stateRequest([gone])))) }
    }

    /// How long a witness must have known of the ban: longer than its disk should take to keep it, which nobody tells here.
    private static let keepingTime = TimeSpan.seconds(1)
    /// How long a banned node waits for a witness, at most, after it might have ended.
    private static let witnessPatience = TimeSpan.seconds(60)

    /// The most nodes dialled at once to tell them.
    private static let farewellDialsMax = 16

    /// Another node says what it knows: if that is the ban, and still is a while later in the same life, nobody can forget it any more
    /// by a crash of that one. Who is banned as well ends too, and is no witness.
    mutating func noteWitness(_ node: NodeID, _ message: MembershipMessage, at now: Now) {
        guard !self.ringKeeper.isBanned(node), case .state(let records) = message,
            records.contains(where: { $0.node == self.me && $0.state == .removed })
        else { return }
        let since = self.ringKeeper.witnesses[node, default: now.instant]
        self.ringKeeper.witnesses[node] = since
        if now.instant.since(since) >= Self.keepingTime { self.ringKeeper.isWitnessed = true }
    }

    /// A node that is banned ends, after one of the others had time to keep that.
    mutating func endBanned(at now: Now, into effects: inout [NodeEffect]) {
        guard let end = self.ringKeeper.endAt else {
            self.visit(.leaverRemoved, into: &effects)
            self.ringKeeper.endAt = now.instant.advanced(by: .seconds(2))
            return
        }
        let isWitnessed = self.ringKeeper.isWitnessed || now.instant >= end.advanced(by: Self.witnessPatience)
        guard now.instant >= end, isWitnessed else {
            // One peer that has heard may stop before it tells the others, or keeps it, and nobody else would ever know.
            guard now.instant >= self.ringKeeper.farewellAt else { return }
            self.ringKeeper.farewellAt = now.instant.advanced(by: .milliseconds(200))
            for node in self.connected {
                effects.append(.send(node, .membership(.stateRequest([self.membership.me]))))
            }
            // Whoever knows of the ban has no reason to look for this node.
            let missing = self.membership.members
                .filter { $0.state != .removed && !self.connected.contains($0.node) }
            for member in missing.prefix(Self.farewellDialsMax) { effects.append(.dial(member.address)) }
            return
        }
        self.ringKeeper.endAt = .distantFuture
        effects.append(.event(.left))
    }
}
