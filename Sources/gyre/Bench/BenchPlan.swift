import GyreBase

/// What one operation of a workload does.
enum BenchOperation: String, CaseIterable, Sendable {
    /// A put that overwrites.
    case put
    /// A get.
    case get
    /// A get, then a put with the context it returned.
    case readModifyWrite = "rmw"
}

/// Named mixes of operations; the letters are those of YCSB (Cooper et al., SoCC 2010).
enum BenchWorkload: String, CaseIterable, Sendable {
    case put, get, mixed, a, b, c, d, f

    /// Percent of gets; the rest is `other`.
    var readPercent: UInt64 {
        switch self {
        case .put: 0
        case .get, .c: 100
        case .mixed, .a, .f: 50
        case .b, .d: 95
        }
    }

    /// What is done when it is not a get.
    var other: BenchOperation { self == .f ? .readModifyWrite : .put }

    /// Whether puts add new keys and gets prefer the newest (YCSB D).
    var readsLatest: Bool { self == .d }
}

/// How keys are chosen.
enum BenchDistribution: String, CaseIterable, Sendable {
    case uniform, zipfian
}

/// Chooses keys; equal seeds choose equal keys.
struct KeyChooser {
    private let workload: BenchWorkload
    private let zipf: Zipf?
    /// Keys that exist by now; grows with YCSB D.
    private(set) var keyCount: UInt64

    init(workload: BenchWorkload, distribution: BenchDistribution, keyCount: UInt64) {
        self.workload = workload
        self.keyCount = keyCount
        self.zipf = distribution == .zipfian || workload.readsLatest ? Zipf(count: keyCount) : nil
    }

    /// The number of the key for the next operation.
    mutating func next(_ operation: BenchOperation, random: inout SeededRandom) -> UInt64 {
        if self.workload.readsLatest {
            if operation == .put {
                self.keyCount += 1
                return self.keyCount - 1
            }
            let back = self.zipf?.rank(random: &random) ?? 0
            return self.keyCount - 1 - min(back, self.keyCount - 1)
        }
        guard let zipf = self.zipf else { return random.below(self.keyCount) }
        // Spread the popular ranks over the key space, so that they do not share a partition.
        return StableHash.xxh3(zipf.rank(random: &random)) % self.keyCount
    }
}

/// Zipf-distributed ranks with exponent 0.99 (Gray et al., SIGMOD 1994, §3.2; as in YCSB).
struct Zipf {
    private static let theta = 0.99
    private let count: UInt64
    private let zeta: Double
    private let alpha: Double
    private let eta: Double

    init(count: UInt64) {
        precondition(count > 0, "zipf over no keys")
        self.count = count
        var zeta = 0.0
        for rank in 1...count { zeta += 1 / Self.power(Double(rank), Self.theta) }
        self.zeta = zeta
        self.alpha = 1 / (1 - Self.theta)
        let zetaOfTwo = 1 + 1 / Self.power(2, Self.theta)
        self.eta = (1 - Self.power(2 / Double(count), 1 - Self.theta)) / (1 - zetaOfTwo / zeta)
    }

    /// A rank, 0 for the most popular.
    func rank(random: inout SeededRandom) -> UInt64 {
        let u = Double(random.next() >> 11) / Double(1 << 53 as UInt64)
        let uz = u * self.zeta
        if uz < 1 { return 0 }
        if uz < 1 + Self.power(0.5, Self.theta) { return min(1, self.count - 1) }
        let rank = Double(self.count) * Self.power(self.eta * u - self.eta + 1, self.alpha)
        return min(UInt64(max(0, rank)), self.count - 1)
    }

    private static func power(_ base: Double, _ exponent: Double) -> Double { platformPower(base, exponent) }
}
