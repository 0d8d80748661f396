import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore
import Testing

@Suite("Both engines")
struct ConformanceTests {
    @Test(arguments: EngineKind.allCases)
    func aPutIsReadBackWithItsDigestAndContext(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        #expect(try store.read(name).isAbsent)
        guard case .updated(let bytes, let digest, let context, _) = try store.put(name, Sample.version(1, "x")) else {
            Issue.record("not updated")
            return
        }
        #expect(context.entries == [Dot(node: Sample.a, counter: 1)])
        #expect(digest == RecordDigest(of: bytes, name: name))
        #expect(try store.siblings(name)?.values == ["x"])
        guard case .digest(let read) = try store.commit([.read(store.tag(), name, .digest)])[0] else {
            Issue.record("no digest")
            return
        }
        #expect(read == digest)
    }

    @Test(arguments: EngineKind.allCases)
    func laterRequestsOfABatchSeeEarlierOnesAndReadsDoNot(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let outcomes = try store.commit([
            .update(store.tag(), name, .put(Sample.version(1, "x"), seen: .blind, ifAbsent: false)),
            .update(store.tag(), name, .put(Sample.version(2, "y"), seen: .blind, ifAbsent: false)),
            .merge(store.tag(), name, record: Sample.record(Sample.version(1, "z", node: Sample.b))),
            .read(store.tag(), name, .record),
        ])
        #expect(outcomes[3].isAbsent)
        #expect(try store.siblings(name)?.values == ["x", "y", "z"])
        #expect(try store.figures().keys == 1)
    }

    @Test(arguments: EngineKind.allCases)
    func mergesCommuteAndRepeatWithoutEffect(_ kind: EngineKind) throws {
        let name = try Sample.name("k")
        let records = [
            Sample.record(Sample.version(1, "x")),
            Sample.record(Sample.version(2, "y", node: Sample.b)),
            Sample.record(Sample.version(1, "x"), Sample.version(3, "w")),
        ]
        var digests: Set<RecordDigest> = []
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0, 1, 0], [0, 0, 2, 2, 1]] {
            let store = try Store(kind)
            for index in order { _ = try store.merge(name, records[index]) }
            let last = try store.merge(name, records[order[0]])
            digests.insert(try #require(last.mergedDigest))
            #expect(try store.siblings(name)?.values == ["x", "w", "y"])
        }
        #expect(digests.count == 1)
    }

    @Test(arguments: EngineKind.allCases)
    func anEqualMergeWritesNothing(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let record = Sample.record(Sample.version(1, "x"))
        _ = try store.merge(name, record)
        let before = try store.figures()
        #expect(try store.merge(name, record).mergedDigest == RecordDigest(of: record, name: name))
        #expect(try store.figures().committedWrites == before.committedWrites)
        #expect(try store.figures().commits == before.commits)
    }

    @Test(arguments: EngineKind.allCases)
    func anEmptyRecordTeachesNothing(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        #expect(try store.merge(name, Sample.bytes(Siblings())).mergedDigest != nil)
        #expect(try store.delete(name, .overwrite).isUpdated)
        #expect(try store.read(name).isAbsent)
        #expect(try store.figures().tombstones == 0)
    }

    @Test(arguments: EngineKind.allCases)
    func malformedRecordsAreRefusedAndChangeNothing(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let good = Sample.record(Sample.version(1, "x"))
        var trailing = good
        trailing.writeInteger(UInt8(0))
        let bad = [ByteBuffer(), ByteBuffer(bytes: [0xFF]), good.getSlice(at: 0, length: 9) ?? ByteBuffer(), trailing]
        for record in bad {
            #expect(try store.merge(name, record).refusal == .malformed)
            #expect(try store.heal(name, record).refusal == .malformed)
        }
        #expect(try store.read(name).isAbsent)
        _ = try store.merge(name, good)
        for record in bad { #expect(try store.merge(name, record).refusal == .malformed) }
        #expect(try store.siblings(name)?.values == ["x"])
    }

    @Test(arguments: EngineKind.allCases, [0, 8, 70, 77, 100] as [UInt64])
    func aCorruptRecordIsNamedAndOnlyHealReplacesIt(_ kind: EngineKind, bit: UInt64) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        _ = try store.put(name, Sample.version(1, "x"))
        try store.corrupt(name, bit: bit)
        #expect(try store.read(name).refusal == .corrupt)
        #expect(try store.put(name, Sample.version(2, "y")).refusal == .corrupt)
        #expect(try store.delete(name, .overwrite).refusal == .corrupt)
        #expect(try store.merge(name, Sample.record(Sample.version(1, "x"))).refusal == .corrupt)
        #expect(try store.heal(name, Sample.bytes(Siblings())).refusal == .corrupt)
        #expect(try store.figures().corruptRecords >= 5)
        #expect(try store.heal(name, Sample.record(Sample.version(1, "x"))).mergedDigest != nil)
        #expect(try store.siblings(name)?.values == ["x"])
        #expect(try store.figures().keys == 1)
    }

    @Test(arguments: EngineKind.allCases)
    func healOverASoundRecordIsAMerge(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        _ = try store.put(name, Sample.version(1, "x"))
        _ = try store.heal(name, Sample.record(Sample.version(1, "y", node: Sample.b)))
        #expect(try store.siblings(name)?.values == ["x", "y"])
    }

    @Test(arguments: EngineKind.allCases)
    func aRecordUnderAnotherKeyIsCorrupt(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let (one, two) = (try Sample.name("one"), try Sample.name("two"))
        _ = try store.put(one, Sample.version(1, "x"))
        try store.misplace(from: one, to: two)
        #expect(try store.read(two).refusal == .corrupt)
        #expect(try store.siblings(one)?.values == ["x"])
    }

    @Test(arguments: EngineKind.allCases)
    func theSiblingLimitBindsOnlyPutsThatMakeItWorse(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        for counter in 1...UInt64(Siblings.siblingsMax) {
            #expect(try store.put(name, Sample.version(counter), .blind).isUpdated)
        }
        let refused = try store.put(name, Sample.version(101), .blind)
        #expect(refused.refusal == .tooManySiblings(limit: Siblings.siblingsMax))
        #expect(try store.merge(name, Sample.record(Sample.version(1, node: Sample.b))).mergedDigest != nil)
        #expect(
            try store.merge(name, Sample.record(Sample.version(1, node: NodeID(rawValue: 0xC3)))).mergedDigest != nil)
        #expect(try store.siblings(name)?.versions.count == 102)
        let one = VersionVector([Dot(node: Sample.b, counter: 1)])
        #expect(try store.put(name, Sample.version(101), .given(one)).isUpdated)
        #expect(try store.siblings(name)?.versions.count == 102)
        #expect(try store.put(name, Sample.version(102), .overwrite).isUpdated)
        #expect(try store.siblings(name)?.versions.count == 1)
    }

    @Test(arguments: EngineKind.allCases)
    func aCoveredDotIsRefused(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        _ = try store.put(name, Sample.version(5, "x"))
        #expect(try store.put(name, Sample.version(5, "y")).refusal == .dotCovered)
        #expect(try store.put(name, Sample.version(4, "y")).refusal == .dotCovered)
        #expect(try store.siblings(name)?.values == ["x"])
    }

    @Test(arguments: EngineKind.allCases)
    func ifAbsentPutsOnlyWhereNothingLives(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let first = try store.put(name, Sample.version(1, "x", expiry: 5_000, at: 1_000), ifAbsent: true)
        #expect(first.isUpdated)
        #expect(try store.put(name, Sample.version(2, "y", at: 4_999), ifAbsent: true).refusal == .exists)
        #expect(try store.put(name, Sample.version(3, "z", at: 5_000), ifAbsent: true).isUpdated)
        #expect(try store.put(name, Sample.version(4, "w", at: 9_000), ifAbsent: true).refusal == .exists)
        _ = try store.delete(name, .overwrite)
        #expect(try store.put(name, Sample.version(5, "v"), ifAbsent: true).isUpdated)
        #expect(try store.siblings(name)?.values == ["v"])
    }

    /// The time of a version never goes back, so after a clock was ahead once it says nothing of what lives.
    @Test(arguments: EngineKind.allCases)
    func ifAbsentGoesByTheClockAndNotByTheTimeOfTheVersion(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("lock")
        _ = try store.put(name, Sample.version(1, "x", expiry: 5_000, at: 1_000), ifAbsent: true)
        let second = try store.put(name, Sample.version(2, "y", at: 9_000), ifAbsent: true, now: 2_000)
        #expect(second.refusal == .exists)
        #expect(try store.put(name, Sample.version(3, "z", at: 9_000), ifAbsent: true, now: 5_000).isUpdated)
    }

    @Test(arguments: EngineKind.allCases)
    func whatHasExpiredIsNoSiblingThatCounts(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        for counter in 1...UInt64(Siblings.siblingsMax) {
            #expect(try store.put(name, Sample.version(counter, expiry: 2_000), .blind).isUpdated)
        }
        let refused = try store.put(name, Sample.version(101), .blind, now: 1_999)
        #expect(refused.refusal == .tooManySiblings(limit: Siblings.siblingsMax))
        #expect(try store.put(name, Sample.version(101), .blind, now: 2_000).isUpdated)
    }

    @Test(arguments: EngineKind.allCases)
    func aPutTakesOutWhatExpiredLongAgo(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        _ = try store.put(name, Sample.version(1, "old", expiry: 2_000), .blind)
        _ = try store.put(name, Sample.version(2, "late", expiry: 3_000), .blind)
        let put = Update.put(
            Sample.version(3, "new"), seen: .blind, ifAbsent: false, now: WallTime(milliseconds: 9_000),
            collecting: WallTime(milliseconds: 2_500))
        #expect(try store.commit([.update(store.tag(), name, put)])[0].isUpdated)
        #expect(try store.siblings(name)?.values == ["late", "new"])
        #expect(try store.siblings(name)?.context.counter(of: Sample.a) == 3)
    }

    /// A delete makes nothing worse, even where the context that it brings is longer than what goes.
    @Test(arguments: EngineKind.allCases)
    func aDeleteIsNotMeasured(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let large = String(repeating: "x", count: 5 << 20)
        _ = try store.put(name, Sample.version(1, large), .blind)
        _ = try store.merge(name, Sample.record(Sample.version(1, large, node: Sample.b)))
        let elsewhere = VersionVector([Dot(node: NodeID(rawValue: 0xC3), counter: 9)])
        #expect(try store.delete(name, .given(elsewhere)).isUpdated)
        #expect(try store.siblings(name)?.versions.count == 2)
    }

    @Test(arguments: EngineKind.allCases)
    func siblingsTogetherHaveALimitThatBindsOnlyPutsThatMakeItWorse(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let large = String(repeating: "x", count: 5 << 20)
        #expect(try store.put(name, Sample.version(1, large), .blind).isUpdated)
        let refused = try store.put(name, Sample.version(2, large), .blind)
        #expect(refused.refusal == .recordTooLarge(limit: ObjectRecord.siblingBytesMax))
        #expect(try store.put(name, Sample.version(2, "small"), .blind).isUpdated)
        // Another coordinator's is taken in all the same, and what makes it smaller is as well.
        #expect(try store.merge(name, Sample.record(Sample.version(1, large, node: Sample.b))).mergedDigest != nil)
        #expect(try store.put(name, Sample.version(3, "one more"), .blind).refusal != nil)
        let first = VersionVector([Dot(node: Sample.a, counter: 1)])
        #expect(try store.put(name, Sample.version(3, "instead"), .given(first)).isUpdated)
        // A single value has the limit of values only.
        let alone = String(repeating: "x", count: 10 << 20)
        #expect(try store.put(name, Sample.version(4, alone), .overwrite).isUpdated)
    }

    @Test(arguments: EngineKind.allCases)
    func aDeleteLeavesATombstoneAndAConcurrentPut(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        _ = try store.put(name, Sample.version(1, "x"))
        _ = try store.put(name, Sample.version(2, "y"), .blind)
        _ = try store.delete(name, .given(VersionVector([Dot(node: Sample.a, counter: 1)])))
        #expect(try store.siblings(name)?.values == ["y"])
        _ = try store.delete(name, .overwrite)
        #expect(try store.siblings(name)?.isTombstone == true)
        let figures = try store.figures()
        #expect(figures.keys == 0)
        #expect(figures.tombstones == 1)
        let late = try store.merge(name, Sample.record(Sample.version(1, "x")))
        #expect(late.mergedDigest != nil)
        #expect(try store.siblings(name)?.isTombstone == true)
    }

    @Test(arguments: EngineKind.allCases)
    func leasesAndDocumentsSurviveReopeningAndLeasesNeverFall(_ kind: EngineKind) throws {
        let store = try Store(kind)
        #expect(store.recovered.counterFloor == 1)
        #expect(store.recovered.members == nil)
        #expect(store.recovered.buckets == nil)
        let document = ByteBuffer(string: "members")
        let buckets = ByteBuffer(string: "buckets")
        _ = try store.commit([
            .lease(store.tag(), ceiling: 500), .keep(store.tag(), document: .members, ByteBuffer(string: "older")),
            .keep(store.tag(), document: .members, document), .lease(store.tag(), ceiling: 400),
            .keep(store.tag(), document: .buckets, buckets),
        ])
        try store.reopen()
        #expect(store.recovered.counterFloor == 500)
        #expect(store.recovered.members == document)
        #expect(store.recovered.buckets == buckets)
        _ = try store.commit([.lease(store.tag(), ceiling: 20)])
        try store.reopen()
        #expect(store.recovered.counterFloor == 500)
    }

    @Test(arguments: EngineKind.allCases)
    func recordsAndCountsSurviveReopening(_ kind: EngineKind) throws {
        let store = try Store(kind)
        for number in 1...50 as ClosedRange<UInt64> {
            _ = try store.put(try Sample.name("key \(number)"), Sample.version(number, "value \(number)"))
        }
        for number in 1...20 { _ = try store.delete(try Sample.name("key \(number)"), .overwrite) }
        try store.reopen()
        #expect(try store.siblings(try Sample.name("key 33"))?.values == ["value 33"])
        let figures = try store.figures()
        #expect(figures.keys == 30)
        #expect(figures.tombstones == 20)
        #expect(figures.diskBytes > 0)
    }

    @Test(arguments: UInt64(0)..<20)
    func bothEnginesGiveTheSameRecordsForTheSameRequests(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let memory = try Store(.memory)
        let disk = try Store(.levelDB)
        let names = try (0..<6).map { try Sample.name("k\($0)") }
        var counter: UInt64 = 0
        for _ in 0..<30 {
            var batch: [StorageRequest] = []
            for _ in 0...random.below(6) {
                counter += 1
                let name = names[Int(random.below(6))]
                let tag = StorageTag(rawValue: counter)
                let seen: Seen = random.chance(1, in: 2) ? .blind : .overwrite
                switch random.below(5) {
                case 0: batch.append(.update(tag, name, .delete(seen: seen)))
                case 1:
                    let version = Sample.version(counter, "m\(counter)", node: Sample.b)
                    batch.append(.merge(tag, name, record: Sample.record(version)))
                case 2: batch.append(.read(tag, name, .record))
                default:
                    let version = Sample.version(counter, "u\(counter)")
                    batch.append(.update(tag, name, .put(version, seen: seen, ifAbsent: random.chance(1, in: 4))))
                }
            }
            let (left, right) = (try memory.commit(batch), try disk.commit(batch))
            #expect("\(left)" == "\(right)", "seed \(seed)")
            if random.chance(1, in: 10) { try disk.reopen() }
        }
        var everything = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        everything.shape = .records
        let list = StorageRequest.list(StorageTag(rawValue: 1), everything)
        #expect("\(try memory.commit([list]))" == "\(try disk.commit([list]))", "seed \(seed)")
        let (left, right) = (try memory.figures(), try disk.figures())
        #expect(left.keys == right.keys, "seed \(seed)")
        #expect(left.tombstones == right.tombstones, "seed \(seed)")
    }
}
