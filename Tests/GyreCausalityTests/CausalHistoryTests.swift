import GyreBase
import GyreCausality
import NIOCore
import Testing

/// What one replica knows, as sets of write ids: no dots, no counters, nothing to get wrong. Bit `i` stands for write `i`.
struct CausalHistory: Equatable {
    /// Every put it ever heard of.
    var known: UInt64 = 0
    /// Every put that a put or delete it heard of had seen.
    var superseded: UInt64 = 0

    /// What a context read here stands for.
    var past: UInt64 { self.known | self.superseded }
    /// The concurrent puts.
    var visible: UInt64 { self.known & ~self.superseded }

    mutating func merge(_ other: CausalHistory) {
        self.known |= other.known
        self.superseded |= other.superseded
    }
}

/// One replica under test and its naive twin.
struct TwinState {
    var siblings = Siblings()
    var history = CausalHistory()
}

/// One key on a few replicas: random puts, deletes, reads and merges, some of them with states from long ago.
struct CausalEpisode {
    static let stepsMax = 160
    static let putsMax = 60

    private var random: SeededRandom
    private var replicas: [TwinState]
    private var counters: [UInt64]
    private var dots: [Dot] = []
    private var sent: [TwinState] = []
    private var contexts: [(vector: VersionVector, past: UInt64)] = [(VersionVector(), 0)]
    private(set) var steps = 0
    private(set) var siblingsMost = 0
    private(set) var replacements = 0

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let count = 2 + Int(random.below(4))
        self.replicas = Array(repeating: TwinState(), count: count)
        self.counters = (0..<count).map { _ in random.below(3) }
        self.random = random
    }

    /// Runs the episode; returns what went wrong, or nil.
    mutating func run() -> String? {
        while self.steps < Self.stepsMax {
            self.steps += 1
            let replica = Int(self.random.below(UInt64(self.replicas.count)))
            switch self.random.below(16) {
            case 0..<6: self.put(at: replica)
            case 6: self.delete(at: replica)
            case 7..<10: self.read(at: replica)
            default: self.merge(into: replica)
            }
            if let problem = self.difference(at: replica) { return "step \(self.steps): \(problem)" }
        }
        return self.converge()
    }

    private mutating func put(at replica: Int) {
        guard self.dots.count < Self.putsMax else { return }
        // The counter is node-wide: other keys take some of its numbers.
        self.counters[replica] += 1 + self.random.below(3)
        let dot = Dot(node: NodeID(rawValue: UInt64(replica) * 7 + 1), counter: self.counters[replica])
        let id = self.dots.count
        self.dots.append(dot)
        let version = Version(
            dot: dot, time: .zero, expiry: nil, metadata: .none, value: ByteBuffer(integer: UInt8(id))
        )
        let (seen, past) = self.chooseSeen(at: replica)
        self.replicas[replica].siblings.put(version, seen: seen)
        self.replicas[replica].history.superseded |= past
        self.replicas[replica].history.known |= 1 << UInt64(id)
        self.remember(replica)
        if self.random.chance(1, in: 4) {
            self.keep(self.replicas[replica].siblings.contextAfterPut(of: dot), past: nil)
        }
    }

    private mutating func delete(at replica: Int) {
        let (seen, past) = self.chooseSeen(at: replica)
        self.replicas[replica].siblings.delete(seen: seen)
        self.replicas[replica].history.superseded |= past
        self.remember(replica)
    }

    /// Reads at one replica or at two, as a quorum read does, and keeps the context for later.
    private mutating func read(at replica: Int) {
        var state = self.replicas[replica]
        if self.random.chance(1, in: 2) {
            let other = self.replicas[Int(self.random.below(UInt64(self.replicas.count)))]
            state.siblings.merge(other.siblings)
            state.history.merge(other.history)
        }
        self.keep(state.siblings.context, past: state.history.past)
    }

    /// Merges what a replica knows now or knew once; duplicates and old states are as welcome as news.
    private mutating func merge(into replica: Int) {
        var source = self.replicas[Int(self.random.below(UInt64(self.replicas.count)))]
        if !self.sent.isEmpty, self.random.chance(1, in: 2) {
            source = self.sent[Int(self.random.below(UInt64(self.sent.count)))]
        }
        if self.random.chance(1, in: 8) {
            let buffer = source.siblings.encoded
            if let decoded = try? Siblings(encoded: buffer) { source.siblings = decoded }
        }
        // Engines store what replaces all as it came; every other time it is done here too, for the histories to judge.
        if self.steps % 2 == 0, source.siblings.replacesAll(of: self.replicas[replica].siblings.context) {
            self.replicas[replica].siblings = source.siblings
            self.replacements += 1
        } else {
            self.replicas[replica].siblings.merge(source.siblings)
        }
        self.replicas[replica].history.merge(source.history)
    }

    private mutating func chooseSeen(at replica: Int) -> (Seen, past: UInt64) {
        switch self.random.below(8) {
        case 0: return (.blind, 0)
        case 1: return (.overwrite, self.replicas[replica].history.past)
        case 2: return (.given(VersionVector()), 0)
        case 3:
            return (.given(self.replicas[replica].siblings.context), self.replicas[replica].history.past)
        default:
            let chosen = self.contexts[Int(self.random.below(UInt64(self.contexts.count)))]
            return (.given(chosen.vector), chosen.past)
        }
    }

    private mutating func remember(_ replica: Int) {
        if self.sent.count < 16 {
            self.sent.append(self.replicas[replica])
        } else {
            self.sent[Int(self.random.below(16))] = self.replicas[replica]
        }
    }

    /// Keeps a client's context; without a `past` it stands for the existing writes that it covers.
    private mutating func keep(_ vector: VersionVector, past: UInt64?) {
        let entry = (vector, past ?? self.covered(by: vector))
        if self.contexts.count < 8 {
            self.contexts.append(entry)
        } else {
            self.contexts[Int(self.random.below(8))] = entry
        }
    }

    private func covered(by vector: VersionVector) -> UInt64 {
        var mask: UInt64 = 0
        var id = 0
        while id < self.dots.count {
            if vector.covers(self.dots[id]) { mask |= 1 << UInt64(id) }
            id += 1
        }
        return mask
    }

    /// INV 4: the siblings are exactly the concurrent writes, the context covers exactly the past.
    private mutating func difference(at replica: Int) -> String? {
        let twin = self.replicas[replica]
        self.siblingsMost = max(self.siblingsMost, twin.siblings.versions.count)
        var visible: UInt64 = 0
        for version in twin.siblings.versions {
            guard let id = version.value.getInteger(at: version.value.readerIndex, as: UInt8.self) else {
                return "replica \(replica) holds an unreadable value"
            }
            if self.dots[Int(id)] != version.dot { return "write \(id) has dot \(version.dot)" }
            visible |= 1 << UInt64(id)
        }
        if visible != twin.history.visible {
            return "replica \(replica) shows \(visible), the histories say \(twin.history.visible)"
        }
        let covered = self.covered(by: twin.siblings.context)
        return covered == twin.history.past
            ? nil : "replica \(replica) covers \(covered), the histories say \(twin.history.past)"
    }

    private mutating func converge() -> String? {
        var whole = TwinState()
        for twin in self.replicas {
            whole.siblings.merge(twin.siblings)
            whole.history.merge(twin.history)
        }
        let expected = whole.siblings.encoded
        for replica in self.replicas.indices.reversed() {
            for other in self.replicas.indices.shuffled(using: &self.random) {
                self.replicas[replica].siblings.merge(self.replicas[other].siblings)
                self.replicas[replica].history.merge(self.replicas[other].history)
            }
            if let problem = self.difference(at: replica) { return "at the end: \(problem)" }
            let bytes = self.replicas[replica].siblings.encoded
            if bytes != expected { return "replica \(replica) differs in bytes at the end" }
        }
        let acknowledged: UInt64 = self.dots.count == 64 ? .max : (1 << UInt64(self.dots.count)) - 1
        return whole.history.known == acknowledged ? nil : "a write is missing from the histories"
    }
}

@Suite struct CausalHistoryTests {
    private static let stepsPerSeed = 131_072

    @Test(arguments: seeds)
    func siblingsEqualNaiveCausalHistories(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var (steps, episodes, most, replacements) = (0, 0, 0, 0)
        while steps < Self.stepsPerSeed {
            let episodeSeed = random.next()
            var episode = CausalEpisode(seed: episodeSeed)
            if let problem = episode.run() {
                Issue.record("seed \(seed), episode \(episodes) (seed \(episodeSeed)): \(problem)")
                return
            }
            steps += episode.steps
            episodes += 1
            most = max(most, episode.siblingsMost)
            replacements += episode.replacements
        }
        print("causal histories: seed \(seed), \(steps) steps in \(episodes) episodes, at most \(most) siblings")
        #expect(most > 5, "the runs hardly ever made siblings")
        #expect(replacements > 1_000, "the runs hardly ever replaced all")
    }
}
