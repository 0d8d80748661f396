import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Testing

@Suite("Hints on both engines")
struct HintTests {
    private let target = NodeID(rawValue: 0xC1)
    private let other = NodeID(rawValue: 0xC2)
    private let wall = WallTime(milliseconds: 5_000)

    private func record(_ counter: UInt64, _ text: String) throws -> ByteBuffer {
        var siblings = Siblings()
        siblings.put(Sample.version(counter, text, node: NodeID(rawValue: counter)), seen: .blind)
        return siblings.encoded
    }

    private func keep(_ store: Store, _ target: NodeID, _ key: String, _ record: ByteBuffer) throws -> StorageOutcome {
        let hint = HintRequest.keep(target: target, try Sample.name(key), record: record, at: self.wall)
        return try store.commit([.hint(store.tag(), hint)])[0]
    }

    private func list(_ store: Store, _ target: NodeID, after: ObjectName? = nil, countMax: Int = 10) throws
        -> ObjectPage
    {
        let hint = HintRequest.list(target: target, after: after, countMax: countMax, bytesMax: 1 << 20)
        guard case .listed(let page) = try store.commit([.hint(store.tag(), hint)])[0] else { return ObjectPage() }
        return page
    }

    private func drop(_ store: Store, _ key: String, _ digest: RecordDigest?) throws -> Bool {
        let hint = HintRequest.drop(target: self.target, try Sample.name(key), digest: digest)
        guard case .dropped(_, let wasDropped) = try store.commit([.hint(store.tag(), hint)])[0] else { return false }
        return wasDropped
    }

    @Test(arguments: EngineKind.allCases)
    func areListedByTargetInStorageOrderAndCounted(_ kind: EngineKind) throws {
        let store = try Store(kind)
        for number in 1...5 {
            _ = try self.keep(store, self.target, "k\(number)", try self.record(UInt64(number), "v"))
        }
        _ = try self.keep(store, self.other, "k1", try self.record(9, "w"))
        let all = try self.list(store, self.target)
        #expect(all.entries.count == 5 && all.isComplete)
        #expect(zip(all.entries, all.entries.dropFirst()).allSatisfy { $0.name < $1.name })
        let first = try self.list(store, self.target, countMax: 2)
        #expect(first.entries.count == 2 && !first.isComplete)
        let rest = try self.list(store, self.target, after: first.entries.last?.name)
        #expect((first.entries + rest.entries).map(\.name) == all.entries.map(\.name))
        #expect(try store.figures().hints.map(\.count) == [5, 1])
        #expect(try store.figures().keys == 0, "hints are no objects")
        #expect(try store.figures().hints.allSatisfy { $0.since == self.wall })
    }

    @Test(arguments: EngineKind.allCases)
    func areMergedAndOnlyDroppedAsDelivered(_ kind: EngineKind) throws {
        let store = try Store(kind)
        _ = try self.keep(store, self.target, "k", try self.record(1, "one"))
        let delivered = try #require(try self.list(store, self.target).entries.first?.digest)
        _ = try self.keep(store, self.target, "k", try self.record(2, "two"))
        #expect(try !self.drop(store, "k", delivered), "it has learned more since")
        let page = try self.list(store, self.target)
        let body = try #require(page.entries.first?.record)
        #expect(try Siblings(encoded: body).versions.count == 2)
        #expect(try self.drop(store, "k", page.entries[0].digest))
        #expect(try !self.drop(store, "k", page.entries[0].digest))
        #expect(try self.list(store, self.target).entries.isEmpty)
        #expect(try store.figures().hints.isEmpty)
    }

    @Test(arguments: EngineKind.allCases)
    func andTheirTotalsOutliveARestart(_ kind: EngineKind) throws {
        let store = try Store(kind)
        for number in 1...3 {
            _ = try self.keep(store, self.target, "k\(number)", try self.record(UInt64(number), "v"))
        }
        let before = try store.figures().hints
        try store.reopen()
        #expect(store.recovered.hints == before)
        #expect(try store.figures().hints == before)
        #expect(try self.list(store, self.target).entries.count == 3)
    }

    @Test(arguments: EngineKind.allCases)
    func aboveTheLimitAreRefusedAndNoneIsDropped(_ kind: EngineKind) throws {
        let store = try Store(kind, hintBytesMax: 200)
        var kept = 0
        for number in 1...20 {
            let outcome = try self.keep(store, self.target, "k\(number)", try self.record(UInt64(number), "v"))
            if case .refused(.hintsFull(let bytesMax)) = outcome { #expect(bytesMax == 200) } else { kept += 1 }
        }
        #expect(kept > 0 && kept < 20)
        #expect(try self.list(store, self.target, countMax: 30).entries.count == kept)
        #expect(try store.figures().hints[0].bytes <= 200)
        #expect(
            try store.put(try Sample.name("object"), Sample.version(99, "v")).isUpdated, "objects have no such limit")
    }

    @Test(arguments: EngineKind.allCases)
    func canBeCoordinatedAndRead(_ kind: EngineKind) throws {
        let store = try Store(kind)
        let name = try Sample.name("k")
        let update = Update.put(Sample.version(7, "v"), seen: .blind, ifAbsent: false)
        let hint = HintRequest.update(target: self.target, name, update, at: self.wall)
        #expect(try store.commit([.hint(store.tag(), hint)])[0].isUpdated)
        let read = HintRequest.read(target: self.target, name, .record)
        guard case .record = try store.commit([.hint(store.tag(), read)])[0] else {
            Issue.record("the hint cannot be read")
            return
        }
        guard case .absent = try store.read(name) else {
            Issue.record("the object is there")
            return
        }
    }

    @Test func storageKeysOfHintsHaveTheirGoldenBytes() throws {
        let name = try Sample.name("apple", bucket: "carts")
        var key = ByteBuffer(string: "used before")
        RecordPlace(name, hintFor: self.target).setKey(&key)
        let hex = key.readableBytesView.map { hexadecimal(UInt64($0)).suffix(2) }.joined()
        #expect(hex == "0200000000000000c13f91eb67a490d652056361727473" + "6170706c65")
    }

    @Test func totalsRefuseEveryTruncation() throws {
        var totals = HintTotals()
        totals.replace(self.target, old: nil, new: 100, at: self.wall)
        totals.replace(self.other, old: nil, new: 50, at: self.wall)
        let body = totals.body
        #expect(try HintTotals(decoding: body) == totals)
        for length in 0..<body.readableBytes {
            #expect(throws: DecodeError.self) {
                try HintTotals(decoding: body.getSlice(at: body.readerIndex, length: length) ?? ByteBuffer())
            }
        }
    }
}
