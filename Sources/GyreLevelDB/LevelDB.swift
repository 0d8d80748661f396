import CLevelDB
import CLevelLog
import GyreStorage
import NIOCore

/// Why LevelDB could not look something up.
enum LookupError: Error {
    /// The bytes on disk fail LevelDB's own checksum.
    case corrupt(String)
    /// The system refused to read.
    case unreadable(String)

    /// What LevelDB's `text` says.
    init(_ text: String) { self = text.hasPrefix("Corruption") ? .corrupt(text) : .unreadable(text) }
}

/// An open LevelDB database: its C face in Swift types.
///
/// `@unchecked Sendable`: LevelDB allows calls from any thread without a lock (its `doc/index.md`, "Concurrency"); the
/// pointers never change between `init` and `deinit`, and whoever holds a reference keeps the database open.
final class LevelDB: @unchecked Sendable {
    private let database: OpaquePointer
    private let options: OpaquePointer
    private let cache: OpaquePointer?
    private let policy: OpaquePointer?
    private let environment: OpaquePointer?
    private let reads: OpaquePointer
    private let scans: OpaquePointer
    private let plainWrites: OpaquePointer
    private let syncedWrites: OpaquePointer
    private let allocator = ByteBufferAllocator()
    /// Bytes of a write that was under way when the log was last written to, and was cut off (`LogTail`).
    let bytesCutOff: Int
    /// The filter's counters; nil unless it is ours.
    let filter: FilterPolicy?

    /// Opens or creates the database in the directory `path`; every check that LevelDB has is on.
    init(path: String, _ settings: LevelDBOptions) throws(StorageFailure) {
        do throws(SystemError) { self.bytesCutOff = try LogTail.cut(inDirectory: path) } catch {
            throw StorageFailure("the store in \(path) cannot be opened: \(error)")
        }
        guard let options = leveldb_options_create(), let reads = leveldb_readoptions_create(),
            let scans = leveldb_readoptions_create(), let plain = leveldb_writeoptions_create(),
            let synced = leveldb_writeoptions_create()
        else { throw StorageFailure("LevelDB gave no memory for its options") }
        self.options = options
        (self.reads, self.scans) = (reads, scans)
        (self.plainWrites, self.syncedWrites) = (plain, synced)
        self.cache = leveldb_cache_create_lru(settings.cacheBytes)
        switch settings.filter {
        case .own(let bits):
            let own = FilterPolicy(bitsPerKey: bits)
            self.filter = own
            self.policy = own.makePolicy()
        case .builtIn(let bits):
            self.filter = nil
            self.policy = leveldb_filterpolicy_create_bloom(Int32(bits))
        case .off:
            self.filter = nil
            self.policy = nil
        }
        self.environment = gyre_log_env_create(settings.logStep)
        if let environment = self.environment { leveldb_options_set_env(options, environment) }
        leveldb_options_set_create_if_missing(options, 1)
        leveldb_options_set_paranoid_checks(options, 1)
        leveldb_options_set_write_buffer_size(options, settings.writeBufferBytes)
        leveldb_options_set_max_file_size(options, settings.tableBytes)
        leveldb_options_set_block_size(options, settings.blockBytes)
        leveldb_options_set_max_open_files(options, Int32(settings.openFilesMax))
        leveldb_options_set_compression(
            options, Int32(settings.isCompressed ? leveldb_snappy_compression : leveldb_no_compression))
        if let cache = self.cache { leveldb_options_set_cache(options, cache) }
        if let policy = self.policy { leveldb_options_set_filter_policy(options, policy) }
        leveldb_readoptions_set_verify_checksums(reads, 1)
        leveldb_readoptions_set_verify_checksums(scans, 1)
        // A scan reads everything once; letting it fill the cache would push out what clients read often.
        leveldb_readoptions_set_fill_cache(scans, 0)
        leveldb_writeoptions_set_sync(synced, 1)
        var error: UnsafeMutablePointer<CChar>?
        guard let database = leveldb_open(options, path, &error) else {
            let text = Self.taken(&error) ?? "no reason given"
            Self.release(options, reads, scans, plain, synced, self.policy, self.cache, self.environment)
            throw StorageFailure("the store in \(path) cannot be opened: \(text)")
        }
        self.database = database
    }

    deinit {
        // Whoever closes waits for the thread for tables.
        self.setTablesBehind(true)
        leveldb_close(self.database)
        Self.release(
            self.options, self.reads, self.scans, self.plainWrites, self.syncedWrites, self.policy, self.cache,
            self.environment)
    }

    /// The value under `key` as a buffer of its own, or nil.
    func value(_ key: ByteBuffer) throws(LookupError) -> ByteBuffer? {
        var error: UnsafeMutablePointer<CChar>?
        var length = 0
        let bytes = key.withUnsafeReadableBytes {
            leveldb_get(self.database, self.reads, Self.chars($0), $0.count, &length, &error)
        }
        if let text = Self.taken(&error) { throw LookupError(text) }
        guard let bytes else { return nil }
        defer { leveldb_free(bytes) }
        var buffer = self.allocator.buffer(capacity: length)
        buffer.writeBytes(UnsafeRawBufferPointer(start: bytes, count: length))
        return buffer
    }

    /// Writes the whole batch or nothing; with `isSynced` it is on disk afterwards.
    func write(_ batch: borrowing WriteBatch, isSynced: Bool) throws(StorageFailure) {
        var error: UnsafeMutablePointer<CChar>?
        if let environment = self.environment { gyre_log_env_write_begins(environment) }
        leveldb_write(self.database, isSynced ? self.syncedWrites : self.plainWrites, batch.raw, &error)
        if let environment = self.environment { gyre_log_env_write_ends(environment) }
        if let text = Self.taken(&error) { throw StorageFailure("a write to the store failed: \(text)") }
    }

    /// Calls `body` with key and value of each entry from `start` on, in order, until it returns false.
    /// Sees the database as it was when the call began. Throws `corrupt` at the end when it had to leave damaged blocks out.
    func scan(
        from start: ByteBuffer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) throws(LookupError) {
        let cursor = try self.cursor(self.scans)
        start.withUnsafeReadableBytes { cursor.seek($0) }
        while cursor.isValid, body(cursor.key, cursor.value) { cursor.next() }
        try cursor.check()
    }

    /// A cursor over the database as it is now; the blocks that it reads are kept in the cache.
    func cursor() throws(LookupError) -> LevelDBCursor { try self.cursor(self.reads) }

    private func cursor(_ options: OpaquePointer) throws(LookupError) -> LevelDBCursor {
        guard let iterator = leveldb_create_iterator(self.database, options) else {
            throw .unreadable("LevelDB gave no iterator")
        }
        return LevelDBCursor(iterator, of: self)
    }

    /// Whether the thread for tables is to go on without rests. From any thread.
    func setTablesBehind(_ isBehind: Bool) {
        if let environment = self.environment { gyre_log_env_set_behind(environment, isBehind) }
    }

    /// How many tables wait in level 0 to be merged.
    var levelZeroTables: Int { self.property("leveldb.num-files-at-level0").flatMap { Int($0) } ?? 0 }

    /// Rewrites everything into as few tables as possible; blocks until done. For tests and measurements.
    func compact() {
        if let environment = self.environment { gyre_log_env_write_begins(environment) }
        leveldb_compact_range(self.database, nil, 0, nil, 0)
        if let environment = self.environment { gyre_log_env_write_ends(environment) }
    }

    /// One of LevelDB's own properties, such as `leveldb.stats`; nil if it has none of that name.
    func property(_ name: String) -> String? {
        guard let text = leveldb_property_value(self.database, name) else { return nil }
        defer { leveldb_free(text) }
        return String(cString: text)
    }

    /// The error text, freed; nil when there was no error.
    static func taken(_ error: inout UnsafeMutablePointer<CChar>?) -> String? {
        guard let text = error else { return nil }
        defer {
            leveldb_free(text)
            error = nil
        }
        return String(cString: text)
    }

    /// LevelDB takes `char *`; an empty buffer may have no address, which it accepts with a length of zero.
    static func chars(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar>? {
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    }

    private static func release(
        _ options: OpaquePointer, _ reads: OpaquePointer, _ scans: OpaquePointer, _ plain: OpaquePointer,
        _ synced: OpaquePointer, _ policy: OpaquePointer?, _ cache: OpaquePointer?, _ environment: OpaquePointer?
    ) {
        leveldb_readoptions_destroy(reads)
        leveldb_readoptions_destroy(scans)
        leveldb_writeoptions_destroy(plain)
        leveldb_writeoptions_destroy(synced)
        leveldb_options_destroy(options)
        if let policy { leveldb_filterpolicy_destroy(policy) }
        if let cache { leveldb_cache_destroy(cache) }
        if let environment { leveldb_env_destroy(environment) }
    }
}

/// Writes that LevelDB takes as one. Reused from commit to commit; confined to its owner.
struct WriteBatch: ~Copyable {
    fileprivate let raw: OpaquePointer
    /// The number of writes in it.
    private(set) var count = 0

    init() throws(StorageFailure) {
        guard let raw = leveldb_writebatch_create() else { throw StorageFailure("LevelDB gave no write batch") }
        self.raw = raw
    }

    deinit { leveldb_writebatch_destroy(self.raw) }

    /// Adds one write; the bytes are copied.
    mutating func put(_ key: ByteBuffer, _ value: ByteBuffer) {
        key.withUnsafeReadableBytes { key in
            value.withUnsafeReadableBytes { value in
                leveldb_writebatch_put(self.raw, LevelDB.chars(key), key.count, LevelDB.chars(value), value.count)
            }
        }
        self.count += 1
    }

    /// Adds one removal; the bytes are copied.
    mutating func delete(_ key: ByteBuffer) {
        key.withUnsafeReadableBytes { key in
            leveldb_writebatch_delete(self.raw, LevelDB.chars(key), key.count)
        }
        self.count += 1
    }

    /// Adds one write: the first `keyBytes` of `entry` are its key, the rest its value; the bytes are copied.
    mutating func put(_ entry: ByteBuffer, keyBytes: Int) {
        entry.withUnsafeReadableBytes { bytes in
            let key = UnsafeRawBufferPointer(rebasing: bytes[..<keyBytes])
            let value = UnsafeRawBufferPointer(rebasing: bytes[keyBytes...])
            leveldb_writebatch_put(self.raw, LevelDB.chars(key), key.count, LevelDB.chars(value), value.count)
        }
        self.count += 1
    }

    /// Empties it.
    mutating func clear() {
        leveldb_writebatch_clear(self.raw)
        self.count = 0
    }
}
