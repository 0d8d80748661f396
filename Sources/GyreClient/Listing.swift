import GyreBase
import GyreMessages
public import NIOCore

/// A part of a listing.
public struct NamePage: Hashable, Sendable {
    /// Keys in the order of their tokens, or names of buckets in the order of their bytes.
    public let names: [ByteBuffer]
    /// Where to go on, opaque and without an end of life; nil when everything was shown.
    public let cursor: String?
}

extension GyreClient {
    /// A part of the keys of `bucket`, tombstones and expired values left out.
    ///
    /// Whoever goes on from `cursor` until there is none sees every key at least once that was there all the while; keys that came
    /// or went meanwhile may be among them or not. A page may hold fewer keys than `limit`, none even, although more follow.
    /// - Parameter limit: 1 to 10,000.
    /// - Throws: `GyreError`; `unavailable` when fewer than R owners of a part of the ring can be reached.
    public func keys(
        bucket: String, prefix: ByteBuffer = ByteBuffer(), cursor: String? = nil, limit: Int = 1_000,
        timeout: Duration? = nil
    ) async throws(GyreError) -> NamePage {
        try await self.list(ByteBuffer(string: bucket), prefix, cursor, limit, timeout)
    }

    /// A part of the names of buckets that have keys. A name may come again on a later page.
    /// - Throws: `GyreError`; as `keys`.
    public func bucketNames(
        cursor: String? = nil, limit: Int = 1_000, timeout: Duration? = nil
    ) async throws(GyreError) -> NamePage {
        try await self.list(nil, ByteBuffer(), cursor, limit, timeout)
    }

    private func list(
        _ bucket: ByteBuffer?, _ prefix: ByteBuffer, _ cursor: String?, _ limit: Int, _ timeout: Duration?
    ) async throws(GyreError) -> NamePage {
        guard (1...ListRequest.limitMax).contains(limit) else {
            throw GyreError(.badRequest, "a page has 1 to \(ListRequest.limitMax) names, not \(limit)")
        }
        guard prefix.readableBytes <= ObjectName.keyBytesMax else {
            throw GyreError(.badRequest, "a prefix has at most \(ObjectName.keyBytesMax) bytes")
        }
        if let bucket, !(1...ObjectName.bucketBytesMax).contains(bucket.readableBytes) {
            throw GyreError(.badRequest, "a bucket has 1 to \(ObjectName.bucketBytesMax) bytes")
        }
        var position = ListPosition.start
        if let cursor {
            guard let number = UInt64(cursor), let from = ListPosition(rawValue: number) else {
                throw GyreError(.badRequest, "not a cursor: \(cursor.prefix(40))", try: "use one that a page came with")
            }
            position = from
        }
        let request = ListRequest(bucket: bucket, prefix: prefix, from: position, limit: UInt32(limit))
        guard case .listed(let page) = try await self.call(.list(request), timeout: timeout) else {
            throw Self.nonsense
        }
        return NamePage(names: page.names, cursor: page.next.map { String($0.rawValue) })
    }
}
