import GyreBase
import GyreCausality
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// Coordinating a get: one record and R − 1 digests, more only when they differ or are late, and read repair.
extension Node {
    /// Reads the own disk and asks others.
    mutating func beginGet(_ operation: GetOperation, at now: Now, into effects: inout [NodeEffect]) {
        let tag = self.gets.insert(operation)
        self.traces.keep(tag)
        guard let index = self.gets.index(of: tag) else { return }
        self.readOwn(index, into: &effects)
        let step = self.gets[index].machine.start(own: operation.ownPlace)
        self.follow(index, step, at: now, into: &effects)
    }

    /// Reads the own disk: the object, or as a stand-in the hint about it.
    private mutating func readOwn(_ index: Int, into effects: inout [NodeEffect]) {
        let tag = StorageTag(rawValue: self.gets.tag(index))
        let name = self.gets[index].name
        if let target = self.gets[index].replicas.target(at: self.gets[index].ownPlace) {
            effects.append(.store(.hint(tag, .read(target: target, name, .record))))
        } else {
            effects.append(.store(.read(tag, name, .record)))
        }
    }

    /// The own disk has answered a coordinated read.
    mutating func onOwnRead(
        _ tag: UInt64, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.gets.index(of: tag) else { return }
        let slot = self.gets[index].ownPlace
        self.gets[index].ownDisk = now.instant.since(self.gets[index].started)
        let step: GetMachine.Step
        switch outcome {
        case .record(let record, let digest):
            step = self.gets[index].machine.onRecord(slot, record, digest.rawValue)
        case .absent:
            step = self.gets[index].machine.onRecord(slot, ByteBuffer(), 0)
        case .refused:
            if self.gets[index].replicas.target(at: slot) == nil {
                self.beginHeal(self.gets[index].name, at: now, into: &effects)
            }
            step = self.gets[index].machine.onFailure(slot)
        default:
            preconditionFailure("storage answered a read with something else")
        }
        self.follow(index, step, at: now, into: &effects)
    }

    /// Another replica has answered a coordinated read, or an attempt to heal.
    mutating func onFetched(
        from node: NodeID, _ tag: UInt64, _ outcome: FetchOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.gets.index(of: tag) else {
            return self.onHealFetched(from: node, tag, outcome, at: now, into: &effects)
        }
        guard let slot = self.gets[index].replicas.place(of: node), slot != self.gets[index].ownPlace else { return }
        if self.gets[index].machine.digestAsked.contains(slot), !self.gets[index].hedged {
            self.latencies.record(node, now.instant.since(self.gets[index].started))
        }
        let step: GetMachine.Step
        switch outcome {
        case .digest(let digest): step = self.gets[index].machine.onDigest(slot, digest)
        case .absent: step = self.gets[index].machine.onRecord(slot, ByteBuffer(), 0)
        case .record(let record):
            if (try? Siblings(encoded: record)) == nil {
                self.counters.malformedMessages += 1
                step = self.gets[index].machine.onFailure(slot)
            } else {
                let digest = RecordDigest(of: record, name: self.gets[index].name)
                step = self.gets[index].machine.onRecord(slot, record, digest.rawValue)
            }
        case .corrupt, .overloaded: step = self.gets[index].machine.onFailure(slot)
        }
        self.follow(index, step, at: now, into: &effects)
    }

    /// Does what the machine says.
    private mutating func follow(
        _ index: Int, _ step: GetMachine.Step, at now: Now, into effects: inout [NodeEffect]
    ) {
        switch step {
        case .wait:
            return
        case .askDigest(let slots): self.ask(index, slots, whole: false, into: &effects)
        case .askRecord(let slots): self.ask(index, slots, whole: true, into: &effects)
        case .agreed(let record):
            let operation = self.gets.remove(index)
            if record.readableBytes == 0,
                operation.machine.answered.intersection(operation.replicas.primaries).isEmpty
            {
                // Stand-ins know hints only: what they do not have may well be there.
                self.counters.unavailable += 1
                let failure = Failure.unavailable(needed: UInt8(operation.machine.needed), got: 0)
                self.noteSlow(operation, isDone: false, at: now, into: &effects)
                return self.answer(operation.target, .failed(failure), into: &effects)
            }
            self.counters.readsAnswered += 1
            self.answer(operation.target, self.found(record, operation, now.wall), into: &effects)
            self.noteSlow(operation, isDone: true, at: now, into: &effects)
        case .differ:
            let operation = self.gets.remove(index)
            self.counters.readsAnswered += 1
            let merged = self.merged(operation.machine.records)
            let record = merged.encoded
            self.answer(operation.target, self.found(record, operation, now.wall), into: &effects)
            self.noteSlow(operation, isDone: true, at: now, into: &effects)
            self.repair(operation, record, into: &effects)
        case .short(let got):
            let operation = self.gets.remove(index)
            self.counters.unavailable += 1
            let failure = Failure.unavailable(needed: UInt8(operation.machine.needed), got: UInt8(got))
            self.answer(operation.target, .failed(failure), into: &effects)
            self.noteSlow(operation, isDone: false, at: now, into: &effects)
        }
    }

    private mutating func ask(_ index: Int, _ slots: SlotSet, whole: Bool, into effects: inout [NodeEffect]) {
        let tag = self.gets.tag(index)
        for slot in slots {
            if slot == self.gets[index].ownPlace {
                self.readOwn(index, into: &effects)
                continue
            }
            let node = self.gets[index].replicas.node(at: slot)
            let name = self.gets[index].name
            if let target = self.gets[index].replicas.target(at: slot) {
                effects.append(.send(node, .fetchHint(tag: tag, target: target, name: name, whole: whole)))
            } else {
                effects.append(.send(node, .fetch(tag: tag, name: name, whole: whole)))
            }
        }
    }

    private func merged(_ records: [(slot: Int, record: ByteBuffer)]) -> Siblings {
        var merged = Siblings()
        for (_, record) in records where record.readableBytes > 0 {
            // Records were checked when they came in, from the disk or from a peer.
            if let siblings = try? Siblings(encoded: record) { merged.merge(siblings) }
        }
        return merged
    }

    /// Sends the merged record to every owner that answered with less (Dynamo §5).
    private mutating func repair(_ operation: GetOperation, _ record: ByteBuffer, into effects: inout [NodeEffect]) {
        let digest = RecordDigest(of: record, name: operation.name)
        let primaries = operation.replicas.primaries
        for slot in operation.machine.stale(against: digest.rawValue).intersection(primaries) {
            self.counters.readRepairs += 1
            if slot == operation.ownPlace {
                let work = self.replicas.insert(.repair(operation.name))
                effects.append(.store(.merge(StorageTag(rawValue: work), operation.name, record: record)))
            } else {
                let owner = operation.replicas.node(at: slot)
                effects.append(.send(owner, .replicate(tag: 0, name: operation.name, record: record)))
            }
        }
    }

    /// What a client is shown of a record: live siblings that have not expired, or only the context.
    private mutating func found(_ record: ByteBuffer, _ operation: GetOperation, _ wall: WallTime) -> ClientResponse {
        guard record.readableBytes > 0 else { return .notFound(context: VersionVector()) }
        let bucket = operation.name.bucket
        let rule = self.buckets.table.properties(of: bucket)?.siblings ?? SiblingRule.standard(of: bucket)
        let latestOnly = rule == .lastWriteWins
        if !operation.headOnly, let summary = try? Siblings.peek(record), summary.versionCount > 0, !summary.hasExpiry,
            !latestOnly || summary.versionCount == 1
        {
            return .found(record: record)
        }
        guard let siblings = try? Siblings(encoded: record) else { return .failed(.corrupt) }
        var shown = siblings.hidingExpired(at: wall)
        if latestOnly { shown = shown.showingLatest() }
        if shown.versions.isEmpty { return .notFound(context: shown.context) }
        return .found(record: (operation.headOnly ? shown.withoutValues() : shown).encoded)
    }

    /// Ends what is past its deadline and hedges what is late.
    mutating func expireGets(at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        let least = self.options.hedgeDelayLeast
        self.gets.indices(into: &self.found) { operation in
            now.instant >= operation.deadline
                || (!operation.hedged && now.instant.since(operation.started) >= least)
        }
        for index in self.found {
            if now.instant >= self.gets[index].deadline {
                let operation = self.gets.remove(index)
                self.counters.timeouts += 1
                let machine = operation.machine
                let got = min(machine.answered.count, machine.needed - 1)
                let failure = Failure.unavailable(needed: UInt8(machine.needed), got: UInt8(got))
                self.answer(operation.target, .failed(failure), into: &effects)
                self.noteSlow(operation, isDone: false, at: now, into: &effects)
            } else if self.isLate(index, at: now.instant) {
                self.gets[index].hedged = true
                let step = self.gets[index].machine.onSlow()
                if step != .wait { self.counters.hedges += 1 }
                self.follow(index, step, at: now, into: &effects)
            }
        }
    }

    private mutating func isLate(_ index: Int, at now: Instant) -> Bool {
        let waited = now.since(self.gets[index].started)
        for slot in self.gets[index].machine.waiting {
            let bound = self.latencies.bound(self.gets[index].replicas.node(at: slot)) ?? self.options.hedgeDelayLeast
            if waited > bound { return true }
        }
        return false
    }

    /// `node` can no longer be reached: another replica takes its place where one is left.
    mutating func failGets(at node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.gets.indices(into: &self.found) { operation in
            operation.replicas.place(of: node).map { operation.replicas.node(at: $0) == node } ?? false
        }
        for index in self.found {
            guard let slot = self.gets[index].replicas.place(of: node) else { continue }
            let step = self.gets[index].machine.onFailure(slot)
            self.follow(index, step, at: now, into: &effects)
        }
    }
}
