import GyreBase
import GyreCausality
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// Listing keys across the cluster: the ring is walked in the order of tokens, R owners are asked for each run of it, and what
/// they answer is merged, so that a key is shown when a read with R would find it.
///
/// Stateless: a page says where to go on, and any node can. Work per page is bounded by rounds, so a page may be empty and yet
/// not the last. Hints that stand-ins keep are not looked at.
extension Node {
    /// A client wants a part of a listing.
    mutating func startList(
        _ request: ListRequest, _ target: ReplyTarget, timeout: TimeSpan, at now: Now, into effects: inout [NodeEffect]
    ) {
        if let failure = self.refusal(of: request) {
            if failure == .overloaded { self.counters.overloaded += 1 }
            return self.answer(target, .failed(failure), into: &effects)
        }
        let needed = self.needed(by: .list(request))?.all ?? self.options.quorum.reads
        let time = min(max(timeout, .milliseconds(1)), self.options.timeoutMost)
        let patience = TimeSpan(nanoseconds: time.nanoseconds / ListOperation.patienceDivisor)
        let operation = ListOperation(
            target: target, request: request, needed: needed, deadline: now.instant.advanced(by: time),
            patience: patience, position: request.from, roundEnds: now.instant.advanced(by: patience))
        self.nextRound(operation, at: now, into: &effects)
    }

    private func refusal(of request: ListRequest) -> Failure? {
        if self.isNoMember { return .notMember }
        if self.lists.count >= ListOperation.countMax || self.inFlight >= self.options.inFlightMax {
            return .overloaded
        }
        guard (1...ListRequest.limitMax).contains(Int(request.limit)) else {
            return .badRequest("a page has 1 to \(ListRequest.limitMax) names, not \(request.limit)")
        }
        if let bucket = request.bucket, !(1...ObjectName.bucketBytesMax).contains(bucket.readableBytes) {
            return .badRequest("a bucket's name has 1 to \(ObjectName.bucketBytesMax) bytes")
        }
        guard request.prefix.readableBytes <= ObjectName.keyBytesMax else {
            return .badRequest("a prefix has at most \(ObjectName.keyBytesMax) bytes")
        }
        return nil
    }

    /// Asks R owners about the next run of the ring, or answers when that cannot be or need not be.
    private mutating func nextRound(_ operation: ListOperation, at now: Now, into effects: inout [NodeEffect]) {
        var operation = operation
        let isFull =
            operation.names.count >= Int(operation.request.limit) || operation.bytes >= ListOperation.bytesMax
        if isFull || operation.rounds >= ListOperation.roundsMax {
            return self.endList(operation, next: operation.position, into: &effects)
        }
        let run = self.run(from: operation.position, needed: operation.needed, leftOut: operation.leftOut)
        guard run.nodes.count >= operation.needed else {
            return self.failList(operation, got: run.nodes.count, into: &effects)
        }
        operation.rounds += 1
        operation.last = run.last
        operation.waiting = run.nodes
        operation.pages = []
        operation.roundEnds = now.instant.advanced(by: operation.patience)
        // A new tag for each round, so that a late answer to an earlier one finds nothing.
        let tag = self.lists.insert(operation)
        let question = ListQuestion(
            from: operation.position, last: run.last, bucket: operation.request.bucket,
            prefix: operation.request.prefix)
        for node in run.nodes where node != self.me { effects.append(.send(node, .list(tag: tag, question))) }
        if run.nodes.contains(self.me) { self.list(question, for: self.me, tag, at: now, into: &effects) }
    }

    /// The longest run of partitions from `position` on that `needed` reachable nodes own as a whole, and those nodes; fewer
    /// nodes when not even the first partition has so many.
    private func run(
        from position: ListPosition, needed: Int, leftOut: [NodeID]
    ) -> (nodes: [NodeID], last: Token) {
        var partition = self.ring.partition(of: position.first).index
        func candidates(_ partition: Int) -> [NodeID] {
            self.ring.owners(of: PartitionID(index: partition)).filter { node in
                self.isReachable(node) && !leftOut.contains(node) && !(node == self.me && self.mustRefill)
            }
        }
        var nodes = candidates(partition)
        while nodes.count >= needed, partition + 1 < self.options.partitionCount {
            let further = candidates(partition + 1)
            let both = nodes.filter { further.contains($0) }
            guard both.count >= needed else { break }
            nodes = both
            partition += 1
        }
        // The own disk needs no message.
        if let place = nodes.firstIndex(of: self.me) { nodes.swapAt(0, place) }
        let shift = UInt64(64 - self.options.partitionCount.trailingZeroBitCount)
        let end = UInt64(partition + 1)
        let last = end == UInt64(self.options.partitionCount) ? UInt64.max : (end << shift) - 1
        return (Array(nodes.prefix(needed)), Token(rawValue: last))
    }

    /// An owner has answered.
    mutating func onListed(
        from node: NodeID, _ tag: UInt64, _ answer: ListAnswer, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.lists.index(of: tag), self.lists[index].waiting.contains(node) else { return }
        guard case .page(let entries, let next) = answer, self.isSound(entries, next, self.lists[index]) else {
            return self.leaveOut([node], of: index, at: now, into: &effects)
        }
        self.lists[index].waiting.removeAll { $0 == node }
        self.lists[index].pages.append((entries, next))
        guard self.lists[index].waiting.isEmpty else { return }
        var operation = self.lists.remove(index)
        let isThrough = self.merge(into: &operation, at: now)
        if isThrough { return self.endList(operation, next: nil, into: &effects) }
        self.nextRound(operation, at: now, into: &effects)
    }

    /// Whether an answer can be one to the question: in order, in its run, and getting somewhere.
    private mutating func isSound(
        _ entries: [NamedRecord], _ next: ListPosition?, _ operation: ListOperation
    ) -> Bool {
        let isInOrder = zip(entries, entries.dropFirst()).allSatisfy { $0.name < $1.name }
        let isInRun =
            entries.first.map { ListPosition(of: $0.name.token) >= operation.position } ?? true
            && entries.last.map { $0.name.token <= operation.last } ?? true
        let isForward = next.map { $0 > operation.position && $0.first <= operation.last } ?? true
        if isInOrder, isInRun, isForward { return true }
        self.counters.malformedMessages += 1
        return false
    }

    /// Shows what lives of the pages as far as all of them go; true when the ring is through.
    private mutating func merge(into operation: inout ListOperation, at now: Now) -> Bool {
        let bound = operation.pages.compactMap(\.next).min()
        var entries = operation.pages.flatMap(\.entries)
        if let bound { entries.removeAll { ListPosition(of: $0.name.token) >= bound } }
        entries.sort { $0.name < $1.name }
        operation.pages = []
        var start = 0
        var group = operation.position
        while start < entries.count {
            let name = entries[start].name
            let here = ListPosition(of: name.token)
            let isFull =
                operation.names.count >= Int(operation.request.limit) || operation.bytes >= ListOperation.bytesMax
            if isFull, here > group {
                operation.position = here
                return false
            }
            group = here
            var merged = Siblings()
            while start < entries.count, entries[start].name == name {
                if let siblings = try? Siblings(encoded: entries[start].record) {
                    merged.merge(siblings)
                } else {
                    self.counters.malformedMessages += 1
                }
                start += 1
            }
            if !merged.hidingExpired(at: now.wall).versions.isEmpty { operation.show(name) }
        }
        if let bound {
            operation.position = bound
            return false
        }
        guard operation.last.rawValue < .max else { return true }
        operation.position = ListPosition(of: Token(rawValue: operation.last.rawValue + 1))
        return false
    }

    private mutating func endList(_ operation: ListOperation, next: ListPosition?, into effects: inout [NodeEffect]) {
        self.answer(operation.target, .listed(ListedNames(names: operation.names, next: next)), into: &effects)
    }

    /// What was found so far is an answer when a client can go on from there, and fails then.
    private mutating func failList(_ operation: ListOperation, got: Int, into effects: inout [NodeEffect]) {
        if operation.hasComeForward { return self.endList(operation, next: operation.position, into: &effects) }
        self.counters.unavailable += 1
        let failure = Failure.unavailable(needed: UInt8(operation.needed), got: UInt8(clamping: got))
        self.answer(operation.target, .failed(failure), into: &effects)
    }

    private mutating func leaveOut(
        _ nodes: [NodeID], of index: Int, at now: Now, into effects: inout [NodeEffect]
    ) {
        var operation = self.lists.remove(index)
        operation.leftOut += nodes
        self.nextRound(operation, at: now, into: &effects)
    }

    /// Ends listings whose time is up, and leaves out who is silent.
    mutating func expireLists(at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.lists.indices(into: &self.found) { now.instant >= $0.roundEnds || now.instant >= $0.deadline }
        let late = self.found
        for index in late {
            if now.instant >= self.lists[index].deadline {
                let operation = self.lists.remove(index)
                self.counters.timeouts += 1
                self.failList(operation, got: operation.pages.count, into: &effects)
            } else {
                self.leaveOut(self.lists[index].waiting, of: index, at: now, into: &effects)
            }
        }
    }

    /// `node` can no longer be reached.
    mutating func failLists(at node: NodeID, at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.lists.indices(into: &self.found) { $0.waiting.contains(node) }
        let concerned = self.found
        for index in concerned { self.leaveOut([node], of: index, at: now, into: &effects) }
    }
}

/// The side that is asked.
extension Node {
    /// Objects that one look at the disk takes in, at first and when a group of tokens is larger than that.
    private static let pageMax = 1_024
    private static let pageBytesMax = 1 << 20
    private static let groupBytesMax = 8 << 20

    /// Lists what this node holds, for a coordinator or, under the tag of a listing of its own, for itself.
    mutating func list(
        _ question: ListQuestion, for node: NodeID, _ tag: UInt64, at now: Now, into effects: inout [NodeEffect]
    ) {
        let isSane = question.last >= question.from.first
        guard isSane, self.inFlight < self.options.inFlightMax, !self.mustRefill else {
            return self.tell(node, tag, .refused, at: now, into: &effects)
        }
        self.look(question, for: node, tag, countMax: Self.pageMax, bytesMax: Self.pageBytesMax, into: &effects)
    }

    private mutating func look(
        _ question: ListQuestion, for node: NodeID, _ tag: UInt64, countMax: Int, bytesMax: Int,
        into effects: inout [NodeEffect]
    ) {
        var range = ObjectRange(first: question.from.first, last: question.last)
        range.countMax = countMax
        range.bytesMax = bytesMax
        range.shape = .heads
        let work = self.replicas.insert(.list(from: node, tag: tag, question, countMax: countMax))
        effects.append(.store(.list(StorageTag(rawValue: work), range)))
    }

    /// The disk has listed a page.
    mutating func onListedOwn(
        _ question: ListQuestion, for node: NodeID, _ tag: UInt64, countMax: Int, _ outcome: StorageOutcome,
        at now: Now, into effects: inout [NodeEffect]
    ) {
        guard case .listed(let page) = outcome else { return }
        var next: ListPosition?
        if let name = page.next {
            let position = ListPosition(of: name.token)
            guard position > question.from else {
                // The group is larger than the page; once more, and all of it.
                if countMax < ListQuestion.entriesMax {
                    return self.look(
                        question, for: node, tag, countMax: ListQuestion.entriesMax, bytesMax: Self.groupBytesMax,
                        into: &effects)
                }
                return self.tell(node, tag, .refused, at: now, into: &effects)
            }
            next = position
        }
        var entries: [NamedRecord] = []
        for entry in page.entries {
            if let next, ListPosition(of: entry.name.token) >= next { break }
            guard entry.digest != nil else {
                // Whether the object lives is unknown here until the record is healed.
                self.beginHeal(entry.name, at: now, into: &effects)
                return self.tell(node, tag, .refused, at: now, into: &effects)
            }
            guard question.matches(entry.name) else { continue }
            entries.append(NamedRecord(name: entry.name, record: entry.record))
        }
        self.tell(node, tag, .page(entries, next: next), at: now, into: &effects)
    }

    private mutating func tell(
        _ node: NodeID, _ tag: UInt64, _ answer: ListAnswer, at now: Now, into effects: inout [NodeEffect]
    ) {
        if node == self.me { return self.onListed(from: node, tag, answer, at: now, into: &effects) }
        effects.append(.send(node, .listed(tag: tag, answer)))
    }
}

extension ListQuestion {
    /// Whether the object is one of those wanted.
    func matches(_ name: ObjectName) -> Bool {
        if let bucket = self.bucket, bucket != name.bucket { return false }
        return name.key.readableBytesView.starts(with: self.prefix.readableBytesView)
    }
}
