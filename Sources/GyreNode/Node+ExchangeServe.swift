import GyreBase
import GyreMerkle
import GyreMessages
import GyreStorage
import NIOCore

/// Anti-entropy, the side that is asked.
extension Node {
    /// Another owner of a partition asks a question of its exchange.
    mutating func onExchange(
        from node: NodeID, _ tag: UInt64, _ step: UInt32, _ partition: Int, _ question: ExchangeQuestion, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        func answer(_ answer: ExchangeAnswer, _ effects: inout [NodeEffect]) {
            effects.append(.send(node, .exchanged(tag: tag, step: step, answer)))
        }
        let forest = self.trees.forest
        if self.otherRing != nil, let step = question.ringStep { self.visit(step, into: &effects) }
        switch question {
        case .root(let root):
            switch forest.answer(root: root, of: partition) {
            case .same: answer(.same, &effects)
            case .inners(let words): answer(.inners(words), &effects)
            case .notReady: answer(.notReady, &effects)
            }
        case .leaves(let mask):
            guard let groups = forest.leaves(of: partition, mask: mask) else { return answer(.notReady, &effects) }
            answer(.leaves(groups.flatMap(\.leaves)), &effects)
        case .suspect(let leaf):
            guard partition < forest.shape.partitionCount, leaf < MerkleShape.leavesPerPartition else { return }
            self.trees.suspect(LeafID(partition: partition, leaf: Int(leaf)))
        case .keys, .records, .merge, .objects:
            guard self.inFlight < self.options.inFlightMax, self.served.count < self.options.exchange.servedMax,
                self.servedWork < self.options.exchange.servedWorkMax
            else {
                self.counters.overloaded += 1
                return answer(.overloaded, &effects)
            }
            self.serve(question, from: node, tag, step, into: &effects)
        }
    }

    private mutating func serve(
        _ question: ExchangeQuestion, from node: NodeID, _ tag: UInt64, _ step: UInt32,
        into effects: inout [NodeEffect]
    ) {
        switch question {
        case .keys(let first, let last, let after), .objects(let first, let last, let after):
            var range = ObjectRange(first: first, last: last)
            range.after = after
            range.countMax = ExchangeMachine.pageMaxDefault
            if case .objects = question {
                range.shape = .records
                range.bytesMax = self.options.exchange.batchBytesMax
            }
            let work = self.replicas.insert(
                .servedList(from: node, tag: tag, step: step, isWhole: range.shape == .records))
            effects.append(.store(.list(StorageTag(rawValue: work), range)))
        case .records(let names):
            guard !names.isEmpty else { return }
            let served = self.served.insert(
                ServedExchange(
                    from: node, tag: tag, step: step, pending: 0, rest: names[...], records: [], isMerge: false))
            if let index = self.served.index(of: served) { self.readOn(index, into: &effects) }
        case .merge(let records):
            guard !records.isEmpty else { return }
            self.servedWork += records.count
            let served = self.served.insert(
                ServedExchange(
                    from: node, tag: tag, step: step, pending: records.count, rest: [], records: [], isMerge: true))
            for entry in records {
                let work = self.replicas.insert(.servedMerge(served, entry.name))
                effects.append(
                    .store(.merge(StorageTag(rawValue: work), entry.name, record: entry.record, isPatient: true)))
            }
        case .root, .leaves, .suspect: break
        }
    }

    /// The disk has listed a page for another node.
    mutating func onServedList(
        from node: NodeID, _ tag: UInt64, _ step: UInt32, isWhole: Bool, _ outcome: StorageOutcome, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        guard case .listed(let page) = outcome else { return }
        let entries = self.soundEntries(of: page, at: now, into: &effects)
        let answer: ExchangeAnswer
        if entries.isEmpty, !page.isComplete {
            // Nothing of it can be read, and it leads no further: the exchange is tried again when it was healed.
            answer = .overloaded
        } else if isWhole {
            let sound = page.entries.filter { $0.digest != nil }
            answer = .objects(
                sound.map { NamedRecord(name: $0.name, record: $0.record) }, isComplete: page.isComplete)
        } else {
            answer = .keys(entries, isComplete: page.isComplete)
        }
        effects.append(.send(node, .exchanged(tag: tag, step: step, answer)))
    }

    /// Reads as many of the records that another node asked for as seem to fit into an answer; few at first, for they may be long.
    private mutating func readOn(_ index: Int, into effects: inout [NodeEffect]) {
        let tag = self.served.tag(index)
        let known = self.served[index].records.count
        let room = self.options.exchange.batchBytesMax - self.served[index].bytes
        let fitting = ExchangeOptions.fitting(room, count: known, bytes: self.served[index].bytes)
        let names = self.served[index].rest.prefix(fitting)
        self.served[index].rest = self.served[index].rest.dropFirst(names.count)
        self.served[index].pending = names.count
        for (offset, name) in names.enumerated() {
            self.served[index].records.append(NamedRecord(name: name, record: ByteBuffer()))
            let work = self.replicas.insert(.servedRead(tag, place: known + offset))
            effects.append(.store(.read(StorageTag(rawValue: work), name, .record)))
        }
    }

    /// The disk has read one of the records that another node asked for.
    mutating func onServedRead(
        _ served: UInt64, place: Int, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.served.index(of: served) else { return }
        let name = self.served[index].records[place].name
        switch outcome {
        case .record(let record, _):
            self.served[index].records[place] = NamedRecord(name: name, record: record)
            self.served[index].bytes += self.served[index].records[place].bytes
        case .refused: self.beginHeal(name, at: now, into: &effects)
        default: break
        }
        self.endServed(index, into: &effects)
    }

    /// The disk has merged one of the records that another node sent.
    mutating func onServedMerge(
        _ served: UInt64, _ name: ObjectName, _ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]
    ) {
        var hasChanged = false
        var hasFailed = false
        switch outcome {
        case .merged(_, let clash, let change):
            hasChanged = change != nil
            self.noteChange(change, of: name)
            if clash { effects.append(.event(.dotClash(name.token))) }
        case .refused(.corrupt):
            hasFailed = true
            self.beginHeal(name, at: now, into: &effects)
        default:
            hasFailed = true
            self.counters.malformedMessages += 1
        }
        self.servedWork -= 1
        guard let index = self.served.index(of: served) else { return }
        if hasFailed { self.served[index].hasLeftOut = true }
        if hasChanged { self.served[index].merged += 1 }
        self.endServed(index, into: &effects)
    }

    /// Answers when the disk has nothing more to say.
    private mutating func endServed(_ index: Int, into effects: inout [NodeEffect]) {
        self.served[index].pending -= 1
        guard self.served[index].pending == 0 else { return }
        if !self.served[index].rest.isEmpty, self.served[index].bytes < self.options.exchange.batchBytesMax {
            return self.readOn(index, into: &effects)
        }
        let served = self.served.remove(index)
        let answer: ExchangeAnswer
        if served.isMerge {
            answer = served.hasLeftOut ? .mergedInPart(count: served.merged) : .merged(count: served.merged)
        } else {
            var bytes = 0
            let fitting = served.records.prefix { entry in
                defer { bytes += entry.bytes }
                return bytes < self.options.exchange.batchBytesMax
            }
            answer = .records(Array(fitting))
        }
        effects.append(.send(served.from, .exchanged(tag: served.tag, step: served.step, answer)))
    }
}

extension ExchangeQuestion {
    /// The point of a change of the ring that the question may be.
    fileprivate var ringStep: RingStep? {
        switch self {
        case .root: .rootAsked
        case .keys: .keysAsked
        case .records: .recordsAsked
        case .objects: .objectsAsked
        case .leaves, .merge, .suspect: nil
        }
    }
}
