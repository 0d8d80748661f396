import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreQuorum
import GyreRing
import GyreStorage
import GyreWire
import NIOCore

/// A whole cluster with its clients, links, disks and clocks, driven by one queue of events on one thread.
///
/// Everything random comes from streams split off the seed, one a concern, so that a new draw in one does not shift the
/// others. A class only because its nodes cannot be copied; confined to the thread that runs it.
final class SimWorld {
    /// What was asked for.
    let options: SimulationOptions
    /// What the seed drew.
    let plan: SimulationPlan
    /// What is due.
    var queue = EventQueue<WorldEvent>()
    /// Who hears whom.
    var links: LinkModel
    /// Who is connected to whom.
    var connections: Connections
    /// The machines.
    var nodes: [SimNode] = []
    /// What clients do.
    var workload: Workload
    /// Every client operation so far.
    var operations: [ClientOperation] = []
    /// Checks everything.
    var oracle: Oracle
    /// Draws faults.
    var faultRandom: SeededRandom
    /// Draws everything between nodes that is no fault: handshakes, client latencies.
    var random: SeededRandom
    /// Draws changes of buckets.
    var bucketRandom: SeededRandom
    /// Draws listings, apart from everything else.
    var listRandom: SeededRandom
    /// Keys that some client has tried to delete.
    var keysDeleted: Set<Int> = []
    /// By bucket: the latest version that a client was told of.
    var acknowledgedBuckets: [BucketName: BucketVersion] = [:]
    /// What happened.
    var hash = TraceHash()
    /// How many events were taken.
    var events: UInt64 = 0
    /// What was met.
    var marks: [CoverageMark: UInt64] = [:]
    /// Whether clients go on.
    var isServing = false
    /// Counts partitions, so that an old one's end does not end a new one.
    var partitionNumber: UInt64 = 0
    /// Counts the answers to the reads that the end of a run demands: since the last round, and how many were refused.
    var finalReads = (pending: 0, refused: 0)
    /// What operators want and have not got yet.
    var wishes: [OperatorWish] = []
    /// How often each point of a change of the ring was passed.
    var steps: [RingStep: UInt64] = [:]
    /// The points at which a node ended in this run.
    var stepsCrashed: [RingStep] = []

    /// By key: the writes acknowledged so far, with the W each had and the disks that had it.
    private var acknowledged: [[(write: UInt64, writes: Int)]]
    private var acknowledgedCopies: [UInt64: Int] = [:]
    /// The node whose disk is lost or rots in this run, once one was chosen: more than one at a time is more than N − 1
    /// copies can bear.
    var victim: Int?
    /// Keys whose record rotted on the victim's disk.
    var rotted: Set<Int> = []
    /// Whether the victim's disk was lost as a whole.
    var hasLostDisk = false
    /// Messages that a planted mistake sent elsewhere.
    var redirections: [RedirectionKey: Redirection] = [:]
    /// What a scenario is told: the answers by operation, and what nodes reported. Nil where nobody reads along.
    var told: Told?
    private var effects: [NodeEffect] = []
    private var arrivals: [Instant] = []

    /// A world that draws its plan from the seed.
    convenience init(options: SimulationOptions) {
        let root = SeededRandom(seed: options.seed)
        var planRandom = root.split("plan")
        var plan = SimulationPlan(options: options, random: &planRandom)
        var bucketRandom = root.split("buckets")
        // A run that shows a planted mistake stays the run that it was.
        plan.setsBuckets = bucketRandom.chance(1, in: 4) && options.plantedBug == nil
        var listRandom = root.split("listings")
        plan.lists = listRandom.chance(1, in: 4) && options.plantedBug == nil
        var startRandom = root.split("start")
        if startRandom.chance(1, in: 4), plan.faults == [.membership], options.plantedBug == nil {
            plan.startSpread = .seconds(4)
        }
        var earlyRandom = root.split("early")
        plan.opensEarly = earlyRandom.chance(1, in: 4) && plan.faults.contains(.crash) && options.plantedBug == nil
        if plan.opensEarly, earlyRandom.chance(1, in: 2) { plan.startSpread = .seconds(4) }
        let keys = (0..<plan.keyCount).map { "k\($0)" }
        self.init(options: options, plan: plan, keys: keys, bucketRandom: bucketRandom)
    }

    /// A world with a given plan, whose clients use the given keys; each 1 to 4,096 bytes long and unlike all others.
    init(options: SimulationOptions, plan: SimulationPlan, keys: [String], bucketRandom: SeededRandom) {
        self.options = options
        let root = SeededRandom(seed: options.seed)
        self.bucketRandom = bucketRandom
        self.listRandom = root.split("listings", index: 1)
        self.plan = plan
        self.links = LinkModel(nodeCount: plan.machineCount, rates: LinkRates(), random: root.split("links"))
        self.connections = Connections(nodeCount: plan.machineCount)
        self.workload = Workload(plan: plan, keys: keys, random: root.split("workload"))
        self.oracle = Oracle(names: self.workload.names, nodeCount: plan.machineCount)
        self.acknowledged = Array(repeating: [], count: keys.count)
        self.faultRandom = root.split("faults")
        self.random = root.split("world")
        var identities = root.split("identities")
        for index in 0..<plan.machineCount {
            let number = UInt64(index)
            let disk = SimDisk(
                bug: options.plantedBug, syncMost: plan.syncMost, hintBytesMax: plan.hintBytesMax,
                random: root.split("disk", index: number))
            var clock = root.split("clock", index: number)
            let offset = plan.faults.contains(.clock) ? clock.within(-60_000...60_000) : clock.within(-20...20)
            self.nodes.append(
                SimNode(
                    index: index, id: NodeID(rawValue: identities.next() | 1), disk: disk, wallOffset: offset,
                    isSpare: index >= plan.nodeCount, random: root.split("node", index: number)))
        }
    }

    /// Takes events until none is due by `limit`, or `isDone` holds after one of them.
    func run(until limit: Instant, isDone: () -> Bool = { false }) throws(Violation) {
        while !isDone(), let event = self.queue.next(until: limit) {
            self.events += 1
            self.hash.record(UInt64(bitPattern: self.queue.now.nanoseconds))
            try self.take(event)
        }
    }

    /// The writes of a key that were acknowledged so far.
    func acknowledgedWrites(_ key: Int) -> [(write: UInt64, writes: Int)] { self.acknowledged[key] }

    /// A write was acknowledged with W = `writes`.
    func acknowledge(_ write: UInt64, key: Int, writes: Int, copies: Int) {
        self.acknowledged[key].append((write, writes))
        self.acknowledgedCopies[write] = max(copies, self.acknowledgedCopies[write] ?? 0)
    }

    /// How many copies of a key may have gone with a disk.
    func lostCopies(_ key: Int) -> Int { self.hasLostDisk || self.rotted.contains(key) ? 1 : 0 }

    /// What node `index` knew of `key` is gone for good. INV 1: whatever was on another disk when it was acknowledged is there;
    /// the rest was promised for one disk and may go with it.
    func loseRecord(of key: Int, at index: Int, withHints: Bool) throws(Violation) {
        let name = self.workload.names[key]
        let known = self.nodes[index].disk.knowledge(name)
        let lost = withHints ? known : Array(known.prefix(1))
        var others = self.nodes.filter { $0.index != index }.flatMap { $0.disk.knowledge(name) }
        if !withHints { others += known.dropFirst() }
        for write in try self.oracle.onRecordLost(key: key, at: index, lost: lost, others: others) {
            if let copies = self.acknowledgedCopies[write], copies > 1 {
                throw Violation(
                    "INV 1", "write \(write) was acknowledged for \(copies) disks, and one disk took it along")
            }
            self.acknowledged[key].removeAll { $0.write == write }
        }
    }

    private func take(_ event: WorldEvent) throws(Violation) {
        switch event {
        case .tick(let node, let life):
            guard self.nodes[node].lives == life, self.nodes[node].life != nil else { return }
            self.queue.schedule(event, after: .milliseconds(10))
            try self.feed(node, .tick)
        case .frame(let from, let to, let connection, let bytes):
            try self.onFrame(from: from, to: to, connection: connection, bytes)
        case .connect(let from, let to, let life): try self.onConnect(from, to, life: life)
        case .disconnect(let node, let other, let connection):
            guard self.nodes[node].life != nil, self.connections.number(at: node, to: other) == connection else {
                return
            }
            self.connections.close(at: node, to: other)
            try self.feed(node, .peerDown(self.nodes[other].id))
        case .diskRead(let node, let life, let request, let rest):
            guard self.nodes[node].lives == life, self.nodes[node].life != nil else { return }
            let reply = self.nodes[node].disk.read(request)
            guard rest > .zero else { return try self.feed(node, .storage(reply)) }
            self.queue.schedule(.diskAnswer(node: node, life: life, reply), after: rest)
        case .diskAnswer(let node, let life, let reply):
            guard self.nodes[node].lives == life, self.nodes[node].life != nil else { return }
            try self.feed(node, .storage(reply))
        case .diskWrite(let node, let life): try self.onDiskWrite(node, life: life)
        case .diskSync(let node, let life): try self.onDiskSync(node, life: life)
        case .request(let operation, let attempt, let node): try self.onRequest(operation, attempt, node: node)
        case .response(let operation, let response): try self.onResponse(operation, response)
        case .clientWakes(let client): self.onClientWakes(client)
        case .clientTimeout(let operation, let attempt): try self.onClientTimeout(operation, attempt: attempt)
        case .fault(let fault): try self.onFault(fault)
        case .mend(let number):
            guard number == self.partitionNumber else { return }
            self.links.mendAll()
        case .start(let node): try self.start(node)
        case .operatorSpeaks(let wish): try self.onOperator(wish)
        case .heal: self.isServing = false
        }
    }

    // MARK: - Nodes

    /// Gives `input` to a running node and carries out what it wants.
    func feed(_ index: Int, _ input: NodeInput) throws(Violation) {
        let machine = self.nodes[index]
        guard let life = machine.life else { return }
        if case .tick = input {} else { machine.steps += 1 }
        self.effects.removeAll(keepingCapacity: true)
        life.node.step(input, at: machine.clocks(at: self.queue.now), random: &life.random, into: &self.effects)
        try self.carryOut(self.effects, of: index)
    }

    /// Begins a life of a node from what its disk holds.
    func start(_ index: Int) throws(Violation) {
        let machine = self.nodes[index]
        guard machine.life == nil, machine.role == .member else { return }
        machine.lives += 1
        machine.startedAt = self.queue.now
        self.hash.record(UInt64(index) << 32 | machine.lives)
        let recovered = machine.disk.recovered
        var known: [MemberRecord] = []
        if let bytes = recovered.members {
            var reader = ByteReader(bytes)
            known = (try? MemberRecord.list(decoding: &reader)) ?? []
        }
        let seeds =
            machine.isLate
            ? self.members.filter { $0.index != index }.map(\.address)
            : [self.nodes[0].address, self.nodes[self.plan.nodeCount - 1].address].filter { $0 != machine.address }
        var labels: [MemberLabel] = []
        if machine.isHeld { labels.append(MemberLabel(name: MemberRecord.holdLabel, value: "yes")) }
        if let old = machine.replaces {
            labels.append(MemberLabel(name: MemberRecord.replacesLabel, value: old.description))
        }
        let record = MemberRecord(
            node: machine.id, name: "n\(index + 1)", address: machine.address, labels: labels)
        do {
            let quorum = try Quorum(
                replicas: self.plan.replicas, reads: self.plan.reads, writes: self.plan.writes)
            var options = NodeOptions(quorum: quorum, cluster: "simulated")
            options.partitionCount = self.plan.partitionCount
            options.leaseBlock = self.plan.leaseBlock
            options.isSloppy = self.plan.isSloppy
            options.exchange.interval = self.plan.exchangeInterval
            options.exchange.batchMax = 4
            options.trees.scanCountMax = 4
            options.trees.scrubPeriod = .seconds(60)
            options.ringChange = self.plan.ringChange
            options.ringChange.removeMax = 3
            // One that comes later could take itself for a cluster where it meets nobody; where nothing goes wrong it may try.
            options.membership.formsCluster = machine.isLate ? self.plan.isGentle && !machine.isHeld : !machine.isHeld
            let node = try Node(
                options: options, me: record, seeds: seeds, known: known, recovered: recovered,
                now: machine.clocks(at: self.queue.now))
            machine.life = SimNode.Life(
                node: node, random: machine.randomRoot.split("life", index: machine.lives))
        } catch {
            throw Violation("start", "node \(index) refuses its own settings: \(error)")
        }
        self.effects.removeAll(keepingCapacity: true)
        machine.life?.node.start(at: machine.clocks(at: self.queue.now), into: &self.effects)
        try self.carryOut(self.effects, of: index)
        self.queue.schedule(.tick(node: index, life: machine.lives), after: .milliseconds(10))
    }

    /// Ends the life of a node at once, and with `losingPower` forgets what its disk had not synced.
    func stop(_ index: Int, losingPower: Bool) throws(Violation) {
        let machine = self.nodes[index]
        guard machine.life != nil else { return }
        machine.life = nil
        let (written, kept) = machine.disk.stop(losingPower: losingPower)
        if losingPower {
            if kept < written { self.marks[.powerCutLostStaged, default: 0] += 1 }
            if kept > 0, kept < written { self.marks[.powerCutTornQueue, default: 0] += 1 }
        } else if written > 0 {
            self.marks[.killKeptStaged, default: 0] += 1
        }
        let disk = machine.disk
        let lost = try self.oracle.onCrash(node: index, kept: kept, places: disk.engine.allPlaces) { disk.held($0) }
        if lost > 0 { self.marks[.dotLost, default: 0] += UInt64(lost) }
        for other in self.nodes.indices where other != index {
            self.connections.close(at: index, to: other)
            let number = self.connections.number(at: other, to: index)
            guard number != 0 else { continue }
            // A killed process resets its connections; a machine without power leaves them half open.
            let span: TimeSpan =
                losingPower || !self.links.passes(from: index, to: other)
                ? .milliseconds(self.random.within(2_000...6_000)) : self.links.drawLatency()
            self.queue.schedule(.disconnect(at: other, from: index, connection: number), after: span)
        }
    }

    // MARK: - Disks

    private func onDiskWrite(_ index: Int, life: UInt64) throws(Violation) {
        let machine = self.nodes[index]
        guard machine.lives == life, machine.life != nil else { return }
        machine.steps += 1
        var eager: [NodeEffect] = []
        try machine.disk.writeQueue { (request, outcome, batch) throws(Violation) in
            try self.checkHintWork(request, outcome, at: index)
            try self.checkRemoval(request, outcome, at: index)
            try self.oracle.onStaged(request, outcome, node: index, life: life, batch: batch)
            if self.options.plantedBug == .sendBeforeOwnDisk { self.sendEarly(request, outcome, of: index, &eager) }
        }
        try self.carryOut(eager, of: index)
        self.queue.schedule(.diskSync(node: index, life: life), after: machine.disk.drawSync())
        for reply in machine.disk.takeEarlyReplies() { try self.feed(index, .storage(reply)) }
    }

    /// INV 10, and what is rare about hints.
    private func checkHintWork(_ request: StorageRequest, _ outcome: StorageOutcome, at index: Int) throws(Violation) {
        guard case .hint(_, let hint) = request else { return }
        switch (hint, outcome) {
        case (.keep, .merged): self.mark(.hintKept)
        case (.update, .updated): self.mark(.standInCoordinated)
        case (_, .refused(.hintsFull)): self.mark(.hintsFull)
        case (.drop(let target, let name, .some), .dropped(_, true)):
            self.mark(.hintDelivered)
            // Hints for a member that is none any more are owed to the owners of today. What rots between a receiver's
            // answer and the drop is the disk's doing.
            let isOwner = self.allOwners(of: name, at: index).contains { self.nodes[$0].id == target }
            let receivers =
                isOwner ? self.nodes.indices.filter { self.nodes[$0].id == target } : self.owners(of: name, at: index)
            let disks = receivers.filter { $0 != index }.map { ($0, self.nodes[$0].disk.madeSafe(name)) }
            if self.plan.spareCount > 0 {
                // Who owned it when it went out need not be who owns it now; owners of before hand it over. An owner of today
                // that kept the hint for an owner of before has it among its own objects.
                let others = self.nodes.indices.filter { $0 != index && self.nodes[$0].role == .member }
                try self.oracle.checkDropIsKept(
                    at: index, target: target, name: name, others: others.map { self.nodes[$0].disk.madeSafe(name) })
            } else {
                try self.oracle.checkDrop(at: index, target: target, name: name, receivers: disks)
            }
        default: break
        }
    }

    private func onDiskSync(_ index: Int, life: UInt64) throws(Violation) {
        let machine = self.nodes[index]
        guard machine.lives == life, machine.life != nil else { return }
        machine.steps += 1
        let replies = machine.disk.sync()
        let disk = machine.disk
        try self.oracle.onSynced(node: index) { disk.held($0) }
        if machine.disk.isBusy {
            self.queue.schedule(.diskWrite(node: index, life: life), after: machine.disk.drawWrite())
        }
        for reply in replies { try self.feed(index, .storage(reply)) }
    }

    // MARK: - Effects

    private func carryOut(_ effects: [NodeEffect], of index: Int) throws(Violation) {
        for effect in effects {
            switch effect {
            case .send(let node, let message): try self.send(message, from: index, to: node)
            case .store(let request): self.store(request, at: index)
            case .reply(let address, let response): try self.reply(address, response, from: index)
            case .persist(let members):
                var writer = ByteWriter()
                guard (try? MemberRecord.encode(members, into: &writer)) != nil else { continue }
                self.store(.keep(StorageTag(rawValue: 0), document: .members, writer.finish()), at: index)
            case .dial(let address):
                guard let target = self.nodes.firstIndex(where: { $0.address == address }), target != index else {
                    continue
                }
                let span = TimeSpan(nanoseconds: self.links.drawLatency().nanoseconds * 2)
                self.queue.schedule(
                    .connect(from: index, to: target, fromLife: self.nodes[index].lives), after: span)
            case .visit(let step): if try self.onStep(step, at: index) { return }
            case .event(.left):
                try self.onLeft(index)
                return
            case .event(let event): try self.onEvent(event, of: index)
            }
        }
    }

    private func store(_ request: StorageRequest, at index: Int) {
        let machine = self.nodes[index]
        if request.isRead {
            // What comes back may be old already: answers of one group of reads wait for the last of them.
            let (before, rest) = machine.disk.drawRead()
            self.queue.schedule(
                .diskRead(node: index, life: machine.lives, request, rest: rest), after: before)
        } else if machine.disk.enqueue(request) {
            self.queue.schedule(.diskWrite(node: index, life: machine.lives), after: machine.disk.drawWrite())
        }
    }

    private func onEvent(_ event: NodeEvent, of index: Int) throws(Violation) {
        self.told?.onEvent(event, of: index)
        switch event {
        case .ring(let hash, _): self.hash.record(hash)
        case .member(_, .dead): self.marks[.declaredDead, default: 0] += 1
        case .dotClash(let token): throw Violation("INV 3", "node \(index) met one dot with two values under \(token)")
        case .duplicateIdentity(let address):
            throw Violation("membership", "node \(index) believes that \(address) uses its identity")
        case .corruptRecord: self.mark(.corruptFound)
        case .healed: self.mark(.corruptHealed)
        case .refilled: self.mark(.diskRefilled)
        case .member, .normal, .left, .drained, .slow: break
        }
    }

    // MARK: - Links

    /// Puts a message on its way, as the bytes that a socket would carry.
    private func send(_ message: PeerMessage, from index: Int, to node: NodeID) throws(Violation) {
        guard let intended = self.nodes.firstIndex(where: { $0.id == node }), intended != index else { return }
        if case .replicate(let tag, _, _) = message, tag == 0 { self.marks[.readRepaired, default: 0] += 1 }
        if case .exchange(_, _, _, let question) = message { self.noteExchange(question) }
        if case .forward = message { self.marks[.forwarded, default: 0] += 1 }
        let target = self.misdirected(message, from: index, to: intended)
        let connection = self.connections.number(at: index, to: target)
        guard connection != 0 else { return }
        var bytes = ByteBuffer()
        do { try FrameEncoder.encode(message, into: &bytes) } catch {
            throw Violation("wire", "node \(index) made a message that cannot be encoded: \(error)")
        }
        self.hash.record(UInt64(index) << 32 | UInt64(target))
        self.hash.record(bytes)
        self.arrivals.removeAll(keepingCapacity: true)
        self.links.send(from: index, to: target, at: self.queue.now, arrivals: &self.arrivals)
        for time in self.arrivals {
            self.queue.schedule(.frame(from: index, to: target, connection: connection, bytes), at: time)
        }
    }

    /// What is rare about exchanges.
    private func noteExchange(_ question: ExchangeQuestion) {
        switch question {
        case .records: self.mark(.exchangeFetched)
        case .merge: self.mark(.exchangeSent)
        case .objects: self.mark(.exchangeCopied)
        case .root, .leaves, .keys, .suspect: break
        }
    }

    private func onFrame(from: Int, to: Int, connection: UInt64, _ bytes: ByteBuffer) throws(Violation) {
        guard self.nodes[to].life != nil else { return }
        guard self.connections.number(at: to, to: from) == connection else {
            self.marks[.staleConnection, default: 0] += 1
            return
        }
        var decoder = FrameDecoder(handshakeDone: true)
        decoder.append(bytes)
        let frame: Frame?
        do { frame = try decoder.next() } catch {
            throw Violation("wire", "node \(to) cannot decode what node \(from) sent: \(error)")
        }
        guard case .peer(let message) = frame else {
            throw Violation("wire", "node \(from) sent something else than a peer's message")
        }
        self.hash.record(UInt64(to))
        if case .replicate(let tag, let name, let record) = message, tag == 0 {
            self.nodes[to].disk.noteRepair(record, of: name)
        }
        try self.feed(to, .peer(self.apparentSender(of: message, from: from, to: to), message))
    }

    private func onConnect(_ from: Int, _ to: Int, life: UInt64) throws(Violation) {
        guard self.nodes[from].lives == life, self.nodes[from].life != nil, self.nodes[to].life != nil,
            self.links.joins(from, to), !self.connections.isWhole(from, to)
        else { return }
        for (node, other) in [(from, to), (to, from)] where self.connections.number(at: node, to: other) != 0 {
            self.connections.close(at: node, to: other)
            try self.feed(node, .peerDown(self.nodes[other].id))
        }
        // Either of them may end at a point of a change that it passes as it hears of this.
        guard self.nodes[from].life != nil, self.nodes[to].life != nil else { return }
        self.connections.connect(from, to)
        try self.feed(from, .peerUp(self.nodes[to].id, self.nodes[to].address))
        guard self.connections.isWhole(from, to) else { return }
        try self.feed(to, .peerUp(self.nodes[from].id, self.nodes[from].address))
    }
}
