package import GyreBase
import GyreCausality
package import NIOCore

/// One object's record as it is written: the canonical `Siblings` bytes and their digest.
///
/// Made only from bytes that were encoded or decoded here, so that what reaches the disk can be read back.
package struct ObjectRecord: Sendable {
    /// The most bytes to which a put may bring a record of several siblings; a single value has the limit of values. Merges are
    /// never refused: what coordinators added at the same time may be as many times as long as there are of them.
    package static let siblingBytesMax = 9 << 20

    /// Canonical `Siblings` bytes; possibly a slice.
    package let body: ByteBuffer
    /// The digest of `body` under its name.
    package let digest: RecordDigest
    /// How many versions it holds; zero for a tombstone.
    package let versionCount: Int
    /// Whether one of them has an expiry.
    package let hasExpiry: Bool

    /// Puts together what belongs together.
    package init(body: ByteBuffer, digest: RecordDigest, versionCount: Int, hasExpiry: Bool) {
        self.body = body
        self.digest = digest
        self.versionCount = versionCount
        self.hasExpiry = hasExpiry
    }
}

/// What a lookup found.
package enum HeldRecord: Sendable {
    /// Nothing.
    case absent
    /// A record whose digest is right.
    case held(ObjectRecord)
    /// Bytes that are not a record of that name, or that the disk cannot read.
    case corrupt

    /// The same, with an empty body in place of what may be 8 MiB.
    package var withoutBody: HeldRecord {
        guard case .held(let record) = self else { return self }
        return .held(
            ObjectRecord(
                body: ByteBuffer(), digest: record.digest, versionCount: record.versionCount,
                hasExpiry: record.hasExpiry))
    }
}

/// The value bytes of an object in the store, frozen (docs/internals/storage-format.md):
/// version byte 0x01, digest (8 bytes, big-endian), canonical `Siblings` bytes.
///
/// The digest is seeded with the key's token, so that a sound record under a wrong key is noticed too.
package enum RecordFormat {
    /// The version byte.
    package static let version: UInt8 = 0x01
    /// The bytes before the body.
    package static let headBytes = 9

    /// Appends the value bytes of `record`.
    package static func write(_ record: ObjectRecord, into buffer: inout ByteWriter) {
        buffer.writeInteger(self.version)
        buffer.writeInteger(record.digest.rawValue)
        buffer.writeImmutableBuffer(record.body)
    }

    /// Reads value bytes found under `name`; the body is a slice of them. Verifies version and digest and looks at the
    /// first bytes of the body only.
    package static func read(_ value: ByteBuffer, name: ObjectName) -> HeldRecord {
        var reader = ByteReader(value)
        guard (try? reader.readFixed(as: UInt8.self)) == self.version,
            let digest = try? reader.readFixed(as: UInt64.self),
            digest == reader.xxh3OfRest(seed: name.token.rawValue),
            let body = reader.readSlice(length: reader.readableBytes), let summary = try? Siblings.peek(body)
        else { return .corrupt }
        let record = ObjectRecord(
            body: body, digest: RecordDigest(rawValue: digest), versionCount: summary.versionCount,
            hasExpiry: summary.hasExpiry)
        return .held(record)
    }
}

/// The node's own small records, all in table 0x00 under a key of two bytes: the table and one of these.
///
/// The value is shaped as that of an object; the seed of its digest is the raw value, so that swapped ones are noticed.
package enum NodeRecord: UInt8, Sendable, CaseIterable {
    // On disk; never renumber. Documents follow at 0x10 + `StorageRequest.Document`.
    /// Keys and tombstones: 8 bytes each, big-endian.
    case counts = 0x01
    /// The lease's ceiling: 8 bytes, big-endian.
    case lease = 0x02
    /// The node that owns the store: 8 bytes, big-endian.
    case owner = 0x03
    /// What is kept for other nodes, as `HintTotals.body`.
    case hintTotals = 0x04
    /// How many checkpoints of hash trees are kept, 4 bytes, big-endian; taken away by the first change of an object after them.
    case checkpoint = 0x05
    /// There while a node runs that does not sync each write, and after it ended in any other way than by a stop: no bytes.
    case unsynced = 0x06
    /// The members last known.
    case members = 0x11
    /// What buckets do differently.
    case buckets = 0x12
    /// A lost disk has been made up for: one byte.
    case refilled = 0x13
    /// The name under which dots are issued, when it is no longer the node's identity: 8 bytes, big-endian.
    case author = 0x14
    /// Who owns ranges.
    case ring = 0x15
    /// When the node last took part in its cluster.
    case presence = 0x16

    /// Where a document is kept.
    package init(_ document: StorageRequest.Document) {
        switch document {
        case .members: self = .members
        case .buckets: self = .buckets
        case .refilled: self = .refilled
        case .author: self = .author
        case .ring: self = .ring
        case .presence: self = .presence
        }
    }

    /// The storage key.
    package var key: ByteBuffer { ByteBuffer(bytes: [StorageTable.node.rawValue, self.rawValue]) }

    /// The value bytes that keep `body`.
    package func value(_ body: ByteBuffer) -> ByteBuffer {
        var value = ByteWriter()
        value.writeInteger(RecordFormat.version)
        value.writeInteger(StableHash.xxh3(body, seed: UInt64(self.rawValue)))
        value.writeImmutableBuffer(body)
        return value.finish()
    }

    /// The body inside value bytes; refuses an unknown version and a wrong digest.
    package func body(_ value: ByteBuffer) throws(DecodeError) -> ByteBuffer {
        var reader = ByteReader(value)
        guard try reader.readFixed(as: UInt8.self) == RecordFormat.version else {
            throw .invalid(field: "record version")
        }
        guard try reader.readFixed(as: UInt64.self) == reader.xxh3OfRest(seed: UInt64(self.rawValue)),
            let body = reader.readSlice(length: reader.readableBytes)
        else { throw .checksumMismatch }
        return body
    }
}

/// How many objects a store holds, by whether they have siblings.
package struct ObjectCounts: Hashable, Sendable {
    /// Objects with at least one sibling.
    package var keys: UInt64 = 0
    /// Objects with none left.
    package var tombstones: UInt64 = 0

    /// None of either.
    package init() {}

    /// Counts `record` in place of what was `held`.
    ///
    /// Nobody knows what a corrupt record was counted as; the one that heals it is taken to be of the same kind.
    package mutating func replace(_ held: HeldRecord, with record: ObjectRecord) {
        switch held {
        case .corrupt: return
        case .absent: break
        case .held(let old):
            if old.versionCount > 0 { self.keys &-= 1 } else { self.tombstones &-= 1 }
        }
        if record.versionCount > 0 { self.keys &+= 1 } else { self.tombstones &+= 1 }
    }

    /// Counts what was `held` no longer; a corrupt record stays counted, as nobody knows what as.
    package mutating func remove(_ held: HeldRecord) {
        guard case .held(let old) = held else { return }
        if old.versionCount > 0 { self.keys &-= 1 } else { self.tombstones &-= 1 }
    }

    /// The body of the counts record.
    package var body: ByteBuffer {
        var buffer = ByteWriter()
        buffer.writeInteger(self.keys)
        buffer.writeInteger(self.tombstones)
        return buffer.finish()
    }

    /// Reads what `body` wrote.
    package init(decoding body: ByteBuffer) throws(DecodeError) {
        var rest = ByteReader(body)
        self.keys = try rest.readFixed(as: UInt64.self)
        self.tombstones = try rest.readFixed(as: UInt64.self)
        try rest.requireEnd()
    }
}
