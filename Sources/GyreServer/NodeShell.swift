import GyreBase
import GyreMembership
import GyreMessages
import GyreNode
import GyreStorage
import GyreTracing
import GyreWire
import Logging
import NIOCore

/// What every handshake of this node says and checks.
struct ShellIdentity: Sendable {
    /// This node.
    let node: NodeID
    /// Where others reach it.
    let address: PeerAddress
    /// The cluster's name.
    let cluster: String
    /// Q.
    let partitionCount: UInt32
    /// N.
    let replicas: UInt8
}

/// The world around one `Node`: turns bytes, disk answers and time into inputs, and effects into bytes and disk work.
///
/// Confined to `loop`. Everything that one turn of the loop produces leaves at its end: one batch to the disk, one write
/// a connection (architecture D14). A process may run several shells, each on its own loop (D16).
final class NodeShell {
    let loop: any EventLoop
    let limits: ShellLimits
    let identity: ShellIdentity
    /// The logger of the node, with its name.
    let log: Logger
    /// What happened so far.
    let counters = ShellCounters()
    /// Keeps a flood of bad connections from becoming a flood of lines.
    var notices: NoticeGate

    private var node: Node
    private var random: SeededRandom
    private var clock: ShellClock
    private var effects: [NodeEffect] = []
    private var isStepping = false
    private var inputsWaiting = CircularBuffer<NodeInput>()
    private var hasInputsWaiting = false

    private let submit: ([StorageRequest]) -> Int
    private let lookUp: (ObjectName, ReadDepth) -> StorageOutcome?
    private var storageBatch: [StorageRequest] = []
    private(set) var storageInFlight = 0

    var connections = ConnectionTable()
    /// Who each connection of a peer says it is, and where; never more than there are connections.
    var peerClaims: [UInt64: (node: NodeID, address: PeerAddress)] = [:]
    /// Bytes of all values that clients are putting at the moment.
    var requestBytes = 0
    /// Outbound links by address, from the dial on.
    var linksByAddress: [PeerAddress: PeerLink] = [:]
    /// Outbound links by node, from the welcome on.
    var links = LinkTable()
    private var dirtyDoors: [Door] = []
    private var dirtyLinks: [PeerLink] = []
    private var flushIsScheduled = false

    private var tickTask: RepeatedTask?
    private var sampleTask: RepeatedTask?
    /// Names the writes of Redis clients together with a count; drawn anew in every life.
    let clientNumber: UInt64
    var respConnections: UInt64 = 0
    private var stop: StopState?
    private var metrics = ServerMetrics()
    private let startedAt: WallTime
    private let processNumber: UInt64
    /// When another process under this identity last showed itself, and when one may be dialled again.
    private var twinAt: Instant?
    private var twinDialAt = Instant.start
    /// Whether the node takes part in its cluster, and since when.
    var presence: PresenceKeeper
    /// Where code outside the loop reads what happened in the last seconds.
    let board = StatsBoard()
    /// What the store has counted; asked for once a second.
    var storageFigures: (() -> EngineSample)?
    /// Keeps the spans of traced requests; nil when nobody wants them here.
    private let tracer: FileTracer?
    /// The spans of what nodes ask each other; nil without a tracer.
    let spans: PeerSpans?
    private var tickIsDue: Instant?
    private var longestDelay = TimeSpan.zero
    private let ended: EventLoopPromise<Void>
    private let serving: EventLoopPromise<Void>
    /// Whether the first dots were leased, or the end was reached.
    private(set) var isServing = false
    /// Whether `serving` was told.
    private var isReady = false

    private struct StopState {
        let deadline: Instant
        var drainedAt: Instant?
        var isAtRest = false
        var isComplete = false
    }

    /// A shell that does nothing until `start`.
    ///
    /// `submit` hands requests to the disk, once a turn of the loop, and says how many of the first ones it took. `lookUp` answers those reads
    /// that need no disk, and must not wait for one. `ended` is fulfilled when a stop is complete and failed when the disk
    /// fails. Traces of requests are carried on without `tracer` too.
    init(
        node: consuming Node, identity: ShellIdentity, limits: ShellLimits, clock: ShellClock, random: SeededRandom,
        loop: any EventLoop, presence: PresenceKeeper, ended: EventLoopPromise<Void>, log: Logger, tracer: FileTracer?,
        submit: @escaping ([StorageRequest]) -> Int,
        lookUp: @escaping (ObjectName, ReadDepth) -> StorageOutcome? = { _, _ in nil }
    ) {
        self.node = node
        self.identity = identity
        self.limits = limits
        self.clock = clock
        self.startedAt = clock.now.wall
        self.presence = presence
        var random = random
        self.clientNumber = random.next()
        self.processNumber = random.next()
        self.random = random
        self.loop = loop
        self.log = log
        self.submit = submit
        self.lookUp = lookUp
        self.tracer = tracer
        self.spans = tracer.map(PeerSpans.init)
        self.notices = NoticeGate(perSecondMax: limits.noticesPerSecondMax)
        self.ended = ended
        self.serving = loop.makePromise()
        var effects: [NodeEffect] = []
        effects.reserveCapacity(64)
        self.effects = effects
    }

    /// The time of the event being handled.
    var now: Now { self.clock.now }

    /// Whether a stop was asked for.
    var isStopping: Bool { self.stop != nil }

    /// Whether the end was reached, after which nothing is answered any more.
    var isOver: Bool { self.stop?.isComplete ?? false }

    /// The first step of the node's life, and its timers. The future is fulfilled when the first dots are leased: a client
    /// that is let in before would have its put refused.
    func start() -> EventLoopFuture<Void> {
        self.loop.preconditionInEventLoop()
        self.clock = self.clock.synchronized()
        self.isStepping = true
        var effects: [NodeEffect] = []
        self.node.start(at: self.now, into: &effects)
        self.endTurn(&effects)
        let bound = NIOLoopBound(self, eventLoop: self.loop)
        let interval = TimeAmount.nanoseconds(self.node.options.tickInterval.nanoseconds)
        self.tickTask = self.loop.scheduleRepeatedTask(initialDelay: .zero, delay: interval) { _ in bound.value.onTick()
        }
        self.sampleTask = self.loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            bound.value.onSecond()
        }
        return self.serving.futureResult
    }

    // MARK: - Inputs

    /// Reads the clock; wanted once per event, before the inputs that it brings.
    func readClock() { self.clock = self.clock.reading() }

    /// Lets the node take one input in and carries its effects out. Safe to call from within an effect: the input waits.
    func deliver(_ input: NodeInput) {
        guard !self.isStepping else {
            self.inputsWaiting.append(input)
            self.hasInputsWaiting = true
            return
        }
        self.isStepping = true
        // The buffer is in nobody else's hands meanwhile, since no input is taken in before the end.
        var effects: [NodeEffect] = []
        swap(&effects, &self.effects)
        self.step(input, into: &effects)
        self.endTurn(&effects)
        swap(&effects, &self.effects)
    }

    private func step(_ input: NodeInput, into effects: inout [NodeEffect]) {
        // In place, every access to the generator would be checked.
        var random = self.random
        self.node.step(input, at: self.clock.now, random: &random, into: &effects)
        self.random = random
    }

    /// The disk has answered; one call a batch.
    func onStorage(_ replies: [StorageReply]) {
        self.readClock()
        self.storageInFlight -= replies.count
        for reply in replies { self.deliver(.storage(reply)) }
        if !self.isReady { self.noticeServing() }
    }

    private func noticeServing() {
        guard self.node.isServing else { return }
        if !self.isServing {
            self.isServing = true
            // The first look at the time makes a node that has nobody to join a normal member.
            self.deliver(.tick)
        }
        // The first node of a cluster serves in a moment, and says so then; all others wait for somebody, who may never come.
        guard !self.node.isFoundingAlone else { return }
        self.isReady = true
        self.serving.succeed()
    }

    /// The disk failed: nothing is acknowledged any more, since it answers no more, and the process must end (D13).
    func onStorageFailure(_ failure: StorageFailure) {
        self.log.critical("storage failed", metadata: ["reason": "\(failure)"])
        self.finish(.failure(ServerError.storage("storage failed: \(failure)")))
    }

    private func onTick() {
        self.clock = self.clock.synchronized()
        if let due = self.tickIsDue { self.longestDelay = max(self.longestDelay, self.now.instant.since(due)) }
        defer { self.tickIsDue = self.now.instant.advanced(by: self.node.options.tickInterval) }
        self.deliver(.tick)
        if !self.isReady { self.noticeServing() }
        if !self.flushIsScheduled { self.submitBatch() }
        let overdue = self.changeDoors { [now = self.now.instant] in $0.takeHandshakesOverdue(at: now) }
        for connection in overdue { connection.handshakeTimedOut() }
        self.continueStop()
    }

    private func onSecond() {
        self.readClock()
        self.dialClaims()
        self.continuePresence()
        var sample = ServerSample(
            node: self.node.counters, connections: self.connections.count, requestBytes: self.requestBytes,
            loopDelay: self.longestDelay)
        sample.storage = self.storageFigures?()
        sample.spans = self.tracer?.figures
        self.spans?.expire(at: self.now.instant)
        self.longestDelay = .zero
        self.board.add(StatsSample(self.counters, sample, at: self.now.wall))
        self.metrics.sample(self.counters, sample)
        let suppressed = self.notices.beginSecond()
        if suppressed > 0 { self.log.notice("further notices left out", metadata: ["count": "\(suppressed)"]) }
    }

    // MARK: - Effects

    /// Carries out what a step led to, and takes in what was delivered meanwhile.
    private func endTurn(_ effects: inout [NodeEffect]) {
        self.carryOut(&effects)
        while self.hasInputsWaiting {
            let input = self.inputsWaiting.removeFirst()
            self.hasInputsWaiting = !self.inputsWaiting.isEmpty
            self.step(input, into: &effects)
            self.carryOut(&effects)
        }
        self.isStepping = false
    }

    /// Empties `effects`. Each is moved out at the end of the array, which is cheaper than copying it.
    private func carryOut(_ effects: inout [NodeEffect]) {
        if effects.count > 1 { effects.withUnsafeMutableBufferPointer { $0.reverse() } }
        while let effect = effects.popLast() { self.carryOut(effect) }
    }

    private func carryOut(_ effect: consuming NodeEffect) {
        switch consume effect {
        case .reply(let address, let response):
            self.connections[address.connection]?.reply(response, to: address.request)
        case .send(let node, let message): self.send(message, to: node)
        case .store(let request): self.store(request)
        case .persist(let members):
            // The node waits for no answer to this one; its tag is none of the node's.
            guard let document = MembersDocument.encoded(members) else { return }
            self.store(.keep(StorageTag(rawValue: .max), document: .members, document))
        case .dial(let address): self.dial(address)
        case .visit: break
        case .event(let event): self.onEvent(event)
        }
    }

    private func send(_ message: PeerMessage, to node: NodeID) {
        guard let spans = self.spans else { return self.pass(message, to: node) }
        self.pass(spans.onSend(message, to: node, at: self.now.instant), to: node)
    }

    private func pass(_ message: PeerMessage, to node: NodeID) {
        let isTaken = if let link = self.links[node] { link.send(message) } else { self.hold(message, for: node) }
        if !isTaken { self.counters.peerMessagesDropped += 1 }
    }

    /// A peer has said something over a connection that it opened.
    func receive(_ message: PeerMessage, from node: NodeID) {
        guard let spans = self.spans else { return self.deliver(.peer(node, message)) }
        self.deliver(.peer(node, spans.onReceive(message, from: node, at: self.now.instant)))
    }

    /// Hands the disk a request at the end of the turn; a read that memory answers need not go there.
    func store(_ request: consuming StorageRequest) {
        if self.answerFromMemory(request) { return }
        // Taken out meanwhile: changed in place over a call, the property would be checked at every access.
        var batch: [StorageRequest] = []
        swap(&batch, &self.storageBatch)
        batch.append(request)
        swap(&batch, &self.storageBatch)
        self.scheduleFlush()
    }

    private func answerFromMemory(_ request: StorageRequest) -> Bool {
        guard case .read(let tag, let name, let depth) = request, let outcome = self.lookUp(name, depth) else {
            return false
        }
        self.deliver(.storage(StorageReply(tag: tag, outcome: outcome)))
        return true
    }

    /// Notes that `door` has output; it leaves at the end of the turn.
    func markDirty(_ door: Door) {
        self.dirtyDoors.append(door)
        self.scheduleFlush()
    }

    /// Notes that `link` has output; it leaves at the end of the turn.
    func markDirty(_ link: PeerLink) {
        self.dirtyLinks.append(link)
        self.scheduleFlush()
    }

    private func scheduleFlush() {
        guard !self.flushIsScheduled else { return }
        self.flushIsScheduled = true
        // Tasks run after all sockets that were ready in this turn, so this is where the turn ends.
        self.loop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        self.flushIsScheduled = false
        self.submitBatch()
        // What becomes dirty while writing waits for the next turn.
        let links = self.dirtyLinks
        self.dirtyLinks.removeAll(keepingCapacity: true)
        for link in links { link.flush() }
        let doors = self.dirtyDoors
        self.dirtyDoors.removeAll(keepingCapacity: true)
        for door in doors { door.flush() }
    }

    private func submitBatch() {
        guard !self.storageBatch.isEmpty else { return }
        // What a full queue has no room for goes at one of the next ticks; the node's own limits keep that from happening.
        let taken = self.submit(self.storageBatch)
        guard taken > 0 else { return }
        self.storageInFlight += taken
        self.counters.storageBatches &+= 1
        self.counters.storageRequests &+= UInt64(taken)
        var next: [StorageRequest] = []
        next.reserveCapacity(taken)
        next += self.storageBatch[taken...]
        self.storageBatch = next
    }

    // MARK: - Events

    private func onEvent(_ event: NodeEvent) {
        switch event {
        case .normal:
            self.log.info("node is a normal member")
        case .member(let node, let liveness):
            self.log.notice("member changed", metadata: ["member": "\(node)", "liveness": "\(liveness)"])
        case .ring(let hash, let members):
            self.log.info("ring changed", metadata: ["hash": "\(hexadecimal(hash))", "members": "\(members)"])
        case .corruptRecord(let token):
            self.log.warning("corrupt record found, fetching it from other replicas", metadata: ["token": "\(token)"])
        case .healed(let token):
            self.log.notice("corrupt record healed", metadata: ["token": "\(token)"])
        case .refilled:
            self.log.notice("lost disk is made up for")
        case .dotClash(let token):
            self.log.error("one dot names two values", metadata: ["token": "\(token)"])
        case .duplicateIdentity(let address):
            self.onDuplicateIdentity(address)
        case .left:
            self.log.notice("node has left the cluster and stops")
            let bound = NIOLoopBound(self, eventLoop: self.loop)
            self.loop.assumeIsolated().execute { bound.value.beginStop() }
        case .drained:
            self.stop?.drainedAt = self.now.instant
        case .slow(let slow):
            self.notice("slow request", slow.metadata)
        }
    }

    /// What another process under this identity is told.
    var asTwin: TwinRefusal {
        TwinRefusal(startedAt: self.startedAt, address: self.identity.address, process: self.processNumber)
    }

    /// Another process uses this identity and says that it is at `address`: it is asked when it started, once a second
    /// at most, whatever strangers may claim.
    func noteTwin(at address: PeerAddress) {
        self.twinAt = self.now.instant
        self.notice("another process uses this node's identity", ["address": "\(address)"], level: .error)
        guard self.now.instant >= self.twinDialAt else { return }
        self.twinDialAt = self.now.instant.advanced(by: .seconds(1))
        self.dial(address)
    }

    /// A process under this identity has answered: the one that started later ends (architecture D4: a dot is issued once).
    /// True if it is this very process, which did not know its own dial again: a proxy or address translation is between.
    func onTwin(_ twin: TwinRefusal) -> Bool {
        if twin.process == self.processNumber {
            self.twinAt = nil
            return true
        }
        self.twinAt = self.now.instant
        guard twin < self.asTwin else {
            self.notice(
                "another process uses this node's identity and should end", ["address": "\(twin.address)"],
                level: .error)
            return false
        }
        let reason =
            "another process uses this node's identity since before, at \(twin.address); stop one of the two, and give"
            + " a copy a --data directory of its own"
        self.log.critical("node ends", metadata: ["reason": "\(reason)"])
        self.finish(.failure(ServerError.refused(reason)))
        return false
    }

    // MARK: - Stop

    /// Refuses what is new, finishes what is in flight, then ends; again asked, it goes on with the first stop.
    func beginStop() {
        self.loop.preconditionInEventLoop()
        guard self.stop == nil else { return }
        self.clock = self.clock.synchronized()
        self.stop = StopState(deadline: self.now.instant.advanced(by: self.limits.drainTimeout))
        self.log.info("stopping", metadata: ["in_flight": "\(self.node.inFlight)"])
        self.deliver(.drain)
    }

    private func continueStop() {
        guard let stop = self.stop, !stop.isComplete else { return }
        let now = self.now.instant
        let isQuiet = self.storageInFlight == 0 && self.storageBatch.isEmpty
        let farewellIsOver = stop.drainedAt.map { now >= $0.advanced(by: self.limits.farewell) } ?? false
        guard (farewellIsOver && isQuiet) || now >= stop.deadline else { return }
        if farewellIsOver, !stop.isAtRest, now < stop.deadline {
            // The last thing written: what would be costly to find out at the next start.
            self.stop?.isAtRest = true
            return self.deliver(.rest)
        }
        if stop.drainedAt == nil {
            self.log.warning("stopping with requests unanswered", metadata: ["in_flight": "\(self.node.inFlight)"])
        }
        self.finish(.success(()))
    }

    /// Ends the node at once, and says why to whoever waits for the end.
    func finish(_ result: Result<Void, any Error>) {
        if self.stop == nil { self.stop = StopState(deadline: self.now.instant) }
        guard self.stop?.isComplete == false else { return }
        self.stop?.isComplete = true
        self.isServing = true
        self.isReady = true
        // Says nothing more to whoever was told that it serves.
        if case .failure(let error) = result { self.serving.fail(error) }
        self.serving.fail(ServerError.storage("the node was stopped before it served"))
        self.tickTask?.cancel()
        self.sampleTask?.cancel()
        self.flush()
        for door in self.connections.all { door.close() }
        self.spans?.close()
        for link in self.links.all { link.close() }
        for link in self.linksByAddress.values { link.close() }
        self.ended.completeWith(result)
    }

    // MARK: - What connections ask

    /// What the node adds to a status report, beside its own figures.
    func completed(_ report: StatusReport) -> StatusReport {
        var report = report
        report.counters.append(contentsOf: self.counters.named)
        report.counters.append(StatusReport.Counter(name: "connections", value: UInt64(self.connections.count)))
        let isRecent = self.twinAt.map { self.now.instant.since($0) < .seconds(60) } ?? false
        report.counters.append(StatusReport.Counter(name: StatusReport.identityInUse, value: isRecent ? 1 : 0))
        let since = self.presence.since(at: self.now.wall)
        report.counters.append(StatusReport.Counter(name: Presence.counterName, value: since?.milliseconds ?? 0))
        report.counters.sort { $0.name < $1.name }
        return report
    }
}
