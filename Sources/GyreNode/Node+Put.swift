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
    /// Starts a write on the own disk. A stand-in's own copy is a hint.
    mutating func beginWrite(
        _ request: ClientRequest, _ admission: Admission, at now: Now, into effects: inout [NodeEffect]
    ) {
        let place = admission.ownPlace
        let hintTarget = admission.replicas.target(at: place)
        guard let id = request.writeID, let name = request.name,
            let update = self.update(for: request, standingInFor: hintTarget, at: now)
        else {
            self.counters.overloaded += 1
            return self.answer(admission.target, .failed(.overloaded), into: &effects)
        }
        let tag = self.puts.insert(
            PutOperation(
                target: admission.target, request: request, id: id, name: name, replicas: admission.replicas,
                ownPlace: place, isSloppy: admission.isSloppy, started: now.instant, deadline: admission.deadline,
                resendAt: now.halfWay(to: admission.deadline),
                machine: PutMachine(
                    replicas: admission.replicas.all, needed: admission.needed,
                    primaries: admission.replicas.primaries, primariesNeeded: admission.primariesNeeded,
                    lists: admission.replicas.lists), generation: self.ringKeeper.generation))
        self.traces.keep(tag)
        self.requestLog.begin(id, tag: tag)
        if admission.replicas.lists != nil { self.visit(.writeToBothBegun, into: &effects) }
        if let hintTarget {
            let hint = HintRequest.update(target: hintTarget, name, update, at: now.wall)
            effects.append(.store(.hint(StorageTag(rawValue: tag), hint)))
        } else {
            effects.append(.store(.update(StorageTag(rawValue: tag), name, update)))
        }
    }

    /// Answers a write that this coordinator knows already, whatever else it would say today: it may have lost the key since, or
    /// stop. False when it does not know it.
    mutating func answerAgain(
        _ request: ClientRequest, _ target: ReplyTarget, into effects: inout [NodeEffect]
    ) -> Bool {
        guard let id = request.writeID, let entry = self.requestLog[id] else { return false }
        self.counters.deduplicated += 1
        switch entry {
        case .finished(let response):
            self.answer(target, response, into: &effects)
        case .running(let tag):
            guard let index = self.puts.index(of: tag), self.puts[index].followers.count < 16 else {
                self.answer(target, .failed(.overloaded), into: &effects)
                return true
            }
            self.puts[index].followers.append(target)
        }
        return true
    }

    private mutating func update(
        for request: ClientRequest, standingInFor target: NodeID?, at now: Now
    ) -> Update? {
        switch request {
        case .put(let put):
            guard let dot = self.dots.issue(as: target.map { self.standInAuthor(for: $0) }) else { return nil }
            let standard = self.buckets.table.properties(of: put.name.bucket)?.timeToLiveMilliseconds
            let expiry = (put.timeToLiveMilliseconds ?? standard).map { span in
                let (end, overflow) = now.wall.milliseconds.addingReportingOverflow(span)
                return WallTime(milliseconds: overflow ? .max : end)
            }
            let version = Version(
                dot: dot, time: self.clock.tick(at: now.wall), expiry: expiry, metadata: put.metadata, value: put.value)
            return .put(
                version, seen: put.seen, ifAbsent: put.ifAbsent, now: now.wall,
                collecting: self.clockWatch.isSteady(at: now) ? self.collectedBefore(now) : nil)
        case .delete(let delete):
            return .delete(seen: delete.seen)
        case .get, .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow,
            .bucketSet, .ring, .list:
            return nil
        }
    }

    /// The own disk has answered a coordinated write.
    mutating func onOwnWrite(
        _ tag: UInt64, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.puts.index(of: tag) else { return }
        switch outcome {
        case .updated(let record, _, let context, let change):
            if self.puts[index].replicas.target(at: self.puts[index].ownPlace) == nil {
                self.noteChange(change, of: self.puts[index].name)
            } else {
                self.noteHint(for: self.puts[index].replicas.owners.node(at: self.puts[index].ownPlace))
            }
            self.puts[index].stored = (record, context)
            self.puts[index].ownDisk = now.instant.since(self.puts[index].started)
            if self.puts[index].replicas.lists != nil { self.visit(.writeToBothOwnDisk, into: &effects) }
            if self.puts[index].machine.isAnswered {
                self.noteSilent(self.puts[index], -1)
                // The client gave up on a slow disk, and yet the write stands: it gets the same care as any other.
                self.answeredBytes += record.readableBytes
                self.puts[index].deadline = now.instant.advanced(by: self.options.lateWriteTimeout)
            }
            let verdict = self.puts[index].machine.onAck(self.puts[index].ownPlace)
            self.conclude(index, verdict, at: now, into: &effects)
            for place in self.puts[index].replicas.all where place != self.puts[index].ownPlace {
                if self.isReachable(self.puts[index].replicas.node(at: place)) {
                    self.sendRecord(index, place, into: &effects)
                } else {
                    self.onPlaceFailed(index, place, at: now, into: &effects)
                }
            }
            self.endIfComplete(index, at: now, into: &effects)
        case .refused(let refusal):
            self.onOwnRefusal(index, refusal, at: now, into: &effects)
        default:
            preconditionFailure("storage answered an update with something else")
        }
    }

    /// Sends the record to whoever is asked for `place`.
    private mutating func sendRecord(_ index: Int, _ place: Int, into effects: inout [NodeEffect]) {
        guard let stored = self.puts[index].stored else { return }
        let tag = self.puts.tag(index)
        let name = self.puts[index].name
        let node = self.puts[index].replicas.node(at: place)
        if let target = self.puts[index].replicas.target(at: place) {
            effects.append(.send(node, .hint(tag: tag, target: target, name: name, record: stored.record)))
        } else {
            effects.append(.send(node, .replicate(tag: tag, name: name, record: stored.record)))
        }
    }

    /// Whoever was asked for `place` will not acknowledge: another node stands in if there is one, and otherwise this node keeps
    /// a hint, which does not count for W but lets the owner catch up when it is back.
    private mutating func onPlaceFailed(
        _ index: Int, _ place: Int, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard self.puts[index].machine.waiting.contains(place) else { return }
        // Each place may have one that refuses as well; without an end, nodes that are all overloaded would be asked for ever.
        if !self.puts[index].machine.isAnswered, self.puts[index].isSloppy,
            self.puts[index].standIns < self.options.quorum.replicas,
            let standIn = self.standIn(besides: self.puts[index].replicas, for: self.puts[index].name.token)
        {
            self.puts[index].replicas.replace(place, by: standIn)
            self.puts[index].machine.onStandIn(place)
            self.puts[index].standIns += 1
            self.counters.standIns += 1
            if !self.puts[index].replicas.readPlaces.contains(place) { self.visit(.standInForNewOwner, into: &effects) }
            return self.sendRecord(index, place, into: &effects)
        }
        let verdict = self.puts[index].machine.onFailure(place)
        self.leaveHint(index, place, at: now, into: &effects)
        self.conclude(index, verdict, at: now, into: &effects)
    }

    /// Keeps what the owner at `place` missed.
    private mutating func leaveHint(_ index: Int, _ place: Int, at now: Now, into effects: inout [NodeEffect]) {
        guard let stored = self.puts[index].stored else { return }
        let owner = self.puts[index].replicas.owners.node(at: place)
        guard owner != self.me else { return }
        self.keepHint(for: owner, self.puts[index].name, stored.record, at: now, into: &effects)
    }

    private mutating func onOwnRefusal(
        _ index: Int, _ refusal: StorageRefusal, at now: Now, into effects: inout [NodeEffect]
    ) {
        let operation = self.puts.remove(index)
        if operation.machine.isAnswered {
            self.noteSilent(operation, -1)
            self.answeredPuts -= 1
            return
        }
        self.requestLog.forget(operation.id)
        let failure: Failure
        switch refusal {
        case .exists: failure = .exists
        case .hintsFull:
            self.counters.hintsRefused += 1
            failure = .overloaded
        case .tooManySiblings(let limit), .recordTooLarge(let limit): failure = .tooLarge(limit: UInt64(limit))
        case .corrupt, .dotCovered, .malformed:
            // This disk cannot vouch for the key's history, so another owner coordinates.
            if refusal == .corrupt { self.beginHeal(operation.name, at: now, into: &effects) }
            if operation.target.mayForward, operation.followers.isEmpty,
                operation.replicas.owners.contains(where: { $0 != self.me && self.isReachable($0) })
            {
                return self.forward(
                    operation.request, operation.target, replicas: operation.replicas, deadline: operation.deadline,
                    at: now, into: &effects)
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
        guard let index = self.puts.index(of: tag), let place = self.puts[index].replicas.place(of: node) else {
            return self.onHintDelivered(to: node, tag, outcome, at: now, into: &effects)
        }
        if outcome == .durable {
            self.conclude(index, self.puts[index].machine.onAck(place), at: now, into: &effects)
        } else {
            self.onPlaceFailed(index, place, at: now, into: &effects)
        }
        self.endIfComplete(index, at: now, into: &effects)
    }

    /// Answers the client once a verdict is there. The operation goes on until every replica has answered or is given up, so
    /// that whatever an owner misses leaves a hint.
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
            if self.puts[index].replicas.lists != nil { self.visit(.writeToBothAnswered, into: &effects) }
            let context = self.puts[index].stored?.context ?? VersionVector()
            response = .stored(context: context, acks: UInt8(acks), needed: needed)
        case .unknown(let acks):
            self.counters.writesUnknown += 1
            response = .failed(.unknown(needed: needed, got: UInt8(acks)))
        }
        self.noteForeground(now.instant.since(self.puts[index].started))
        self.requestLog.finish(self.puts[index].id, response, at: now.instant)
        self.answer(self.puts[index].target, response, into: &effects)
        for target in self.puts[index].followers { self.answer(target, response, into: &effects) }
        let isDone = if case .stored = response { true } else { false }
        // Asked first, since the operation is copied to be told of.
        if self.isSlow(since: self.puts[index].started, at: now) {
            self.noteSlow(self.puts[index], isDone: isDone, at: now, into: &effects)
        }
        self.answeredPuts += 1
        if let stored = self.puts[index].stored {
            self.answeredBytes += stored.record.readableBytes
        } else {
            self.noteSilent(self.puts[index], 1)
        }
    }

    /// A put whose client has its answer begins or ends to wait for the own disk. Its value stays here, and counts.
    private mutating func noteSilent(_ operation: PutOperation, _ change: Int) {
        self.silentPuts += change
        if case .put(let put) = operation.request { self.silentBytes += change * put.value.readableBytes }
    }

    /// Ends a write that was answered when nobody is waited for any more, or when too many such writes are kept.
    private mutating func endIfComplete(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        guard self.puts[index].machine.isAnswered else { return }
        let isComplete = self.puts[index].machine.waiting.isEmpty
        let isTooMuch =
            self.answeredPuts > self.options.answeredMax || self.answeredBytes > self.options.answeredBytesMax
        guard isComplete || isTooMuch else { return }
        self.end(index, at: now, into: &effects)
    }

    private mutating func end(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        for place in self.puts[index].machine.waiting { self.leaveHint(index, place, at: now, into: &effects) }
        let operation = self.puts.remove(index)
        self.answeredPuts -= 1
        self.answeredBytes -= operation.stored?.record.readableBytes ?? 0
    }

    /// Ends what is past its deadline and sends late records once more.
    mutating func expirePuts(at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.puts.indices(into: &self.found) { now.instant >= $0.resendAt || now.instant >= $0.deadline }
        let late = self.found
        for index in late {
            if now.instant >= self.puts[index].deadline {
                if !self.puts[index].machine.isAnswered { self.counters.timeouts += 1 }
                self.conclude(index, self.puts[index].machine.onDeadline(), at: now, into: &effects)
                if self.puts[index].stored != nil {
                    self.end(index, at: now, into: &effects)
                } else {
                    // What the own disk makes of it must be known before the write can be forgotten.
                    self.puts[index].deadline = .distantFuture
                    self.puts[index].resendAt = .distantFuture
                }
            } else if self.puts[index].stored != nil {
                self.puts[index].resendAt = .distantFuture
                for place in self.puts[index].machine.waiting where place != self.puts[index].ownPlace {
                    self.sendRecord(index, place, into: &effects)
                }
            }
        }
    }

    /// `node` can no longer be reached: nothing is awaited from it.
    mutating func failPuts(at node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.puts.indices(into: &self.found) { operation in
            guard operation.stored != nil, let place = operation.replicas.place(of: node) else { return false }
            return operation.replicas.node(at: place) == node && operation.machine.waiting.contains(place)
        }
        let concerned = self.found
        for index in concerned {
            guard let place = self.puts[index].replicas.place(of: node) else { continue }
            self.onPlaceFailed(index, place, at: now, into: &effects)
            self.endIfComplete(index, at: now, into: &effects)
        }
    }
}
