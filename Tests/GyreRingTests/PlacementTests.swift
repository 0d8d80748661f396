import GyreBase
import GyreRing
import Testing

/// `count` members; equal seeds share their first members.
func makeMembers(_ count: Int, seed: UInt64, zones: Int = 1, weights: [Int] = [1]) -> [RingMember] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { index in
        RingMember(
            node: NodeID(rawValue: random.next() | 1),
            weight: weights[index % weights.count],
            zone: zones == 1 ? "" : "z\(index % zones)"
        )
    }
}

/// Owner sets of every partition.
func ownerSets(_ ring: Ring) -> [Set<NodeID>] {
    (0..<ring.options.partitionCount).map { Set(ring.owners(of: PartitionID(index: $0))) }
}

/// How many places have an owner in `b` that the partition did not have in `a`.
func movement(from a: Ring, to b: Ring) -> Int {
    zip(ownerSets(a), ownerSets(b)).reduce(0) { $0 + $1.1.subtracting($1.0).count }
}

/// Properties of the placement for 1 to 100 nodes.
@Suite struct PlacementTests {
    static let counts = Array(1...30) + [37, 60, 99]

    private func options(_ nodes: Int, replicas: Int = 3) throws -> RingOptions {
        try RingOptions(partitionCount: nodes > 30 ? 4_096 : 1_024, replicas: replicas)
    }

    @Test(arguments: counts)
    func loadIsBoundedOwnersAreDistinctAndOneJoinOrLeaveMovesLittle(count: Int) throws {
        let options = try self.options(count)
        for seed in UInt64(1)...(count > 30 ? 1 : 3) {
            let members = makeMembers(count + 1, seed: seed)
            let small = try Ring(members: Array(members.prefix(count)), options: options)
            let large = try Ring(members: members, options: options)
            for ring in [small, large] {
                let replicas = min(3, ring.members.count)
                #expect(ownerSets(ring).allSatisfy { $0.count == replicas }, "seed \(seed)")
                let mean = Double(options.partitionCount * replicas) / Double(ring.members.count)
                let most = ring.members.map { ring.share(of: $0.node).owned }.max() ?? 0
                #expect(Double(most) / mean <= 1.06, "seed \(seed): \(most) of \(mean)")
            }
            guard count >= 3 else { continue }
            let fair = Double(options.partitionCount * 3) / Double(count + 1)
            let joined = Double(movement(from: small, to: large)) / fair
            let left = Double(movement(from: large, to: small)) / fair
            #expect(joined <= 1.25, "seed \(seed): a join moved \(joined) of the least possible")
            #expect(left <= 1.25, "seed \(seed): a leave moved \(left) of the least possible")
        }
    }

    @Test(arguments: 3...8)
    func amongFewNodesEachHasItsShareWithinSixPercent(count: Int) throws {
        let mean = Double(1_024 * 3) / Double(count)
        for seed in UInt64(1)...40 {
            let ring = try Ring(members: makeMembers(count, seed: seed), options: self.options(count))
            for member in ring.members {
                let share = Double(ring.share(of: member.node).owned) / mean
                #expect(share >= 0.94 && share <= 1.06, "seed \(seed): \(share)")
            }
        }
    }

    @Test(arguments: [3, 4, 5, 6, 7, 9, 12, 20, 30], [2, 3, 4, 5])
    func replicasAreInDistinctZonesFirst(count: Int, zones: Int) throws {
        for replicas in [2, 3, 5] {
            let members = makeMembers(count, seed: UInt64(count * zones), zones: zones)
            let zoneOf = Dictionary(uniqueKeysWithValues: members.map { ($0.node, $0.zone) })
            let ring = try Ring(members: members, options: self.options(count, replicas: replicas))
            let wanted = min(replicas, Set(members.map(\.zone)).count)
            for set in ownerSets(ring) {
                #expect(set.count == min(replicas, count))
                #expect(Set(set.map { zoneOf[$0] }).count == wanted)
            }
            if count % zones == 0 {
                let mean = Double(1_024 * min(replicas, count)) / Double(count)
                let most = ring.members.map { ring.share(of: $0.node).owned }.max() ?? 0
                #expect(Double(most) / mean <= 1.06, "\(replicas) replicas: \(most) of \(mean)")
            }
        }
    }

    @Test func aSmallZoneTakesOneReplicaOfEveryPartitionAndNoMore() throws {
        let members = makeMembers(7, seed: 3).enumerated().map { index, member in
            RingMember(node: member.node, zone: index == 0 ? "small" : index < 4 ? "a" : "b")
        }
        let ring = try Ring(members: members, options: self.options(7))
        #expect(ring.share(of: members[0].node).owned == 1_024)
        #expect(members.dropFirst().allSatisfy { ring.share(of: $0.node).owned <= 363 })
    }

    @Test(arguments: [4, 6, 10, 16, 24, 30])
    func twiceTheWeightGetsTwiceTheShareWithinSixPercent(count: Int) throws {
        for seed in UInt64(1)...4 {
            let members = makeMembers(count, seed: seed, weights: [1, 1, 1, 1, 1, 2].suffix(count > 6 ? 6 : 2))
            guard members.contains(where: { $0.weight == 2 }) else { continue }
            let ring = try Ring(members: members, options: self.options(count))
            func mean(_ weight: Int) -> Double {
                let shares = members.filter { $0.weight == weight }.map { ring.share(of: $0.node).owned }
                return Double(shares.reduce(0, +)) / Double(shares.count)
            }
            let ratio = mean(2) / mean(1)
            #expect(ratio >= 1.88 && ratio <= 2.12, "seed \(seed): \(ratio)")
        }
    }

    @Test(arguments: UInt64(1)...5)
    func theOrderOfMembersDoesNotMatter(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let members = makeMembers(12, seed: seed, zones: 3, weights: [1, 2, 5])
        let options = try RingOptions()
        let ring = try Ring(members: members, options: options)
        for _ in 0..<3 {
            let other = try Ring(members: members.shuffled(using: &random), options: options)
            #expect(other == ring)
            #expect(other.hash == ring.hash)
        }
    }

    @Test func thePlacementIsFrozen() throws {
        let ring = try Ring(members: makeMembers(7, seed: 42, zones: 3, weights: [1, 2]), options: RingOptions())
        #expect(hexadecimal(ring.hash) == "2937cb05781373f1")
    }

    @Test func manyShapesHaveDistinctOwnersWithoutATrap() throws {
        for seed in UInt64(0)..<60 {
            var random = SeededRandom(seed: seed)
            let members = (0..<1 + Int(random.below(12))).map { _ in
                RingMember(
                    node: NodeID(rawValue: random.next() | 1),
                    weight: 1 + Int(random.below(seed % 20 == 7 ? 1_000 : 4)),
                    zone: "z\(random.below(5))"
                )
            }
            let options = try RingOptions(partitionCount: 8 << Int(random.below(6)), replicas: 1 + Int(random.below(7)))
            let ring = try Ring(members: members, options: options)
            let wanted = min(options.replicas, members.count)
            #expect(ownerSets(ring).allSatisfy { $0.count == wanted }, "seed \(seed)")
        }
    }
}
