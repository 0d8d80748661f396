import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Testing

@Suite("Listings on both engines")
struct ListTests {
    @Test(arguments: EngineKind.allCases)
    func thatTakeTheirPlaceAmongWritesSeeThoseBeforeThemAndNoneAfter(_ kind: EngineKind) throws {
        let store = try Store(kind)
        var everything = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        everything.isOrdered = true
        let outcomes = try store.commit([
            .update(store.tag(), try Sample.name("a"), .put(Sample.version(1, "v"), seen: .blind, ifAbsent: false)),
            .list(store.tag(), everything),
            .update(store.tag(), try Sample.name("b"), .put(Sample.version(2, "v"), seen: .blind, ifAbsent: false)),
            .list(store.tag(), everything),
        ])
        let counts = outcomes.compactMap { outcome -> Int? in
            if case .listed(let page) = outcome { page.entries.count } else { nil }
        }
        #expect(counts == [1, 2])
    }

    @Test(arguments: EngineKind.allCases)
    func endAtTheirLimitsAndShowWhatIsCorrupt(_ kind: EngineKind) throws {
        let store = try Store(kind)
        for number in 1...9 {
            _ = try store.put(try Sample.name("k\(number)"), Sample.version(UInt64(number), "value"))
        }
        try store.corrupt(try Sample.name("k5"))
        var range = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        range.countMax = 4
        var entries: [ListedObject] = []
        var pages = 0
        while true {
            guard case .listed(let page) = try store.commit([.list(store.tag(), range)])[0] else { break }
            pages += 1
            #expect(page.entries.count <= 4)
            entries += page.entries
            range.after = entries.last?.name
            if page.isComplete { break }
        }
        #expect(pages == 3 && entries.count == 9)
        #expect(entries.filter { $0.digest == nil }.map(\.name) == [try Sample.name("k5")])
        range.after = nil
        (range.countMax, range.bytesMax, range.shape) = (100, 1, .records)
        guard case .listed(let one) = try store.commit([.list(store.tag(), range)])[0] else { return }
        #expect(one.entries.count == 1 && !one.isComplete, "one entry always fits")
    }

    @Test(arguments: EngineKind.allCases)
    func changesSayWhatStoodThereBefore(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        guard case .updated(let first, let digest, _, let change) = try store.put(name, Sample.version(1, "v")) else {
            Issue.record("refused")
            return
        }
        #expect(change == RecordChange(before: .absent, after: digest))
        guard case .updated(_, let next, _, let second) = try store.put(name, Sample.version(2, "w")) else { return }
        #expect(second == RecordChange(before: .record(digest), after: next))
        guard case .merged(_, _, let third) = try store.merge(name, first) else { return }
        #expect(third == nil, "an older record changes nothing")
        try store.corrupt(name)
        guard case .merged(let healed, _, let fourth) = try store.heal(name, first) else { return }
        #expect(fourth == RecordChange(before: .unreadable, after: healed))
    }

    @Test(arguments: EngineKind.allCases)
    func collectingTakesOutExpiredVersionsAndNothingElse(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        func version(_ counter: UInt64, expiry: UInt64?) -> Version {
            Version(
                dot: Dot(node: NodeID(rawValue: 0xA1), counter: counter),
                time: HybridTime(wall: WallTime(milliseconds: 1_000), logical: 0),
                expiry: expiry.map { WallTime(milliseconds: $0) }, metadata: .none, value: ByteBuffer(string: "v"))
        }
        _ = try store.put(name, version(1, expiry: 2_000), .blind)
        _ = try store.put(name, version(2, expiry: nil), .blind)
        let moment = WallTime(milliseconds: 3_000)
        let outcome = try store.commit([.collect(store.tag(), name, expiredBefore: moment)])[0]
        guard case .merged(_, false, .some) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        let left = try #require(try store.siblings(name))
        #expect(left.versions.map(\.dot.counter) == [2])
        #expect(left.context.covers(Dot(node: NodeID(rawValue: 0xA1), counter: 1)), "its context stays")
        guard case .merged(_, _, nil) = try store.commit([.collect(store.tag(), name, expiredBefore: moment)])[0] else {
            Issue.record("collecting again changes something")
            return
        }
    }

    @Test(arguments: EngineKind.allCases)
    func removingTakesWhatIsStillAsListedAndNothingElse(_ kind: EngineKind) throws {
        let store = try Store(kind)
        for number in 1...9 {
            _ = try store.put(try Sample.name("k\(number)"), Sample.version(UInt64(number), "value"))
        }
        try store.corrupt(try Sample.name("k5"))
        let everything = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        guard case .listed(let page) = try store.commit([.list(store.tag(), everything)])[0] else {
            Issue.record("no listing")
            return
        }
        // One changes after the listing, one in the same commit, one goes away, and new ones come between those listed.
        _ = try store.put(try Sample.name("k2"), Sample.version(10, "later"))
        let third = try Sample.name("k3")
        let gone = page.entries.filter { $0.name == third }.map { (name: $0.name, digest: $0.digest) }
        _ = try store.commit([.remove(store.tag(), gone)])
        for number in 10...40 {
            _ = try store.put(try Sample.name("k\(number)"), Sample.version(UInt64(number + 10), "value"))
        }
        let outcomes = try store.commit([
            .update(store.tag(), try Sample.name("k4"), .put(Sample.version(60, "w"), seen: .blind, ifAbsent: false)),
            .remove(store.tag(), page.entries.map { (name: $0.name, digest: $0.digest) }),
        ])
        guard case .removed(let removed) = outcomes[1] else {
            Issue.record("\(outcomes[1])")
            return
        }
        let kept = zip(page.entries, removed).filter { !$1 }.map(\.0.name)
        #expect(Set(kept) == [try Sample.name("k2"), try Sample.name("k3"), try Sample.name("k4")])
        #expect(try store.figures().keys == 34, "a corrupt record stays counted")
        #expect(try store.siblings(try Sample.name("k4"))?.values.sorted() == ["value", "w"])
        #expect(try store.read(try Sample.name("k5")).isAbsent)
    }

    @Test func ofClientsAreNotPatient() {
        var range = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        #expect(StorageRequest.list(StorageTag(rawValue: 1), range).isPatient)
        range.shape = .heads
        #expect(!StorageRequest.list(StorageTag(rawValue: 1), range).isPatient)
        range.isOrdered = true
        #expect(StorageRequest.list(StorageTag(rawValue: 1), range).isPatient)
    }
}
