import CLevelDB

/// A place in a database as it was when the cursor was made: LevelDB's iterator in Swift types.
///
/// Damage shows as an error after the move that met it, and only there; what stands behind it may be out of date. Confined to its
/// owner; it keeps its database open.
struct LevelDBCursor: ~Copyable {
    private let raw: OpaquePointer
    private let database: LevelDB

    /// A cursor that stands nowhere yet; takes over `raw`, an iterator of `database`.
    init(_ raw: OpaquePointer, of database: LevelDB) {
        self.raw = raw
        self.database = database
    }

    deinit { leveldb_iter_destroy(self.raw) }

    /// Whether there is an entry where it stands.
    var isValid: Bool { leveldb_iter_valid(self.raw) != 0 }

    /// The key there, until the next move; only where `isValid`.
    var key: UnsafeRawBufferPointer {
        var count = 0
        let start = leveldb_iter_key(self.raw, &count)
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    /// The value there, until the next move; only where `isValid`.
    var value: UnsafeRawBufferPointer {
        var count = 0
        let start = leveldb_iter_value(self.raw, &count)
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    /// Moves to the first entry with `key` or a later one.
    func seek(_ key: UnsafeRawBufferPointer) {
        leveldb_iter_seek(self.raw, LevelDB.chars(key), key.count)
    }

    /// Moves to the next entry; only where `isValid`.
    func next() { leveldb_iter_next(self.raw) }

    /// Throws what the moves so far met.
    func check() throws(LookupError) {
        var error: UnsafeMutablePointer<CChar>?
        leveldb_iter_get_error(self.raw, &error)
        if let text = LevelDB.taken(&error) { throw LookupError(text) }
    }
}
