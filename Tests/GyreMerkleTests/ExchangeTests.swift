import GyreBase
import GyreMerkle
import NIOCore
import Testing

/// One exchange between two stores in memory, with what it would cost on a wire.
struct ExchangeRun {
    /// What each message costs besides what it carries; the wire's own head is less.
    static let messageBytes = 48

    var here: TreeStore
    var there: TreeStore
    /// What happens between two steps; for stores that change while they are compared.
    var between: (inout ExchangeRun) -> Void = { _ in }
    /// If objects are really settled; a dry run leaves them.
    var settles = true
    /// Below how many leaves with something in them a side copies.
    var copyLeavesMax: Int?
    private(set) var copied: [ObjectName] = []
    private(set) var messages = 0
    private(set) var bytes = 0
    /// Bytes of what is carried home, objects of 100 bytes each besides their names.
    private(set) var objectBytes = 0
    private(set) var rounds = 0
    private(set) var pull: [ObjectName] = []
    private(set) var push: [ObjectName] = []
    private(set) var reconcile: [ObjectName] = []

    init(_ here: TreeStore, _ there: TreeStore) {
        self.here = here
        self.there = there
    }

    /// Runs to the end; nil if that does not come.
    mutating func run(_ partition: Int, pageMax: Int = ExchangeMachine.pageMaxDefault) -> ExchangeMachine.Step? {
        var machine = ExchangeMachine(
            shape: self.here.forest.shape, partition: partition, copyLeavesMax: self.copyLeavesMax, pageMax: pageMax)
        var page = KeyPage(entries: [], complete: true)
        guard let root = self.here.forest.root(of: partition) else { return nil }
        var step = machine.start(root: root)
        for _ in 0..<100_000 {
            self.between(&self)
            guard let own = self.here.forest.tree(of: partition) else { return nil }
            self.rounds += 1
            switch step {
            case .done, .failed: return step
            case .wait: return nil
            case .askRoot(let root):
                let answer = self.there.forest.answer(root: root, of: partition)
                if case .inners = answer { self.exchanged(8, 32 * 8) } else { self.exchanged(8, 1) }
                step = machine.onRoot(answer, own: own)
            case .askLeaves(let mask):
                guard let groups = self.there.forest.leaves(of: partition, mask: mask) else { return nil }
                self.exchanged(4, groups.count * (1 + 32 * 8))
                step = machine.onLeaves(groups, own: own)
            case .list(let own, let peer):
                step = self.list(own, peer, &machine)
            case .settle(let pull, let push, let reconcile):
                self.settle(pull, push, reconcile)
                step = machine.onSettled()
            case .copy(let listing):
                page = self.there.page(listing, entriesMax: pageMax)
                self.exchanged(16, page.entries.reduce(1) { $0 + Self.bytes(of: $1.name) })
                step = machine.onCopy(page)
            case .merge:
                step = machine.onMerged(changed: self.merge(page))
            }
        }
        return nil
    }

    private mutating func merge(_ page: KeyPage) -> Int {
        self.copied += page.entries.map(\.name)
        let new = page.entries.filter { self.here.objects[$0.name] == nil }
        for entry in new { self.here.write(entry.name, entry.digest) }
        return new.count
    }

    private mutating func list(
        _ own: Listing?, _ peer: Listing?, _ machine: inout ExchangeMachine
    ) -> ExchangeMachine.Step {
        var step = ExchangeMachine.Step.wait
        // Either answer may be the first.
        let peerFirst = self.rounds % 2 == 0
        if peerFirst, let peer { step = self.listPeer(peer, &machine) }
        if let own { step = machine.onOwnKeys(self.here.page(own, entriesMax: machine.pageMax)) }
        if !peerFirst, let peer { step = self.listPeer(peer, &machine) }
        return step
    }

    private mutating func listPeer(_ listing: Listing, _ machine: inout ExchangeMachine) -> ExchangeMachine.Step {
        let page = self.there.page(listing, entriesMax: machine.pageMax)
        let answerBytes = page.entries.reduce(1) { $0 + Self.bytes(of: $1.name) + 8 }
        self.exchanged(16 + (listing.after.map(Self.bytes) ?? 0), answerBytes)
        return machine.onPeerKeys(page)
    }

    private mutating func settle(_ pull: [ObjectName], _ push: [ObjectName], _ reconcile: [ObjectName]) {
        self.pull += pull
        self.push += push
        self.reconcile += reconcile
        // A reconciled object goes there and comes back merged.
        for (name, trips) in (pull + push).map({ ($0, 1) }) + reconcile.map({ ($0, 2) }) {
            self.objectBytes += trips * (100 + Self.bytes(of: name) + 2 * Self.messageBytes)
            guard self.settles,
                let digest = [self.here.objects[name], self.there.objects[name]].compactMap({ $0 }).max()
            else { continue }
            if self.here.objects[name] != digest { self.here.write(name, digest) }
            if self.there.objects[name] != digest { self.there.write(name, digest) }
        }
    }

    private mutating func exchanged(_ questionBytes: Int, _ answerBytes: Int) {
        self.messages += 2
        self.bytes += 2 * Self.messageBytes + questionBytes + answerBytes
    }

    private static func bytes(of name: ObjectName) -> Int { name.bucket.readableBytes + name.key.readableBytes + 3 }
}

@Suite struct ExchangeTests {
    /// Names in partition 5 of 8.
    private static let names: [ObjectName] = {
        let shape = try? Sample.shape()
        return (try? Sample.names(2_400) { shape?.partition(of: $0) == 5 }) ?? []
    }()
    /// Names in two adjacent leaves of partition 5 of 8.
    private static let crowded: [ObjectName] = {
        let shape = try? Sample.shape()
        return
            (try? Sample.names(60, prefix: "c") { token in
                shape?.partition(of: token) == 5 && (shape.map { (639...640).contains($0.leaf(of: token)) } ?? false)
            }) ?? []
    }()

    /// Two stores with the same objects.
    private func twins(_ names: [ObjectName]) throws -> ExchangeRun {
        var store = TreeStore(try Sample.shape())
        for (index, name) in names.enumerated() { store.write(name, UInt64(index + 1_000)) }
        return ExchangeRun(store, store)
    }

    /// Makes `count` of `names` differ, each in one of three ways; returns what an exchange must find.
    private func differ(
        _ run: inout ExchangeRun, _ names: [ObjectName], _ random: inout SeededRandom
    ) -> (pull: [ObjectName], push: [ObjectName], reconcile: [ObjectName]) {
        var expected: (pull: [ObjectName], push: [ObjectName], reconcile: [ObjectName]) = ([], [], [])
        for name in names {
            switch random.below(4) {
            case 0:
                run.here.write(name, nil)
                expected.pull.append(name)
            case 1:
                run.there.write(name, nil)
                expected.push.append(name)
            case 2:
                run.here.write(name, random.next())
                expected.reconcile.append(name)
            default:
                run.there.write(name, random.next())
                expected.reconcile.append(name)
            }
        }
        return (expected.pull.sorted(), expected.push.sorted(), expected.reconcile.sorted())
    }

    private func expectConverged(_ run: ExchangeRun) {
        #expect(run.here.objects == run.there.objects)
        #expect(run.here.forest.root(of: 5) == run.there.forest.root(of: 5))
    }

    @Test(arguments: [0, 1, 10, 1_000, 2_400], [1, 3, 256])
    func oneExchangeFindsExactlyWhatDiffersAndConverges(count: Int, pageMax: Int) throws {
        var random = SeededRandom(seed: UInt64(count * 1_000 + pageMax))
        var run = try self.twins(Self.names)
        let differing = Array(Self.names.shuffled(using: &random).prefix(count))
        let expected = self.differ(&run, differing, &random)
        let step = run.run(5, pageMax: pageMax)
        guard case .done(let summary) = step else {
            Issue.record("ended with \(String(describing: step))")
            return
        }
        #expect(run.pull == expected.pull)
        #expect(run.push == expected.push)
        #expect(run.reconcile == expected.reconcile)
        #expect(summary.keysDiffering == count)
        #expect(summary.inSync == (count == 0))
        #expect(summary.leavesSuspect == [])
        self.expectConverged(run)
        var again = ExchangeRun(run.here, run.there)
        var synced = ExchangeSummary()
        synced.inSync = true
        #expect(again.run(5) == .done(synced))
    }

    @Test(arguments: [1, 7, 256], [false, true])
    func anEmptySideIsFilled(pageMax: Int, hereIsEmpty: Bool) throws {
        var full = TreeStore(try Sample.shape())
        for name in Self.names.prefix(700) + Self.crowded { full.write(name, 4) }
        let empty = TreeStore(try Sample.shape())
        var run = hereIsEmpty ? ExchangeRun(empty, full) : ExchangeRun(full, empty)
        guard case .done(let summary) = run.run(5, pageMax: pageMax) else {
            Issue.record("did not end well")
            return
        }
        #expect(summary.keysDiffering == full.objects.count)
        #expect((hereIsEmpty ? run.pull : run.push).count == full.objects.count)
        self.expectConverged(run)
    }

    @Test(arguments: UInt64(0)..<40, [1, 2, 5, 59, 60])
    func leavesThatAreLongerThanPagesAreJoinedExactly(seed: UInt64, pageMax: Int) throws {
        var random = SeededRandom(seed: seed)
        var run = try self.twins(Self.crowded)
        let differing = Self.crowded.filter { _ in random.chance(1 + seed % 4, in: 5) }
        let expected = self.differ(&run, differing, &random)
        guard case .done(let summary) = run.run(5, pageMax: pageMax) else {
            Issue.record("seed \(seed) did not end well")
            return
        }
        #expect(summary.keysDiffering == differing.count)
        #expect(run.pull == expected.pull)
        #expect(run.push == expected.push)
        #expect(run.reconcile == expected.reconcile)
        self.expectConverged(run)
    }

    @Test(arguments: UInt64(0)..<20)
    func storesThatChangeWhileTheyAreComparedConvergeOnceTheyRest(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var run = try self.twins(Array(Self.names.prefix(500)) + Self.crowded)
        _ = self.differ(&run, Array(Self.names.prefix(80)) + Self.crowded.suffix(20), &random)
        run.between = { run in
            // A put that both replicas take, and one that only one of them takes.
            let both = Self.names[Int(random.below(600))]
            run.here.write(both, random.next())
            run.there.write(both, run.here.objects[both])
            let one = Self.crowded[Int(random.below(60))]
            if random.chance(1, in: 2) {
                run.here.write(one, random.next())
            } else {
                run.there.write(one, random.next())
            }
        }
        guard case .done = run.run(5, pageMax: 4) else {
            Issue.record("seed \(seed) did not end well")
            return
        }
        run.between = { _ in }
        guard case .done(let summary) = run.run(5, pageMax: 4) else {
            Issue.record("seed \(seed) did not end well at rest")
            return
        }
        #expect(summary.leavesSuspect == [])
        self.expectConverged(run)
    }

    @Test func aDryRunCountsAndChangesNothing() throws {
        var random = SeededRandom(seed: 3)
        var run = try self.twins(Self.names)
        _ = self.differ(&run, Array(Self.names.prefix(50)), &random)
        run.settles = false
        let here = run.here.objects
        guard case .done(let summary) = run.run(5, pageMax: 4) else {
            Issue.record("did not end well")
            return
        }
        #expect(summary.keysDiffering == 50)
        #expect(run.here.objects == here)
    }

    @Test func aLeafThatDiffersWithoutAKeyThatDiffersIsSuspect() throws {
        var run = try self.twins(Self.names)
        // The trees are told of two changes that the stores do not have: two wrong leaves, one amid true differences.
        let shape = try Sample.shape()
        let leaves = [Self.names[0], Self.names[1]].map { shape.leaf(of: $0.token) }.sorted()
        run.here.forest.onChange(Self.names[0].token, old: nil, new: 3)
        run.there.forest.onChange(Self.names[1].token, old: nil, new: 3)
        let third = try #require(Self.names.first { !leaves.contains(shape.leaf(of: $0.token)) })
        run.here.write(third, nil)
        guard case .done(let summary) = run.run(5) else {
            Issue.record("did not end well")
            return
        }
        #expect(summary.leavesSuspect == leaves)
        #expect(summary.keysDiffering == 1)
        #expect(summary.leavesDiffering == 3)
        #expect(!summary.inSync)
        for leaf in leaves {
            try run.here.forest.rebuildLeaf(5, leaf: leaf, objects: run.here.scan(5, leaf..<leaf + 1))
            try run.there.forest.rebuildLeaf(5, leaf: leaf, objects: run.there.scan(5, leaf..<leaf + 1))
        }
        self.expectConverged(run)
        #expect(run.here.forest.leavesCorrected == 1)
        #expect(run.there.forest.leavesCorrected == 1)
    }

    /// INV 14: 1 KiB in sync, 4 KiB + d · (2 KiB + object) for d differing keys.
    @Test(arguments: [0, 1, 2, 10, 100, 1_000, 2_400])
    func trafficFollowsTheDifference(count: Int) throws {
        var random = SeededRandom(seed: 14)
        var run = try self.twins(Self.names)
        _ = self.differ(&run, Array(Self.names.shuffled(using: &random).prefix(count)), &random)
        guard case .done(let summary) = run.run(5) else {
            Issue.record("did not end well")
            return
        }
        let total = run.bytes + run.objectBytes
        if count == 0 {
            #expect(run.messages == 2)
            #expect(total <= 1_024, "\(total) bytes in sync")
        } else {
            #expect(total <= 4_096 + count * (2_048 + 100), "\(total) bytes for \(count) keys")
            #expect(run.messages <= 4 + 2 * summary.leavesDiffering)
        }
    }

    @Test func adjacentLeavesAreListedTogether() throws {
        // All 1,024 leaves differ: 4 runs of 256 leaves, three pages each, instead of 1,024 listings.
        var full = TreeStore(try Sample.shape())
        for name in Self.names { full.write(name, 4) }
        for leaf in UInt64(0)..<1_024 { full.forest.onChange(Token(rawValue: 5 << 61 | leaf << 51), old: nil, new: 1) }
        var run = ExchangeRun(TreeStore(try Sample.shape()), full)
        guard case .done(let summary) = run.run(5) else {
            Issue.record("did not end well")
            return
        }
        #expect(summary.leavesDiffering == 1_024)
        #expect(run.messages == 4 + 2 * 4 * 3)
    }

    @Test func leavesWithNothingBetweenThemAreListedTogether() throws {
        // About a hundred objects against none: four runs of one page, instead of a listing a leaf.
        var full = TreeStore(try Sample.shape())
        for name in Self.names.prefix(100) { full.write(name, 4) }
        var run = ExchangeRun(TreeStore(try Sample.shape()), full)
        guard case .done(let summary) = run.run(5) else {
            Issue.record("did not end well")
            return
        }
        #expect(summary.leavesDiffering > 80)
        #expect(summary.keysDiffering == 100)
        #expect(summary.leavesSuspect.isEmpty)
        #expect(run.messages == 4 + 2 * 4)
    }
}
