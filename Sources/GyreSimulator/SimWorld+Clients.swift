import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import NIOCore

/// Clients: what they ask, what they are told, and what follows from it for the checkers.
extension SimWorld {
    /// The deadline that clients send with a request.
    static let requestTimeout = TimeSpan.milliseconds(1_000)
    /// How long a client waits for an answer.
    static let clientPatience = TimeSpan.milliseconds(1_200)
    /// The most attempts of one operation.
    static let attemptsMax = 3

    /// A client begins its next operation.
    func onClientWakes(_ client: Int) {
        guard self.isServing else { return }
        if let change = self.drawBucketChange(client) {
            self.operations.append(change)
            return self.ask(self.operations.count - 1)
        }
        if let listing = self.drawListing(client) {
            self.operations.append(listing)
            return self.ask(self.operations.count - 1)
        }
        var operation = self.workload.drawOperation(client, marks: &self.marks)
        switch operation.request {
        case .get: operation.before = self.acknowledgedWrites(operation.key)
        case .delete(let delete):
            operation.declared = self.oracle.declared(delete.seen, name: delete.name)
            self.keysDeleted.insert(operation.key)
        case .put, .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow,
            .bucketSet, .ring, .list:
            break
        }
        self.operations.append(operation)
        self.ask(self.operations.count - 1)
    }

    /// Sends the current attempt of an operation.
    func ask(_ index: Int) {
        let operation = self.operations[index]
        let span = TimeSpan.microseconds(self.random.within(50...1_000))
        // A client's connection can break, too: one request in 64 is lost when the network is at fault.
        let isLost = self.plan.faults.contains(.network) && self.isServing && self.random.chance(1, in: 64)
        if !isLost {
            self.queue.schedule(
                .request(operation: index, attempt: operation.attempt, node: operation.node), after: span)
        }
        self.queue.schedule(
            .clientTimeout(operation: index, attempt: operation.attempt), after: Self.clientPatience)
    }

    /// A request has arrived; a node that is down answers nothing.
    func onRequest(_ index: Int, _ attempt: Int, node: Int) throws(Violation) {
        guard self.nodes[node].life != nil else {
            self.operations[index].isUnheard = true
            return
        }
        self.hash.record(UInt64(index) << 8 | UInt64(attempt))
        let address = ReplyAddress(connection: UInt64(attempt), request: UInt64(index))
        try self.feed(node, .client(address, self.operations[index].request, timeout: Self.requestTimeout))
    }

    /// A node answers a client: what it claims must be true at this moment.
    func reply(_ address: ReplyAddress, _ response: ClientResponse, from index: Int) throws(Violation) {
        if address.connection == Self.operatorConnection { return }
        let number = Int(address.request)
        let operation = self.operations[number]
        let name = self.workload.names[operation.key]
        if case .stored(_, let acks, let needed) = response {
            guard acks >= needed else { throw Violation("INV 1", "stored on \(acks) nodes, fewer than \(needed)") }
            let durable = self.nodes.map { $0.disk.knowledge(name) }
            switch operation.kind {
            case .put(let write):
                // A disk that is lost meanwhile takes a copy along that was there when it was counted.
                let copies = try self.oracle.onPutStored(
                    write: write, name: name, acks: Int(acks) - self.lostCopies(operation.key), durable: durable)
                // A stand-in's copy is one that a read of owners need not meet.
                self.acknowledge(
                    write, key: operation.key, writes: self.isStrict(operation) ? Int(needed) : 0, copies: copies)
            case .delete:
                try self.oracle.onDeleteStored(
                    removed: operation.declared, name: name, acks: Int(acks) - self.lostCopies(operation.key),
                    durable: durable)
            case .get, .bucketSet, .list: throw Violation("INV 1b", "something else was answered as a write")
            }
        }
        if case .buckets(let report) = response { try self.acknowledge(report, from: index) }
        let shown = self.tampered(response, to: operation)
        self.hash.record(Self.digest(shown))
        let isLost = self.plan.faults.contains(.network) && self.isServing && self.random.chance(1, in: 64)
        if isLost { return }
        self.queue.schedule(
            .response(operation: number, shown), after: .microseconds(self.random.within(50...1_000)))
    }

    /// A client has its answer.
    func onResponse(_ index: Int, _ response: ClientResponse) throws(Violation) {
        guard !self.operations[index].isOver else { return }
        self.told?.answers[index] = response
        let operation = self.operations[index]
        let name = self.workload.names[operation.key]
        switch response {
        case .stored(let context, _, _):
            self.mark(.writeStored)
            if case .put(let put) = operation.request, case .given(let given) = put.seen,
                !context.descends(from: given)
            {
                throw Violation("INV 6", "\(context.entries) answers a put that had seen \(given.entries)")
            }
        case .found(let record):
            let siblings = try Oracle.decoded(record, where: "the answer to a get")
            if siblings.versions.count > 1 { self.mark(.siblingsRead) }
            if siblings.versions.isEmpty { throw Violation("INV 4", "an empty sibling was shown of \(name)") }
            try self.check(siblings, operation)
        case .notFound(let context):
            if !context.isEmpty { self.mark(.tombstoneRead) }
            var siblings = Siblings()
            siblings.delete(seen: .given(context))
            try self.check(siblings, operation)
        case .failed(let failure):
            try self.onFailure(failure, index)
            return
        case .buckets: self.mark(.bucketSet)
        case .listed(let names):
            guard try self.take(names, operation) else {
                self.operations[index].isOver = true
                return
            }
        case .status, .location, .explained, .repairing, .ring: break
        }
        self.finish(index)
    }

    /// Checks what a get showed; INV 5 where reads and writes overlap.
    private func check(_ siblings: Siblings, _ operation: ClientOperation) throws(Violation) {
        let name = self.workload.names[operation.key]
        let record = try self.oracle.verify(siblings, of: name, where: "the answer of node \(operation.node)")
        if let client = operation.client { self.workload.clients[client].learn(siblings.context, key: operation.key) }
        guard case .get(let get) = operation.request else { return }
        // The reads at the end ask every owner, when no hint is left.
        let isFinal = operation.client == nil
        let reads =
            isFinal
            ? self.plan.replicas + 1
            : self.isStrict(operation) ? self.workload.count(get.reads, standard: self.plan.reads) : 0
        let due = operation.before.filter { $0.writes + reads > self.plan.replicas }.map(\.write)
        if let missed = self.oracle.missing(from: record, of: name, acknowledged: due) {
            throw Violation(
                "INV 5",
                "a get of \(String(buffer: name.key)) with r=\(reads) misses write \(missed), acknowledged "
                    + "before it began")
        }
    }

    /// Whether only owners count for an operation.
    private func isStrict(_ operation: ClientOperation) -> Bool {
        switch operation.request {
        case .put(let put): !self.plan.isSloppy || put.primaryWrites == .matching
        case .get(let get): !self.plan.isSloppy || get.primaryReads == .matching
        case .delete, .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow,
            .bucketSet, .ring, .list:
            !self.plan.isSloppy
        }
    }

    private func onFailure(_ failure: Failure, _ index: Int) throws(Violation) {
        let operation = self.operations[index]
        switch failure {
        case .unknown, .timeout:
            try self.demandAnswer(operation, "was told \(failure)")
            self.operations[index].isUncertain = true
            self.mark(.writeUnknown)
        case .unavailable, .overloaded, .tooLarge, .badRequest, .notMember, .corrupt, .exists:
            if case .unavailable = failure { self.mark(.unavailable) }
        }
        if operation.client == nil { self.finalReads.refused += 1 }
        if self.retry(index) { return }
        if !self.operations[index].isUncertain, case .put(let write) = operation.kind {
            try self.oracle.checkRefused(write: write, name: self.workload.names[operation.key])
        }
        self.finish(index)
    }

    /// While nothing goes wrong, whoever asks a node that runs is answered within the deadline.
    private func demandAnswer(_ operation: ClientOperation, _ what: String) throws(Violation) {
        guard self.plan.isGentle, operation.client != nil, !operation.isUnheard else { return }
        throw Violation("availability", "at node \(operation.node), \(operation.request) \(what)")
    }

    /// A client has waited long enough.
    func onClientTimeout(_ index: Int, attempt: Int) throws(Violation) {
        guard !self.operations[index].isOver, self.operations[index].attempt == attempt else { return }
        try self.demandAnswer(self.operations[index], "got no answer")
        self.operations[index].isUncertain = true
        if self.operations[index].client == nil { self.finalReads.refused += 1 }
        if !self.retry(index) { self.finish(index) }
    }

    private func retry(_ index: Int) -> Bool {
        guard let client = self.operations[index].client, self.isServing,
            self.operations[index].attempt < Self.attemptsMax,
            self.workload.clients[client].random.chance(1, in: 2)
        else { return false }
        self.operations[index].attempt += 1
        self.operations[index].isUnheard = false
        self.mark(.retried)
        self.ask(index)
        return true
    }

    private func finish(_ index: Int) {
        self.operations[index].isOver = true
        guard let client = self.operations[index].client else {
            self.finalReads.pending -= 1
            return
        }
        if self.isServing { self.queue.schedule(.clientWakes(client), after: self.workload.drawPause(client)) }
    }

    /// Counts a mark.
    func mark(_ mark: CoverageMark) { self.marks[mark, default: 0] += 1 }

    /// A hash of what a client is told, the same in every process.
    private static func digest(_ response: ClientResponse) -> UInt64 {
        switch response {
        case .stored(let context, let acks, let needed):
            var hash = TraceHash()
            for entry in context.entries {
                hash.record(entry.node.rawValue)
                hash.record(entry.counter)
            }
            hash.record(UInt64(acks) << 8 | UInt64(needed))
            return hash.value
        case .found(let record): return StableHash.xxh3(record)
        case .notFound(let context): return UInt64(context.entries.count)
        case .failed(let failure): return StableHash.xxh3("\(failure)")
        case .buckets(let report):
            var hash = TraceHash()
            for record in report.buckets {
                hash.record(record.version.counter)
                hash.record(record.version.node.rawValue)
            }
            return hash.value
        case .listed(let page):
            var hash = TraceHash()
            for name in page.names { hash.record(StableHash.xxh3(name)) }
            hash.record(page.next == nil ? 0 : 1)
            return hash.value
        case .status, .location, .explained, .repairing, .ring: return 1
        }
    }
}
