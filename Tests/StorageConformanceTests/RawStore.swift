import CLevelDB
import GyreLevelDB
import NIOCore

/// LevelDB without Gyre's engine around it: how tests damage a store.
struct RawStore {
    private let database: OpaquePointer

    /// Opens the database in `path`, lets `body` change it, closes it.
    static func change(_ path: String, _ body: (RawStore) throws -> Void) throws {
        let options = leveldb_options_create()
        defer { leveldb_options_destroy(options) }
        leveldb_options_set_create_if_missing(options, 1)
        var error: UnsafeMutablePointer<CChar>?
        guard let database = leveldb_open(options, path, &error) else {
            throw RawStoreError(text: error.map { String(cString: $0) } ?? "")
        }
        defer { leveldb_close(database) }
        try body(RawStore(database: database))
    }

    func get(_ key: ByteBuffer) -> ByteBuffer? {
        let options = leveldb_readoptions_create()
        defer { leveldb_readoptions_destroy(options) }
        var error: UnsafeMutablePointer<CChar>?
        var length = 0
        let bytes = key.withUnsafeReadableBytes { key in
            leveldb_get(
                self.database, options, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, &length, &error
            )
        }
        guard let bytes else { return nil }
        defer { leveldb_free(bytes) }
        return ByteBuffer(bytes: UnsafeRawBufferPointer(start: bytes, count: length))
    }

    func put(_ key: ByteBuffer, _ value: ByteBuffer) {
        let options = leveldb_writeoptions_create()
        defer { leveldb_writeoptions_destroy(options) }
        var error: UnsafeMutablePointer<CChar>?
        key.withUnsafeReadableBytes { key in
            value.withUnsafeReadableBytes { value in
                leveldb_put(
                    self.database, options, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count,
                    value.baseAddress?.assumingMemoryBound(to: CChar.self), value.count, &error)
            }
        }
    }
}

struct RawStoreError: Error {
    let text: String
}

/// `value`, or an error when there is none.
func required<T>(_ value: T?) throws -> T {
    guard let value else { throw RawStoreError(text: "nothing stored") }
    return value
}
