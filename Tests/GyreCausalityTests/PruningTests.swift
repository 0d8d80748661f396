import GyreBase
import GyreCausality
import NIOCore
import Testing

@Suite struct PruningTests {
    private static let activity = [
        EntryActivity(node: a, lastUpdate: WallTime(milliseconds: 1_000), epoch: 1),
        EntryActivity(node: b, lastUpdate: WallTime(milliseconds: 5_000), epoch: 2),
        EntryActivity(node: c, lastUpdate: WallTime(milliseconds: 9_000), epoch: 3),
    ]

    struct PruneCase: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let pruning: VersionVectorPruning
        let left: [NodeID]
    }

    @Test(arguments: [
        PruneCase(testDescription: "none forgets nothing", pruning: .none, left: [a, b, c]),
        PruneCase(
            testDescription: "age forgets what is older",
            pruning: .age(over: .seconds(4), now: WallTime(milliseconds: 9_000)), left: [b, c]
        ),
        PruneCase(
            testDescription: "age forgets nothing when the wall clock jumped back",
            pruning: .age(over: .zero, now: WallTime(milliseconds: 0)), left: [a, b, c]
        ),
        PruneCase(testDescription: "entry count forgets the oldest", pruning: .entryCount(countMax: 1), left: [c]),
        PruneCase(testDescription: "epoch forgets what came before", pruning: .epoch(oldestKept: 3), left: [c]),
    ])
    func prunedLeaves(_ example: PruneCase) {
        let past = vector((a, 1), (b, 1), (c, 1))
        #expect(past.pruned(by: example.pruning, activity: Self.activity).entries.map(\.node) == example.left)
    }

    @Test func entriesOfLiveVersionsAndOfUnknownAgeStay() {
        var state = Siblings()
        state.put(version(a, 1), seen: .given(vector((b, 3))))
        #expect(state.pruned(by: .epoch(oldestKept: 9), activity: Self.activity).context == vector((a, 1)))
        #expect(state.pruned(by: .epoch(oldestKept: 9), activity: []) == state)
        let past = vector((a, 1), (b, 1))
        let known = [EntryActivity(node: b, lastUpdate: WallTime(milliseconds: 5_000), epoch: 2)]
        #expect(past.pruned(by: .entryCount(countMax: 1), activity: known) == vector((a, 1)))
    }

    @Test func aPrunedEntryBringsAnOverwrittenValueBack() {
        var stale = Siblings()
        stale.put(version(a, 1, "old"), seen: .blind)
        var state = stale
        state.put(version(b, 1, "new"), seen: .overwrite)
        #expect(state.merged(stale).texts == ["new"])
        let pruned = state.pruned(by: .entryCount(countMax: 1), activity: Self.activity)
        #expect(pruned.merged(stale).texts == ["old", "new"])
    }

    @Test func aPrunedTombstoneBringsADeletedValueBack() {
        var stale = Siblings()
        stale.put(version(a, 1, "deleted"), seen: .blind)
        var state = stale
        state.delete(seen: .overwrite)
        #expect(state.merged(stale).isTombstone)
        let pruned = state.pruned(by: .epoch(oldestKept: 2), activity: Self.activity)
        #expect(pruned.merged(stale).texts == ["deleted"])
    }

    enum Strategy: String, Sendable, CaseIterable { case none, age, entryCount, epoch }

    @Test(arguments: Strategy.allCases)
    func randomRunsCountTheFalseSiblingsOfAStrategy(_ strategy: Strategy) {
        var random = SeededRandom(seed: 44)
        var (falseSiblings, puts) = (0, 0)
        for _ in 0..<300 {
            let run = Self.run(strategy, random: &random)
            falseSiblings += run.falseSiblings
            puts += run.puts
        }
        print("pruning by \(strategy.rawValue): \(falseSiblings) overwritten values came back after \(puts) puts")
        #expect((falseSiblings == 0) == (strategy == .none))
    }

    /// Four replicas that overwrite, merge now and then, and prune; counts the values at the end that the naive
    /// histories know to be superseded.
    private static func run(
        _ strategy: Strategy, random: inout SeededRandom
    ) -> (falseSiblings: Int, puts: Int) {
        var replicas = Array(repeating: TwinState(), count: 4)
        var updates = Array(repeating: UInt64(0), count: 4)
        var puts = 0
        for step in UInt64(1)...48 {
            let replica = Int(random.below(4))
            let peer = replicas[Int(random.below(4))]
            replicas[replica].siblings.merge(peer.siblings)
            replicas[replica].history.merge(peer.history)
            guard random.chance(1, in: 2) else { continue }
            let dot = Dot(node: NodeID(rawValue: UInt64(replica) + 1), counter: step)
            let value = ByteBuffer(integer: UInt8(puts))
            replicas[replica].siblings.put(
                Version(dot: dot, time: .zero, expiry: nil, metadata: .none, value: value), seen: .overwrite
            )
            replicas[replica].history.superseded |= replicas[replica].history.past
            replicas[replica].history.known |= 1 << UInt64(puts)
            puts += 1
            updates[replica] = step
            let activity = updates.enumerated().map { index, update in
                EntryActivity(
                    node: NodeID(rawValue: UInt64(index) + 1), lastUpdate: WallTime(milliseconds: update),
                    epoch: update / 8
                )
            }
            replicas[replica].siblings = replicas[replica].siblings.pruned(
                by: Self.pruning(strategy, step: step), activity: activity
            )
        }
        var whole = TwinState()
        for replica in replicas {
            whole.siblings.merge(replica.siblings)
            whole.history.merge(replica.history)
        }
        return (whole.siblings.versions.count - whole.history.visible.nonzeroBitCount, puts)
    }

    private static func pruning(_ strategy: Strategy, step: UInt64) -> VersionVectorPruning {
        switch strategy {
        case .none: .none
        case .age: .age(over: .milliseconds(6), now: WallTime(milliseconds: step))
        case .entryCount: .entryCount(countMax: 2)
        case .epoch: .epoch(oldestKept: step / 8)
        }
    }
}
