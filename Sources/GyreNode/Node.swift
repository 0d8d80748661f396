package import GyreBase
import GyreCausality
package import GyreMembership
import GyreMerkle
import GyreMessages
import GyreQuorum
package import GyreRing
package import GyreStorage
import NIOCore

/// One replica: coordinates puts and gets, keeps its share of the ring, and knows who else does.
///
/// A pure state machine. The server and the simulator both feed it `NodeInput`s and carry out the `NodeEffect`s it
/// appends; it reads no clock, file or socket itself. Not shared between threads.
///
/// Invariants: an operation in flight is in exactly one table and ends by its deadline; a dot is issued once, and only
/// below the leased ceiling; a coordinated update leaves for other replicas only once the own disk has it.
///
/// What requests go through is `mutating` even where it only looks: then it is lent the node where it lies, while for a
/// call of any other method from a mutating one the compiler copies the node's three kilobytes.
package struct Node: ~Copyable {
    /// The settings, fixed for the life of the process.
    package let options: NodeOptions
    /// Who this node is.
    package let me: NodeID
    /// Who else there is.
    package internal(set) var membership: Membership
    /// Who owns what: where reads go.
    package internal(set) var ring: Ring
    /// While the ring changes: the other owners, who are written to as well.
    package internal(set) var otherRing: Ring?
    /// Counts the changes of the ring that are over.
    package var ringEpoch: UInt64 { self.ringKeeper.state.version }
    /// What happened so far.
    package internal(set) var counters = NodeCounters()

    /// Members that are alive and connected, sorted; this node is always one of them.
    var reachable: [NodeID]
    var connected: [NodeID] = []
    var clock = HybridClock()
    var dots: DotSource
    var puts: SlotTable<PutOperation>
    var gets: SlotTable<GetOperation>
    var forwards: SlotTable<ForwardOperation>
    var replicas: SlotTable<ReplicaOperation>
    var heals: SlotTable<HealOperation>
    var requestLog: RequestLog
    /// Who asked for the status since the disk was last asked for its figures, and whether it has not answered that.
    var statusAskers: [ReplyTarget] = []
    var looksAtFigures = false
    var latencies = PeerLatencies()
    var buckets: BucketState
    var ringKeeper: RingKeeper
    var draining = false
    private var drained = false
    private var membershipTick = Instant.start
    private var membershipEffects: [MembershipEffect] = []
    var found: [Int] = []
    /// Writes that were answered and still wait for replicas, and the bytes of their records.
    var answeredPuts = 0
    /// Of those, the ones that the own disk has not answered, and the bytes of their values.
    var silentPuts = 0
    var silentBytes = 0
    /// Bytes of records of other coordinators that wait for the disk.
    var recordBytes = 0
    var answeredBytes = 0
    /// By the node stood in for: the author under which this node coordinates in its place.
    var standInAuthors: [NodeID: NodeID] = [:]
    /// The hash trees, and what anti-entropy has going on.
    var trees: TreeKeeper
    var exchanges: SlotTable<ExchangeOperation>
    var served: SlotTable<ServedExchange>
    /// Merges of other nodes' exchanges that the disk has not answered.
    var servedWork = 0
    var exchangeBudget: Int64
    /// How long clients wait on average, of late.
    var foreground = TimeSpan.zero
    var roundAt = Instant.start
    var roundPartition = 0
    var repairParts: [RepairPart] = []
    var repairRuns: [RepairRun] = []
    /// Parts that are over, in case their coordinator did not hear of it.
    var repairsDone: [(id: UInt64, counts: RepairCounts)] = []
    /// Whether the disk of an earlier identity is to be made up for, and how far that is.
    var mustRefill: Bool
    var refill: Refill?
    var inspections: SlotTable<InspectOperation>
    var explains: SlotTable<ExplainOperation>
    var lists: SlotTable<ListOperation>
    private(set) var lastTick = Instant.start
    var clockWatch: ClockWatch
    var handoff: Handoff
    var deliveries: SlotTable<HintDelivery>
    /// What waits until the cluster is founded.
    var early: [EarlyRequest] = []
    /// The traces that operations in flight belong to.
    var traces = TraceTable()

    /// A node that has read its disk and has not spoken to anyone. Nothing happens until `start`.
    ///
    /// - Parameters:
    ///   - me: this node's own record.
    ///   - seeds: addresses to find the cluster by; empty for a cluster of one.
    ///   - known: members kept on disk by an earlier life.
    ///   - recovered: what the disk said.
    /// - Throws: `NodeOptionsError` or `RingError` when the settings are out of range, `BucketDocumentError` when the kept
    ///   bucket properties cannot be read.
    package init(
        options: NodeOptions, me: MemberRecord, seeds: [PeerAddress], known: [MemberRecord],
        recovered: RecoveredState, now: Now
    ) throws {
        try options.validate()
        let ring = try Ring(
            members: [],
            options: RingOptions(partitionCount: options.partitionCount, replicas: options.quorum.replicas))
        let shape = try MerkleShape(partitionCount: options.partitionCount)
        let buckets = try BucketState(document: recovered.buckets)
        let ringKeeper = try RingKeeper(document: recovered.ring, ring: ring)
        self.options = options
        self.me = me.node
        self.membership = Membership(
            me: me, seeds: seeds, known: known, options: options.membership, now: now.instant)
        self.ring = ring
        self.buckets = buckets
        self.ringKeeper = ringKeeper
        self.reachable = [me.node]
        self.dots = DotSource(
            author: recovered.author ?? me.node, floor: recovered.counterFloor, block: options.leaseBlock)
        // Every life has leased dots further on than the one before, or else started at another time.
        let life = StableHash.xxh3(recovered.counterFloor, seed: now.wall.milliseconds)
        self.puts = SlotTable(kind: .put, life: life)
        self.gets = SlotTable(kind: .get, life: life)
        self.forwards = SlotTable(kind: .forward, life: life)
        self.replicas = SlotTable(kind: .replica, life: life)
        self.heals = SlotTable(kind: .heal, life: life)
        self.mustRefill = me.replaces != nil && !recovered.isRefilled && options.trees.isOn
        self.deliveries = SlotTable(kind: .delivery, life: life)
        self.exchanges = SlotTable(kind: .exchange, life: life)
        self.served = SlotTable(kind: .served, life: life)
        self.inspections = SlotTable(kind: .inspection, life: life)
        self.explains = SlotTable(kind: .explain, life: life)
        self.lists = SlotTable(kind: .list, life: life)
        self.exchangeBudget = options.exchange.bytesPerSecond / 10
        self.trees = TreeKeeper(
            options: options.trees, shape: shape,
            salt: MerkleSalt(cluster: options.cluster))
        self.clockWatch = ClockWatch(at: now)
        self.handoff = Handoff(targets: recovered.hints.map(\.target))
        self.requestLog = RequestLog(entriesMax: options.requestLogMax, age: options.requestLogAge)
        self.recoverTrees(recovered)
    }

    /// Whether puts can be coordinated: dots are leased. The ring may still be unknown to a node that is joining.
    package var isServing: Bool { self.dots.isLeased }

    /// Operations in flight.
    package var inFlight: Int {
        @inline(__always) get {
            self.puts.count - self.answeredPuts + self.silentPuts + self.gets.count + self.forwards.count
                + self.replicas.count + self.heals.count + self.lists.count
        }
    }

    /// Whether a put, get or forward has that tag.
    private func isInFlight(_ tag: UInt64) -> Bool {
        self.puts.index(of: tag) != nil || self.gets.index(of: tag) != nil || self.forwards.index(of: tag) != nil
    }

    /// The first step of a life: leases dots and learns the ring from the members known.
    package mutating func start(at now: Now, into effects: inout [NodeEffect]) {
        self.leaseDots(into: &effects)
        if self.membership.me.replaces != nil, !self.mustRefill { self.retireReplaced(at: now, into: &effects) }
        self.confirmAlone()
        self.onMembersChanged(into: &effects)
    }

    /// Takes one input in and appends what follows from it.
    ///
    /// - Parameters:
    ///   - now: both clocks; the monotonic one never goes back.
    ///   - random: this node's own generator.
    ///   - effects: a reused buffer; effects are appended in the order they must be carried out.
    package mutating func step(
        _ input: NodeInput, at now: Now, random: inout SeededRandom, into effects: inout [NodeEffect]
    ) {
        let first = effects.count
        switch input {
        case .client(let address, let request, let timeout):
            self.onRequest(request, .client(address), timeout: timeout, at: now, into: &effects)
        case .tracedClient(let address, let request, let timeout, let trace):
            self.traces.incoming = trace
            self.onRequest(request, .client(address), timeout: timeout, at: now, into: &effects)
            self.traces.incoming = nil
        case .peer(let node, let message):
            self.onPeer(node, message, at: now, random: &random, into: &effects)
        case .storage(let reply):
            self.onStorage(reply, at: now, into: &effects)
        case .tick:
            self.onTick(at: now, random: &random, into: &effects)
        case .peerUp(let node, let address):
            if !self.connected.contains(node) { self.connected.append(node) }
            self.ringKeeper.witnesses[node] = nil
            self.withMembership(into: &effects) { membership, out in
                membership.onPeerUp(node, address: address, at: now.instant, random: &random, into: &out)
            }
            self.greetWithBuckets(node, into: &effects)
            self.tellRing(to: node, wantsRest: true, into: &effects)
        case .peerRefused(let address):
            self.withMembership(into: &effects) { membership, _ in membership.onRefused(by: address) }
        case .peerDown(let node):
            self.connected.removeAll { $0 == node }
            self.ringKeeper.witnesses[node] = nil
            self.ringKeeper.versions[node] = nil
            self.withMembership(into: &effects) { membership, out in
                membership.onPeerDown(node, at: now.instant, random: &random, into: &out)
            }
            self.giveUpOn(node, at: now, into: &effects)
        case .rest:
            self.checkpointTrees(into: &effects)
        case .drain:
            guard !self.draining else { return }
            self.draining = true
            self.answerEarly(at: now, into: &effects)
            self.withMembership(into: &effects) { membership, out in membership.stop(into: &out) }
        }
        if self.draining { self.noticeDrained(into: &effects) }
        if !self.traces.isEmpty { self.traces.mark(&effects, from: first) }
    }

    private mutating func noticeDrained(into effects: inout [NodeEffect]) {
        let waiting = self.puts.count - self.answeredPuts + self.gets.count + self.forwards.count + self.lists.count
        guard !self.drained, waiting == 0 else { return }
        self.drained = true
        effects.append(.event(.drained))
    }

    private mutating func onPeer(
        _ node: NodeID, _ message: PeerMessage, at now: Now, random: inout SeededRandom,
        into effects: inout [NodeEffect]
    ) {
        if self.ringKeeper.isBanned(node) {
            // It may not know yet; membership tells it, and nothing else is said to it (architecture D11).
            guard case .membership = message else { return }
        }
        switch message {
        case .replicate(let tag, let name, let record):
            self.onReplicate(from: node, tag, name, record, into: &effects)
        case .replicated(let tag, let outcome):
            self.onReplicated(from: node, tag, outcome, at: now, into: &effects)
        case .fetch(let tag, let name, let whole):
            self.onFetch(from: node, tag, name, whole: whole, into: &effects)
        case .fetched(let tag, let outcome):
            self.onFetched(from: node, tag, outcome, at: now, into: &effects)
        case .forward(let tag, let timeoutMilliseconds, let request):
            self.onRequest(
                request, .peer(node, tag: tag), timeout: .milliseconds(Int64(timeoutMilliseconds)), at: now,
                into: &effects)
        case .forwarded(let tag, let response):
            self.onForwarded(from: node, tag, response, at: now, into: &effects)
        case .hint(let tag, let target, let name, let record):
            self.onHint(from: node, tag, for: target, name, record, at: now, into: &effects)
        case .fetchHint(let tag, let target, let name, let whole):
            self.onFetchHint(from: node, tag, for: target, name, whole: whole, into: &effects)
        case .exchange(let tag, let step, let partition, let question):
            self.onExchange(from: node, tag, step, Int(partition), question, at: now, into: &effects)
        case .exchanged(let tag, let step, let answer):
            self.onExchanged(from: node, tag, step, answer, at: now, into: &effects)
        case .repair(let message): self.onRepair(from: node, message, at: now, into: &effects)
        case .inspect(let tag, let name): self.inspect(name, for: node, tag, into: &effects)
        case .inspected(let tag, let inspection): self.onInspected(from: node, tag, inspection, into: &effects)
        case .membership(let message):
            if self.isBanned { self.noteWitness(node, message, at: now) }
            self.withMembership(into: &effects) { membership, out in
                membership.onMessage(message, from: node, at: now.instant, random: &random, into: &out)
            }
        case .buckets(let message): self.onBuckets(from: node, message, into: &effects)
        case .ring(let message): self.onRing(from: node, message, into: &effects)
        case .list(let tag, let question): self.list(question, for: node, tag, at: now, into: &effects)
        case .listed(let tag, let answer): self.onListed(from: node, tag, answer, at: now, into: &effects)
        case .traced(let trace, let question):
            self.traces.incoming = trace
            self.onPeer(node, question, at: now, random: &random, into: &effects)
            self.traces.incoming = nil
        }
    }

    private mutating func onStorage(_ reply: StorageReply, at now: Now, into effects: inout [NodeEffect]) {
        let tag = reply.tag.rawValue
        switch OperationKind(rawValue: tag >> 60) {
        case .put: self.onOwnWrite(tag, reply.outcome, at: now, into: &effects)
        case .get: self.onOwnRead(tag, reply.outcome, at: now, into: &effects)
        case .replica: self.onReplicaWork(tag, reply.outcome, at: now, into: &effects)
        case .forward, .heal, .delivery, .exchange, .served, .inspection, .explain, .list, nil: break
        }
    }

    private mutating func onTick(at now: Now, random: inout SeededRandom, into effects: inout [NodeEffect]) {
        self.expireOperations(at: now, into: &effects)
        if !self.traces.isEmpty { self.traces.retain(self.traces.tags.filter { self.isInFlight($0) }) }
        self.requestLog.expire(at: now.instant)
        self.leaseDots(into: &effects)
        self.deliverHints(at: now, into: &effects)
        self.refillExchangeBudget(now.instant.since(self.lastTick))
        self.lastTick = now.instant
        self.clockWatch.look(at: now)
        self.trees.burstUntil = now.instant.advanced(
            by: TimeSpan(nanoseconds: self.options.tickInterval.nanoseconds / 2))
        self.continueScan(at: now, into: &effects)
        self.continueRounds(at: now, random: &random, into: &effects)
        self.continueRefill(at: now, into: &effects)
        self.continueRepairs(at: now, into: &effects)
        self.gossipBuckets(at: now, random: &random, into: &effects)
        self.continueRing(at: now, random: &random, into: &effects)
        guard now.instant >= self.membershipTick else { return }
        self.membershipTick = now.instant.advanced(by: self.options.membershipTickInterval)
        self.withMembership(into: &effects) { membership, out in
            membership.tick(at: now.instant, random: &random, into: &out)
        }
    }

    /// Answers whoever asked.
    func answer(_ target: ReplyTarget, _ response: ClientResponse, into effects: inout [NodeEffect]) {
        switch target {
        case .client(let address): effects.append(.reply(address, response))
        case .peer(let node, let tag): effects.append(.send(node, .forwarded(tag: tag, response)))
        }
    }

    /// Whether `node` is alive and connected, so that a request sent to it is likely to be answered.
    func isReachable(_ node: NodeID) -> Bool {
        for candidate in self.reachable where candidate.rawValue == node.rawValue { return true }
        return false
    }

    /// The owners of the partition of `token`, with stand-ins for those that cannot be reached if there may be any.
    ///
    /// While the ring changes, what is not a read asks the owners of both rings.
    mutating func replicaSet(of token: Token, isSloppy: Bool, isRead: Bool) -> ReplicaSet {
        let owners = self.ring.owners(of: self.ring.partition(of: token))
        if !isRead, let other = self.otherRing {
            return self.replicaSet(owners, other.owners(of: other.partition(of: token)), token, isSloppy: isSloppy)
        }
        if !isSloppy || owners.allSatisfy({ self.isReachable($0) }) { return ReplicaSet(owners: owners) }
        let list = self.ring.preferenceList(for: token) { self.isReachable($0) }
        return ReplicaSet(owners: owners, list)
    }

    private func replicaSet(
        _ owners: ArraySlice<NodeID>, _ others: ArraySlice<NodeID>, _ token: Token, isSloppy: Bool
    ) -> ReplicaSet {
        var replicas = ReplicaSet(owners: owners, andAlso: others)
        guard isSloppy else { return replicas }
        for place in replicas.all where !self.isReachable(replicas.node(at: place)) {
            guard let standIn = self.standIn(besides: replicas, for: token) else { break }
            replicas.replace(place, by: standIn)
        }
        return replicas
    }

    /// The places of a replica set that can be reached.
    mutating func reachablePlaces(_ replicas: ReplicaSet) -> SlotSet {
        replicas.reachablePlaces { self.isReachable($0) }
    }

    /// The places of a preference list that can be reached.
    mutating func reachableSlots(_ owners: ArraySlice<NodeID>) -> SlotSet {
        self.reachablePlaces(ReplicaSet(owners: owners))
    }

    /// Lets membership take an input in and carries its effects over into the node's own.
    mutating func withMembership(
        into effects: inout [NodeEffect], _ body: (inout Membership, inout [MembershipEffect]) -> Void
    ) {
        self.membershipEffects.removeAll(keepingCapacity: true)
        body(&self.membership, &self.membershipEffects)
        var ringChanged = false
        for effect in self.membershipEffects {
            switch effect {
            case .send(let node, let message): effects.append(.send(node, .membership(message)))
            case .dial(let address): effects.append(.dial(address))
            case .memberChanged(let node, _, let new): effects.append(.event(.member(node, new)))
            case .ringChanged: ringChanged = true
            case .becameNormal: effects.append(.event(.normal))
            case .persist: effects.append(.persist(self.membership.members))
            case .duplicateIdentity(let address): effects.append(.event(.duplicateIdentity(address)))
            }
        }
        self.reachable = self.connected.filter { $0 != self.me && self.membership.isAlive($0) } + [self.me]
        self.reachable.sort()
        if ringChanged { self.onMembersChanged(into: &effects) }
    }

    /// The identity whose place this node has taken is no longer needed by anybody.
    mutating func retireReplaced(at now: Now, into effects: inout [NodeEffect]) {
        self.withMembership(into: &effects) { membership, out in
            membership.retireReplaced(at: now.instant, into: &out)
        }
    }
}
