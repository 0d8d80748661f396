package import GyreBase
package import NIOCore

/// Which objects a listing wants: a run of tokens, from one name on, up to a limit.
package struct ObjectRange: Sendable {
    /// The lowest token wanted.
    package var first: Token
    /// The highest token wanted.
    package var last: Token
    /// Only objects that come later in storage order.
    package var after: ObjectName?
    /// The most entries.
    package var countMax = 256
    /// Entries end after this many bytes of names and records; one entry is always returned.
    package var bytesMax = 1 << 20
    /// Whether the listing takes its place among the writes: it sees all that were asked for before it and none after.
    package var isOrdered = false
    /// Whether the records themselves are wanted, besides their digests.
    package var isWhole = false

    /// All objects whose token is in `first...last`.
    package init(first: Token, last: Token) {
        self.first = first
        self.last = last
    }
}

/// One object of a listing.
package struct ListedObject: Sendable {
    /// Its name.
    package let name: ObjectName
    /// Its digest; nil when its record is corrupt.
    package let digest: RecordDigest?
    /// Its canonical record; empty unless whole records were wanted.
    package let record: ByteBuffer
    /// Whether one of its versions has an expiry.
    package let hasExpiry: Bool

    /// Joins the parts.
    package init(name: ObjectName, digest: RecordDigest?, record: ByteBuffer = ByteBuffer(), hasExpiry: Bool = false) {
        self.name = name
        self.digest = digest
        self.record = record
        self.hasExpiry = hasExpiry
    }

    /// What a listing shows of `held`; nil when nothing is held.
    package init?(_ name: ObjectName, _ held: HeldRecord, isWhole: Bool) {
        switch held {
        case .absent: return nil
        case .corrupt: self.init(name: name, digest: nil)
        case .held(let record):
            self.init(
                name: name, digest: record.digest, record: isWhole ? record.body : ByteBuffer(),
                hasExpiry: record.hasExpiry)
        }
    }

    /// Bytes of name and record, for limits.
    package var bytes: Int { self.name.bucket.readableBytes + self.name.key.readableBytes + self.record.readableBytes }
}

/// A part of a listing, in storage order.
package struct ObjectPage: Sendable {
    /// The objects.
    package var entries: [ListedObject] = []
    /// Whether nothing in the range comes after them.
    package var isComplete = true

    /// An empty page.
    package init() {}

    /// The first of `records`, which are in storage order, up to the limits.
    package init(
        _ records: some Sequence<(ObjectName, HeldRecord)>, _ countMax: Int, _ bytesMax: Int, isWhole: Bool
    ) {
        var bytes = 0
        for (name, held) in records {
            guard let entry = ListedObject(name, held, isWhole: isWhole) else { continue }
            guard self.hasRoom(bytes, countMax, bytesMax) else {
                self.isComplete = false
                return
            }
            bytes += entry.bytes
            self.entries.append(entry)
        }
    }

    /// Whether one more entry fits behind `bytes` bytes of entries; the first one always does.
    package func hasRoom(_ bytes: Int, _ countMax: Int, _ bytesMax: Int) -> Bool {
        self.entries.isEmpty || (self.entries.count < countMax && bytes < bytesMax)
    }
}

/// What a write did to the record of an object, for whoever keeps sums over records.
package struct RecordChange: Hashable, Sendable {
    /// What was there before.
    package enum Before: Hashable, Sendable {
        /// Nothing.
        case absent
        /// A record with this digest.
        case record(RecordDigest)
        /// A record that could not be read, whose digest nobody knows any more.
        case unreadable
    }

    /// What was there before.
    package let before: Before
    /// The digest of what stands there now.
    package let after: RecordDigest

    /// Joins the two.
    package init(before: Before, after: RecordDigest) {
        self.before = before
        self.after = after
    }

    /// The record `after` in the place of what was `held`.
    package init(_ held: HeldRecord, after: RecordDigest) {
        switch held {
        case .absent: self.before = .absent
        case .corrupt: self.before = .unreadable
        case .held(let record): self.before = .record(record.digest)
        }
        self.after = after
    }
}
