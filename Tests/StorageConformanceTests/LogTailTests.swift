import Foundation
import GyreBase
import GyreStorage
import NIOCore
import Testing

@testable import GyreLevelDB

/// What is left of LevelDB's write-ahead log after a crash in the middle of a write.
@Suite("Log tail")
struct LogTailTests {
    /// A directory that goes away with the value.
    private final class Place {
        let path: String
        init() throws {
            let parent = FileManager.default.temporaryDirectory
            self.path = parent.appendingPathComponent("gyre-log-\(UUID().uuidString)").path
            try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: self.path) }

        var log: String? {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: self.path)) ?? []
            return names.filter { $0.hasSuffix(".log") }.max().map { self.path + "/" + $0 }
        }
    }

    /// A store that was never closed: the files as a killed process leaves them, and where each write ends in the log.
    private struct Crashed {
        let files: [(name: String, bytes: Data)]
        let log: String
        let bytes: Data
        let ends: [Int]
    }

    private static let step = 64 << 10

    private static func options() -> LevelDBOptions {
        var options = LevelDBOptions()
        options.logStepBytes = Self.step
        return options
    }

    private static func end(of bytes: Data) -> Int { bytes.withUnsafeBytes { LogTail.end(of: $0) } }

    /// One key a write; the values are long enough for some writes to cross blocks of the log.
    private static func crashed(valueBytes: [Int]) throws -> Crashed {
        try self.crashed(
            values: valueBytes.enumerated().map { ByteBuffer(repeating: UInt8($0.offset + 1), count: $0.element) })
    }

    private static func crashed(values: [ByteBuffer]) throws -> Crashed {
        let place = try Place()
        let database = try LevelDB(path: place.path, Self.options())
        var batch = try WriteBatch()
        let log = try #require(place.log)
        var ends: [Int] = []
        for (number, value) in values.enumerated() {
            batch.put(ByteBuffer(string: "key \(number)"), value)
            try database.write(batch, isSynced: true)
            batch.clear()
            ends.append(Self.end(of: try Data(contentsOf: URL(fileURLWithPath: log))))
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: place.path)
        let files = try names.map { ($0, try Data(contentsOf: URL(fileURLWithPath: place.path + "/" + $0))) }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: log))
        withExtendedLifetime(database) {}
        return Crashed(files: files, log: URL(fileURLWithPath: log).lastPathComponent, bytes: bytes, ends: ends)
    }

    /// How many keys a store has that is opened over `log` and the other files of `crashed`.
    private static func keys(_ crashed: Crashed, log: Data) throws -> Int {
        let place = try Place()
        for file in crashed.files {
            try (file.name == crashed.log ? log : file.bytes).write(
                to: URL(fileURLWithPath: place.path + "/" + file.name))
        }
        let database = try LevelDB(path: place.path, Self.options())
        var count = 0
        try database.scan(from: ByteBuffer()) { _, _ in
            count += 1
            return true
        }
        return count
    }

    private static let sizes = [100, 2, 3_000, 40_000, 500, 70_000, 1, 900]

    @Test func theChecksumIsTheOneThatLevelDBUses() {
        let check = Array("123456789".utf8).withUnsafeBytes { CRC32C.of($0) }
        #expect(check == 0xE306_9283)
    }

    @Test func aLogGrowsInStepsAndEndsInZeros() throws {
        let crashed = try Self.crashed(valueBytes: Self.sizes)
        #expect(crashed.bytes.count.isMultiple(of: Self.step))
        #expect(crashed.ends == crashed.ends.sorted() && Set(crashed.ends).count == Self.sizes.count)
        let last = try #require(crashed.ends.last)
        #expect(crashed.bytes[last...].allSatisfy { $0 == 0 })
        #expect(try Self.keys(crashed, log: crashed.bytes) == Self.sizes.count)
    }

    @Test func aWriteThatWasCutOffAnywhereLeavesThoseBeforeItAndNoOther() throws {
        let crashed = try Self.crashed(valueBytes: Self.sizes)
        var random = SeededRandom(seed: 1)
        let last = try #require(crashed.ends.last)
        let nearEnds = crashed.ends.flatMap { [$0 - 1, $0, $0 + 1, $0 + 6, $0 + 8] }
        let blocks = stride(from: LogTail.blockBytes, to: last, by: LogTail.blockBytes).flatMap {
            [$0 - 1, $0, $0 + 7]
        }
        for cut in nearEnds + blocks + (0..<100).map({ _ in Int(random.below(UInt64(last))) }) where cut <= last {
            var bytes = crashed.bytes
            bytes.resetBytes(in: cut..<bytes.count)
            let whole = crashed.ends.filter { $0 <= cut }
            #expect(Self.end(of: bytes) == whole.last ?? 0, "cut at \(cut)")
            if cut.isMultiple(of: 5) { #expect(try Self.keys(crashed, log: bytes) == whole.count, "cut at \(cut)") }
            // The same, had the file ended there.
            #expect(Self.end(of: bytes.prefix(cut)) == whole.last ?? 0, "ended at \(cut)")
        }
    }

    @Test func ofAWriteUnderWayAnyPagesMayBeThere() throws {
        let crashed = try Self.crashed(valueBytes: Self.sizes)
        let pages = 4_096
        // The sixth write is the longest; those behind it did not begin.
        let (start, end) = (crashed.ends[4], crashed.ends[5])
        for missing in start / pages...(end - 1) / pages {
            var bytes = crashed.bytes
            bytes.resetBytes(in: end..<bytes.count)
            bytes.resetBytes(in: max(start, missing * pages)..<min(end, (missing + 1) * pages))
            #expect(Self.end(of: bytes) == start, "page \(missing)")
            #expect(try Self.keys(crashed, log: bytes) == 5, "page \(missing)")
        }
    }

    @Test func damageBeforeALaterWriteIsLeftForLevelDBToReport() throws {
        let crashed = try Self.crashed(valueBytes: Self.sizes)
        for number in 0..<(Self.sizes.count - 1) {
            var bytes = crashed.bytes
            let start = number == 0 ? 0 : crashed.ends[number - 1]
            bytes[(start + crashed.ends[number]) / 2] ^= 0x40
            #expect(Self.end(of: bytes) == bytes.count, "write \(number)")
            #expect(throws: StorageFailure.self, "write \(number)") { try Self.keys(crashed, log: bytes) }
        }
    }

    @Test func whatLooksLikeAWriteInsideAValueIsNone() throws {
        let before = ByteBuffer(repeating: 7, count: 300)
        let first = try Self.crashed(values: [before])
        // An empty record has the same seven bytes in every log, and a copy of a log is full of writes.
        let empty: [UInt8] = [0x05, 0x2B, 0x28, 0x43, 0, 0, 1]
        var value = ByteBuffer(bytes: first.bytes.prefix(first.ends[0]))
        for _ in 0..<10_000 { value.writeBytes(empty) }
        value.writeBytes(first.bytes.prefix(first.ends[0]))
        let crashed = try Self.crashed(values: [before, value])
        #expect(crashed.ends.count == 2 && crashed.ends[1] > crashed.ends[0] + 70_000)
        for lost in [7, 512, 4_096, 20_000, 50_000] {
            var bytes = crashed.bytes
            bytes.resetBytes(in: crashed.ends[0]..<crashed.ends[0] + lost)
            #expect(Self.end(of: bytes) == crashed.ends[0], "\(lost) bytes lost")
            #expect(try Self.keys(crashed, log: bytes) == 1, "\(lost) bytes lost")
        }
    }

    @Test func afterAWriteWasCutOffDotsGetANewNameForGood() throws {
        let path = try Place()
        var options = Self.options()
        options.logStepBytes = Self.step
        let owner = NodeID(rawValue: 7)
        do {
            let engine = try LevelDBEngine(path: path.path, owner: owner, options: options)
            #expect(engine.recovered.author == nil && engine.bytesCutOff == 0)
        }
        let log = try #require(path.log)
        let handle = try #require(FileHandle(forWritingAtPath: log))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data([1, 2, 3, 4, 200, 0, 1, 9, 9]))
        try handle.close()
        let author: NodeID
        do {
            let engine = try LevelDBEngine(path: path.path, owner: owner, options: options)
            #expect(engine.bytesCutOff == 9)
            author = try #require(engine.recovered.author)
            #expect(author != owner)
        }
        let again = try LevelDBEngine(path: path.path, owner: owner, options: options)
        #expect(again.bytesCutOff == 0 && again.recovered.author == author)
    }

    @Test func aClosedLogEndsWhereItsLastRecordDoes() throws {
        let place = try Place()
        do {
            let database = try LevelDB(path: place.path, Self.options())
            var batch = try WriteBatch()
            batch.put(ByteBuffer(string: "key"), ByteBuffer(string: "value"))
            try database.write(batch, isSynced: true)
        }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: try #require(place.log)))
        #expect(bytes.count < 100)
        #expect(Self.end(of: bytes) == bytes.count)
    }
}
