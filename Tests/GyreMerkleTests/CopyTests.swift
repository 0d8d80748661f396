import GyreBase
import GyreMerkle
import NIOCore
import Testing

/// A partition of which one side holds nothing is copied instead of compared.
@Suite struct CopyTests {
    /// Names in partition 5 of 8, in storage order.
    private static let names: [ObjectName] = {
        let shape = try? Sample.shape()
        return ((try? Sample.names(700) { shape?.partition(of: $0) == 5 }) ?? []).sorted()
    }()

    private func full() throws -> TreeStore {
        var store = TreeStore(try Sample.shape())
        for name in Self.names { store.write(name, 4) }
        return store
    }

    private func run(_ here: TreeStore, _ there: TreeStore) -> ExchangeRun {
        var run = ExchangeRun(here, there)
        run.copyLeavesMax = 0
        return run
    }

    private func summary(_ run: inout ExchangeRun, pageMax: Int = 256) throws -> ExchangeSummary {
        guard case .done(let summary) = run.run(5, pageMax: pageMax) else {
            throw Missing()
        }
        return summary
    }

    private struct Missing: Error {}

    @Test(arguments: [1, 7, 256, 700, 701])
    func nameByNameInStorageOrderWithoutAListing(pageMax: Int) throws {
        var run = self.run(TreeStore(try Sample.shape()), try self.full())
        let summary = try self.summary(&run, pageMax: pageMax)
        #expect(run.copied == Self.names)
        #expect(run.pull.isEmpty && run.push.isEmpty && run.reconcile.isEmpty)
        #expect(summary.keysDiffering == 700 && !summary.inSync && summary.leavesSuspect.isEmpty)
        #expect(run.here.objects == run.there.objects)
        #expect(run.messages == 2 + 2 * ((700 + pageMax - 1) / pageMax))
    }

    @Test func onlyWhereNothingIsHeldAndOnlyWhereItMay() throws {
        var here = TreeStore(try Sample.shape())
        here.write(Self.names[3], 4)
        var compared = self.run(here, try self.full())
        #expect(try self.summary(&compared).keysDiffering == 699)
        #expect(compared.copied.isEmpty && compared.pull.count == 699)
        var forbidden = ExchangeRun(TreeStore(try Sample.shape()), try self.full())
        #expect(try self.summary(&forbidden).keysDiffering == 700)
        #expect(forbidden.copied.isEmpty && forbidden.pull.count == 700)
        var pushed = self.run(try self.full(), TreeStore(try Sample.shape()))
        #expect(try self.summary(&pushed).keysDiffering == 700)
        #expect(pushed.copied.isEmpty && pushed.push.count == 700)
    }

    @Test(arguments: [9, 10, 11])
    func alsoWhereAFewLeavesHaveSomething(leavesMax: Int) throws {
        let shape = try Sample.shape()
        var here = TreeStore(shape)
        var filled: Set<Int> = []
        for name in Self.names where filled.count < 10 {
            here.write(name, 4)
            filled.insert(shape.leaf(of: name.token))
        }
        let held = here.objects.count
        var run = ExchangeRun(here, try self.full())
        run.copyLeavesMax = leavesMax
        #expect(try self.summary(&run).keysDiffering == 700 - held)
        #expect(run.copied.count == (leavesMax >= 10 ? 700 : 0))
        #expect(run.here.objects == run.there.objects)
    }

    @Test func whatIsWrittenMeanwhileStays() throws {
        var run = self.run(TreeStore(try Sample.shape()), try self.full())
        let early = Self.names[0]
        run.between = { run in
            // Behind the first page, and one that the peer has as well.
            if run.copied.count == 256, run.here.objects[early] == 4 { run.here.write(early, 9) }
            if run.copied.count == 256 { run.here.write(Self.names[600], 8) }
        }
        let summary = try self.summary(&run)
        #expect(summary.keysDiffering == 699)
        #expect(run.here.objects.count == 700 && run.here.objects[early] == 9 && run.here.objects[Self.names[600]] == 8)
    }

    /// A tree that lies about an empty partition would have it copied again and again.
    @Test func aTreeThatHidesWhatIsHeldIsFoundByItsLeaves() throws {
        var here = try self.full()
        for name in Self.names { here.forest.onChange(name.token, old: 4, new: nil) }
        #expect(here.forest.root(of: 5) == 0)
        var run = self.run(here, try self.full())
        let summary = try self.summary(&run)
        #expect(run.copied == Self.names)
        #expect(summary.keysDiffering == 0 && summary.leavesDiffering == summary.leavesSuspect.count)
        #expect(!summary.inSync && !summary.leavesSuspect.isEmpty)
    }

    @Test func pagesThatAreNoneEndIt() throws {
        let shape = try Sample.shape()
        let entries = Self.names.prefix(4).map { KeyEntry(name: $0, digest: 4) }
        let stranger = try #require(try Sample.names(1) { shape.partition(of: $0) == 4 }.first)
        let foreign = KeyEntry(name: stranger, digest: 4)
        let cases: [(KeyPage, PageFault)] = [
            (KeyPage(entries: [], complete: false), .noProgress),
            (KeyPage(entries: entries, complete: true), .tooManyEntries(count: 4, countMax: 3)),
            (KeyPage(entries: [entries[1], entries[0]], complete: true), .unsorted),
            (KeyPage(entries: [foreign], complete: true), .outOfRange),
        ]
        for (page, fault) in cases {
            var machine = try self.copying(pageMax: 3)
            #expect(machine.onCopy(page) == .failed(.peerPage(fault)))
            #expect(machine.onMerged(changed: 1) == .wait)
        }
        var repeated = try self.copying(pageMax: 3)
        #expect(repeated.onMerged(changed: 0) == .failed(.outOfPlace))
        repeated = try self.copying(pageMax: 3)
        #expect(repeated.onCopy(KeyPage(entries: Array(entries[0..<2]), complete: false)) == .merge)
        let next = Listing(tokens: shape.tokens(of: 5), after: entries[1].name)
        #expect(repeated.onMerged(changed: 2) == .copy(next))
        #expect(repeated.onCopy(KeyPage(entries: [entries[1]], complete: true)) == .failed(.peerPage(.unsorted)))
        var endless = try self.copying(pageMax: 3, pagesMax: 1)
        #expect(endless.onCopy(KeyPage(entries: [entries[0]], complete: false)) == .merge)
        #expect(endless.onMerged(changed: 1) == .failed(.tooManyPages(pagesMax: 1)))
    }

    private func copying(pageMax: Int, pagesMax: Int = 10) throws -> ExchangeMachine {
        let shape = try Sample.shape()
        var machine = ExchangeMachine(
            shape: shape, partition: 5, copyLeavesMax: 0, pageMax: pageMax, pagesMax: pagesMax)
        _ = machine.start(root: 0)
        let step = machine.onRoot(.inners([UInt64](repeating: 1, count: 32)), own: MerkleTree())
        #expect(step == .copy(Listing(tokens: shape.tokens(of: 5), after: nil)))
        return machine
    }
}
