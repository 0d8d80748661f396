/// How many places each node should have: in proportion to weight, as far as distinct nodes and zones allow.
///
/// A node takes at most one place of a partition, hence at most Q. With at least as many zones as replicas a zone
/// takes at most one; with fewer, every zone takes at least one. Within these bounds shares are proportional.
/// Only IEEE products, sums and comparisons in a fixed order, so that every machine gets the same bits.
struct Shares {
    /// The share of each node, in places.
    private(set) var places: [Double]
    /// No node takes more: 1.05 × its share, rounded up where that stays within 1.06 ×. From 30 nodes down to 10 the
    /// bound tightens to 1.005 ×: what few others may not take too much of, one node cannot have too little of, and
    /// among few nodes that costs little movement. It is tighter, too, for a node with more than the mean share, whose
    /// load strays less by itself.
    let caps: [Int]

    init(weights: [Int], zones: [Int], zoneCount: Int, partitionCount: Int, replicas: Int) {
        let all = Double(partitionCount)
        var zoneWeights = [Double](repeating: 0, count: zoneCount)
        var zoneSizes = [Double](repeating: 0, count: zoneCount)
        for (node, zone) in zones.enumerated() {
            zoneWeights[zone] += Double(weights[node])
            zoneSizes[zone] += 1
        }
        let extra = Double(max(0, replicas - zoneCount))
        let zoneShares = Shares.filled(
            total: all * Double(replicas),
            weights: zoneWeights,
            least: zoneCount <= replicas ? all : 0,
            most: zoneSizes.map { min($0, 1 + extra) * all }
        )
        var places = [Double](repeating: 0, count: weights.count)
        for zone in 0..<zoneCount {
            let nodes = zones.indices.filter { zones[$0] == zone }
            let shares = Shares.filled(
                total: zoneShares[zone],
                weights: nodes.map { Double(weights[$0]) },
                least: 0,
                most: nodes.map { _ in all }
            )
            for (node, share) in zip(nodes, shares) { places[node] = share }
        }
        self.places = places
        let slack = 0.005 + 0.045 * Double(min(30, max(10, weights.count)) - 10) / 20
        let mean = all * Double(replicas) / Double(weights.count)
        self.caps = places.map { share in
            let excess = slack * min(1, mean / share)
            let bounded = min((share * (1 + excess)).rounded(.up), (share * (1.01 + excess)).rounded(.down))
            return min(partitionCount, max(Int(bounded), Int(share.rounded(.up))))
        }
    }

    /// `total` in proportion to `weights`, each part within its bounds: the level λ at which
    /// Σ clamp(λ × weight, least, most) reaches `total`, found by halving.
    private static func filled(total: Double, weights: [Double], least: Double, most: [Double]) -> [Double] {
        func parts(_ level: Double) -> [Double] {
            weights.indices.map { max(least, min(most[$0], level * weights[$0])) }
        }
        var low = 0.0
        var high = total
        for _ in 0..<100 {
            let middle = (low + high) / 2
            if parts(middle).reduce(0, +) < total { low = middle } else { high = middle }
        }
        return parts(high)
    }
}
