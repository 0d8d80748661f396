package import GyreBase

/// How the links of one run misbehave; drawn once a seed.
package struct LinkRates: Hashable, Sendable {
    /// The least time one message takes.
    package var latencyLeast = TimeSpan.microseconds(100)
    /// Added to the least: uniform up to this, most of the time.
    package var latencySpread = TimeSpan.microseconds(400)
    /// Of 1,000 messages, how many are lost.
    package var lossPerMille: UInt64 = 0
    /// Of 1,000 messages, how many arrive twice.
    package var duplicatePerMille: UInt64 = 0
    /// Of 1,000 messages, how many are held back long enough that later ones overtake them.
    package var reorderPerMille: UInt64 = 0
    /// How long a message that is overtaken is held back at most.
    package var reorderDelayMost = TimeSpan.milliseconds(50)

    /// Links that lose nothing.
    package init() {}
}

/// Which message arrives when: directed links between the nodes, with latency, loss, duplication, reordering, clogging and
/// a matrix of cut links.
///
/// Pure value with its own stream of randomness; not shared between threads.
package struct LinkModel: Sendable {
    /// How many nodes there are.
    package let nodeCount: Int
    /// How the links misbehave at present.
    package var rates: LinkRates
    private var random: SeededRandom
    /// By `from * nodeCount + to`: nothing passes.
    private var isCut: [Bool]
    /// By `from * nodeCount + to`: nothing arrives before this.
    private var cloggedUntil: [Instant]

    /// Perfect links between `nodeCount` nodes, until `rates` say otherwise.
    package init(nodeCount: Int, rates: LinkRates, random: SeededRandom) {
        self.nodeCount = nodeCount
        self.rates = rates
        self.random = random
        self.isCut = Array(repeating: false, count: nodeCount * nodeCount)
        self.cloggedUntil = Array(repeating: .start, count: nodeCount * nodeCount)
    }

    /// Whether messages pass from one node to the other.
    package func passes(from: Int, to: Int) -> Bool { !self.isCut[from * self.nodeCount + to] }
    /// Whether messages pass both ways, as a handshake needs.
    package func joins(_ a: Int, _ b: Int) -> Bool { self.passes(from: a, to: b) && self.passes(from: b, to: a) }
    /// Whether any link is cut.
    package var hasCuts: Bool { self.isCut.contains(true) }

    /// Cuts or mends one direction.
    package mutating func setCut(_ cut: Bool, from: Int, to: Int) { self.isCut[from * self.nodeCount + to] = cut }

    /// Holds everything on one direction back until `time`.
    package mutating func clog(from: Int, to: Int, until time: Instant) {
        self.cloggedUntil[from * self.nodeCount + to] = time
    }

    /// Mends every link and empties every clog.
    package mutating func mendAll() {
        for index in self.isCut.indices {
            self.isCut[index] = false
            self.cloggedUntil[index] = .start
        }
    }

    /// How long one message takes now, faults aside.
    package mutating func drawLatency() -> TimeSpan {
        let spread = UInt64(self.rates.latencySpread.nanoseconds) + 1
        // One message in 64 takes up to eight times as long: real latencies have a tail.
        let factor: UInt64 = self.random.chance(1, in: 64) ? 8 : 1
        return TimeSpan(
            nanoseconds: self.rates.latencyLeast.nanoseconds + Int64(self.random.below(spread * factor)))
    }

    /// When a message sent at `now` arrives: at most twice, perhaps never. Appended to `arrivals`.
    package mutating func send(from: Int, to: Int, at now: Instant, arrivals: inout [Instant]) {
        guard self.passes(from: from, to: to) else { return }
        if self.random.chance(self.rates.lossPerMille, in: 1_000) { return }
        let copies = self.random.chance(self.rates.duplicatePerMille, in: 1_000) ? 2 : 1
        for _ in 0..<copies {
            var arrival = now.advanced(by: self.drawLatency())
            if self.random.chance(self.rates.reorderPerMille, in: 1_000) {
                let most = UInt64(self.rates.reorderDelayMost.nanoseconds) + 1
                arrival = arrival.advanced(by: TimeSpan(nanoseconds: Int64(self.random.below(most))))
            }
            arrivals.append(max(arrival, self.cloggedUntil[from * self.nodeCount + to]))
        }
    }
}

/// A shape of partition (reliability: 29 % of failures need a partial one).
package enum PartitionShape: CaseIterable, Sendable {
    /// One node is cut off from all others.
    case isolateOne
    /// Two groups, nothing between them.
    case halves
    /// Two groups that one node still joins.
    case bridge
    /// One node is heard but does not hear, or the other way round.
    case oneWay
    /// Two nodes lose each other; all others see both.
    case partial
}

extension LinkModel {
    /// Cuts links in the given shape, with nodes drawn from `random`; adds to what is already cut.
    package mutating func cut(_ shape: PartitionShape, random: inout SeededRandom) {
        guard self.nodeCount > 1 else { return }
        let order = (0..<self.nodeCount).shuffled(using: &random)
        switch shape {
        case .isolateOne:
            for other in order.dropFirst() { self.cutBoth(order[0], other) }
        case .halves:
            let size = 1 + Int(random.below(UInt64(self.nodeCount - 1)))
            for a in order[..<size] { for b in order[size...] { self.cutBoth(a, b) } }
        case .bridge:
            let rest = Array(order.dropFirst())
            let half = rest.count / 2
            for a in rest[..<half] { for b in rest[half...] { self.cutBoth(a, b) } }
        case .oneWay:
            let hears = random.chance(1, in: 2)
            for other in order.dropFirst() {
                self.setCut(true, from: hears ? order[0] : other, to: hears ? other : order[0])
            }
        case .partial:
            self.cutBoth(order[0], order[1])
        }
    }

    private mutating func cutBoth(_ a: Int, _ b: Int) {
        self.setCut(true, from: a, to: b)
        self.setCut(true, from: b, to: a)
    }
}
