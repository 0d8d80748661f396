import Foundation
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOConcurrencyHelpers
import NIOCore
import Testing

/// Collects replies and lets a test wait for them.
private final class Inbox: Sendable {
    let replies = NIOLockedValueBox<[StorageReply]>([])
    let calls = NIOLockedValueBox(0)
    let failures = NIOLockedValueBox<[StorageFailure]>([])
    let arrived = DispatchSemaphore(value: 0)

    func receive(_ group: [StorageReply]) {
        self.replies.withLockedValue { $0 += group }
        self.calls.withLockedValue { $0 += 1 }
        for _ in group { self.arrived.signal() }
    }

    func fail(_ failure: StorageFailure) {
        self.failures.withLockedValue { $0.append(failure) }
        self.arrived.signal()
    }

    /// True when `count` more replies arrived within ten seconds.
    func wait(_ count: Int) -> Bool {
        (0..<count).allSatisfy { _ in self.arrived.wait(timeout: .now() + 10) == .success }
    }
}

@Suite("Storage threads")
struct StorageThreadsTests {
    private let directory = TemporaryDirectory()

    private func open(_ options: LevelDBOptions = LevelDBOptions()) throws -> LevelDBEngine {
        try FileManager.default.createDirectory(atPath: self.directory.path, withIntermediateDirectories: true)
        return try LevelDBEngine(path: self.directory.path + "/store", owner: Store.owner, options: options)
    }

    private func puts(_ range: ClosedRange<UInt64>) throws -> [StorageRequest] {
        try range.map {
            let update = Update.put(Sample.version($0, "\($0)"), seen: .overwrite, ifAbsent: false)
            return .update(StorageTag(rawValue: $0), try Sample.name("\($0)"), update)
        }
    }

    @Test(arguments: Durability.allCases)
    func everyRequestIsAnsweredOnceAndWritesInOrder(_ durability: Durability) throws {
        var options = LevelDBOptions()
        options.durability = durability
        let inbox = Inbox()
        let threads = try StorageThreads(
            try self.open(options), onReplies: { inbox.receive($0) }, onFailure: { inbox.fail($0) })
        for start in stride(from: UInt64(1), through: 901, by: 100) {
            #expect(threads.submit(try self.puts(start...start + 99)) == .queued)
        }
        #expect(inbox.wait(1_000))
        #expect(inbox.replies.withLockedValue { $0.map(\.tag.rawValue) } == Array(1...1_000))
        let reads = try (1...1_000 as ClosedRange<UInt64>).map {
            StorageRequest.read(StorageTag(rawValue: $0), try Sample.name("\($0)"), .record)
        }
        #expect(threads.submit(reads) == .queued)
        #expect(inbox.wait(1_000))
        let found = inbox.replies.withLockedValue { replies in
            replies.dropFirst(1_000).filter { if case .record = $0.outcome { true } else { false } }.count
        }
        #expect(found == 1_000)
        threads.close()
        #expect(threads.submit(reads) == .stopped)
        #expect(inbox.failures.withLockedValue { $0 } == [])
    }

    @Test func aCloseAnswersWhatWasQueued() throws {
        let inbox = Inbox()
        do {
            let threads = try StorageThreads(
                try self.open(), onReplies: { inbox.receive($0) }, onFailure: { inbox.fail($0) })
            #expect(threads.submit(try self.puts(1...500)) == .queued)
            threads.close()
            #expect(inbox.replies.withLockedValue { $0.count } == 500)
        }
        #expect(try self.open().figures.keys == 500)
    }

    @Test func aFullQueueTakesWhatItHasRoomForInOrder() throws {
        var options = LevelDBOptions()
        options.queueMax = 100
        let inbox = Inbox()
        let threads = try StorageThreads(
            try self.open(options), onReplies: { inbox.receive($0) }, onFailure: { inbox.fail($0) })
        // More than would ever fit: handed over as a whole or not at all, it would never go.
        var rest = try self.puts(1...1_000)
        while !rest.isEmpty {
            let admission = threads.submit(rest)
            let taken = admission.taken(of: rest.count)
            #expect(taken <= 100)
            if taken < rest.count { #expect(admission == .full(taken: taken, queueMax: 100)) }
            rest.removeFirst(taken)
            if taken == 0 { usleep(100) }
        }
        #expect(inbox.wait(1_000))
        threads.close()
        #expect(inbox.replies.withLockedValue { $0.map(\.tag.rawValue) } == Array(1...1_000))
        #expect(threads.engine.figures.keys == 1_000)
        #expect(threads.submit(try self.puts(1...1)).taken(of: 1) == 0)
    }

    private func fills(_ range: ClosedRange<UInt64>) throws -> [StorageRequest] {
        try range.map {
            let record = Sample.record(Sample.version($0, "\($0)", node: Sample.b))
            return .merge(StorageTag(rawValue: $0), try Sample.name("\($0)"), record: record, isPatient: true)
        }
    }

    @Test func patientRequestsAreOvertakenAndKeepTheirOrder() throws {
        let inbox = Inbox()
        let threads = try StorageThreads(
            try self.open(), onReplies: { inbox.receive($0) }, onFailure: { inbox.fail($0) })
        #expect(threads.submit(try self.fills(1...1_000) + self.puts(1_001...1_010)) == .queued)
        #expect(inbox.wait(1_010))
        #expect(inbox.replies.withLockedValue { $0.map(\.tag.rawValue) } == Array(1_001...1_010) + Array(1...1_000))
        threads.close()
        let pieces = (1_000 + StorageRequest.pieceMax - 1) / StorageRequest.pieceMax
        #expect(threads.engine.figures.commits == UInt64(pieces))
    }

    @Test func aCloseAnswersPatientRequestsAsWell() throws {
        let inbox = Inbox()
        let threads = try StorageThreads(
            try self.open(), onReplies: { inbox.receive($0) }, onFailure: { inbox.fail($0) })
        #expect(threads.submit(try self.fills(1...1_000)) == .queued)
        let everything = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        #expect(threads.submit([.list(StorageTag(rawValue: 0), everything)]) == .queued)
        threads.close()
        #expect(inbox.replies.withLockedValue { $0.count } == 1_001)
    }

    @Test func requestsThatWaitTogetherShareOneCommit() throws {
        let inbox = Inbox()
        let threads = try StorageThreads(
            try self.open(), onReplies: { inbox.receive($0) }, onFailure: { inbox.fail($0) })
        #expect(threads.submit(try self.puts(1...400)) == .queued)
        #expect(inbox.wait(400))
        threads.close()
        #expect(threads.engine.figures.commits == 1)
        // The counts are one write more.
        #expect(threads.engine.figures.committedWrites == 401)
    }

    @Test func aHugeBatchIsSplitIntoCommits() throws {
        let engine = try self.open()
        var writer = try CommitWriter(engine)
        let value = ByteBuffer(repeating: 1, count: 3 << 20)
        let requests = try (1...5 as ClosedRange<UInt64>).map { counter in
            var version = Sample.version(counter)
            version = Version(
                dot: version.dot, time: version.time, expiry: nil, metadata: .none, value: value)
            let update = Update.put(version, seen: .overwrite, ifAbsent: false)
            return StorageRequest.update(StorageTag(rawValue: counter), try Sample.name("\(counter)"), update)
        }
        var replies: [StorageReply] = []
        #expect(try writer.commit(requests, from: 0, into: &replies) == 3)
        #expect(try writer.commit(requests, from: 3, into: &replies) == 5)
        #expect(replies.count == 5)
    }

    @Test func aScanReturnsPagesInStorageKeyOrder() throws {
        let engine = try self.open()
        var writer = try CommitWriter(engine)
        var replies: [StorageReply] = []
        let requests = try self.puts(1...250)
        #expect(try writer.commit(requests, from: 0, into: &replies) == 250)
        var names: [ObjectName] = []
        var range = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        range.countMax = 100
        var isComplete = false
        while !isComplete {
            let page = try engine.list(range)
            #expect(page.entries.count <= 100)
            names += page.entries.map(\.name)
            range.after = names.last
            isComplete = page.isComplete
        }
        #expect(names.count == 250)
        #expect(zip(names, names.dropFirst()).allSatisfy { $0 < $1 })
        let middle = names[125]
        let page = try engine.list(ObjectRange(first: middle.token, last: middle.token))
        #expect(page.entries.map(\.name) == [middle] && page.isComplete)
    }

    @Test func aStoreOfAnotherNodeIsRefused() throws {
        _ = try self.open()
        #expect(throws: StoreOpenError.owner(found: Store.owner, expected: Sample.b)) {
            try LevelDBEngine(path: self.directory.path + "/store", owner: Sample.b, options: LevelDBOptions())
        }
    }

    @Test(arguments: [(NodeRecord.lease, "the dot lease"), (.counts, "counts"), (.owner, "owner")])
    func aCorruptNodeRecordIsRefusedByName(_ record: NodeRecord, _ what: String) throws {
        do {
            var writer = try CommitWriter(try self.open())
            var replies: [StorageReply] = []
            let requests = try self.puts(1...1) + [.lease(StorageTag(rawValue: 2), ceiling: 9)]
            _ = try writer.commit(requests, from: 0, into: &replies)
        }
        try RawStore.change(self.directory.path + "/store") { $0.put(record.key, ByteBuffer(string: "nonsense")) }
        #expect(throws: StoreOpenError.record(what)) { try self.open() }
    }

    @Test func damagedTablesAreFoundNotReturned() throws {
        let names = try (1...2_000 as ClosedRange<UInt64>).map { try Sample.name("\($0)") }
        do {
            let engine = try self.open()
            var writer = try CommitWriter(engine)
            var replies: [StorageReply] = []
            _ = try writer.commit(try self.puts(1...2_000), from: 0, into: &replies)
            engine.compact()
        }
        let store = self.directory.path + "/store"
        let tables = try FileManager.default.contentsOfDirectory(atPath: store).filter { $0.hasSuffix(".ldb") }
        for table in tables {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: store + "/" + table))
            bytes[bytes.startIndex + 5_000] ^= 0x10
            try bytes.write(to: URL(fileURLWithPath: store + "/" + table))
        }
        let engine = try self.open()
        var corrupt = 0
        var scratch = ByteBuffer()
        for name in names {
            switch try engine.held(RecordPlace(name), scratch: &scratch) {
            case .corrupt: corrupt += 1
            case .held: break
            case .absent: Issue.record("a damaged record reads as absent")
            }
        }
        #expect(corrupt > 0)
        #expect(corrupt < names.count / 2)
        #expect(engine.figures.corruptRecords == UInt64(corrupt))
    }
}
