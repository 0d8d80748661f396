import Foundation
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore

/// Which engine a conformance test runs on.
enum EngineKind: CaseIterable, Sendable {
    case memory
    case levelDB
}

/// A directory that goes away with the test.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        self.path = NSTemporaryDirectory() + "/gyre-storage-\(UUID().uuidString)"
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }
}

/// One store of either kind, driven batch by batch; every batch is durable when its replies are returned.
final class Store {
    static let owner = NodeID(rawValue: 0xA1)
    private let directory = TemporaryDirectory()
    private let kind: EngineKind
    private let options: LevelDBOptions
    private(set) var memory: MemoryEngine
    private(set) var engine: LevelDBEngine?
    private var writer: CommitWriter?
    private var lastTag: UInt64 = 0

    init(
        _ kind: EngineKind, options: LevelDBOptions = LevelDBOptions(), hintBytesMax: UInt64 = 1 << 30
    ) throws {
        self.kind = kind
        self.memory = MemoryEngine(hintBytesMax: hintBytesMax)
        var options = options
        options.hintBytesMax = hintBytesMax
        self.options = options
        try self.reopen()
    }

    var path: String { self.directory.path + "/store" }

    var recovered: RecoveredState { self.engine?.recovered ?? self.memory.recovered }

    func close() {
        self.writer = nil
        self.engine = nil
    }

    func reopen() throws {
        self.close()
        switch self.kind {
        case .memory: self.memory.crash(keepingBatches: .max)
        case .levelDB:
            try FileManager.default.createDirectory(atPath: self.directory.path, withIntermediateDirectories: true)
            let engine = try LevelDBEngine(path: self.path, owner: Self.owner, options: self.options)
            self.engine = engine
            self.writer = try CommitWriter(engine)
        }
    }

    func commit(_ requests: [StorageRequest]) throws -> [StorageOutcome] {
        var replies: [StorageReply] = []
        if self.engine != nil {
            var start = 0
            while start < requests.count {
                start = try self.writer?.commit(requests, from: start, into: &replies) ?? requests.count
            }
        } else {
            self.memory.stage(requests, into: &replies)
            self.memory.sync()
        }
        precondition(replies.map(\.tag) == requests.map(\.tag), "a reply a request, in order")
        return replies.map(\.outcome)
    }

    func tag() -> StorageTag {
        self.lastTag += 1
        return StorageTag(rawValue: self.lastTag)
    }

    func read(_ name: ObjectName) throws -> StorageOutcome {
        try self.commit([.read(self.tag(), name, .record)])[0]
    }

    func siblings(_ name: ObjectName) throws -> Siblings? {
        guard case .record(let bytes, let digest) = try self.read(name) else { return nil }
        precondition(digest == RecordDigest(of: bytes, name: name), "digest of other bytes")
        return try Siblings(encoded: bytes)
    }

    func put(
        _ name: ObjectName, _ version: Version, _ seen: Seen = .overwrite, ifAbsent: Bool = false, now: UInt64? = nil
    ) throws -> StorageOutcome {
        let now = now.map { WallTime(milliseconds: $0) } ?? version.time.wall
        return try self.commit([.update(self.tag(), name, .put(version, seen: seen, ifAbsent: ifAbsent, now: now))])[0]
    }

    func delete(_ name: ObjectName, _ seen: Seen) throws -> StorageOutcome {
        try self.commit([.update(self.tag(), name, .delete(seen: seen))])[0]
    }

    func merge(_ name: ObjectName, _ record: ByteBuffer) throws -> StorageOutcome {
        try self.commit([.merge(self.tag(), name, record: record)])[0]
    }

    func heal(_ name: ObjectName, _ record: ByteBuffer) throws -> StorageOutcome {
        try self.commit([.heal(self.tag(), name, record: record)])[0]
    }

    func figures() throws -> StorageFigures {
        guard case .figures(let figures) = try self.commit([.figures(self.tag())])[0] else { return StorageFigures() }
        return figures
    }

    /// Flips a bit of the stored record, underneath the engine.
    func corrupt(_ name: ObjectName, bit: UInt64 = 77) throws {
        switch self.kind {
        case .memory: self.memory.corrupt(name, bit: bit)
        case .levelDB:
            self.close()
            try RawStore.change(self.path) { raw in
                let key = StorageKey.bytes(of: name)
                var value = try required(raw.get(key))
                let index = value.readerIndex + Int(bit / 8) % value.readableBytes
                value.setInteger((value.getInteger(at: index, as: UInt8.self) ?? 0) ^ (1 << UInt8(bit % 8)), at: index)
                raw.put(key, value)
            }
            try self.reopen()
        }
    }

    /// Stores the record of one object under the name of another, underneath the engine.
    func misplace(from source: ObjectName, to target: ObjectName) throws {
        switch self.kind {
        case .memory: self.memory.misplace(from: source, to: target)
        case .levelDB:
            self.close()
            try RawStore.change(self.path) { raw in
                raw.put(StorageKey.bytes(of: target), try required(raw.get(StorageKey.bytes(of: source))))
            }
            try self.reopen()
        }
    }
}

/// Names, versions and records for tests.
enum Sample {
    static let a = NodeID(rawValue: 0xA1)
    static let b = NodeID(rawValue: 0xB2)

    static func name(_ key: String, bucket: String = "carts") throws -> ObjectName {
        try ObjectName(bucket: ByteBuffer(string: bucket), key: ByteBuffer(string: key))
    }

    static func version(
        _ counter: UInt64, _ value: String = "v", node: NodeID = Sample.a, expiry: UInt64? = nil,
        at milliseconds: UInt64 = 1_000
    ) -> Version {
        Version(
            dot: Dot(node: node, counter: counter),
            time: HybridTime(wall: WallTime(milliseconds: milliseconds), logical: 0),
            expiry: expiry.map { WallTime(milliseconds: $0) }, metadata: .none, value: ByteBuffer(string: value))
    }

    static func bytes(_ siblings: Siblings) -> ByteBuffer {
        return siblings.encoded
    }

    /// The record that a sequence of blind puts leaves.
    static func record(_ versions: Version...) -> ByteBuffer {
        var siblings = Siblings()
        for version in versions { siblings.put(version, seen: .blind) }
        return self.bytes(siblings)
    }
}

extension StorageOutcome {
    var refusal: StorageRefusal? {
        if case .refused(let refusal) = self { return refusal }
        return nil
    }

    var isAbsent: Bool {
        if case .absent = self { return true }
        return false
    }

    var isUpdated: Bool {
        if case .updated = self { return true }
        return false
    }

    /// The digest of a merge; nil for anything else.
    var mergedDigest: RecordDigest? {
        if case .merged(let digest, _, _) = self { return digest }
        return nil
    }
}

extension Siblings {
    var values: [String] { self.versions.map { String(buffer: $0.value) } }
}
