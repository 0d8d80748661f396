import GyreBase
import GyreCausality
import NIOCore
import Testing

/// Clients add elements to a set under one key, by read, change, put; three replicas hear of each put a little later.
/// The same schedule runs over `Siblings` and over a register where the last write wins (reliability.md, last line).
private struct SetRun {
    static let elements = 48
    static let clients = 5

    private struct Register {
        var time = HybridTime.zero
        var node = NodeID(rawValue: 1)
        var elements: UInt64 = 0

        mutating func merge(_ other: Register) {
            if (other.time, other.node) > (self.time, self.node) { self = other }
        }
    }

    private struct Client {
        var siblingsRead: UInt64 = 0
        var context = VersionVector()
        var registerRead: UInt64 = 0
        var hasRead = false
    }

    private var random: SeededRandom
    private let isPartitioned: Bool
    private var siblings = Array(repeating: Siblings(), count: 3)
    private var registers = Array(repeating: Register(), count: 3)
    private var clocks = Array(repeating: HybridClock(), count: 3)
    private var clients = Array(repeating: Client(), count: Self.clients)

    init(seed: UInt64, isPartitioned: Bool) {
        self.random = SeededRandom(seed: seed)
        self.isPartitioned = isPartitioned
    }

    /// Elements that were acknowledged and are gone at the end.
    mutating func run() -> (lostBySiblings: Int, lostByLastWriteWins: Int) {
        var added = 0
        var now: UInt64 = 1_000
        while added < Self.elements {
            now += self.random.below(3)
            let client = Int(self.random.below(UInt64(Self.clients)))
            let replica = self.replica(for: client)
            if !self.clients[client].hasRead {
                self.read(client, at: replica)
            } else {
                self.add(UInt64(1) << UInt64(added), by: client, at: replica, now: now)
                added += 1
            }
            let (from, to) = (Int(self.random.below(3)), Int(self.random.below(3)))
            if !self.isPartitioned || (from == 0) == (to == 0) { self.deliver(from: from, to: to) }
        }
        for replica in 1..<3 { self.deliver(from: replica, to: 0) }
        let all = (UInt64(1) << UInt64(Self.elements)) - 1
        return (
            (all & ~Self.union(self.siblings[0])).nonzeroBitCount, (all & ~self.registers[0].elements).nonzeroBitCount
        )
    }

    /// A partitioned client stays on its side: replica 0 alone, or replicas 1 and 2.
    private mutating func replica(for client: Int) -> Int {
        guard self.isPartitioned else { return Int(self.random.below(3)) }
        return client < 2 ? 0 : 1 + Int(self.random.below(2))
    }

    private mutating func read(_ client: Int, at replica: Int) {
        self.clients[client] = Client(
            siblingsRead: Self.union(self.siblings[replica]), context: self.siblings[replica].context,
            registerRead: self.registers[replica].elements, hasRead: true
        )
    }

    private mutating func add(_ element: UInt64, by client: Int, at replica: Int, now: UInt64) {
        let node = NodeID(rawValue: UInt64(replica) + 1)
        let reader = self.clients[client]
        let time = self.clocks[replica].tick(at: WallTime(milliseconds: now))
        let dot = Dot(node: node, counter: self.siblings[replica].context.counter(of: node) + 1)
        let value = ByteBuffer(integer: reader.siblingsRead | element)
        self.siblings[replica].put(
            Version(dot: dot, time: time, expiry: nil, metadata: .none, value: value), seen: .given(reader.context)
        )
        self.registers[replica].merge(
            Register(time: time, node: node, elements: reader.registerRead | element)
        )
        self.clients[client].hasRead = false
    }

    private mutating func deliver(from: Int, to: Int) {
        self.siblings[to].merge(self.siblings[from])
        self.registers[to].merge(self.registers[from])
        self.clocks[to].observe(self.registers[from].time, at: self.registers[from].time.wall)
    }

    private static func union(_ state: Siblings) -> UInt64 {
        state.versions.reduce(0) { $0 | ($1.value.getInteger(at: $1.value.readerIndex, as: UInt64.self) ?? 0) }
    }
}

@Suite struct LastWriteWinsTests {
    @Test(arguments: [false, true])
    func lastWriteWinsLosesAcknowledgedWritesAndSiblingsLoseNone(isPartitioned: Bool) {
        var random = SeededRandom(seed: 2_007)
        var (siblings, lastWriteWins, acknowledged) = (0, 0, 0)
        for _ in 0..<200 {
            var run = SetRun(seed: random.next(), isPartitioned: isPartitioned)
            let lost = run.run()
            siblings += lost.lostBySiblings
            lastWriteWins += lost.lostByLastWriteWins
            acknowledged += SetRun.elements
        }
        let percent = lastWriteWins * 100 / acknowledged
        print(
            "\(isPartitioned ? "partitioned" : "healthy"): of \(acknowledged) acknowledged writes last-write-wins lost",
            "\(lastWriteWins) (\(percent) %), siblings lost \(siblings)"
        )
        #expect(siblings == 0)
        #expect(percent >= 25, "last-write-wins lost only \(percent) %")
    }
}
