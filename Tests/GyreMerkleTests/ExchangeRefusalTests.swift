import GyreBase
import GyreMerkle
import NIOCore
import Testing

/// A peer, or an own store, that says anything: the exchange ends, with a reason, and nothing traps.
@Suite struct ExchangeRefusalTests {
    private typealias Step = ExchangeMachine.Step
    /// Names in leaf 0 or 1 of partition 0 of 8, in storage order.
    private static let names: [ObjectName] = {
        let shape = try? Sample.shape()
        let found = try? Sample.names(12, prefix: "r") { token in
            shape?.partition(of: token) == 0 && (shape.map { $0.leaf(of: token) < 32 } ?? false)
        }
        return (found ?? []).sorted()
    }()

    private let empty = MerkleTree()
    /// 31 hashes of nothing and one, at `inner`, of something.
    private func words(_ index: Int, _ value: UInt64 = 1) -> [UInt64] { (0..<32).map { $0 == index ? value : 0 } }

    private func entries(_ indexes: Range<Int>) -> [KeyEntry] {
        indexes.map { KeyEntry(name: Self.names[$0], digest: UInt64($0)) }
    }

    /// A machine that lists all leaves under inner 0 in one run.
    private func listing(pageMax: Int = 4, pagesMax: Int = 100) throws -> ExchangeMachine {
        var machine = ExchangeMachine(shape: try Sample.shape(), partition: 0, pageMax: pageMax, pagesMax: pagesMax)
        #expect(machine.start(root: 0) == .askRoot(0))
        #expect(machine.onRoot(.inners(self.words(0)), own: self.empty) == .askLeaves(mask: 1))
        let groups = [LeafGroup(inner: 0, leaves: [UInt64](repeating: 1, count: 32))]
        let tokens = try Sample.shape().tokens(of: 0, leaves: 0..<32)
        let first = Listing(tokens: tokens, after: nil)
        #expect(machine.onLeaves(groups, own: self.empty) == .list(own: first, peer: first))
        return machine
    }

    @Test func aPeerThatIsNotReadyOrGoneEndsIt() throws {
        var machine = ExchangeMachine(shape: try Sample.shape(), partition: 0)
        _ = machine.start(root: 1)
        #expect(machine.onRoot(.notReady, own: self.empty) == .failed(.notReady))
        #expect(machine.hasEnded)
        var other = try self.listing()
        #expect(other.onFailure() == .failed(.noAnswer))
        #expect(other.onFailure() == .wait)
        #expect(other.onPeerKeys(KeyPage(entries: [], complete: true)) == .wait)
    }

    @Test func hashesInWrongNumbersEndIt() throws {
        for count in [0, 31, 33, 5_000] {
            var machine = ExchangeMachine(shape: try Sample.shape(), partition: 0)
            _ = machine.start(root: 1)
            let step = machine.onRoot(.inners([UInt64](repeating: 1, count: count)), own: self.empty)
            #expect(step == .failed(.wrongCount(count: count, wanted: 32)))
        }
        let good = LeafGroup(inner: 3, leaves: self.words(0))
        let cases: [([LeafGroup], ExchangeFailure)] = [
            ([], .wrongCount(count: 0, wanted: 1)),
            ([good, good], .wrongCount(count: 2, wanted: 1)),
            ([LeafGroup(inner: 4, leaves: self.words(0))], .wrongInner(4, wanted: 3)),
            ([LeafGroup(inner: -1, leaves: self.words(0))], .wrongInner(-1, wanted: 3)),
            ([LeafGroup(inner: 3, leaves: [1])], .wrongCount(count: 1, wanted: 32)),
        ]
        for (groups, failure) in cases {
            var machine = ExchangeMachine(shape: try Sample.shape(), partition: 0)
            _ = machine.start(root: 1)
            #expect(machine.onRoot(.inners(self.words(3)), own: self.empty) == .askLeaves(mask: 8))
            #expect(machine.onLeaves(groups, own: self.empty) == .failed(failure))
        }
    }

    @Test func treesThatBecameEqualMeanwhileAreInSync() throws {
        var machine = ExchangeMachine(shape: try Sample.shape(), partition: 0)
        _ = machine.start(root: 1)
        var synced = ExchangeSummary()
        synced.inSync = true
        #expect(machine.onRoot(.inners(self.words(-1)), own: self.empty) == .done(synced))
        var later = ExchangeMachine(shape: try Sample.shape(), partition: 0)
        _ = later.start(root: 1)
        _ = later.onRoot(.inners(self.words(3)), own: self.empty)
        #expect(later.onLeaves([LeafGroup(inner: 3, leaves: self.words(-1))], own: self.empty) == .done(synced))
    }

    @Test func badPagesOfEitherSideEndIt() throws {
        let stray = try #require(try Sample.names(1) { $0.rawValue >> 61 == 7 }.first)
        let late = try #require(try Sample.names(1) { $0.rawValue >> 51 == 32 }.first)
        let cases: [(KeyPage, PageFault)] = [
            (KeyPage(entries: self.entries(0..<5), complete: true), .tooManyEntries(count: 5, countMax: 4)),
            (KeyPage(entries: [], complete: false), .noProgress),
            (KeyPage(entries: self.entries(0..<2).reversed(), complete: true), .unsorted),
            (KeyPage(entries: self.entries(0..<1) + self.entries(0..<1), complete: true), .unsorted),
            (KeyPage(entries: [KeyEntry(name: stray, digest: 1)], complete: true), .outOfRange),
            (KeyPage(entries: [KeyEntry(name: late, digest: 1)], complete: true), .outOfRange),
        ]
        for (page, fault) in cases {
            var machine = try self.listing()
            #expect(machine.onPeerKeys(page) == .failed(.peerPage(fault)))
            var other = try self.listing()
            #expect(other.onPeerKeys(KeyPage(entries: [], complete: true)) == .wait)
            #expect(other.onOwnKeys(page) == .failed(.ownPage(fault)))
        }
    }

    @Test func aPeerThatRepeatsItsPageEndsIt() throws {
        var machine = try self.listing()
        #expect(machine.onOwnKeys(KeyPage(entries: [], complete: true)) == .wait)
        let page = KeyPage(entries: self.entries(0..<4), complete: false)
        let names = Array(Self.names[0..<4])
        #expect(machine.onPeerKeys(page) == .settle(pull: names, push: [], reconcile: []))
        let tokens = try Sample.shape().tokens(of: 0, leaves: 0..<32)
        #expect(machine.onSettled() == .list(own: nil, peer: Listing(tokens: tokens, after: names[3])))
        #expect(machine.onPeerKeys(page) == .failed(.peerPage(.unsorted)))
    }

    @Test func aPeerThatNeverStopsRunsIntoTheLimitOfPages() throws {
        var machine = try self.listing(pageMax: 1, pagesMax: 5)
        #expect(machine.onOwnKeys(KeyPage(entries: [], complete: true)) == .wait)
        for index in 0..<5 {
            let page = KeyPage(entries: self.entries(index..<index + 1), complete: false)
            #expect(machine.onPeerKeys(page) == .settle(pull: [Self.names[index]], push: [], reconcile: []))
            let step = machine.onSettled()
            if index == 4 { #expect(step == .failed(.tooManyPages(pagesMax: 5))) }
        }
        #expect(machine.hasEnded)
    }

    @Test func whatLiesBehindTheHorizonWaitsAndIsNotListedAgain() throws {
        var machine = try self.listing()
        // Ours ends at name 3 and goes on; theirs reaches to name 9 and goes on.
        #expect(machine.onOwnKeys(KeyPage(entries: self.entries(0..<4), complete: false)) == .wait)
        let theirs = self.entries(1..<2) + self.entries(7..<10)
        let names = Self.names
        #expect(
            machine.onPeerKeys(KeyPage(entries: theirs, complete: false))
                == .settle(pull: [], push: [names[0], names[2], names[3]], reconcile: []))
        let tokens = try Sample.shape().tokens(of: 0, leaves: 0..<32)
        #expect(machine.onSettled() == .list(own: Listing(tokens: tokens, after: names[3]), peer: nil))
        #expect(machine.onPeerKeys(KeyPage(entries: [], complete: true)) == .failed(.outOfPlace))
    }

    @Test func answersOutOfPlaceEndIt() throws {
        let page = KeyPage(entries: [], complete: true)
        let answers: [(String, (inout ExchangeMachine) -> Step)] = [
            ("start", { $0.start(root: 0) }),
            ("root", { $0.onRoot(.same, own: MerkleTree()) }),
            ("leaves", { $0.onLeaves([], own: MerkleTree()) }),
            ("own keys", { $0.onOwnKeys(page) }),
            ("peer keys", { $0.onPeerKeys(page) }),
            ("settled", { $0.onSettled() }),
            ("copy", { $0.onCopy(page) }),
            ("merged", { $0.onMerged(changed: 1) }),
        ]
        var rooted = ExchangeMachine(shape: try Sample.shape(), partition: 0)
        _ = rooted.start(root: 1)
        var masked = rooted
        _ = masked.onRoot(.inners(self.words(0)), own: self.empty)
        let listing = try self.listing()
        var settling = listing
        _ = settling.onOwnKeys(page)
        _ = settling.onPeerKeys(KeyPage(entries: self.entries(0..<1), complete: true))
        var copying = ExchangeMachine(shape: try Sample.shape(), partition: 0, copyLeavesMax: 0)
        _ = copying.start(root: 0)
        _ = copying.onRoot(.inners(self.words(0)), own: self.empty)
        var merging = copying
        _ = merging.onCopy(KeyPage(entries: self.entries(0..<1), complete: true))
        let phases: [(ExchangeMachine, Set<String>)] = [
            (copying, ["copy"]), (merging, ["merged"]),
            (ExchangeMachine(shape: try Sample.shape(), partition: 0), ["start"]), (rooted, ["root"]),
            (masked, ["leaves"]), (listing, ["own keys", "peer keys"]), (settling, ["settled"]),
        ]
        for (machine, expected) in phases {
            for (name, answer) in answers where !expected.contains(name) {
                var copy = machine
                #expect(answer(&copy) == .failed(.outOfPlace), "\(name)")
                #expect(answer(&copy) == .wait, "\(name)")
            }
        }
    }

    @Test(arguments: UInt64(0)..<500)
    func nonsenseEndsItWithinBoundedSteps(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var machine = ExchangeMachine(
            shape: try Sample.shape(), partition: 0, copyLeavesMax: seed.isMultiple(of: 2) ? 0 : nil, pageMax: 3,
            pagesMax: 50)
        var step = machine.start(root: 1)
        var steps = 0
        while !machine.hasEnded, steps < 2_000 {
            steps += 1
            // Mostly the answer that is due, with random content; now and then any other.
            switch (random.below(60), step) {
            case (0, _): step = machine.onSettled()
            case (1, _): step = machine.onRoot(.inners(self.noise(32, &random)), own: self.empty)
            case (2, _): step = machine.onPeerKeys(self.noisePage(&random))
            case (_, .askRoot): step = machine.onRoot(.inners(self.noise(32, &random)), own: self.empty)
            case (_, .askLeaves(let mask)):
                let groups = (0..<32).filter { mask & (1 << UInt32($0)) != 0 }
                    .map { LeafGroup(inner: $0, leaves: self.noise(32, &random)) }
                step = machine.onLeaves(groups, own: self.empty)
            case (_, .list(let own, let peer)):
                if own != nil { step = machine.onOwnKeys(self.noisePage(&random)) }
                if peer != nil { step = machine.onPeerKeys(self.noisePage(&random)) }
            case (_, .settle): step = machine.onSettled()
            case (_, .copy): step = machine.onCopy(self.noisePage(&random))
            case (_, .merge): step = machine.onMerged(changed: Int(random.below(2)))
            case (_, .wait), (_, .done), (_, .failed): step = machine.onFailure()
            }
        }
        #expect(machine.hasEnded, "seed \(seed)")
    }

    private func noise(_ count: Int, _ random: inout SeededRandom) -> [UInt64] {
        (0..<count).map { $0 == 0 && random.chance(9, in: 10) ? 1 : random.chance(1, in: 8) ? random.next() : 0 }
    }

    private func noisePage(_ random: inout SeededRandom) -> KeyPage {
        let first = Int(random.below(10))
        let page = random.chance(1, in: 2) ? 0..<0 : first..<min(12, first + Int(random.below(4)))
        return KeyPage(entries: self.entries(page), complete: random.chance(3, in: 4))
    }
}
