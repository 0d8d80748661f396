package import GyreBase
package import NIOCore

/// The first byte of every storage key: which table a record belongs to (docs/internals/storage-format.md).
package enum StorageTable: UInt8, Sendable {
    // On disk; never renumber.
    /// The node's own records: counts, lease, identity, documents.
    case node = 0x00
    /// One record an object.
    case objects = 0x01
    /// One record a target and object: what another node is owed.
    case hints = 0x02
    /// One record a partition: the checkpoint of its hash tree.
    case trees = 0x03
}

/// Where a record lies in the store: table, token (8 bytes, big-endian), bucket length (1 byte), bucket, key.
///
/// Bytewise order is token order first, so that a partition is one contiguous range (architecture D2); it is the order
/// that `ObjectName` has.
package enum StorageKey {
    /// The bytes before the bucket: table, token, bucket length.
    package static let headBytes = 10
    /// The bytes of the target in the storage key of a hint.
    package static let targetBytes = 8
    /// The longest storage key.
    package static let bytesMax =
        Self.headBytes + Self.targetBytes + ObjectName.bucketBytesMax + ObjectName.keyBytesMax

    /// Appends the storage key of the object `name`.
    package static func write(_ name: ObjectName, into buffer: inout ByteWriter) {
        buffer.writeInteger(StorageTable.objects.rawValue)
        self.writeRest(name, into: &buffer)
    }

    /// Appends the storage key of the hint for `target` about the object `name`: table, target (8 bytes, big-endian), then as
    /// that of an object.
    package static func writeHint(for target: NodeID, _ name: ObjectName, into buffer: inout ByteWriter) {
        buffer.writeInteger(StorageTable.hints.rawValue)
        buffer.writeInteger(target.rawValue)
        self.writeRest(name, into: &buffer)
    }

    private static func writeRest(_ name: ObjectName, into buffer: inout ByteWriter) {
        buffer.writeInteger(name.token.rawValue)
        // An `ObjectName` has a bucket of at most 255 bytes by construction.
        buffer.writeInteger(UInt8(truncatingIfNeeded: name.bucket.readableBytes))
        buffer.writeImmutableBuffer(name.bucket)
        buffer.writeImmutableBuffer(name.key)
    }

    /// The storage key of the object `name`.
    package static func bytes(of name: ObjectName) -> ByteBuffer {
        var writer = ByteWriter()
        writer.reserveCapacity(
            minimumWritableBytes: self.headBytes + name.bucket.readableBytes + name.key.readableBytes)
        self.write(name, into: &writer)
        return writer.finish()
    }

    /// The least storage key an object with `token` or a later one can have; where a scan of a range starts.
    package static func lowerBound(of token: Token) -> ByteBuffer {
        var buffer = ByteWriter()
        buffer.writeInteger(StorageTable.objects.rawValue)
        buffer.writeInteger(token.rawValue)
        return buffer.finish()
    }

    /// Where the checkpoint number `number` of a hash tree is kept: table, number (4 bytes, big-endian).
    package static func checkpoint(_ number: UInt32) -> ByteBuffer {
        var buffer = ByteWriter()
        buffer.writeInteger(StorageTable.trees.rawValue)
        buffer.writeInteger(number)
        return buffer.finish()
    }

    /// Where a scan of the hints for `target` starts.
    package static func lowerBound(ofHintsFor target: NodeID) -> ByteBuffer {
        var buffer = ByteWriter()
        buffer.writeInteger(StorageTable.hints.rawValue)
        buffer.writeInteger(target.rawValue)
        return buffer.finish()
    }

    /// Reads the name of an object back; refuses another table, a wrong token, and lengths out of bounds.
    package static func name(from key: ByteBuffer) throws(DecodeError) -> ObjectName {
        var rest = ByteReader(key)
        guard try rest.readFixed(as: UInt8.self) == StorageTable.objects.rawValue else {
            throw .invalid(field: "storage table")
        }
        return try self.readRest(&rest)
    }

    /// Reads the name of the object that a hint for `target` is about; refuses what `name(from:)` does, and another target.
    package static func hintName(from key: ByteBuffer, target: NodeID) throws(DecodeError) -> ObjectName {
        var rest = ByteReader(key)
        guard try rest.readFixed(as: UInt8.self) == StorageTable.hints.rawValue,
            try rest.readFixed(as: UInt64.self) == target.rawValue
        else { throw .invalid(field: "storage table") }
        return try self.readRest(&rest)
    }

    private static func readRest(_ rest: inout ByteReader) throws(DecodeError) -> ObjectName {
        let token = Token(rawValue: try rest.readFixed(as: UInt64.self))
        let bucketBytes = Int(try rest.readFixed(as: UInt8.self))
        guard let bucket = rest.readSlice(length: bucketBytes), let key = rest.readSlice(length: rest.readableBytes)
        else { throw .truncated }
        let name: ObjectName
        do { name = try ObjectName(bucket: bucket, key: key) } catch { throw .invalid(field: "object name") }
        guard name.token == token else { throw .invalid(field: "storage token") }
        return name
    }
}
