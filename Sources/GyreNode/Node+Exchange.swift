import GyreBase
import GyreMerkle
import GyreMessages
import GyreRing
import GyreStorage
import NIOCore

/// Anti-entropy, the side that leads: compares a partition with another owner and makes both equal (Dynamo §4.7).
extension Node {
    /// Begins an exchange; nil when the own tree is not built.
    mutating func beginExchange(
        _ partition: Int, with peer: NodeID, repair: RepairRequest?, handover: UInt64? = nil, at now: Now,
        into effects: inout [NodeEffect]
    ) -> Bool {
        guard let root = self.trees.forest.root(of: partition) else { return false }
        // What only counts, only sends or looks at one bucket compares; everything else is welcome to all that the peer has.
        var copyLeavesMax: Int?
        if handover == nil, !(repair?.isDry ?? false), repair?.bucket == nil {
            copyLeavesMax = self.isFirstFetch(partition, repair) ? Self.firstFetchLeavesMax : 0
        }
        let machine = ExchangeMachine(
            shape: self.trees.forest.shape, partition: partition, copyLeavesMax: copyLeavesMax)
        let tag = self.exchanges.insert(
            ExchangeOperation(
                peer: peer, partition: partition, repair: repair?.id, isDry: repair?.isDry ?? false,
                bucket: repair?.bucket, machine: machine, began: now.instant,
                deadline: now.instant.advanced(by: self.options.exchange.timeout)))
        guard let index = self.exchanges.index(of: tag) else { return false }
        self.exchanges[index].handover = handover
        let step = self.exchanges[index].machine.start(root: root)
        self.follow(index, step, at: now, into: &effects)
        return true
    }

    private mutating func follow(
        _ index: Int, _ step: ExchangeMachine.Step, at now: Now, into effects: inout [NodeEffect]
    ) {
        switch step {
        case .wait: break
        case .askRoot(let root): self.ask(index, .root(root), at: now, into: &effects)
        case .askLeaves(let mask):
            self.exchanges[index].leavesAsked = mask
            self.ask(index, .leaves(mask: mask), at: now, into: &effects)
        case .list, .copy:
            if self.mustWait(index, step, at: now) {
                self.exchanges[index].held = step
                self.exchanges[index].deadline = .distantFuture
            } else {
                self.fetchPage(index, step, at: now, into: &effects)
            }
        case .merge: break
        case .settle(let pull, let push, let reconcile):
            let bucket = self.exchanges[index].bucket
            func wanted(_ names: [ObjectName]) -> [ObjectName] {
                bucket.map { bucket in names.filter { $0.bucket == bucket } } ?? names
            }
            let (pull, push, reconcile) = (wanted(pull), wanted(push), wanted(reconcile))
            self.exchanges[index].keysDiffering += UInt64(pull.count + push.count + reconcile.count)
            if self.exchanges[index].isHandover {
                self.exchanges[index].push = push + reconcile
            } else if !self.exchanges[index].isDry {
                self.exchanges[index].pull = pull + reconcile
                self.exchanges[index].push = push
                self.exchanges[index].reconcile = Set(reconcile)
            }
            self.settle(index, at: now, into: &effects)
        case .done(let summary): self.onExchangeDone(index, summary, at: now, into: &effects)
        case .failed(let failure): self.onExchangeFailed(index, failure, at: now, into: &effects)
        }
    }

    private mutating func ask(
        _ index: Int, _ question: ExchangeQuestion, at now: Now, into effects: inout [NodeEffect]
    ) {
        self.exchanges[index].step &+= 1
        self.exchanges[index].isAsking = true
        var patience = self.options.exchange.timeout
        if case .root = question { patience = self.options.exchange.rootTimeout }
        self.exchanges[index].deadline = now.instant.advanced(by: patience)
        self.count(index, question.bytes)
        effects.append(
            .send(
                self.exchanges[index].peer,
                .exchange(
                    tag: self.exchanges.tag(index), step: self.exchanges[index].step,
                    partition: UInt32(self.exchanges[index].partition), question)))
    }

    /// A partition that was lost or gained, and was compared with nobody yet, holds what clients wrote since. Where that, or what
    /// came before a crash, fills a quarter of the leaves, comparing costs less than copying.
    private static let firstFetchLeavesMax = MerkleShape.leavesPerPartition / 4

    private func isFirstFetch(_ partition: Int, _ repair: RepairRequest?) -> Bool {
        guard let repair else { return false }
        if repair.id == Refill.repairID { return self.refill?.compared[partition] == nil }
        guard let sync = self.ringKeeper.sync, sync.id == repair.id else { return false }
        return !sync.begun.contains(partition)
    }

    /// Whether a page must wait: for the clients, or for its turn among what a change of the ring brings here.
    private func mustWait(_ index: Int, _ step: ExchangeMachine.Step, at now: Now) -> Bool {
        if self.mustYield { return true }
        guard case .copy = step, self.isForRing(index), let sync = self.ringKeeper.sync else { return false }
        return now.instant < sync.nextPage
    }

    /// Whether an exchange fetches what a change of the ring gives this node.
    private func isForRing(_ index: Int) -> Bool {
        guard let id = self.exchanges[index].repair else { return false }
        return id != Refill.repairID && RepairPart.isReserved(id)
    }

    private mutating func count(_ index: Int, _ bytes: Int) {
        self.exchanges[index].bytes += UInt64(bytes)
        self.exchangeBudget -= Int64(bytes)
        self.counters.exchangeBytes += UInt64(bytes)
    }

    private mutating func fetchPage(
        _ index: Int, _ step: ExchangeMachine.Step, at now: Now, into effects: inout [NodeEffect]
    ) {
        self.exchanges[index].held = nil
        self.exchanges[index].deadline = now.instant.advanced(by: self.options.exchange.timeout)
        if case .copy(let listing) = step {
            if self.isForRing(index) {
                self.ringKeeper.sync?.charge(keys: self.exchanges[index].machine.pageMax, at: now.instant)
            }
            let question = ExchangeQuestion.objects(
                first: listing.tokens.lowerBound, last: listing.tokens.upperBound, after: listing.after)
            return self.ask(index, question, at: now, into: &effects)
        }
        guard case .list(let own, let peer) = step else { return }
        if let own {
            let tag = self.replicas.insert(.exchangeList(self.exchanges.tag(index)))
            var range = ObjectRange(first: own.tokens.lowerBound, last: own.tokens.upperBound)
            range.after = own.after
            range.countMax = self.exchanges[index].machine.pageMax
            effects.append(.store(.list(StorageTag(rawValue: tag), range)))
        }
        if let peer {
            let question = ExchangeQuestion.keys(
                first: peer.tokens.lowerBound, last: peer.tokens.upperBound, after: peer.after)
            self.ask(index, question, at: now, into: &effects)
        }
    }

    /// The peer has answered the question number `step` of an exchange.
    mutating func onExchanged(
        from node: NodeID, _ tag: UInt64, _ step: UInt32, _ answer: ExchangeAnswer, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        guard let index = self.exchanges.index(of: tag), self.exchanges[index].peer == node,
            self.exchanges[index].isAsking, self.exchanges[index].step == step
        else { return }
        self.exchanges[index].isAsking = false
        self.count(index, answer.bytes)
        let partition = self.exchanges[index].partition
        switch answer {
        case .same, .inners, .notReady, .leaves:
            guard let tree = self.trees.forest.tree(of: partition) else {
                let step = self.exchanges[index].machine.onFailure(.notReady)
                return self.follow(index, step, at: now, into: &effects)
            }
            let next: ExchangeMachine.Step =
                switch answer {
                case .same: self.exchanges[index].machine.onRoot(.same, own: tree)
                case .inners(let words): self.exchanges[index].machine.onRoot(.inners(words), own: tree)
                case .leaves(let words):
                    self.exchanges[index].machine.onLeaves(
                        Self.groups(words, self.exchanges[index].leavesAsked), own: tree)
                default: self.exchanges[index].machine.onRoot(.notReady, own: tree)
                }
            self.follow(index, next, at: now, into: &effects)
        case .keys(let entries, let isComplete):
            let page = KeyPage(
                entries: entries.map { KeyEntry(name: $0.name, digest: $0.digest) }, complete: isComplete)
            let next = self.exchanges[index].machine.onPeerKeys(page)
            self.follow(index, next, at: now, into: &effects)
        case .objects(let records, let isComplete):
            self.onCopied(index, records, isComplete, at: now, into: &effects)
        case .records(let records): self.onRecords(index, records, at: now, into: &effects)
        case .merged(let count), .mergedInPart(let count):
            self.exchanges[index].keysRepaired += UInt64(count)
            if self.exchanges[index].isHandover { self.visit(.handoverRecordsMerged, into: &effects) }
            if case .mergedInPart = answer, self.exchanges[index].isHandover {
                // What the new owner could not take must stay here; it is tried again.
                let next = self.exchanges[index].machine.onFailure(.noAnswer)
                return self.follow(index, next, at: now, into: &effects)
            }
            self.settle(index, at: now, into: &effects)
        case .overloaded:
            let next = self.exchanges[index].machine.onFailure(.noAnswer)
            self.follow(index, next, at: now, into: &effects)
        }
    }

    /// The leaves of an answer, in groups of 32 under the inners that were asked for.
    private static func groups(_ words: [UInt64], _ mask: UInt32) -> [LeafGroup] {
        let inners = (0..<MerkleShape.fanOut).filter { mask & (1 << UInt32($0)) != 0 }
        guard words.count == inners.count * MerkleShape.fanOut else { return [] }
        return inners.enumerated().map { position, inner in
            let start = position * MerkleShape.fanOut
            return LeafGroup(inner: inner, leaves: Array(words[start..<start + MerkleShape.fanOut]))
        }
    }

    /// The own disk has answered a listing of an exchange.
    mutating func onExchangeList(
        _ tag: UInt64, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.exchanges.index(of: tag), case .listed(let page) = outcome else { return }
        let entries = self.soundEntries(of: page, at: now, into: &effects)
        // A page of which nothing can be read leads no further; what is behind it is compared when it was healed.
        let isStuck = entries.isEmpty && !page.isComplete
        let next =
            isStuck
            ? self.exchanges[index].machine.onFailure()
            : self.exchanges[index].machine.onOwnKeys(
                KeyPage(
                    entries: entries.map { KeyEntry(name: $0.name, digest: $0.digest) }, complete: page.isComplete))
        self.follow(index, next, at: now, into: &effects)
    }

    /// What a listing shows, without records that cannot be read; those are fetched from the other owners.
    mutating func soundEntries(
        of page: ObjectPage, at now: Now, into effects: inout [NodeEffect]
    ) -> [NamedDigest] {
        var entries: [NamedDigest] = []
        entries.reserveCapacity(page.entries.count)
        for entry in page.entries {
            if let digest = entry.digest {
                entries.append(NamedDigest(name: entry.name, digest: digest.rawValue))
            } else {
                self.beginHeal(entry.name, at: now, into: &effects)
            }
        }
        return entries
    }

    // MARK: - Making equal

    /// Goes on with the objects of a page: first all that must be fetched, then all that must be sent.
    private mutating func settle(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        guard !self.exchanges[index].isAsking, self.exchanges[index].pending == 0 else { return }
        let batchMax = self.options.exchange.batchMax
        if !self.exchanges[index].batch.isEmpty {
            let batch = self.exchanges[index].batch
            self.exchanges[index].read = (batch.count, batch.reduce(0) { $0 + $1.bytes })
            return self.sendBatch(index, at: now, into: &effects)
        }
        if !self.exchanges[index].pull.isEmpty {
            let names = Array(self.exchanges[index].pull.prefix(batchMax))
            self.exchanges[index].pull.removeFirst(names.count)
            self.exchanges[index].asked = names
            return self.ask(index, .records(names), at: now, into: &effects)
        }
        if !self.exchanges[index].push.isEmpty {
            let read = self.exchanges[index].read
            let fitting = ExchangeOptions.fitting(
                self.options.exchange.batchBytesMax, count: read.count, bytes: read.bytes)
            let names = Array(self.exchanges[index].push.prefix(min(batchMax, fitting)))
            self.exchanges[index].push.removeFirst(names.count)
            self.exchanges[index].pending = names.count
            for name in names {
                let tag = self.replicas.insert(.exchangeRead(self.exchanges.tag(index), name))
                effects.append(.store(.read(StorageTag(rawValue: tag), name, .record)))
            }
            return
        }
        let next: ExchangeMachine.Step
        if let changed = self.exchanges[index].copied {
            self.exchanges[index].copied = nil
            next = self.exchanges[index].machine.onMerged(changed: changed)
        } else {
            next = self.exchanges[index].machine.onSettled()
        }
        self.follow(index, next, at: now, into: &effects)
    }

    /// The peer has sent a page of a partition of which next to nothing was held here.
    private mutating func onCopied(
        _ index: Int, _ records: [NamedRecord], _ isComplete: Bool, at now: Now, into effects: inout [NodeEffect]
    ) {
        let entries = records.map {
            KeyEntry(name: $0.name, digest: RecordDigest(of: $0.record, name: $0.name).rawValue)
        }
        let next = self.exchanges[index].machine.onCopy(KeyPage(entries: entries, complete: isComplete))
        guard case .merge = next else { return self.follow(index, next, at: now, into: &effects) }
        if self.isForRing(index) {
            self.ringKeeper.sync?.charge(keys: records.count - self.exchanges[index].machine.pageMax, at: now.instant)
            self.visit(.recordsFetched, into: &effects)
        }
        self.exchanges[index].copied = 0
        self.merge(index, records, at: now, into: &effects)
    }

    private mutating func onRecords(
        _ index: Int, _ records: [NamedRecord], at now: Now, into effects: inout [NodeEffect]
    ) {
        let asked = self.exchanges[index].asked
        self.exchanges[index].asked = []
        guard !records.isEmpty, records.count <= asked.count, zip(records, asked).allSatisfy({ $0.name == $1 }) else {
            self.counters.malformedMessages += 1
            let next = self.exchanges[index].machine.onFailure(.outOfPlace)
            return self.follow(index, next, at: now, into: &effects)
        }
        if self.isForRing(index) { self.visit(.recordsFetched, into: &effects) }
        // What did not fit is asked for again.
        self.exchanges[index].pull.insert(contentsOf: asked[records.count...], at: 0)
        self.merge(index, records, at: now, into: &effects)
    }

    private mutating func merge(
        _ index: Int, _ records: [NamedRecord], at now: Now, into effects: inout [NodeEffect]
    ) {
        self.exchanges[index].deadline = now.instant.advanced(by: self.options.exchange.timeout)
        for entry in records where entry.record.readableBytes > 0 {
            self.exchanges[index].pending += 1
            let digest = RecordDigest(of: entry.record, name: entry.name)
            let tag = self.replicas.insert(.exchangeMerge(self.exchanges.tag(index), entry.name, sent: digest))
            effects.append(
                .store(.merge(StorageTag(rawValue: tag), entry.name, record: entry.record, isPatient: true)))
        }
        self.settle(index, at: now, into: &effects)
    }

    /// The own disk has merged a record that was fetched, or refused to.
    mutating func onExchangeMerge(
        _ tag: UInt64, _ name: ObjectName, sent: RecordDigest, _ outcome: StorageOutcome, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        if case .merged(_, let clash, let change) = outcome {
            self.noteChange(change, of: name)
            if clash { effects.append(.event(.dotClash(name.token))) }
        } else {
            self.beginHeal(name, at: now, into: &effects)
        }
        guard let index = self.exchanges.index(of: tag) else { return }
        self.exchanges[index].pending -= 1
        if self.isForRing(index) { self.visit(.recordMerged, into: &effects) }
        if case .merged = outcome {} else { self.exchanges[index].hasLeftOut = true }
        if case .merged(let digest, _, let change) = outcome {
            let copied = self.exchanges[index].copied
            if change != nil {
                self.exchanges[index].keysRepaired += 1
                if let copied {
                    self.exchanges[index].keysDiffering += 1
                    self.exchanges[index].copied = copied + 1
                }
            }
            if digest != sent, copied != nil || self.exchanges[index].reconcile.contains(name) {
                self.exchanges[index].push.append(name)
            }
        }
        self.settle(index, at: now, into: &effects)
    }

    /// The own disk has read a record to be sent.
    mutating func onExchangeRead(
        _ tag: UInt64, _ name: ObjectName, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.exchanges.index(of: tag) else { return }
        self.exchanges[index].pending -= 1
        if self.exchanges[index].isHandover { self.visit(.handoverRecordsRead, into: &effects) }
        switch outcome {
        case .record(let record, _): self.exchanges[index].batch.append(NamedRecord(name: name, record: record))
        case .refused: self.beginHeal(name, at: now, into: &effects)
        default: break
        }
        self.settle(index, at: now, into: &effects)
    }

    private mutating func sendBatch(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        var count = 0
        var bytes = 0
        for entry in self.exchanges[index].batch {
            if count > 0, bytes + entry.bytes > self.options.exchange.batchBytesMax { break }
            bytes += entry.bytes
            count += 1
        }
        let part = Array(self.exchanges[index].batch.prefix(count))
        if self.exchanges[index].isHandover { self.visit(.handoverRecordsSent, into: &effects) }
        self.exchanges[index].batch.removeFirst(count)
        self.ask(index, .merge(part), at: now, into: &effects)
    }

    // MARK: - The end

    private mutating func onExchangeDone(
        _ index: Int, _ summary: ExchangeSummary, at now: Now, into effects: inout [NodeEffect]
    ) {
        let operation = self.exchanges.remove(index)
        self.counters.exchangesDone += 1
        if summary.inSync { self.counters.exchangesInSync += 1 }
        self.counters.keysRepaired += operation.keysRepaired
        for leaf in summary.leavesSuspect {
            self.trees.suspect(LeafID(partition: operation.partition, leaf: leaf))
            effects.append(
                .send(
                    operation.peer,
                    .exchange(
                        tag: 0, step: 0, partition: UInt32(operation.partition), .suspect(leaf: UInt16(leaf)))))
        }
        self.onExchangeOver(operation, inSync: summary.inSync, failure: nil, at: now, into: &effects)
    }

    private mutating func onExchangeFailed(
        _ index: Int, _ failure: ExchangeFailure, at now: Now, into effects: inout [NodeEffect]
    ) {
        let operation = self.exchanges.remove(index)
        self.counters.exchangesFailed += 1
        self.counters.keysRepaired += operation.keysRepaired
        self.onExchangeOver(operation, inSync: false, failure: failure, at: now, into: &effects)
    }

    /// Ends exchanges whose answer does not come, and lets those go on that waited for better times.
    mutating func expireExchanges(at now: Now, into effects: inout [NodeEffect]) {
        guard self.exchanges.count > 0 else { return }
        self.found.removeAll(keepingCapacity: true)
        let mayGoOn = !self.mustYield
        self.exchanges.indices(into: &self.found) { now.instant >= $0.deadline || (mayGoOn && $0.held != nil) }
        let concerned = self.found
        for index in concerned {
            if let held = self.exchanges[index].held {
                if !self.mustWait(index, held, at: now) { self.fetchPage(index, held, at: now, into: &effects) }
            } else {
                let next = self.exchanges[index].machine.onFailure(.noAnswer)
                self.follow(index, next, at: now, into: &effects)
            }
        }
    }

    /// `node` can no longer be reached.
    mutating func failExchanges(with node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.exchanges.indices(into: &self.found) { $0.peer == node }
        let concerned = self.found
        for index in concerned {
            let next = self.exchanges[index].machine.onFailure(.noAnswer)
            self.follow(index, next, at: now, into: &effects)
        }
        self.found.removeAll(keepingCapacity: true)
        self.served.indices(into: &self.found) { $0.from == node }
        for index in self.found { _ = self.served.remove(index) }
    }

    /// Whether exchanges must make room: clients wait too long, or the bytes of this second are used up. Where clients always wait
    /// long, as with slow disks, a tenth of each second is left to exchanges, so that nothing waits for ever.
    var mustYield: Bool {
        if self.exchangeBudget < 0 { return true }
        let second = TimeSpan.seconds(1).nanoseconds
        return self.foreground.nanoseconds > self.options.exchange.yieldAbove.nanoseconds
            && self.lastTick.nanoseconds % second >= second / 10
    }

    /// A client's operation took `span`.
    mutating func noteForeground(_ span: TimeSpan) {
        let mean = self.foreground.nanoseconds
        self.foreground = TimeSpan(nanoseconds: mean + (span.nanoseconds - mean) / 16)
    }

    /// Lets the measure of the clients' wait fade, and bytes be sent again.
    mutating func refillExchangeBudget(_ span: TimeSpan) {
        self.foreground = TimeSpan(nanoseconds: self.foreground.nanoseconds - self.foreground.nanoseconds / 64)
        let most = self.options.exchange.bytesPerSecond / 10
        let refill = self.options.exchange.bytesPerSecond / 1_000 * max(0, span.wholeMilliseconds)
        self.exchangeBudget = min(most, self.exchangeBudget + refill)
    }
}
