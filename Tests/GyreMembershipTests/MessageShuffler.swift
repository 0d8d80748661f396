import GyreBase
import GyreMembership

/// A few nodes in virtual time on a network that loses, delays and cuts.
struct MessageShuffler {
    private enum Event {
        case tick(node: Int, life: Int)
        case dialled(by: Int, life: Int, PeerAddress)
        case down(at: Int, life: Int, peer: NodeID)
        case message(to: Int, life: Int, from: NodeID, MembershipMessage)
    }

    private struct Entry {
        let at: Int64
        let order: UInt64
        let event: Event
    }

    struct Node {
        let id: NodeID
        let address: PeerAddress
        var machine: Membership?
        var life = 0
        var persisted: [MemberRecord] = []
        var connections: Set<Int> = []
        var normalAt: Instant?
        var deaths: [(node: NodeID, at: Instant)] = []
        var ringChanges = 0
    }

    private var heap: [Entry] = []
    private var order: UInt64 = 0
    private(set) var now = Instant.start
    private(set) var nodes: [Node] = []
    private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    private(set) var dials: [(by: Int, to: PeerAddress, at: Instant)] = []
    private var random: SeededRandom
    private var network: SeededRandom
    /// Messages lost of a thousand.
    var lossPerMille: UInt64 = 0
    /// Pairs (from, to) that hear nothing of each other, as `from × 100 + to`.
    var cuts: Set<Int> = []
    let seed: UInt64
    let options: MembershipOptions

    init(count: Int, seed: UInt64, options: MembershipOptions = MembershipOptions()) {
        self.seed = seed
        self.options = options
        self.random = SeededRandom(seed: seed).split("protocol")
        self.network = SeededRandom(seed: seed).split("network")
        for index in 0..<count {
            let id = NodeID(rawValue: UInt64(index + 1) &* 0x9E37_79B9_7F4A_7C15)
            self.nodes.append(Node(id: id, address: Self.address(index)))
        }
    }

    static func address(_ index: Int) -> PeerAddress { PeerAddress(host: "10.0.0.\(index + 1)", port: 7_400) }

    mutating func start(_ index: Int, seeds: [Int], forgetful: Bool = false) {
        let record = MemberRecord(node: self.nodes[index].id, name: "n\(index + 1)", address: Self.address(index))
        self.nodes[index].life += 1
        self.nodes[index].normalAt = nil
        self.nodes[index].machine = Membership(
            me: record,
            seeds: seeds.map(Self.address),
            known: forgetful ? [] : self.nodes[index].persisted,
            options: self.options,
            now: self.now
        )
        self.push(0, .tick(node: index, life: self.nodes[index].life))
    }

    /// Kills a node; its peers learn of the lost connections, unless the machine itself is gone.
    mutating func kill(_ index: Int, silently: Bool = false) {
        self.nodes[index].machine = nil
        for peer in self.nodes[index].connections.sorted() {
            self.nodes[peer].connections.remove(index)
            if !silently {
                self.push(1, .down(at: peer, life: self.nodes[peer].life, peer: self.nodes[index].id))
            }
        }
        self.nodes[index].connections = []
    }

    mutating func stop(_ index: Int) {
        var effects: [MembershipEffect] = []
        self.nodes[index].machine?.stop(into: &effects)
        self.perform(effects, by: index)
        self.kill(index)
    }

    mutating func input(_ index: Int, _ message: MembershipMessage, from node: NodeID) {
        var effects: [MembershipEffect] = []
        self.nodes[index].machine?.onMessage(
            message, from: node, at: self.now, random: &self.random, into: &effects)
        self.perform(effects, by: index)
    }

    mutating func cut(_ a: Int, _ b: Int) {
        self.cuts.insert(a * 100 + b)
        self.cuts.insert(b * 100 + a)
    }

    mutating func run(for span: TimeSpan) {
        let end = self.now.advanced(by: span)
        while let first = self.heap.first, first.at <= end.nanoseconds {
            self.pop()
            self.now = Instant(nanoseconds: first.at)
            self.step(first.event)
        }
        self.now = end
    }

    /// Runs until `condition` holds; returns how long that took, or nil after `limit`.
    mutating func run(until limit: TimeSpan, _ condition: (MessageShuffler) -> Bool) -> TimeSpan? {
        let start = self.now
        while self.now.since(start) < limit {
            if condition(self) { return self.now.since(start) }
            self.run(for: .milliseconds(10))
        }
        return condition(self) ? self.now.since(start) : nil
    }

    var allNormal: Bool {
        let running = self.nodes.filter { $0.machine != nil }
        return running.allSatisfy { node in
            running.allSatisfy {
                let record = node.machine?.record(of: $0.id)
                return record?.state == .normal && record?.liveness == .alive
            }
        }
    }

    /// Whether every running node takes `index` for dead (or for alive).
    func allSee(_ index: Int, alive: Bool) -> Bool {
        self.nodes.indices.allSatisfy { other in
            guard other != index, let machine = self.nodes[other].machine else { return true }
            return alive
                ? machine.record(of: self.nodes[index].id)?.liveness == .alive
                : !machine.isAlive(self.nodes[index].id)
        }
    }

    private mutating func step(_ event: Event) {
        var effects: [MembershipEffect] = []
        switch event {
        case .tick(let index, let life):
            guard self.nodes[index].life == life, self.nodes[index].machine != nil else { return }
            self.nodes[index].machine?.tick(at: self.now, random: &self.random, into: &effects)
            self.push(50, .tick(node: index, life: life))
            self.perform(effects, by: index)
        case .dialled(let index, let life, let address):
            guard self.nodes[index].life == life, self.nodes[index].machine != nil else { return }
            guard let peer = self.nodes.firstIndex(where: { $0.address == address && $0.machine != nil }) else {
                return
            }
            guard !self.isCut(index, peer), !self.isCut(peer, index) else { return }
            self.nodes[index].connections.insert(peer)
            self.nodes[peer].connections.insert(index)
            let id = self.nodes[peer].id
            self.nodes[index].machine?.onPeerUp(
                id, address: address, at: self.now, random: &self.random, into: &effects)
            self.perform(effects, by: index)
        case .down(let index, let life, let peer):
            guard self.nodes[index].life == life else { return }
            self.nodes[index].machine?.onPeerDown(peer, at: self.now, random: &self.random, into: &effects)
            self.perform(effects, by: index)
        case .message(let index, let life, let from, let message):
            guard self.nodes[index].life == life else { return }
            self.nodes[index].machine?.onMessage(
                message, from: from, at: self.now, random: &self.random, into: &effects)
            self.perform(effects, by: index)
        }
    }

    private mutating func perform(_ effects: [MembershipEffect], by index: Int) {
        for effect in effects {
            self.record(effect, by: index)
            switch effect {
            case .send(let node, let message):
                guard let peer = self.nodes.firstIndex(where: { $0.id == node }) else { continue }
                guard self.nodes[index].connections.contains(peer), !self.isCut(index, peer) else { continue }
                guard !self.network.chance(self.lossPerMille, in: 1_000) else { continue }
                let life = self.nodes[peer].life
                self.push(self.delay(), .message(to: peer, life: life, from: self.nodes[index].id, message))
            case .dial(let address):
                self.dials.append((index, address, self.now))
                self.push(self.delay(), .dialled(by: index, life: self.nodes[index].life, address))
            case .memberChanged(let node, old: _, let new):
                if new == .dead { self.nodes[index].deaths.append((node, self.now)) }
            case .becameNormal: self.nodes[index].normalAt = self.now
            case .ringChanged: self.nodes[index].ringChanges += 1
            case .persist: self.nodes[index].persisted = self.nodes[index].machine?.members ?? []
            case .duplicateIdentity: break
            }
        }
    }

    private mutating func delay() -> Int64 { self.network.within(1...20) }

    private func isCut(_ from: Int, _ to: Int) -> Bool { self.cuts.contains(from * 100 + to) }

    /// A cheap fingerprint: kinds, targets, sequences and record counters in order.
    private mutating func record(_ effect: MembershipEffect, by index: Int) {
        func word(_ value: UInt64) { self.trace = (self.trace ^ value) &* 0x0000_0100_0000_01B3 }
        word(UInt64(bitPattern: self.now.nanoseconds))
        word(UInt64(index))
        switch effect {
        case .send(let node, let message):
            word(node.rawValue)
            switch message {
            case .ping(let sequence, let gossip), .ack(let sequence, let gossip),
                .pingRequest(let sequence, target: _, let gossip):
                word(sequence)
                for record in gossip { word(record.node.rawValue ^ record.incarnation &* 4 &+ record.recordVersion) }
            case .stateRequest(let records), .state(let records): word(UInt64(records.count))
            case .nack(let sequence): word(sequence)
            case .accusations(let accusations):
                for accusation in accusations { word(accusation.node.rawValue ^ accusation.accuser.rawValue) }
            }
        case .dial(let address): word(UInt64(address.host.utf8.last ?? 0))
        case .memberChanged(let node, old: _, let new): word(node.rawValue &+ UInt64(new.rawValue))
        case .ringChanged: word(1)
        case .becameNormal: word(2)
        case .persist: word(3)
        case .duplicateIdentity: word(4)
        }
    }

    private mutating func push(_ milliseconds: Int64, _ event: Event) {
        self.order += 1
        let at = self.now.advanced(by: .milliseconds(milliseconds)).nanoseconds
        self.heap.append(Entry(at: at, order: self.order, event: event))
        var child = self.heap.count - 1
        while child > 0, self.precedes(child, (child - 1) / 2) {
            self.heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() {
        self.heap.swapAt(0, self.heap.count - 1)
        self.heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < self.heap.count {
                if self.precedes(child, least) { least = child }
            }
            if least == parent { return }
            self.heap.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (self.heap[a].at, self.heap[a].order) < (self.heap[b].at, self.heap[b].order)
    }
}
