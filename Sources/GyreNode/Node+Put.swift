import GyreBase
import GyreCausality
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// Coordinating a put or delete: own disk first, then the other replicas, then the client.
///
/// The record leaves this node only after its own disk has it. A context entry `(n, c)` claims all dots of n up to c, which
/// is true exactly as long as n never forgets a dot that another node has seen; docs/decisions/0001-own-disk-first.md.
extension Node {
    /// Starts a write on the own disk, unless it was seen before.
    mutating func beginWrite(
        _ request: ClientRequest, _ id: RequestID, _ target: ReplyTarget, owners: ArraySlice<NodeID>, ownSlot: Int,
        needed: Int, deadline: Instant, at now: Now, into effects: inout [NodeEffect]
    ) {
        if let entry = self.requestLog[id] { return self.answerAgain(entry, target, into: &effects) }
        guard let name = request.name, let update = self.update(for: request, at: now) else {
            self.counters.overloaded += 1
            return self.answer(target, .failed(.overloaded), into: &effects)
        }
        let halfWay = TimeSpan(nanoseconds: deadline.since(now.instant).nanoseconds / 2)
        let tag = self.puts.insert(
            PutOperation(
                target: target, request: request, id: id, name: name, owners: owners, ownSlot: ownSlot,
                deadline: deadline, resendAt: now.instant.advanced(by: halfWay),
                machine: PutMachine(replicas: SlotSet(first: owners.count), needed: needed)))
        self.requestLog.begin(id, tag: tag)
        effects.append(.store(.update(StorageTag(rawValue: tag), name, update)))
    }

    private mutating func answerAgain(
        _ entry: RequestLog.Entry, _ target: ReplyTarget, into effects: inout [NodeEffect]
    ) {
        self.counters.deduplicated += 1
        switch entry {
        case .finished(let response):
            self.answer(target, response, into: &effects)
        case .running(let tag):
            guard let index = self.puts.index(of: tag), self.puts[index].followers.count < 16 else {
                return self.answer(target, .failed(.overloaded), into: &effects)
            }
            self.puts[index].followers.append(target)
        }
    }

    private mutating func update(for request: ClientRequest, at now: Now) -> Update? {
        switch request {
        case .put(let put):
            guard let dot = self.dots.issue() else { return nil }
            let standard = self.buckets.table.properties(of: put.name.bucket)?.timeToLiveMilliseconds
            let expiry = (put.timeToLiveMilliseconds ?? standard).map { span in
                let (end, overflow) = now.wall.milliseconds.addingReportingOverflow(span)
                return WallTime(milliseconds: overflow ? .max : end)
            }
            let version = Version(
                dot: dot, time: self.clock.tick(at: now.wall), expiry: expiry, metadata: put.metadata, value: put.value)
            return .put(version, seen: put.seen, ifAbsent: put.ifAbsent)
        case .delete(let delete):
            return .delete(seen: delete.seen)
        case .get, .status, .locate, .bucketList, .bucketShow, .bucketSet:
            return nil
        }
    }

    /// The own disk has answered a coordinated write.
    mutating func onOwnWrite(
        _ tag: UInt64, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.puts.index(of: tag) else { return }
        switch outcome {
        case .updated(let record, _, let context):
            self.puts[index].stored = (record, context)
            var verdict = self.puts[index].machine.onAck(self.puts[index].ownSlot)
            var slot = 0
            for owner in self.puts[index].owners {
                if owner == self.me {
                } else if self.isReachable(owner) {
                    effects.append(.send(owner, .replicate(tag: tag, name: self.puts[index].name, record: record)))
                } else if verdict == .pending {
                    verdict = self.puts[index].machine.onFailure(slot)
                }
                slot += 1
            }
            self.conclude(index, verdict, at: now, into: &effects)
        case .refused(let refusal):
            self.onOwnRefusal(index, refusal, at: now, into: &effects)
        default:
            preconditionFailure("storage answered an update with something else")
        }
    }

    private mutating func onOwnRefusal(
        _ index: Int, _ refusal: StorageRefusal, at now: Now, into effects: inout [NodeEffect]
    ) {
        let operation = self.puts.remove(index)
        self.requestLog.forget(operation.id)
        let failure: Failure
        switch refusal {
        case .exists: failure = .exists
        case .tooManySiblings(let limit): failure = .tooLarge(limit: UInt64(limit))
        case .corrupt, .dotCovered, .malformed:
            // This disk cannot vouch for the key's history, so another owner coordinates.
            if refusal == .corrupt { self.beginHeal(operation.name, at: now, into: &effects) }
            if operation.target.mayForward, operation.followers.isEmpty,
                operation.owners.contains(where: { $0 != self.me && self.isReachable($0) })
            {
                return self.forward(
                    operation.request, operation.target, owners: operation.owners, deadline: operation.deadline,
                    at: now,
                    into: &effects)
            }
            failure = .corrupt
        }
        for target in [operation.target] + operation.followers {
            self.answer(target, .failed(failure), into: &effects)
        }
    }

    /// Another replica has answered a coordinated write.
    mutating func onReplicated(
        from node: NodeID, _ tag: UInt64, _ outcome: ReplicateOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.puts.index(of: tag), let slot = self.puts[index].owners.slot(of: node) else { return }
        let verdict =
            outcome == .durable ? self.puts[index].machine.onAck(slot) : self.puts[index].machine.onFailure(slot)
        self.conclude(index, verdict, at: now, into: &effects)
    }

    /// Answers the client once a verdict is there.
    private mutating func conclude(
        _ index: Int, _ verdict: PutMachine.Verdict, at now: Now, into effects: inout [NodeEffect]
    ) {
        let response: ClientResponse
        let needed = UInt8(self.puts[index].machine.needed)
        switch verdict {
        case .pending:
            return
        case .stored(let acks):
            self.counters.writesStored += 1
            let context = self.puts[index].stored?.context ?? VersionVector()
            response = .stored(context: context, acks: UInt8(acks), needed: needed)
        case .unknown(let acks):
            self.counters.writesUnknown += 1
            response = .failed(.unknown(needed: needed, got: UInt8(acks)))
        }
        let operation = self.puts.remove(index)
        self.requestLog.finish(operation.id, response, at: now.instant)
        self.answer(operation.target, response, into: &effects)
        for target in operation.followers { self.answer(target, response, into: &effects) }
    }

    /// Ends what is past its deadline and sends late records once more.
    mutating func expirePuts(at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.puts.indices(into: &self.found) { now.instant >= $0.resendAt || now.instant >= $0.deadline }
        for index in self.found {
            if now.instant >= self.puts[index].deadline {
                self.counters.timeouts += 1
                let verdict = self.puts[index].machine.onDeadline()
                self.conclude(index, verdict, at: now, into: &effects)
            } else if let stored = self.puts[index].stored {
                self.puts[index].resendAt = .distantFuture
                let name = self.puts[index].name
                for slot in self.puts[index].machine.waiting where slot != self.puts[index].ownSlot {
                    let owner = self.puts[index].owners.node(at: slot)
                    let tag = self.puts.tag(index)
                    effects.append(.send(owner, .replicate(tag: tag, name: name, record: stored.record)))
                }
            }
        }
    }

    /// `node` can no longer be reached: nothing is awaited from it.
    mutating func failPuts(at node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.puts.indices(into: &self.found) { operation in
            guard operation.stored != nil, let slot = operation.owners.slot(of: node) else { return false }
            return operation.machine.waiting.contains(slot)
        }
        for index in self.found {
            guard let slot = self.puts[index].owners.slot(of: node) else { continue }
            let verdict = self.puts[index].machine.onFailure(slot)
            self.conclude(index, verdict, at: now, into: &effects)
        }
    }
}
