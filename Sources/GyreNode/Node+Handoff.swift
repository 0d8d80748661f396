import GyreBase
import GyreMessages
import GyreRing
import GyreStorage
import NIOCore

/// Hinted handoff: keeping what a node misses, and bringing it home (Dynamo §4.6; docs/internals/hinted-handoff.md).
///
/// A hint is durable before it counts, goes to its owner or, when that is none any more, to the owners of today, and is
/// dropped only after they have it on their disks (invariant 10). When the limit is reached new hints are refused and no
/// old one is dropped.
extension Node {
    /// The author under which this node coordinates in the place of `target`.
    ///
    /// A context entry `(author, n)` claims all dots of the author up to n, which holds only as long as the record that has them is
    /// here. A hint goes away when it is delivered, so its author goes with it: after the first drop a new one is
    /// taken (docs/decisions/0003-stand-ins-coordinate-under-names-of-their-own.md).
    mutating func standInAuthor(for target: NodeID) -> NodeID {
        if let author = self.standInAuthors[target] { return author }
        let place = StableHash.xxh3(self.me.rawValue, seed: target.rawValue)
        let author = NodeID(rawValue: StableHash.xxh3(self.dots.unissued, seed: place) | 1)
        self.standInAuthors[target] = author
        return author
    }

    /// A healthy node that has no place among `replicas` yet: the next one clockwise.
    func standIn(besides replicas: ReplicaSet, for token: Token) -> NodeID? {
        let list = self.ring.preferenceList(for: token) { self.isReachable($0) && replicas.place(of: $0) == nil }
        return list.slots.first { replicas.place(of: $0.node) == nil }?.node
    }

    /// Remembers that hints are kept for `target`.
    mutating func noteHint(for target: NodeID) {
        self.counters.hintsKept += 1
        self.handoff.insert(target)
    }

    /// Keeps a hint of this node's own.
    mutating func keepHint(
        for target: NodeID, _ name: ObjectName, _ record: ByteBuffer, at now: Now, into effects: inout [NodeEffect]
    ) {
        let tag = self.replicas.insert(.ownHint(target: target))
        let hint = HintRequest.keep(target: target, name, record: record, at: now.wall)
        effects.append(.store(.hint(StorageTag(rawValue: tag), hint)))
    }

    /// Another coordinator asks this node to stand in for `target`.
    mutating func onHint(
        from node: NodeID, _ tag: UInt64, for target: NodeID, _ name: ObjectName, _ record: ByteBuffer, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        guard target != self.me else {
            // It was taken for unreachable by somebody else.
            return self.onReplicate(from: node, tag, name, record, into: &effects)
        }
        guard self.inFlight < self.options.inFlightMax, self.recordBytes < self.options.recordBytesMax,
            self.handoff.index(of: target) != nil || self.handoff.targets.count < HintBacklog.targetsMax
        else {
            self.counters.overloaded += 1
            return effects.append(.send(node, .replicated(tag: tag, .overloaded)))
        }
        self.recordBytes += record.readableBytes
        let work = self.replicas.insert(.hint(from: node, tag: tag, target: target, bytes: record.readableBytes))
        let hint = HintRequest.keep(target: target, name, record: record, at: now.wall)
        effects.append(.store(.hint(StorageTag(rawValue: work), hint)))
    }

    /// Another coordinator reads what is kept for `target`.
    mutating func onFetchHint(
        from node: NodeID, _ tag: UInt64, for target: NodeID, _ name: ObjectName, whole: Bool,
        into effects: inout [NodeEffect]
    ) {
        guard target != self.me else { return self.onFetch(from: node, tag, name, whole: whole, into: &effects) }
        guard self.inFlight < self.options.inFlightMax else {
            self.counters.overloaded += 1
            return effects.append(.send(node, .fetched(tag: tag, .overloaded)))
        }
        let work = self.replicas.insert(.fetchHint(from: node, tag: tag))
        let read = HintRequest.read(target: target, name, whole ? .record : .digest)
        effects.append(.store(.hint(StorageTag(rawValue: work), read)))
    }

    /// The disk has answered about hints; false when `operation` is about something else.
    mutating func onHintWork(
        _ operation: ReplicaOperation, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) -> Bool {
        switch operation {
        case .ownHint(let target):
            if case .merged = outcome { self.noteHint(for: target) } else { self.counters.hintsRefused += 1 }
        case .hint(let node, let tag, let target, let bytes):
            self.recordBytes -= bytes
            effects.append(.send(node, .replicated(tag: tag, self.keptOutcome(outcome, target))))
        case .fetchHint(let node, let tag):
            effects.append(.send(node, .fetched(tag: tag, self.fetchOutcome(ofHint: outcome))))
        case .hintList(let target): self.onHintList(target, outcome, at: now, into: &effects)
        case .hintDrop(let target):
            if case .dropped(let backlog, let wasDropped) = outcome {
                if wasDropped { self.counters.hintsDelivered += 1 }
                self.handoff.noteLeft(backlog.count, of: target)
            }
            self.deliveryEnded(target, failed: false, at: now)
        default:
            return false
        }
        return true
    }

    private mutating func keptOutcome(_ outcome: StorageOutcome, _ target: NodeID) -> ReplicateOutcome {
        switch outcome {
        case .merged:
            self.noteHint(for: target)
            return .durable
        case .refused(.hintsFull):
            self.counters.hintsRefused += 1
            return .hintsFull
        case .refused(.corrupt): return .corrupt
        default:
            self.counters.malformedMessages += 1
            return .malformed
        }
    }

    private func fetchOutcome(ofHint outcome: StorageOutcome) -> FetchOutcome {
        switch outcome {
        case .record(let record, _): .record(record)
        case .digest(let digest): .digest(digest.rawValue)
        case .absent: .absent
        default: .corrupt
        }
    }

    // MARK: - Delivery

    /// Begins a batch for every target that can take one.
    mutating func deliverHints(at now: Now, into effects: inout [NodeEffect]) {
        for index in self.handoff.targets.indices {
            let target = self.handoff[index]
            guard !target.isListing, target.inFlight == 0, now.instant >= target.nextAt, !self.ring.members.isEmpty,
                self.isReachable(target.node) || !self.isOwner(target.node)
            else { continue }
            self.handoff[index].isListing = true
            self.handoff[index].hasNews = false
            self.handoff[index].beganAt = now.instant
            let tag = self.replicas.insert(.hintList(target: target.node))
            let list = HintRequest.list(
                target: target.node, after: target.cursor, countMax: target.batchMax(self.options.handoff),
                bytesMax: self.options.handoff.batchBytesMax)
            effects.append(.store(.hint(StorageTag(rawValue: tag), list)))
        }
    }

    /// Whether `node` is a member that owns ranges; only then are its hints its own.
    private func isOwner(_ node: NodeID) -> Bool {
        self.ring.members.contains { $0.node == node }
            || self.otherRing?.members.contains { $0.node == node } ?? false
    }

    private mutating func onHintList(
        _ target: NodeID, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.handoff.index(of: target), case .listed(let page) = outcome else { return }
        self.handoff[index].isListing = false
        if page.entries.isEmpty, self.handoff[index].cursor == nil, !self.handoff[index].hasNews {
            // A hint that is being kept right now puts its target back when it is durable.
            return self.handoff.remove(at: index)
        }
        self.handoff[index].isLast = page.isComplete
        self.handoff[index].cursor = page.entries.last?.name
        self.handoff[index].bytes = page.entries.reduce(0) { $0 + $1.bytes }
        self.handoff[index].count = page.entries.count
        self.handoff[index].inFlight = page.entries.count
        for entry in page.entries {
            if let digest = entry.digest {
                self.deliver(entry.name, entry.record, digest, of: target, at: now, into: &effects)
            } else {
                // Nobody can read it any more; anti-entropy brings its target what it lacks.
                self.counters.corruptRecords += 1
                self.drop(entry.name, nil, of: target, into: &effects)
            }
        }
        if page.entries.isEmpty { self.deliveryEnded(target, failed: false, at: now) }
    }

    private mutating func deliver(
        _ name: ObjectName, _ record: ByteBuffer, _ digest: RecordDigest, of target: NodeID, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        let owners = self.allOwners(of: name.token)
        // Who was an owner when the hint was kept may be none now: then it is owed to all owners of today.
        let receivers = owners.contains(target) ? [target] : owners
        guard !receivers.isEmpty else { return self.deliveryEnded(target, failed: true, at: now) }
        let tag = self.deliveries.insert(
            HintDelivery(
                target: target, name: name, digest: digest, waiting: receivers,
                generation: self.ringKeeper.generation,
                deadline: now.instant.advanced(by: self.options.handoff.timeout)))
        for node in receivers {
            if node == self.me {
                let work = self.replicas.insert(.merge(from: self.me, tag: tag, name: name, bytes: 0))
                effects.append(.store(.merge(StorageTag(rawValue: work), name, record: record)))
            } else {
                effects.append(.send(node, .replicate(tag: tag, name: name, record: record)))
            }
        }
    }

    /// A receiver has answered a delivery.
    mutating func onHintDelivered(
        to node: NodeID, _ tag: UInt64, _ outcome: ReplicateOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.deliveries.index(of: tag), self.deliveries[index].waiting.contains(node) else { return }
        let target = self.deliveries[index].target
        guard outcome == .durable else {
            _ = self.deliveries.remove(index)
            return self.deliveryEnded(target, failed: true, at: now)
        }
        self.deliveries[index].waiting.removeAll { $0 == node }
        guard self.deliveries[index].waiting.isEmpty else { return }
        let delivery = self.deliveries.remove(index)
        self.drop(delivery.name, delivery.digest, of: target, into: &effects)
    }

    private mutating func drop(
        _ name: ObjectName, _ digest: RecordDigest?, of target: NodeID, into effects: inout [NodeEffect]
    ) {
        self.standInAuthors[target] = nil
        let tag = self.replicas.insert(.hintDrop(target: target))
        effects.append(.store(.hint(StorageTag(rawValue: tag), .drop(target: target, name, digest: digest))))
    }

    /// One delivery is over; with the last of a batch the next may begin, at the pace of the backlog.
    private mutating func deliveryEnded(_ target: NodeID, failed: Bool, at now: Now) {
        guard let index = self.handoff.index(of: target) else { return }
        self.handoff[index].inFlight = max(0, self.handoff[index].inFlight - 1)
        if failed { self.handoff[index].hasFailed = true }
        guard self.handoff[index].inFlight == 0 else { return }
        let paced = self.handoff[index].beganAt.advanced(by: self.handoff[index].pace(self.options.handoff))
        self.handoff[index].nextAt = max(now.instant, paced)
        if self.handoff[index].isLast {
            if self.handoff[index].hasFailed {
                let retry = now.instant.advanced(by: self.options.handoff.retryDelay)
                self.handoff[index].nextAt = max(retry, paced)
            }
            self.handoff[index].cursor = nil
            self.handoff[index].hasFailed = false
        }
    }

    /// Gives up deliveries that were not acknowledged in time; they are tried again.
    mutating func expireDeliveries(at now: Now) {
        self.found.removeAll(keepingCapacity: true)
        self.deliveries.indices(into: &self.found) { now.instant >= $0.deadline }
        for index in self.found {
            self.deliveryEnded(self.deliveries.remove(index).target, failed: true, at: now)
        }
    }

    /// `node` can no longer be reached: nothing is awaited from it.
    mutating func failDeliveries(to node: NodeID, at now: Now) {
        self.found.removeAll(keepingCapacity: true)
        self.deliveries.indices(into: &self.found) { $0.waiting.contains(node) }
        for index in self.found {
            self.deliveryEnded(self.deliveries.remove(index).target, failed: true, at: now)
        }
    }
}
