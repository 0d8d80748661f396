package import GyreBase
package import GyreMembership

/// Many `Membership` values on a virtual network that loses, delays and parts, on machines that may be slow.
///
/// There are no connections: a message to a running node arrives unless the network loses it, which is how SWIM is meant;
/// what lost connections add is tested with whole nodes. Time passes in milliseconds; equal seeds give equal runs.
package struct SwimWorld {
    /// What a world is made of.
    package struct Settings: Sendable {
        /// How many nodes there are.
        package var count: Int
        /// Decides every draw.
        package var seed: UInt64
        /// Messages lost of a thousand.
        package var lossPerMille: UInt64 = 0
        /// The longest way of a message in milliseconds; the shortest is one.
        package var latencyMax: Int64 = 20
        /// How long a node's machine waits between two ticks, in milliseconds.
        package var tick: Int64 = 50
        /// The protocol.
        package var options = MembershipOptions()

        /// A network that loses nothing, under the defaults of the protocol.
        package init(count: Int, seed: UInt64) {
            self.count = count
            self.seed = seed
            self.options.dialsMembers = false
        }
    }

    /// How a machine is short of processor time.
    package enum Slowness: Sendable {
        /// It runs the first `run` of every `period` milliseconds and stands still for the rest.
        case pauses(period: Int64, run: Int64)
        /// Its timers run, and whatever comes in waits behind other work, in order, for up to so many milliseconds.
        case queues(upTo: Int64)
    }

    /// What happened so far.
    package struct Tally: Sendable {
        /// Messages sent, lost ones included.
        package var messages = 0
        /// Their bytes as frames of the wire.
        package var bytes = 0
        /// Records in them.
        package var records = 0
        /// Full states among them.
        package var states = 0
        /// The most records that rode on one ping, ack or ping request.
        package var piggybackMost = 0
        /// How often some node began to suspect a live, reachable one that has its whole processor.
        package var falseSuspicions = 0
        /// How often some node began to suspect one that is short of processor time and did not answer for a while.
        package var slowSuspicions = 0
        /// How often some node took a live, reachable one for dead.
        package var falseDeaths = 0
    }

    private enum Event {
        case tick(node: Int, life: Int)
        case wake(node: Int, life: Int)
        case met(node: Int, life: Int, peer: Int, PeerAddress)
        case message(to: Int, life: Int, from: Int, MembershipMessage)
        case read(by: Int, life: Int, from: Int, MembershipMessage)
    }

    struct Node {
        let id: NodeID
        var address: PeerAddress
        var machine: Membership?
        var life = 0
        var persisted: [MemberRecord] = []
        var side = 0
        var slowness: Slowness?
        var readsAt: Int64 = 0
        var isAsleep = false
        var missedTick = false
        private(set) var backlog: [(from: Int, message: MembershipMessage)] = []

        mutating func keep(_ message: MembershipMessage, from node: Int) {
            // A socket buffer that nobody reads is full at some time as well.
            if self.backlog.count < 4_096 { self.backlog.append((node, message)) }
        }

        mutating func takeBacklog() -> [(from: Int, message: MembershipMessage)] {
            defer { self.backlog = [] }
            return self.backlog
        }
    }

    /// Longer than any delay, so that a place in the wheel is one moment.
    private static let wheelSize = 1 << 14

    private var wheel: [[Event]]
    /// Milliseconds since the beginning.
    package private(set) var time: Int64 = 0
    /// What happened so far; may be reset.
    package var tally = Tally()
    /// Who is running, and who they are.
    package private(set) var nodes: [(isRunning: Bool, id: NodeID)] = []
    private(set) var machines: [Node] = []
    private var index: [NodeID: Int] = [:]
    private var places: [PeerAddress: Int] = [:]
    private var random: SeededRandom
    private var network: SeededRandom
    /// The settings of this world.
    package let settings: Settings
    /// Whether nodes on different sides hear nothing of each other.
    private var isParted = false
    private var effects: [MembershipEffect] = []

    /// A world in which nobody runs yet.
    package init(_ settings: Settings) {
        self.settings = settings
        self.wheel = Array(repeating: [], count: Self.wheelSize)
        self.random = SeededRandom(seed: settings.seed).split("protocol")
        self.network = SeededRandom(seed: settings.seed).split("network")
        for number in 0..<settings.count { self.add(number) }
    }

    private mutating func add(_ number: Int) {
        let id = NodeID(rawValue: (UInt64(number + 1) &* 0x9E37_79B9_7F4A_7C15) | 1)
        let address = PeerAddress(host: "10.0.\(number / 250).\(number % 250 + 1)", port: 7_400)
        self.machines.append(Node(id: id, address: address))
        self.nodes.append((false, id))
        self.index[id] = number
        self.places[address] = number
    }

    /// The membership of a running node.
    package func machine(_ number: Int) -> Membership? { self.machines[number].machine }

    // MARK: - What is done to nodes

    /// Starts a node; with `seeds` it finds the others, and without it knows those of its last life.
    package mutating func start(_ number: Int, seeds: [Int]) {
        let node = self.machines[number]
        let me = MemberRecord(
            node: node.id, name: "n\(number + 1)", address: node.address, zone: "z\(number % 3)",
            softwareVersion: "1.0.0")
        self.machines[number].life += 1
        self.machines[number].isAsleep = false
        self.machines[number].missedTick = false
        self.nodes[number].isRunning = true
        self.machines[number].machine = Membership(
            me: me, seeds: seeds.map { self.machines[$0].address }, known: node.persisted,
            options: self.settings.options, now: self.now)
        self.schedule(after: self.network.within(0...self.settings.tick), .tick(node: number, life: node.life + 1))
    }

    /// Starts the first `count` nodes, or all, as members that know each other, as after a restart of everything.
    package mutating func startAllKnown(_ count: Int? = nil) {
        let all = (0..<(count ?? self.machines.count)).map { number in
            let node = self.machines[number]
            return MemberRecord(
                node: node.id, name: "n\(number + 1)", address: node.address, zone: "z\(number % 3)", state: .normal,
                softwareVersion: "1.0.0")
        }
        for number in all.indices {
            self.machines[number].persisted = all
            self.start(number, seeds: [])
        }
    }

    /// Ends a node without a word.
    package mutating func kill(_ number: Int) {
        self.machines[number].persisted = self.machines[number].machine?.members ?? []
        self.machines[number].machine = nil
        _ = self.machines[number].takeBacklog()
        self.nodes[number].isRunning = false
    }

    /// Gives a node only a part of its processor, or all of it again.
    package mutating func slow(_ number: Int, _ slowness: Slowness?) { self.machines[number].slowness = slowness }

    /// Parts the network: `minority` on one side, all others on the other.
    package mutating func part(_ minority: [Int]) {
        self.isParted = !minority.isEmpty
        for number in self.machines.indices { self.machines[number].side = minority.contains(number) ? 1 : 0 }
    }

    // MARK: - What is asked about them

    /// Whether every running node, on the side of `number` or not, has that liveness in mind of it.
    package func allSee(_ number: Int, _ liveness: Liveness) -> Bool {
        let id = self.machines[number].id
        return self.machines.indices.allSatisfy { other in
            guard other != number, let machine = self.machines[other].machine else { return true }
            return machine.record(of: id)?.liveness == liveness
        }
    }

    /// Whether all running nodes know the same members in the same words, all running ones alive and normal.
    package var allAgree: Bool {
        guard let first = self.machines.lazy.compactMap({ $0.machine?.members }).first else { return true }
        let present = first.count { $0.state == .normal && $0.liveness == .alive }
        guard present == self.nodes.count(where: \.isRunning) else { return false }
        return self.machines.allSatisfy { node in node.machine.map { $0.members == first } ?? true }
    }

    // MARK: - Time

    /// The present on the nodes' clocks.
    package var now: Instant { Instant(nanoseconds: self.time * 1_000_000) }

    /// Lets `milliseconds` pass.
    package mutating func run(_ milliseconds: Int64) {
        let end = self.time + milliseconds
        while self.time < end {
            let place = Int(self.time) % Self.wheelSize
            // What is scheduled for this very moment meanwhile comes at its end.
            var next = 0
            while next < self.wheel[place].count {
                let event = self.wheel[place][next]
                next += 1
                self.step(event)
            }
            if next > 0 { self.wheel[place].removeAll(keepingCapacity: next < 64) }
            self.time += 1
        }
    }

    /// Runs until `condition` holds, asked every `every` milliseconds; how long that took, or nil after `limit`.
    package mutating func run(until limit: Int64, every: Int64 = 50, _ condition: (SwimWorld) -> Bool) -> Int64? {
        let start = self.time
        while self.time - start < limit {
            if condition(self) { return self.time - start }
            self.run(every)
        }
        return condition(self) ? self.time - start : nil
    }

    private mutating func schedule(after delay: Int64, _ event: Event) {
        precondition(delay < Self.wheelSize, "an event in \(delay) ms")
        self.wheel[Int(self.time + delay) % Self.wheelSize].append(event)
    }

    private mutating func step(_ event: Event) {
        switch event {
        case .tick(let number, let life):
            guard self.isCurrent(number, life) else { return }
            if self.fallsAsleep(number) {
                self.machines[number].missedTick = true
                return
            }
            self.tick(number)
        case .wake(let number, let life):
            guard self.isCurrent(number, life) else { return }
            self.wake(number)
        case .met(let number, let life, let peer, let address):
            guard self.isCurrent(number, life), self.machines[peer].machine != nil else { return }
            let (id, now) = (self.machines[peer].id, self.now)
            self.machines[number].machine?.onPeerUp(
                id, address: address, at: now, random: &self.random, into: &self.effects)
            self.perform(by: number)
        case .message(let number, let life, let from, let message):
            guard self.isCurrent(number, life) else { return }
            if self.fallsAsleep(number) { return self.machines[number].keep(message, from: from) }
            if case .queues(let most)? = self.machines[number].slowness {
                let readsAt = max(self.machines[number].readsAt, self.time + self.network.within(1...most))
                self.machines[number].readsAt = readsAt
                return self.schedule(
                    after: readsAt - self.time, .read(by: number, life: life, from: from, message))
            }
            self.receive(number, message, from: from)
        case .read(let number, let life, let from, let message):
            guard self.isCurrent(number, life) else { return }
            self.receive(number, message, from: from)
        }
    }

    private func isCurrent(_ number: Int, _ life: Int) -> Bool {
        self.machines[number].life == life && self.machines[number].machine != nil
    }

    private mutating func tick(_ number: Int) {
        let now = self.now
        self.machines[number].machine?.tick(at: now, random: &self.random, into: &self.effects)
        self.perform(by: number)
        self.schedule(after: self.settings.tick, .tick(node: number, life: self.machines[number].life))
    }

    private mutating func receive(_ number: Int, _ message: MembershipMessage, from: Int) {
        let (id, now) = (self.machines[from].id, self.now)
        self.machines[number].machine?.onMessage(
            message, from: id, at: now, random: &self.random, into: &self.effects)
        self.perform(by: number)
    }

    /// Whether the node has no processor at the moment; it is woken when it has.
    private mutating func fallsAsleep(_ number: Int) -> Bool {
        if self.machines[number].isAsleep { return true }
        guard case .pauses(let period, let run)? = self.machines[number].slowness else { return false }
        let phase = self.time % period
        guard phase >= run else { return false }
        self.machines[number].isAsleep = true
        self.schedule(after: period - phase, .wake(node: number, life: self.machines[number].life))
        return true
    }

    /// A timer that is over comes before what lies in the sockets: the order that is hardest on the others.
    private mutating func wake(_ number: Int) {
        self.machines[number].isAsleep = false
        if self.machines[number].missedTick {
            self.machines[number].missedTick = false
            self.tick(number)
        }
        for (from, message) in self.machines[number].takeBacklog() { self.receive(number, message, from: from) }
    }

    private mutating func perform(by number: Int) {
        let effects = self.effects
        self.effects.removeAll(keepingCapacity: true)
        for effect in effects {
            switch effect {
            case .send(let node, let message):
                self.count(message)
                guard let target = self.index[node], self.machines[target].machine != nil else { continue }
                guard !self.isParted || self.machines[number].side == self.machines[target].side else { continue }
                if self.settings.lossPerMille > 0, self.network.chance(self.settings.lossPerMille, in: 1_000) {
                    continue
                }
                self.schedule(
                    after: self.network.within(1...self.settings.latencyMax),
                    .message(to: target, life: self.machines[target].life, from: number, message))
            case .dial(let address):
                guard let peer = self.places[address] else { continue }
                guard !self.isParted || self.machines[number].side == self.machines[peer].side else { continue }
                self.schedule(
                    after: self.network.within(1...self.settings.latencyMax),
                    .met(node: number, life: self.machines[number].life, peer: peer, address))
            case .memberChanged(let node, old: _, let new):
                guard let target = self.index[node], self.machines[target].machine != nil else { continue }
                guard !self.isParted || self.machines[number].side == self.machines[target].side else { continue }
                self.count(new, isSlow: self.machines[target].slowness != nil)
            case .persist, .ringChanged, .becameNormal, .duplicateIdentity: break
            }
        }
    }

    private mutating func count(_ opinion: Liveness, isSlow: Bool) {
        switch (opinion, isSlow) {
        case (.dead, _): self.tally.falseDeaths += 1
        case (.suspect, true): self.tally.slowSuspicions += 1
        case (.suspect, false): self.tally.falseSuspicions += 1
        case (.alive, _): break
        }
    }

    private mutating func count(_ message: MembershipMessage) {
        self.tally.messages += 1
        self.tally.bytes += message.frameBytes
        switch message {
        case .ping(_, let gossip), .ack(_, let gossip), .pingRequest(_, _, let gossip):
            self.tally.records += gossip.count
            self.tally.piggybackMost = max(self.tally.piggybackMost, gossip.count)
        case .stateRequest(let records), .state(let records):
            self.tally.records += records.count
            self.tally.states += 1
        case .nack, .accusations: break
        }
    }
}
