package import GyreBase
package import NIOCore

/// One name with a value that a client stores beside its data, such as `X-Riak-Meta-*` of the HTTP interface.
///
/// Pure value; safe from any thread.
package struct MetadataField: Hashable, Sendable {
    /// The name, as the client gave it.
    package let name: ByteBuffer
    /// The value, as the client gave it.
    package let value: ByteBuffer

    /// Pairs a name with a value; `VersionMetadata` checks the lengths.
    package init(name: ByteBuffer, value: ByteBuffer) {
        self.name = name
        self.value = value
    }
}

/// What a client says about a value: its content type and fields of its own.
///
/// Invariant: within the limits below, so that whatever exists can be encoded and decoded again. The order of the fields
/// is the client's and part of the value. Pure value; safe from any thread.
package struct VersionMetadata: Hashable, Sendable {
    /// The content type, not interpreted; empty when the client gave none.
    package let contentType: ByteBuffer
    /// The client's fields, in the client's order.
    package let fields: [MetadataField]

    /// No content type and no fields.
    package static let none = VersionMetadata()

    /// The longest content type.
    package static let contentTypeBytesMax = 255
    /// The most fields.
    package static let fieldsMax = 64
    /// The most bytes of one field, name and value together.
    package static let fieldBytesMax = 4_096

    private init() {
        self.contentType = ByteBuffer()
        self.fields = []
    }

    /// Takes what the client said, or refuses what is above a limit.
    package init(contentType: ByteBuffer, fields: [MetadataField]) throws(DecodeError) {
        guard contentType.readableBytes <= Self.contentTypeBytesMax else {
            throw .tooLong(bytes: UInt64(contentType.readableBytes), bytesMax: UInt64(Self.contentTypeBytesMax))
        }
        guard fields.count <= Self.fieldsMax else {
            throw .tooMany(count: UInt64(fields.count), countMax: UInt64(Self.fieldsMax))
        }
        for field in fields {
            let bytes = field.name.readableBytes + field.value.readableBytes
            guard bytes <= Self.fieldBytesMax else {
                throw .tooLong(bytes: UInt64(bytes), bytesMax: UInt64(Self.fieldBytesMax))
            }
        }
        self.contentType = contentType
        self.fields = fields
    }

    /// True when there is nothing to say.
    package var isEmpty: Bool { self.contentType.readableBytes == 0 && self.fields.isEmpty }

    /// The most bytes `encode` appends.
    var encodedBytesMax: Int {
        var bytes = 20 + self.contentType.readableBytes
        for field in self.fields { bytes += 20 + field.name.readableBytes + field.value.readableBytes }
        return bytes
    }

    /// Appends the one canonical form: content type (counted), count of fields, name and value (counted) of each.
    package func encode(into buffer: inout ByteWriter) {
        buffer.writeCounted(self.contentType)
        buffer.writeVarint(UInt64(self.fields.count))
        for field in self.fields {
            buffer.writeCounted(field.name)
            buffer.writeCounted(field.value)
        }
    }

    /// Reads what `encode` wrote, as slices; refuses what is above a limit.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let contentType = try buffer.readCounted(bytesMax: Self.contentTypeBytesMax)
        let count = try buffer.readVarint()
        guard count <= UInt64(Self.fieldsMax) else {
            throw .tooMany(count: count, countMax: UInt64(Self.fieldsMax))
        }
        var fields: [MetadataField] = []
        fields.reserveCapacity(min(Int(count), buffer.readableBytes / 2))
        for _ in 0..<Int(count) {
            let name = try buffer.readCounted(bytesMax: Self.fieldBytesMax)
            let value = try buffer.readCounted(bytesMax: Self.fieldBytesMax - name.readableBytes)
            fields.append(MetadataField(name: name, value: value))
        }
        self.contentType = contentType
        self.fields = fields
    }
}

/// One value of a key as one put stored it; several at once are siblings.
///
/// Pure value; safe from any thread. The buffers may be slices that keep the bytes they were read from alive.
package struct Version: Hashable, Sendable {
    /// The name of the put; no other put has it.
    package let dot: Dot
    /// When the coordinator took the put, for people and last-write-wins buckets; never for causality.
    package let time: HybridTime
    /// From when on the value is no longer shown; nil when it lives until it is superseded.
    package let expiry: WallTime?
    /// What the client said about the value.
    package let metadata: VersionMetadata
    /// The value itself, at most `valueBytesMax` bytes.
    package let value: ByteBuffer

    /// The longest value that is decoded. What clients may store is configured lower (8 MiB unless told).
    package static let valueBytesMax = 64 << 20

    /// Names what one put stored.
    package init(dot: Dot, time: HybridTime, expiry: WallTime?, metadata: VersionMetadata, value: ByteBuffer) {
        assert(value.readableBytes <= Self.valueBytesMax, "value of \(value.readableBytes) bytes")
        self.dot = dot
        self.time = time
        self.expiry = expiry
        self.metadata = metadata
        self.value = value
    }

    /// True when the value is no longer to be shown at `wall`.
    package func isExpired(at wall: WallTime) -> Bool {
        guard let expiry = self.expiry else { return false }
        return expiry <= wall
    }
}

/// What the writer of a put or a delete has seen of the key (architecture §3).
package enum Seen: Hashable, Sendable {
    /// Exactly what this context covers; it came with an earlier answer.
    case given(VersionVector)
    /// Whatever the coordinator holds.
    case overwrite
    /// Nothing: a put becomes a sibling of everything there is, a delete removes nothing.
    case blind
}
