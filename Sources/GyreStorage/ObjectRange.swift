package import GyreBase
import GyreCausality
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
    /// What is wanted of the records, besides their digests.
    package var shape = ListShape.digests

    /// All objects whose token is in `first...last`.
    package init(first: Token, last: Token) {
        self.first = first
        self.last = last
    }
}

/// How much of each record a listing carries.
package enum ListShape: Sendable {
    /// Nothing but the digest.
    case digests
    /// The record without values and metadata: enough to merge with others and to see whether the object lives.
    case heads
    /// All of it.
    case records
}

/// One object of a listing.
package struct ListedObject: Sendable {
    /// Its name.
    package let name: ObjectName
    /// Its digest; nil when its record is corrupt.
    package let digest: RecordDigest?
    /// As much of its canonical record as was wanted; empty for `digests`.
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
    package init?(_ name: ObjectName, _ held: HeldRecord, _ shape: ListShape) {
        switch held {
        case .absent: return nil
        case .corrupt: self.init(name: name, digest: nil)
        case .held(let record):
            var body = ByteBuffer()
            switch shape {
            case .digests: break
            case .records: body = record.body
            case .heads:
                guard let siblings = try? Siblings(encoded: record.body) else {
                    self.init(name: name, digest: nil)
                    return
                }
                body = siblings.heads().encoded
            }
            self.init(name: name, digest: record.digest, record: body, hasExpiry: record.hasExpiry)
        }
    }

    /// Bytes of name and record, for limits.
    package var bytes: Int { self.name.bucket.readableBytes + self.name.key.readableBytes + self.record.readableBytes }
}

/// A part of a listing, in storage order.
package struct ObjectPage: Sendable {
    /// The objects.
    package var entries: [ListedObject] = []
    /// The object of the range that comes next after them; nil when nothing does.
    package var next: ObjectName?
    /// Whether nothing in the range comes after them.
    package var isComplete: Bool { self.next == nil }

    /// An empty page.
    package init() {}

    /// The first of `records`, which are in storage order, up to the limits.
    package init(
        _ records: some Sequence<(ObjectName, HeldRecord)>, _ countMax: Int, _ bytesMax: Int, _ shape: ListShape
    ) {
        var bytes = 0
        for (name, held) in records {
            guard let entry = ListedObject(name, held, shape) else { continue }
            guard self.hasRoom(bytes, countMax, bytesMax) else {
                self.next = name
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
