import GyreBase
import GyreRing
import Testing

/// What a ring answers and what it refuses.
@Suite struct RingTests {
    @Test func anEmptyRingHasNoOwnersAndNoSlots() throws {
        let ring = try Ring(members: [], options: RingOptions())
        let list = ring.preferenceList(for: Token(rawValue: 7)) { _ in true }
        #expect(ring.owners(of: PartitionID(index: 1_023)).isEmpty)
        #expect(list.slots.isEmpty)
        #expect(ring.share(of: NodeID(rawValue: 1)).total == 0)
    }

    @Test func withFewerNodesThanReplicasAllAreOwners() throws {
        let members = makeMembers(2, seed: 1)
        let ring = try Ring(members: members, options: RingOptions())
        #expect(ownerSets(ring).allSatisfy { $0 == Set(members.map(\.node)) })
    }

    @Test func thePartitionIsTheTopBitsOfTheToken() throws {
        let ring = try Ring(members: makeMembers(3, seed: 1), options: RingOptions(partitionCount: 8))
        #expect(ring.partition(of: Token(rawValue: 0)).index == 0)
        #expect(ring.partition(of: Token(rawValue: (1 << 61) - 1)).index == 0)
        #expect(ring.partition(of: Token(rawValue: 1 << 61)).index == 1)
        #expect(ring.partition(of: Token(rawValue: .max)).index == 7)
    }

    @Test func wrongInputIsRefusedWithItsLimit() throws {
        let node = NodeID(rawValue: 5)
        let options = try RingOptions()
        #expect(throws: RingError.duplicateMember(node)) {
            try Ring(members: [RingMember(node: node), RingMember(node: node, weight: 2)], options: options)
        }
        #expect(throws: RingError.invalidWeight(0, node: node, weightMax: 1_000)) {
            try Ring(members: [RingMember(node: node, weight: 0)], options: options)
        }
        #expect(throws: RingError.tooManyMembers(1_025, countMax: 1_024)) {
            try Ring(members: makeMembers(1_025, seed: 1), options: options)
        }
        for count in [0, 4, 9, 1_000, 131_072] {
            #expect(throws: RingError.invalidPartitionCount(count, allowed: 8...65_536)) {
                try RingOptions(partitionCount: count)
            }
        }
        for replicas in [0, -1, 8] {
            #expect(throws: RingError.invalidReplicas(replicas, allowed: 1...7)) {
                try RingOptions(replicas: replicas)
            }
        }
    }

    @Test(arguments: UInt64(0)..<40)
    func preferenceListEqualsItsNaiveTwin(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let members = makeMembers(1 + Int(random.below(9)), seed: seed)
        let options = try RingOptions(partitionCount: 64, replicas: 1 + Int(random.below(5)))
        let ring = try Ring(members: members, options: options)
        for _ in 0..<50 {
            let sick = Set(members.map(\.node).filter { _ in random.chance(1, in: 3) })
            // The last partitions come often, for their fallbacks are across the wrap-around.
            let top = random.chance(1, in: 2) ? UInt64.max << 58 : 0
            let token = Token(rawValue: random.next() | top)
            let list = ring.preferenceList(for: token) { !sick.contains($0) }

            let partition = ring.partition(of: token)
            let owners = Array(ring.owners(of: partition))
            var clockwise: [NodeID] = []
            for step in 0..<64 {
                for node in ring.owners(of: PartitionID(index: (partition.index + step) % 64)) {
                    if !clockwise.contains(node) { clockwise.append(node) }
                }
            }
            var spare = clockwise.filter { !owners.contains($0) && !sick.contains($0) }
            var slots: [Slot] = []
            var unreachable: [NodeID] = []
            for owner in owners {
                if !sick.contains(owner) {
                    slots.append(.primary(owner))
                } else if spare.isEmpty {
                    unreachable.append(owner)
                } else {
                    slots.append(.fallback(spare.removeFirst(), standingInFor: owner))
                }
            }
            #expect(list.slots == slots, "seed \(seed)")
            #expect(list.unreachable == unreachable, "seed \(seed)")
            #expect(Set(list.slots.map(\.node)).count == list.slots.count, "seed \(seed)")
        }
    }
}
