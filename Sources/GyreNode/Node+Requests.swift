import GyreBase
import GyreCausality
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// A client's operations on their way in: checks, limits, and who coordinates.
extension Node {
    /// Admits a request, coordinates it here or hands it to an owner, or refuses it with a reason.
    mutating func onRequest(
        _ request: ClientRequest, _ target: ReplyTarget, timeout: TimeSpan, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        switch request {
        case .status:
            return self.startStatus(target, into: &effects)
        case .locate(let name):
            let partition = self.ring.partition(of: name.token)
            let report = LocationReport(
                token: name.token, partition: UInt32(partition.index), owners: Array(self.ring.owners(of: partition)))
            return self.answer(target, .location(report), into: &effects)
        case .explain(let name):
            return self.startExplain(name, target, timeout: timeout, at: now, into: &effects)
        case .repair(let request): return self.startRepair(request, target, at: now, into: &effects)
        case .repairCounts(let id): return self.answerRepair(id, target, at: now, into: &effects)
        case .repairCancel(let id): return self.cancelRepair(id, target, at: now, into: &effects)
        case .bucketList, .bucketShow, .bucketSet:
            return self.onBucketRequest(request, target, into: &effects)
        case .ring(let request):
            return self.onRingRequest(request, target, timeout: timeout, at: now, into: &effects)
        case .list(let list):
            if self.waits(request, target, timeout: timeout, at: now) { return }
            return self.startList(list, target, timeout: timeout, at: now, into: &effects)
        case .put, .get, .delete:
            if self.waits(request, target, timeout: timeout, at: now) { return }
            if self.answerAgain(request, target, into: &effects) { return }
        }
        let needs = self.needed(by: request)
        if let failure = self.refusal(of: request, isPossible: needs != nil) {
            if failure == .overloaded { self.counters.overloaded += 1 }
            return self.answer(target, .failed(failure), into: &effects)
        }
        let deadline = now.instant.advanced(
            by: min(max(timeout, .milliseconds(1)), self.options.timeoutMost))
        guard let name = request.name, let needs else { return }
        let isSloppy =
            self.options.isSloppy && self.buckets.table.properties(of: name.bucket)?.allowsFallbacks ?? true
        let replicas = self.replicaSet(of: name.token, isSloppy: isSloppy, isRead: request.isGet)
        guard let ownPlace = self.ownPlace(in: replicas, for: name.token) else {
            return self.forward(request, target, replicas: replicas, deadline: deadline, at: now, into: &effects)
        }
        let reachable = self.reachablePlaces(replicas)
        let primaries = reachable.intersection(replicas.primaries)
        guard replicas.count(reachable) >= needs.all, replicas.count(primaries) >= needs.primaries else {
            self.counters.unavailable += 1
            let isShortOfAll = replicas.count(reachable) < needs.all
            let failure = Failure.unavailable(
                needed: UInt8(isShortOfAll ? needs.all : needs.primaries),
                got: UInt8(replicas.count(isShortOfAll ? reachable : primaries)))
            return self.answer(target, .failed(failure), into: &effects)
        }
        let admission = Admission(
            target: target, replicas: replicas, ownPlace: ownPlace, isSloppy: isSloppy, needed: needs.all,
            primariesNeeded: needs.primaries, deadline: deadline)
        switch request {
        case .get(let get):
            self.beginGet(
                GetOperation(
                    target: target, name: name, headOnly: get.headOnly, replicas: replicas, ownPlace: ownPlace,
                    generation: self.ringKeeper.generation, started: now.instant, deadline: deadline,
                    machine: GetMachine(
                        reachable: reachable, needed: needs.all, primaries: replicas.primaries,
                        primariesNeeded: needs.primaries)), at: now, into: &effects)
        case .put, .delete: self.beginWrite(request, admission, at: now, into: &effects)
        case .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow,
            .bucketSet, .ring, .list:
            break
        }
    }

    /// This node's place: as an owner, or as a stand-in when no owner can be reached that could coordinate.
    private mutating func ownPlace(in replicas: ReplicaSet, for token: Token) -> Int? {
        // Who is an owner in the next ring only does not have all that was written yet.
        guard let place = replicas.place(of: self.me), replicas.readPlaces.contains(place) else { return nil }
        let isOwner = replicas.target(at: place) == nil
        if isOwner { return self.isRefilling(token) ? nil : place }
        let primaries = replicas.primaries.intersection(replicas.readPlaces)
        return primaries.contains(where: { self.isReachable(replicas.node(at: $0)) }) ? nil : place
    }

    /// Hands the operation to the first owner that can be reached, or else to a stand-in; it is not handed on again.
    mutating func forward(
        _ request: ClientRequest, _ target: ReplyTarget, replicas: ReplicaSet, deadline: Instant,
        besides refuser: NodeID? = nil, at now: Now, into effects: inout [NodeEffect]
    ) {
        let needed = UInt8(self.needed(by: request)?.all ?? 1)
        if case .peer(let node, _) = target {
            // One of the two does not know the ring of today.
            self.visit(.foreignRequestRefused, into: &effects)
            self.tellRing(to: node, wantsRest: true, into: &effects)
            return self.answer(target, .failed(.notMember), into: &effects)
        }
        let mayCoordinate = replicas.readPlaces
        let places =
            Array(replicas.primaries.intersection(mayCoordinate)) + Array(replicas.replaced.intersection(mayCoordinate))
        let candidates = places.map { replicas.node(at: $0) }
        guard let owner = candidates.first(where: { $0 != self.me && $0 != refuser && self.isReachable($0) })
        else {
            self.counters.unavailable += 1
            return self.answer(target, .failed(.unavailable(needed: needed, got: 0)), into: &effects)
        }
        let isWrite = if case .get = request { false } else { true }
        let latest = isWrite ? now.instant.advanced(by: self.options.resendMost) : deadline
        let resendAt = min(now.halfWay(to: deadline), latest)
        let tag = self.forwards.insert(
            ForwardOperation(
                target: target, request: request, to: owner, isSecond: refuser != nil, started: now.instant,
                deadline: deadline, resendAt: resendAt, isWrite: isWrite, needed: needed))
        self.traces.keep(tag)
        self.counters.forwards += 1
        self.sendForward(tag, to: owner, request, deadline: deadline, at: now, into: &effects)
    }

    private func sendForward(
        _ tag: UInt64, to owner: NodeID, _ request: ClientRequest, deadline: Instant, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        let left = max(1, deadline.since(now.instant).wholeMilliseconds)
        effects.append(.send(owner, .forward(tag: tag, timeoutMilliseconds: UInt32(clamping: left), request)))
    }

    /// Ends what was handed on and is past its deadline. What was half of its time without an answer is sent once more: it, or the
    /// answer, may have met a connection that was just lost or not open yet. The owner knows a write again by its `RequestID`.
    mutating func expireForwards(at now: Now, into effects: inout [NodeEffect]) {
        self.found.removeAll(keepingCapacity: true)
        self.forwards.indices(into: &self.found) { now.instant >= $0.resendAt || now.instant >= $0.deadline }
        for index in self.found {
            guard now.instant >= self.forwards[index].deadline else {
                self.forwards[index].resendAt = .distantFuture
                self.forwards[index].wasSentAgain = true
                let operation = self.forwards[index]
                self.sendForward(
                    self.forwards.tag(index), to: operation.to, operation.request, deadline: operation.deadline,
                    at: now, into: &effects)
                continue
            }
            let operation = self.forwards.remove(index)
            self.counters.timeouts += 1
            self.noteSlow(operation, isDone: false, at: now, into: &effects)
            self.answer(operation.target, .failed(.timeout), into: &effects)
        }
    }

    /// An owner has answered for us.
    mutating func onForwarded(
        from node: NodeID, _ tag: UInt64, _ response: ClientResponse, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let index = self.forwards.index(of: tag), self.forwards[index].to == node else { return }
        let operation = self.forwards.remove(index)
        var response = response
        if case .failed(let failure) = response, operation.wasSentAgain, operation.isWrite {
            // What it does not know, or refuses, may be what it did when it was asked first.
            if case .unknown = failure {} else { response = .failed(.unknown(needed: operation.needed, got: 0)) }
        }
        if response == .failed(.notMember), !operation.isSecond, let name = operation.request.name,
            now.instant < operation.deadline
        {
            // It owns the key no longer, or stops; nothing was done, so another owner may be asked once.
            self.visit(.requestSentElsewhere, into: &effects)
            self.tellRing(to: node, wantsRest: true, into: &effects)
            return self.forward(
                operation.request, operation.target,
                replicas: self.replicaSet(of: name.token, isSloppy: false, isRead: operation.request.isGet),
                deadline: operation.deadline, besides: node, at: now, into: &effects)
        }
        let isDone = if case .failed = response { false } else { true }
        self.noteSlow(operation, isDone: isDone, at: now, into: &effects)
        self.answer(operation.target, response, into: &effects)
    }

    /// Whether this node does nothing for clients: it does not know the ring yet, or is on its way out and gets no more answers.
    var isNoMember: Bool {
        self.draining || self.ring.members.isEmpty || !self.isFounded || self.isBanned || self.ringKeeper.isClosed
    }

    /// Why `request` cannot be admitted at all, if so.
    private mutating func refusal(of request: ClientRequest, isPossible: Bool) -> Failure? {
        if self.isNoMember { return .notMember }
        if self.inFlight >= self.options.inFlightMax { return .overloaded }
        if !isPossible {
            return .badRequest("r, w, pr and pw must be 1 to n=\(self.options.quorum.replicas)")
        }
        switch request {
        case .put(let put):
            if put.value.readableBytes > self.options.valueBytesMax {
                return .tooLarge(limit: UInt64(self.options.valueBytesMax))
            }
            if self.silentBytes >= self.options.recordBytesMax { return .overloaded }
            return self.refusal(of: put.seen)
        case .delete(let delete): return self.refusal(of: delete.seen)
        case .get, .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow,
            .bucketSet, .ring, .list:
            return nil
        }
    }

    private mutating func refusal(of seen: Seen) -> Failure? {
        guard case .given(let context) = seen else { return nil }
        if context.entries.count > self.options.contextActorsMax {
            return .tooLarge(limit: UInt64(self.options.contextActorsMax))
        }
        // A context that covers dots of the future would silently swallow them.
        if context.counter(of: self.dots.author) >= self.dots.unissued {
            return .badRequest("the context names a dot that was never issued; read the key again")
        }
        return nil
    }

    /// How many replicas the operation asks for, and how many of them must be owners; nil when a number is not one of 1 to N.
    /// What the request leaves open is its bucket's choice, then the node's.
    mutating func needed(by request: ClientRequest) -> (all: Int, primaries: Int)? {
        let quorum = self.options.quorum
        if case .list(let list) = request {
            let bucket = list.bucket.flatMap { self.buckets.table.properties(of: $0) }
            let reads = QuorumSize.standard.filled(by: bucket?.reads, replicas: quorum.replicas)
            return self.sizes(reads, .standard, standard: quorum.reads)
        }
        guard let sizes = request.sizes else { return (1, 0) }
        // The name is looked at only where some bucket has properties.
        let bucket =
            self.buckets.table.records.isEmpty
            ? nil : request.name.flatMap { self.buckets.table.properties(of: $0.bucket) }
        let isGet = request.isGet
        let all = sizes.all.filled(by: isGet ? bucket?.reads : bucket?.writes, replicas: quorum.replicas)
        let primaries = sizes.primaries.filled(
            by: isGet ? bucket?.primaryReads : bucket?.primaryWrites, replicas: quorum.replicas)
        return self.sizes(all, primaries, standard: isGet ? quorum.reads : quorum.writes)
    }

    private mutating func sizes(
        _ wanted: QuorumSize, _ primaries: QuorumSize, standard: Int
    ) -> (all: Int, primaries: Int)? {
        guard let all = self.size(wanted, standard: standard) else { return nil }
        switch primaries {
        case .standard: return (all, 0)
        case .matching: return (all, all)
        case .one, .quorum, .all, .count:
            return self.size(primaries, standard: standard).map { (max(all, $0), $0) }
        }
    }

    private mutating func size(_ wanted: QuorumSize, standard: Int) -> Int? {
        switch wanted {
        case .standard: standard
        case .one: 1
        case .quorum: self.options.quorum.majority
        case .all: self.options.quorum.replicas
        case .count(let count): (1...self.options.quorum.replicas).contains(Int(count)) ? Int(count) : nil
        case .matching: nil
        }
    }
}

extension ClientRequest {
    /// Whether it only reads an object.
    fileprivate var isGet: Bool { if case .get = self { true } else { false } }

    /// R and PR of a get, W and PW of a put or a delete.
    fileprivate var sizes: (all: QuorumSize, primaries: QuorumSize)? {
        switch self {
        case .get(let get): (get.reads, get.primaryReads)
        case .put(let put): (put.writes, put.primaryWrites)
        case .delete(let delete): (delete.writes, delete.primaryWrites)
        default: nil
        }
    }

    /// What a put or a delete is known again by.
    var writeID: RequestID? {
        switch self {
        case .put(let put): put.id
        case .delete(let delete): delete.id
        default: nil
        }
    }
}
