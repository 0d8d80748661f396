import CLevelDB
import GyreBase
import GyreCausality
import GyreStorage
import NIOCore

/// The store of a node that does not run, without anything of Gyre's around it: how records are damaged and judged.
struct StoppedStore {
    let database: OpaquePointer

    /// Opens the store in the data directory `path`, lets `body` work on it, closes it.
    static func open(_ path: String, _ body: (StoppedStore) throws -> Void) throws {
        let options = leveldb_options_create()
        defer { leveldb_options_destroy(options) }
        var error: UnsafeMutablePointer<CChar>?
        guard let database = leveldb_open(options, path + "/store", &error) else {
            throw Broken(error.map { String(cString: $0) } ?? "the store cannot be opened")
        }
        defer { leveldb_close(database) }
        try body(StoppedStore(database: database))
    }

    /// The values that the record holds; nil when nothing that a node would serve is stored.
    func values(of name: ObjectName) -> [String]? {
        guard let bytes = try? self.bytes(of: name), case .held(let record) = RecordFormat.read(bytes, name: name)
        else {
            return nil
        }
        return (try? Siblings(encoded: record.body))?.versions.map { String(buffer: $0.value) }
    }

    /// The record's bytes.
    func bytes(of name: ObjectName) throws -> ByteBuffer {
        let options = leveldb_readoptions_create()
        defer { leveldb_readoptions_destroy(options) }
        var error: UnsafeMutablePointer<CChar>?
        var length = 0
        let bytes = StorageKey.bytes(of: name).withUnsafeReadableBytes { key in
            leveldb_get(
                self.database, options, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, &length, &error
            )
        }
        guard let bytes else { throw Broken("\(name) is not stored") }
        defer { leveldb_free(bytes) }
        return ByteBuffer(bytes: UnsafeRawBufferPointer(start: bytes, count: length))
    }

    /// Replaces the record's bytes by any others.
    func put(_ name: ObjectName, _ bytes: ByteBuffer) throws {
        let options = leveldb_writeoptions_create()
        defer { leveldb_writeoptions_destroy(options) }
        leveldb_writeoptions_set_sync(options, 1)
        var error: UnsafeMutablePointer<CChar>?
        StorageKey.bytes(of: name).withUnsafeReadableBytes { key in
            bytes.withUnsafeReadableBytes { value in
                leveldb_put(
                    self.database, options, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count,
                    value.baseAddress?.assumingMemoryBound(to: CChar.self), value.count, &error)
            }
        }
        if let error { throw Broken(String(cString: error)) }
    }

    /// Takes the record away.
    func remove(_ name: ObjectName) throws {
        let options = leveldb_writeoptions_create()
        defer { leveldb_writeoptions_destroy(options) }
        leveldb_writeoptions_set_sync(options, 1)
        var error: UnsafeMutablePointer<CChar>?
        StorageKey.bytes(of: name).withUnsafeReadableBytes { key in
            leveldb_delete(
                self.database, options, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, &error)
        }
        if let error { throw Broken(String(cString: error)) }
    }

    /// Whether the record is one that a node would serve.
    func isWhole(_ name: ObjectName) throws -> Bool {
        if case .held = RecordFormat.read(try self.bytes(of: name), name: name) { true } else { false }
    }
}
