package import NIOCore

/// Why a bucket or key cannot name an object.
package enum ObjectNameError: Error, Equatable, Sendable {
    /// The bucket is empty or longer than the limit.
    case bucket(bytes: Int, bytesMax: Int)
    /// The key is empty or longer than the limit.
    case key(bytes: Int, bytesMax: Int)
}

/// What a client calls an object, `(bucket, key)`, with the token both hash to.
///
/// Both parts are opaque bytes, never empty. Pure value; safe from any thread; slices share their storage.
package struct ObjectName: Hashable, Comparable, Sendable {
    /// A bucket's name is 1 to this many bytes long (its length is one byte in a storage key).
    package static let bucketBytesMax = 255
    /// A key is 1 to this many bytes long.
    package static let keyBytesMax = 4_096

    /// The bucket's bytes.
    package let bucket: ByteBuffer
    /// The key's bytes.
    package let key: ByteBuffer
    /// Where the object lies in the token space; derived from the other two.
    package let token: Token

    /// Checks both lengths and computes the token.
    package init(bucket: ByteBuffer, key: ByteBuffer) throws(ObjectNameError) {
        guard (1...Self.bucketBytesMax).contains(bucket.readableBytes) else {
            throw .bucket(bytes: bucket.readableBytes, bytesMax: Self.bucketBytesMax)
        }
        guard (1...Self.keyBytesMax).contains(key.readableBytes) else {
            throw .key(bytes: key.readableBytes, bytesMax: Self.keyBytesMax)
        }
        self.bucket = bucket
        self.key = key
        self.token = Token(bucket: bucket, key: key)
    }

    /// Equal names have equal tokens, so the token alone is hashed.
    package func hash(into hasher: inout Hasher) { hasher.combine(self.token) }

    /// Equal bucket and equal key.
    package static func == (a: Self, b: Self) -> Bool {
        a.token == b.token && a.key == b.key && a.bucket == b.bucket
    }

    /// Storage order: token, then the bucket's length, the bucket's bytes, the key's bytes.
    ///
    /// This is the bytewise order of storage keys, so what a store lists in its own order is sorted by `<`.
    package static func < (a: Self, b: Self) -> Bool {
        if a.token != b.token { return a.token < b.token }
        if a.bucket.readableBytes != b.bucket.readableBytes { return a.bucket.readableBytes < b.bucket.readableBytes }
        if a.bucket != b.bucket {
            return a.bucket.readableBytesView.lexicographicallyPrecedes(b.bucket.readableBytesView)
        }
        return a.key.readableBytesView.lexicographicallyPrecedes(b.key.readableBytesView)
    }

    /// The shape on the wire: counted bucket, counted key. The token is computed again by the reader.
    package func encode(into buffer: inout ByteWriter) {
        buffer.writeCounted(self.bucket)
        buffer.writeCounted(self.key)
    }

    /// Reads what `encode` wrote.
    package init(decoding reader: inout ByteReader) throws(DecodeError) {
        let bucket = try reader.readCounted(bytesMax: Self.bucketBytesMax)
        let seed = reader.xxh3(ofLast: bucket.readableBytes)
        let key = try reader.readCounted(bytesMax: Self.keyBytesMax)
        guard bucket.readableBytes > 0, key.readableBytes > 0 else { throw .invalid(field: "object name") }
        self.bucket = bucket
        self.key = key
        self.token = Token(rawValue: reader.xxh3(ofLast: key.readableBytes, seed: seed))
    }
}
