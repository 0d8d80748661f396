import Foundation
import GyreBase
import GyreStorage
import NIOCore
import Testing

@testable import GyreLevelDB

/// What a store that does not sync each write remembers of that.
@Suite("Writes without a sync")
struct UnsyncedTests {
    private let directory = TemporaryDirectory()
    private var store: String { self.directory.path + "/store" }

    private func open(
        _ durability: Durability, at path: String? = nil
    ) throws -> LevelDBEngine {
        try FileManager.default.createDirectory(atPath: self.directory.path, withIntermediateDirectories: true)
        var options = LevelDBOptions()
        options.durability = durability
        return try LevelDBEngine(path: path ?? self.store, owner: Store.owner, options: options)
    }

    private func put(_ count: UInt64, _ engine: LevelDBEngine, _ name: String = "k") throws -> CommitWriter {
        var writer = try CommitWriter(engine)
        for number in 1...count {
            let record = Sample.record(Sample.version(number, "x"))
            var replies: [StorageReply] = []
            let merge = StorageRequest.merge(
                StorageTag(rawValue: number), try Sample.name("\(name)\(number)"), record: record)
            _ = try writer.commit([merge], from: 0, into: &replies)
        }
        return writer
    }

    /// What stands on the disk while the store is open, as a cut of power would leave what the system had written.
    private func copy(_ name: String) throws -> String {
        let path = self.directory.path + "/" + name
        try FileManager.default.copyItem(atPath: self.store, toPath: path)
        return path
    }

    @Test(arguments: [Durability.interval, .none])
    func whoWasNotStoppedGetsANewNameForItsDots(_ durability: Durability) throws {
        let copies = try {
            let engine = try self.open(durability)
            #expect(engine.recovered.author == nil)
            _ = try self.put(3, engine)
            return try (0..<2).map { try self.copy("copy\($0)") }
        }()
        // Whatever the durability of the next life is; a life that syncs each write keeps the name.
        let author = try #require(try self.open(.always, at: copies[0]).recovered.author)
        #expect(try self.open(.always, at: copies[0]).recovered.author == author)
        let other = try #require(try self.open(durability, at: copies[1]).recovered.author)
        #expect(try self.open(durability, at: copies[1]).recovered.author != other)
    }

    @Test func whoSyncsEachWriteKeepsTheName() throws {
        let copy = try {
            let engine = try self.open(.always)
            _ = try self.put(3, engine)
            return try self.copy("copy")
        }()
        #expect(try self.open(.always, at: copy).recovered.author == nil)
        #expect(try self.open(.interval, at: copy).recovered.author == nil)
    }

    @Test(arguments: [Durability.interval, .none])
    func whoWasStoppedKeepsTheName(_ durability: Durability) throws {
        for life in ["first", "second", "third"] {
            let engine = try self.open(durability)
            #expect(engine.recovered.author == nil)
            var writer = try self.put(3, engine, life)
            let before = writer.needsSync
            try writer.end()
            let after = writer.needsSync
            #expect(before && !after)
        }
    }

    @Test func documentsAndLeasesAreSyncedAllTheSame() throws {
        let engine = try self.open(.interval)
        var writer = try self.put(1, engine)
        var needs = [writer.needsSync]
        let tag = StorageTag(rawValue: 9)
        let record = Sample.record(Sample.version(7, "y"))
        let commits: [[StorageRequest]] = [
            [.lease(tag, ceiling: 1_000)], [.merge(tag, try Sample.name("l"), record: record)],
            // A lease that is there already is no change.
            [.lease(tag, ceiling: 1_000)], [.keep(tag, document: .members, ByteBuffer(string: "m"))],
        ]
        for requests in commits {
            var replies: [StorageReply] = []
            _ = try writer.commit(requests, from: 0, into: &replies)
            needs.append(writer.needsSync)
        }
        #expect(needs == [true, false, true, true, false])
    }
}
