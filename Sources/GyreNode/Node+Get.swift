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
    mutating func beginGet(_ operation: GetOperation, into effects: inout [NodeEffect]) {
        let tag = self.gets.insert(operation)
        guard let index = self.gets.index(of: tag) else { return }
        effects.append(.store(.read(StorageTag(rawValue: tag), operation.name, .record)))
        let step = self.gets[index].machine.start(own: operation.ownSlot)
        self.follow(index, step, wall: WallTime(milliseconds: 0), into: &effects)
    }

    /// The own disk has answered a coordinated read.
    mutating func onOwnRead(
        _ tag: UInt64, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.gets.index(of: tag) else { return }
        let slot = self.gets[index].ownSlot
        let step: GetMachine.Step
        switch outcome {
        case .record(let record, let digest):
            step = self.gets[index].machine.onRecord(slot, record, digest.rawValue)
        case .absent:
            step = self.gets[index].machine.onRecord(slot, ByteBuffer(), 0)
        case .refused:
            self.beginHeal(self.gets[index].name, at: now, into: &effects)
            step = self.gets[index].machine.onFailure(slot)
        default:
            preconditionFailure("storage answered a read with something else")
        }
        self.follow(index, step, wall: now.wall, into: &effects)
    }

    /// Another replica has answered a coordinated read, or an attempt to heal.
    mutating func onFetched(
        from node: NodeID, _ tag: UInt64, _ outcome: FetchOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.gets.index(of: tag) else {
            return self.onHealFetched(from: node, tag, outcome, at: now, into: &effects)
        }
        guard let slot = self.gets[index].owners.slot(of: node), slot != self.gets[index].ownSlot else { return }
        if self.gets[index].machine.digestAsked.contains(slot), !self.gets[index].hedged {
            self.latencies.record(node, now.instant.since(self.gets[index].started))
        }
        let step: GetMachine.Step
        switch outcome {
        case .digest(let digest): step = self.gets[index].machine.onDigest(slot, digest)
        case .absent: step = self.gets[index].machine.onRecord(slot, ByteBuffer(), 0)
        case .record(let record):
            var probe = record
            if (try? Siblings(decoding: &probe)) == nil || probe.readableBytes > 0 {
                self.counters.malformedMessages += 1
                step = self.gets[index].machine.onFailure(slot)
            } else {
                let digest = RecordDigest(of: record, name: self.gets[index].name)
                step = self.gets[index].machine.onRecord(slot, record, digest.rawValue)
            }
        case .corrupt, .overloaded: step = self.gets[index].machine.onFailure(slot)
        }
        self.follow(index, step, wall: now.wall, into: &effects)
    }

    /// Does what the machine says.
    private mutating func follow(
        _ index: Int, _ step: GetMachine.Step, wall: WallTime, into effects: inout [NodeEffect]
    ) {
        switch step {
        case .wait:
            return
        case .askDigest(let slots): self.ask(index, slots, whole: false, into: &effects)
        case .askRecord(let slots): self.ask(index, slots, whole: true, into: &effects)
        case .agreed(let record):
            let operation = self.gets.remove(index)
            self.counters.readsAnswered += 1
            self.answer(operation.target, self.found(record, operation, wall), into: &effects)
        case .differ:
            let operation = self.gets.remove(index)
            self.counters.readsAnswered += 1
            let merged = self.merged(operation.machine.records)
            var record = ByteBuffer()
            merged.encode(into: &record)
            self.answer(operation.target, self.found(record, operation, wall), into: &effects)
            self.repair(operation, record, into: &effects)
        case .short(let got):
            let operation = self.gets.remove(index)
            self.counters.unavailable += 1
            let failure = Failure.unavailable(needed: UInt8(operation.machine.needed), got: UInt8(got))
            self.answer(operation.target, .failed(failure), into: &effects)
        }
    }

    private func ask(_ index: Int, _ slots: SlotSet, whole: Bool, into effects: inout [NodeEffect]) {
        let tag = self.gets.tag(index)
        for slot in slots {
            if slot == self.gets[index].ownSlot {
                effects.append(.store(.read(StorageTag(rawValue: tag), self.gets[index].name, .record)))
                continue
            }
            let owner = self.gets[index].owners.node(at: slot)
            effects.append(.send(owner, .fetch(tag: tag, name: self.gets[index].name, whole: whole)))
        }
    }

    private func merged(_ records: [(slot: Int, record: ByteBuffer)]) -> Siblings {
        var merged = Siblings()
        for (_, record) in records where record.readableBytes > 0 {
            var bytes = record
            // Records were checked when they came in, from the disk or from a peer.
            if let siblings = try? Siblings(decoding: &bytes) { merged.merge(siblings) }
        }
        return merged
    }

    /// Sends the merged record to every replica that answered with less (Dynamo §5).
    private mutating func repair(_ operation: GetOperation, _ record: ByteBuffer, into effects: inout [NodeEffect]) {
        let digest = RecordDigest(of: record, name: operation.name)
        for slot in operation.machine.stale(against: digest.rawValue) {
            self.counters.readRepairs += 1
            if slot == operation.ownSlot {
                effects.append(.store(.merge(StorageTag(rawValue: 0), operation.name, record: record)))
            } else {
                let owner = operation.owners.node(at: slot)
                effects.append(.send(owner, .replicate(tag: 0, name: operation.name, record: record)))
            }
        }
    }

    /// What a client is shown of a record: live siblings that have not expired, or only the context.
    private func found(_ record: ByteBuffer, _ operation: GetOperation, _ wall: WallTime) -> ClientResponse {
        guard record.readableBytes > 0 else { return .notFound(context: VersionVector()) }
        let latestOnly = self.buckets.table.properties(of: operation.name.bucket)?.showsLatestOnly ?? false
        if !operation.headOnly, let summary = try? Siblings.peek(record), summary.versionCount > 0, !summary.hasExpiry,
            !latestOnly || summary.versionCount == 1
        {
            return .found(record: record)
        }
        var bytes = record
        guard let siblings = try? Siblings(decoding: &bytes) else { return .failed(.corrupt) }
        var shown = siblings.hidingExpired(at: wall)
        if latestOnly { shown = shown.showingLatest() }
        if shown.versions.isEmpty { return .notFound(context: shown.context) }
        var encoded = ByteBuffer()
        (operation.headOnly ? shown.withoutValues() : shown).encode(into: &encoded)
        return .found(record: encoded)
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
            } else if self.isLate(self.gets[index], at: now.instant) {
                self.gets[index].hedged = true
                let step = self.gets[index].machine.onSlow()
                if step != .wait { self.counters.hedges += 1 }
                self.follow(index, step, wall: now.wall, into: &effects)
            }
        }
    }

    private func isLate(_ operation: GetOperation, at now: Instant) -> Bool {
        let waited = now.since(operation.started)
        for slot in operation.machine.waiting {
            let bound = self.latencies.bound(operation.owners.node(at: slot)) ?? self.options.hedgeDelayLeast
            if waited > bound { return true }
        }
        return false
    }

    /// `node` can no longer be reached: another replica takes its place where one is left.
    mutating func failGets(at node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.gets.indices(into: &self.found) { $0.owners.slot(of: node) != nil }
        for index in self.found {
            guard let slot = self.gets[index].owners.slot(of: node) else { continue }
            let step = self.gets[index].machine.onFailure(slot)
            self.follow(index, step, wall: now.wall, into: &effects)
        }
    }
}
