internal import GyreBase

/// The virtual-node ring (Dynamo §4.2): which nodes follow a point clockwise, nearest first.
///
/// A node of weight w has `perWeight × w` virtual nodes, one at a random point of each of as many equal arcs. Spread
/// like this they split the ring more evenly than independent points do, and every evenness that the ring has by
/// itself need not be enforced by the bound on load, which is what moves partitions of nodes that nothing happened to.
struct VirtualNodes {
    /// Measured for rings of 3 to 100 nodes: fewer make loads uneven, many more make arcs shorter than partitions and
    /// the gain of spreading is lost. Part of the placement: another number is another ring.
    static let perWeight = 192
    /// Bounds the work for heavy weights; above it all nodes have fewer in proportion.
    static let countMax = 1 << 18

    private struct Point {
        let token: UInt64
        let node: Int
    }

    private let points: [Point]

    init(members: [RingMember]) {
        let weight = members.reduce(0) { $0 + $1.weight }
        var scale = 0
        while (weight * VirtualNodes.perWeight) >> scale > VirtualNodes.countMax { scale += 1 }
        var points: [Point] = []
        points.reserveCapacity((weight * VirtualNodes.perWeight) >> scale + members.count * 16)
        for (index, member) in members.enumerated() {
            let count = UInt64(max(16, (member.weight * VirtualNodes.perWeight) >> scale))
            let arc = UInt64.max / count
            for number in 0..<count {
                let hash = StableHash.xxh3(number, seed: member.place.rawValue)
                points.append(Point(token: number * arc + hash.multipliedFullWidth(by: arc).high, node: index))
            }
        }
        self.points = points.sorted { ($0.token, $0.node) < ($1.token, $1.node) }
    }

    /// For each of `partitionCount` equal slices, the first `length` distinct nodes clockwise from its start, and how
    /// far away each is in units of 2^16 tokens.
    func walks(partitionCount: Int, length: Int, nodeCount: Int) -> (nodes: [Int], distances: [UInt64]) {
        var nodes: [Int] = []
        var distances: [UInt64] = []
        nodes.reserveCapacity(partitionCount * length)
        distances.reserveCapacity(partitionCount * length)
        var lastSeenBy = [Int](repeating: -1, count: nodeCount)
        let shift = UInt64(64 - partitionCount.trailingZeroBitCount)
        var first = 0
        for partition in 0..<partitionCount {
            let start = UInt64(partition) << shift
            while first < self.points.count, self.points[first].token < start { first += 1 }
            var position = first == self.points.count ? 0 : first
            var found = 0
            while found < length {
                let point = self.points[position]
                if lastSeenBy[point.node] != partition {
                    lastSeenBy[point.node] = partition
                    nodes.append(point.node)
                    distances.append((point.token &- start) >> 16)
                    found += 1
                }
                position = position + 1 == self.points.count ? 0 : position + 1
            }
        }
        return (nodes, distances)
    }
}
