import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// Work for other coordinators: merging their records and reading for them.
extension Node {
    /// Merges a record another node coordinated or repaired. Tag 0 wants no answer.
    mutating func onReplicate(
        from node: NodeID, _ tag: UInt64, _ name: ObjectName, _ record: ByteBuffer, into effects: inout [NodeEffect]
    ) {
        guard self.inFlight < self.options.inFlightMax, self.recordBytes < self.options.recordBytesMax else {
            self.counters.overloaded += 1
            if tag != 0 { effects.append(.send(node, .replicated(tag: tag, .overloaded))) }
            return
        }
        self.recordBytes += record.readableBytes
        let work = self.replicas.insert(.merge(from: node, tag: tag, name: name, bytes: record.readableBytes))
        effects.append(.store(.merge(StorageTag(rawValue: work), name, record: record)))
    }

    /// Reads for another node.
    mutating func onFetch(
        from node: NodeID, _ tag: UInt64, _ name: ObjectName, whole: Bool, into effects: inout [NodeEffect]
    ) {
        guard self.inFlight < self.options.inFlightMax else {
            self.counters.overloaded += 1
            return effects.append(.send(node, .fetched(tag: tag, .overloaded)))
        }
        if self.isRefilling(name.token) || self.isForeign(name.token) {
            // Only a question that was very long on its way can ask here: whoever asks an owner of before has not moved.
            if self.isForeign(name.token) { self.tellRing(to: node, wantsRest: true, into: &effects) }
            return effects.append(.send(node, .fetched(tag: tag, .overloaded)))
        }
        let work = self.replicas.insert(.fetch(from: node, tag: tag, name: name))
        effects.append(.store(.read(StorageTag(rawValue: work), name, whole ? .record : .digest)))
    }

    /// The disk has answered.
    mutating func onReplicaWork(
        _ tag: UInt64, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.replicas.index(of: tag) else { return }
        let operation = self.replicas.remove(index)
        if self.onHintWork(operation, outcome, at: now, into: &effects) { return }
        switch operation {
        case .merge(let node, let peerTag, let name, let bytes):
            self.recordBytes -= bytes
            let answer = self.replicateOutcome(outcome, name, at: now, into: &effects)
            if node == self.me {
                self.onHintDelivered(to: node, peerTag, answer, at: now, into: &effects)
            } else if peerTag != 0 {
                effects.append(.send(node, .replicated(tag: peerTag, answer)))
            }
        case .fetch(let node, let peerTag, let name):
            self.counters.replicaReads += 1
            let answer = self.fetchOutcome(outcome, name, at: now, into: &effects)
            effects.append(.send(node, .fetched(tag: peerTag, answer)))
        case .figures(let askers):
            self.looksAtFigures = false
            self.lookAtFigures(into: &effects)
            guard case .figures(let figures) = outcome else { return }
            let report = self.report(figures, at: now)
            for asker in askers { self.answer(asker, .status(report), into: &effects) }
        case .lease:
            guard case .leased(let ceiling) = outcome else { return }
            self.dots.onLeased(ceiling)
            self.withMembership(into: &effects) { membership, out in
                membership.noteLease(ceiling, at: now.instant, into: &out)
            }
        case .heal(let name):
            guard case .merged(_, _, let change) = outcome else { return }
            self.noteChange(change, of: name)
            self.counters.healed += 1
            effects.append(.event(.healed(name.token)))
        case .repair(let name):
            if case .merged(_, _, let change) = outcome { self.noteChange(change, of: name) }
            if case .refused(.corrupt) = outcome { self.beginHeal(name, at: now, into: &effects) }
        default: self.onHealingWork(operation, outcome, at: now, into: &effects)
        }
    }

    /// The disk has answered about trees, exchanges or an explanation.
    private mutating func onHealingWork(
        _ operation: ReplicaOperation, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        switch operation {
        case .scan: self.onScanned(outcome, at: now, into: &effects)
        case .collect(let name):
            if case .merged(_, _, let change) = outcome {
                if change != nil { self.counters.versionsCollected += 1 }
                self.noteChange(change, of: name)
            }
        case .note: break
        case .exchangeList(let tag): self.onExchangeList(tag, outcome, at: now, into: &effects)
        case .exchangeRead(let tag, let name): self.onExchangeRead(tag, name, outcome, at: now, into: &effects)
        case .exchangeMerge(let tag, let name, let sent):
            self.onExchangeMerge(tag, name, sent: sent, outcome, at: now, into: &effects)
        case .servedList(let node, let tag, let step, let isWhole):
            self.onServedList(from: node, tag, step, isWhole: isWhole, outcome, at: now, into: &effects)
        case .servedRead(let served, let place):
            self.onServedRead(served, place: place, outcome, at: now, into: &effects)
        case .servedMerge(let served, let name): self.onServedMerge(served, name, outcome, at: now, into: &effects)
        case .inspectRead(let work, let target):
            self.onInspectRead(work, target: target, outcome, at: now, into: &effects)
        case .merge, .fetch, .figures, .lease, .heal, .repair, .ownHint, .hint, .fetchHint, .hintList, .hintDrop:
            preconditionFailure("taken by onReplicaWork and onHintWork")
        case .list(let node, let tag, let question, let countMax):
            self.onListedOwn(question, for: node, tag, countMax: countMax, outcome, at: now, into: &effects)
        case .bucketSet(let target, let record): self.onBucketsKept((target, record), into: &effects)
        case .bucketsLearned: self.onBucketsKept(nil, into: &effects)
        case .ringKept(let state): self.onRingKept(state, into: &effects)
        case .handoverList(let partition): self.onHandoverList(partition, outcome, at: now, into: &effects)
        case .handoverRemove(let partition, let objects):
            self.onHandoverRemoved(partition, objects, outcome, at: now, into: &effects)
        }
    }

    private mutating func replicateOutcome(
        _ outcome: StorageOutcome, _ name: ObjectName, at now: Now, into effects: inout [NodeEffect]
    ) -> ReplicateOutcome {
        switch outcome {
        case .merged(_, let clash, let change):
            self.noteChange(change, of: name)
            self.counters.replicaWrites += 1
            if clash { effects.append(.event(.dotClash(name.token))) }
            return .durable
        case .refused(.corrupt):
            self.beginHeal(name, at: now, into: &effects)
            return .corrupt
        default:
            self.counters.malformedMessages += 1
            return .malformed
        }
    }

    private mutating func fetchOutcome(
        _ outcome: StorageOutcome, _ name: ObjectName, at now: Now, into effects: inout [NodeEffect]
    ) -> FetchOutcome {
        switch outcome {
        case .record(let record, _): return .record(record)
        case .digest(let digest): return .digest(digest.rawValue)
        case .absent: return .absent
        default:
            self.beginHeal(name, at: now, into: &effects)
            return .corrupt
        }
    }

    /// Lets a client wait for the next look at the disk's figures, unless `inFlightMax` do already.
    mutating func startStatus(_ target: ReplyTarget, into effects: inout [NodeEffect]) {
        guard self.statusAskers.count < self.options.inFlightMax else {
            self.counters.overloaded += 1
            return self.answer(target, .failed(.overloaded), into: &effects)
        }
        self.statusAskers.append(target)
        self.lookAtFigures(into: &effects)
    }

    /// Asks the disk for its figures on behalf of all who wait, one look at a time: each walks a directory, and many clients may ask.
    /// Nobody is answered with figures from before they asked.
    private mutating func lookAtFigures(into effects: inout [NodeEffect]) {
        guard !self.looksAtFigures, !self.statusAskers.isEmpty else { return }
        self.looksAtFigures = true
        let tag = self.replicas.insert(.figures(self.statusAskers))
        self.statusAskers.removeAll(keepingCapacity: true)
        effects.append(.store(.figures(StorageTag(rawValue: tag))))
    }

    private func report(_ figures: StorageFigures, at now: Now) -> StatusReport {
        var counters = self.counters.named.map { StatusReport.Counter(name: $0.name, value: $0.value) }
        counters.append(StatusReport.Counter(name: "storage_commits", value: figures.commits))
        counters.append(StatusReport.Counter(name: "storage_committed_writes", value: figures.committedWrites))
        counters.append(StatusReport.Counter(name: "storage_filter_checks", value: figures.filterChecks))
        counters.append(StatusReport.Counter(name: "storage_filter_negatives", value: figures.filterNegatives))
        counters.append(StatusReport.Counter(name: "storage_tombstones", value: figures.tombstones))
        for figure in self.transferFigures(at: now) {
            counters.append(StatusReport.Counter(name: figure.name, value: figure.value))
        }
        counters.sort { $0.name < $1.name }
        let members = self.membership.members.map { record in
            MemberView(record: self.shown(record), ownedSlots: UInt64(self.ring.share(of: record.node).owned))
        }
        return StatusReport(
            me: self.me, cluster: self.options.cluster, members: members,
            partitionCount: UInt32(self.options.partitionCount), replicas: UInt8(self.options.quorum.replicas),
            ringEpoch: self.ringEpoch, ringHash: self.ring.hash, keys: figures.keys, diskBytes: figures.diskBytes,
            hints: figures.hints.map { backlog in
                let since = min(backlog.since.milliseconds, now.wall.milliseconds)
                return StatusReport.Backlog(
                    target: backlog.target, count: backlog.count, bytes: backlog.bytes,
                    ageMilliseconds: now.wall.milliseconds - since)
            }, counters: counters)
    }
}

/// Healing a record that fails its checksum: all other owners are read, and what they agree on takes its place.
///
/// All of them, because the record that was lost may have held dots that only one other node has seen; a partial
/// replacement would let this node claim, in later contexts, dots it does not hold.
extension Node {
    /// Starts to fetch the record of `name` from every other owner, unless that is under way or cannot succeed now.
    mutating func beginHeal(_ name: ObjectName, at now: Now, into effects: inout [NodeEffect]) {
        self.counters.corruptRecords += 1
        // While the ring changes, a node that gains the partition heals from the owners of both rings: they alone hold all of it.
        let owners = self.allOwners(of: name.token)[...]
        var underWay: [Int] = []
        self.heals.indices(into: &underWay) { $0.name == name }
        guard underWay.isEmpty, self.heals.count < self.options.healsMax, owners.count > 1,
            let ownSlot = owners.slot(of: self.me), self.reachableSlots(owners).count == owners.count
        else { return }
        effects.append(.event(.corruptRecord(name.token)))
        var waiting = SlotSet(first: owners.count)
        waiting.remove(ownSlot)
        let tag = self.heals.insert(
            HealOperation(
                name: name, owners: owners, deadline: now.instant.advanced(by: self.options.healTimeout),
                waiting: waiting, merged: Siblings()))
        for slot in waiting {
            effects.append(.send(owners.node(at: slot), .fetch(tag: tag, name: name, whole: true)))
        }
    }

    /// Another owner has sent its record for a heal.
    mutating func onHealFetched(
        from node: NodeID, _ tag: UInt64, _ outcome: FetchOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.heals.index(of: tag), let slot = self.heals[index].owners.slot(of: node),
            self.heals[index].waiting.contains(slot)
        else { return }
        switch outcome {
        case .record(let record):
            guard let siblings = try? Siblings(encoded: record) else {
                self.counters.malformedMessages += 1
                _ = self.heals.remove(index)
                return
            }
            self.heals[index].merged.merge(siblings)
        case .absent: break
        case .digest, .corrupt, .overloaded:
            _ = self.heals.remove(index)
            return
        }
        self.heals[index].waiting.remove(slot)
        guard self.heals[index].waiting.isEmpty else { return }
        let heal = self.heals.remove(index)
        // Where no other owner has anything, nothing is known to put in its place: the record stays set aside.
        guard !heal.merged.isEmpty else { return }
        let record = heal.merged.encoded
        // The record that is gone may have held dots of this node that only a hint somewhere has by now. A context entry for
        // later ones would claim them, so later ones get another name, and that is on the disk before the record is.
        self.dots.renew()
        let note = self.replicas.insert(.note)
        effects.append(
            .store(
                .keep(
                    StorageTag(rawValue: note), document: .author, ByteBuffer(integer: self.dots.author.rawValue))))
        let work = self.replicas.insert(.heal(heal.name))
        effects.append(.store(.heal(StorageTag(rawValue: work), heal.name, record: record)))
    }
}

/// Time and loss, for all operations in flight.
extension Node {
    /// Ends every operation that is past its deadline.
    mutating func expireOperations(at now: Now, into effects: inout [NodeEffect]) {
        self.expirePuts(at: now, into: &effects)
        self.expireGets(at: now, into: &effects)
        self.expireForwards(at: now, into: &effects)
        self.found.removeAll(keepingCapacity: true)
        self.heals.indices(into: &self.found) { now.instant >= $0.deadline }
        for index in self.found { _ = self.heals.remove(index) }
        self.expireDeliveries(at: now)
        self.expireExchanges(at: now, into: &effects)
        self.expireExplains(at: now, into: &effects)
        self.expireLists(at: now, into: &effects)
    }

    /// Ends or redirects every operation that waits for `node`.
    mutating func giveUpOn(_ node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.latencies.forget(node)
        self.failPuts(at: node, at: now, into: &effects)
        self.failGets(at: node, at: now, into: &effects)
        self.failLists(at: node, at: now, into: &effects)
        self.found.removeAll(keepingCapacity: true)
        self.forwards.indices(into: &self.found) { $0.to == node }
        for index in self.found {
            let operation = self.forwards.remove(index)
            // A write may have reached the owner before the connection broke.
            let failure: Failure =
                operation.isWrite
                ? .unknown(needed: operation.needed, got: 0) : .unavailable(needed: operation.needed, got: 0)
            self.answer(operation.target, .failed(failure), into: &effects)
        }
        self.found.removeAll(keepingCapacity: true)
        self.heals.indices(into: &self.found) { $0.owners.slot(of: node) != nil }
        for index in self.found { _ = self.heals.remove(index) }
        self.failDeliveries(to: node, at: now)
        self.failExchanges(with: node, at: now, into: &effects)
    }
}
