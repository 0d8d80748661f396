import GyreBase
import GyreSimulator
import Testing

/// Nodes that pass the highest number they know around: the least protocol that needs clock, links and randomness.
private struct ToyWorld {
    enum Event {
        case tick(node: Int)
        case arrive(to: Int, value: UInt64)
    }

    var queue = EventQueue<Event>()
    var links: LinkModel
    var values: [UInt64]
    var hash = TraceHash()
    var random: SeededRandom

    init(seed: UInt64, nodes: Int, rates: LinkRates) {
        let root = SeededRandom(seed: seed)
        self.links = LinkModel(nodeCount: nodes, rates: rates, random: root.split("links"))
        self.random = root.split("workload")
        self.values = Array(repeating: 0, count: nodes)
        for node in 0..<nodes { self.queue.schedule(.tick(node: node), after: .milliseconds(Int64(node))) }
    }

    mutating func run(for span: TimeSpan) {
        var arrivals: [Instant] = []
        while let event = self.queue.next(until: Instant.start.advanced(by: span)) {
            self.hash.record(UInt64(bitPattern: self.queue.now.nanoseconds))
            switch event {
            case .tick(let node):
                if self.random.chance(1, in: 10) { self.values[node] += 1 }
                let peer = Int(self.random.below(UInt64(self.values.count)))
                arrivals.removeAll(keepingCapacity: true)
                self.links.send(from: node, to: peer, at: self.queue.now, arrivals: &arrivals)
                for time in arrivals {
                    self.queue.schedule(.arrive(to: peer, value: self.values[node]), at: time)
                }
                self.queue.schedule(.tick(node: node), after: .milliseconds(10))
            case .arrive(let node, let value):
                self.values[node] = max(self.values[node], value)
                self.hash.record(UInt64(node))
                self.hash.record(value)
            }
        }
    }

    static func hash(seed: UInt64) -> UInt64 {
        var rates = LinkRates()
        rates.lossPerMille = 50
        rates.duplicatePerMille = 50
        rates.reorderPerMille = 50
        var world = ToyWorld(seed: seed, nodes: 5, rates: rates)
        world.run(for: .seconds(10))
        return world.hash.value
    }
}

@Suite struct ToyProtocol {
    @Test(arguments: UInt64(0)..<20)
    func runsOfOneSeedAreEqual(seed: UInt64) {
        #expect(ToyWorld.hash(seed: seed) == ToyWorld.hash(seed: seed), "seed \(seed)")
    }

    @Test func runsOfDifferentSeedsDiffer() {
        #expect(Set((UInt64(0)..<100).map { ToyWorld.hash(seed: $0) }).count == 100)
    }

    /// A number from another process and from another build: neither hash seeds nor optimisation may change a run.
    @Test func aRunIsTheSameInEveryProcessAndBuild() {
        #expect(hexadecimal(ToyWorld.hash(seed: 42)) == "d471dbfe5fe8add3")
    }

    @Test func perfectLinksSpreadTheHighestNumber() {
        var world = ToyWorld(seed: 7, nodes: 7, rates: LinkRates())
        world.run(for: .seconds(20))
        let values = world.values.sorted()
        #expect((values.first ?? 0) + 20 > (values.last ?? 0), "values \(values)")
        #expect((values.first ?? 0) > 0)
    }
}

@Suite struct Events {
    @Test func happenByTimeAndThenInTheOrderOfBeingScheduled() {
        var random = SeededRandom(seed: 1)
        var queue = EventQueue<Int>()
        var expected: [(time: Int64, index: Int)] = []
        for index in 0..<1_000 {
            let time = Int64(random.below(50))
            queue.schedule(index, at: Instant(nanoseconds: time))
            expected.append((time, index))
        }
        expected.sort { $0 < $1 }
        var order: [Int] = []
        while let event = queue.next(until: .distantFuture) { order.append(event) }
        #expect(order == expected.map(\.index))
    }

    @Test func areNotTakenBeforeTheLimit() {
        var queue = EventQueue<Int>()
        queue.schedule(1, at: Instant(nanoseconds: 10))
        #expect(queue.next(until: Instant(nanoseconds: 9)) == nil)
        #expect(queue.next(until: Instant(nanoseconds: 10)) == 1)
        #expect(queue.now == Instant(nanoseconds: 10))
    }
}

@Suite struct Links {
    @Test(arguments: PartitionShape.allCases)
    func cutSomethingInEveryShape(_ shape: PartitionShape) {
        var random = SeededRandom(seed: 3)
        var links = LinkModel(nodeCount: 5, rates: LinkRates(), random: random.split("links"))
        links.cut(shape, random: &random)
        #expect(links.hasCuts)
        links.mendAll()
        #expect(!links.hasCuts)
    }

    @Test func deliverNothingOverACutDirection() {
        var links = LinkModel(nodeCount: 2, rates: LinkRates(), random: SeededRandom(seed: 1))
        links.setCut(true, from: 0, to: 1)
        var arrivals: [Instant] = []
        links.send(from: 0, to: 1, at: .start, arrivals: &arrivals)
        #expect(arrivals.isEmpty)
        links.send(from: 1, to: 0, at: .start, arrivals: &arrivals)
        #expect(arrivals.count == 1)
    }
}
