/// Gives each partition min(N, nodes) distinct owners: the first nodes clockwise on the virtual-node ring, in distinct
/// zones first, none above its bound on load (architecture D1; bounded load after Mirrokni, Thorup and Zadimoghaddam,
/// "Consistent Hashing with Bounded Loads", SODA 2018).
///
/// Who yields when a node is full decides how much moves later. Here it is deferred acceptance (Gale and Shapley,
/// 1962): a partition asks nodes in clockwise order, and a full node keeps those to which it comes first on their
/// walk and turns the others away. The result does not depend on the order of asking, and a node that joins or leaves
/// disturbs only the partitions that it gains or loses and the few that these displace. Deciding in order of
/// partitions instead moved up to a tenth more in the same measurements.
struct Placement {
    /// Owners as indexes of members, `ownersPerPartition` for each partition, in order of preference.
    private(set) var owners: [Int] = []

    /// A partition that a node holds; the greatest is the first to be turned away.
    private struct Claim: Comparable {
        let rank: Int
        let distance: UInt64
        let partition: Int
        static func < (a: Self, b: Self) -> Bool {
            if a.rank != b.rank { return a.rank < b.rank }
            return a.distance != b.distance ? a.distance < b.distance : a.partition < b.partition
        }
    }

    private let partitionCount: Int
    private let replicas: Int
    private let zones: [Int]
    /// Owners of one partition that may share a zone with another one.
    private let zoneSharesMax: Int
    private let caps: [Int]
    private let walkLength: Int
    private let walk: (nodes: [Int], distances: [UInt64])
    /// For each node a heap of claims, greatest first.
    private var claims: [[Claim]]
    /// For each partition the ranks on its walk of the nodes that hold it, ascending.
    private var held: [[Int]]

    /// - Parameter members: sorted by node; not empty.
    init(members: [RingMember], options: RingOptions) {
        let names = Set(members.map(\.zone)).sorted()
        let zones = members.map { member in names.firstIndex(of: member.zone) ?? 0 }
        self.partitionCount = options.partitionCount
        self.replicas = min(options.replicas, members.count)
        self.zones = zones
        self.zoneSharesMax = max(0, self.replicas - names.count)
        let shares = Shares(
            weights: members.map(\.weight),
            zones: zones,
            zoneCount: names.count,
            partitionCount: options.partitionCount,
            replicas: self.replicas
        )
        self.caps = shares.caps
        // Zones can make a partition pass over many nodes; without them 32 are far more than it ever asks.
        self.walkLength = min(members.count, names.count > 1 ? 128 : 32)
        self.walk = VirtualNodes(members: members).walks(
            partitionCount: options.partitionCount, length: self.walkLength, nodeCount: members.count)
        self.claims = [[Claim]](repeating: [], count: members.count)
        self.held = [[Int]](repeating: [], count: options.partitionCount)
        self.accept()
        self.collect()
    }

    /// Lets every partition ask until it has its owners or nobody is left to ask.
    private mutating func accept() {
        var waiting = Array((0..<self.partitionCount).reversed())
        while let partition = waiting.popLast() {
            while self.held[partition].count < self.replicas {
                guard let displaced = self.ask(for: partition) else { break }
                if displaced != partition { waiting.append(displaced) }
            }
        }
    }

    /// Finds the next owner of `partition`; returns the partition that lost one by it (itself for none), or nil when
    /// no node on the walk takes it.
    private mutating func ask(for partition: Int) -> Int? {
        let start = partition * self.walkLength
        for rank in 0..<self.walkLength where self.mayHold(rank, partition) {
            let node = self.walk.nodes[start + rank]
            let claim = Claim(rank: rank, distance: self.walk.distances[start + rank], partition: partition)
            if self.claims[node].count < self.caps[node] {
                self.push(claim, to: node)
            } else if let worst = self.claims[node].first, claim < worst {
                self.replaceWorst(of: node, by: claim)
                self.held[worst.partition].removeAll { $0 == worst.rank }
                self.hold(rank, partition)
                return worst.partition
            } else {
                continue
            }
            self.hold(rank, partition)
            return partition
        }
        return nil
    }

    private mutating func hold(_ rank: Int, _ partition: Int) {
        let place = self.held[partition].firstIndex { $0 > rank } ?? self.held[partition].count
        self.held[partition].insert(rank, at: place)
    }

    /// Whether `partition` may have the node of `rank` beside those that it has.
    private func mayHold(_ rank: Int, _ partition: Int) -> Bool {
        let start = partition * self.walkLength
        let zone = self.zones[self.walk.nodes[start + rank]]
        var shared = 0
        var isShared = false
        for (index, other) in self.held[partition].enumerated() {
            if other == rank { return false }
            let otherZone = self.zones[self.walk.nodes[start + other]]
            if otherZone == zone { isShared = true }
            for earlier in self.held[partition][..<index]
            where self.zones[self.walk.nodes[start + earlier]] == otherZone {
                shared += 1
                break
            }
        }
        return !isShared || shared < self.zoneSharesMax
    }

    /// Turns ranks into nodes, and completes partitions that found every node on their walk full.
    private mutating func collect() {
        var loads = self.claims.map(\.count)
        var lists = self.held.indices.map { partition in
            self.held[partition].map { self.walk.nodes[partition * self.walkLength + $0] }
        }
        for partition in lists.indices {
            while lists[partition].count < self.replicas {
                let free = self.zones.indices.filter { self.fits($0, into: lists[partition]) }
                guard let best = free.min(by: { loads[$0] - self.caps[$0] < loads[$1] - self.caps[$1] }) else {
                    preconditionFailure("\(lists[partition]) of \(self.replicas) owners, \(self.zones.count) nodes")
                }
                if loads[best] < self.caps[best] || !self.swap(into: partition, free, &lists, &loads) {
                    // Distinct owners and zones come before the bound on load.
                    lists[partition].append(best)
                    loads[best] += 1
                }
            }
        }
        self.owners = lists.flatMap { $0 }
    }

    /// Frees a place on one of the full nodes `wanted` by giving another partition a node with room instead.
    private func swap(into partition: Int, _ wanted: [Int], _ lists: inout [[Int]], _ loads: inout [Int]) -> Bool {
        let spare = self.zones.indices.filter { loads[$0] < self.caps[$0] }
        for step in 1..<self.partitionCount {
            let other = (partition + step) % self.partitionCount
            for (place, node) in lists[other].enumerated() where wanted.contains(node) {
                var rest = lists[other]
                rest.remove(at: place)
                guard let instead = spare.first(where: { $0 != node && self.fits($0, into: rest) }) else { continue }
                lists[other][place] = instead
                lists[partition].append(node)
                loads[instead] += 1
                return true
            }
        }
        return false
    }

    /// Whether `node` may be an owner beside `nodes`.
    private func fits(_ node: Int, into nodes: [Int]) -> Bool {
        if nodes.contains(node) { return false }
        var used: [Int] = []
        for other in nodes where !used.contains(self.zones[other]) { used.append(self.zones[other]) }
        return !used.contains(self.zones[node]) || nodes.count - used.count < self.zoneSharesMax
    }

    private mutating func push(_ claim: Claim, to node: Int) {
        self.claims[node].append(claim)
        var child = self.claims[node].count - 1
        while child > 0, self.claims[node][(child - 1) / 2] < self.claims[node][child] {
            self.claims[node].swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func replaceWorst(of node: Int, by claim: Claim) {
        self.claims[node][0] = claim
        var parent = 0
        while true {
            var greatest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < self.claims[node].count {
                if self.claims[node][greatest] < self.claims[node][child] { greatest = child }
            }
            if greatest == parent { return }
            self.claims[node].swapAt(parent, greatest)
            parent = greatest
        }
    }
}
