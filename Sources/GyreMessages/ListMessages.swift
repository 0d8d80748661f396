package import GyreBase
package import NIOCore

/// How far a listing has come: the first group of tokens that it has not shown. Pure value.
///
/// Objects are listed in the order of their tokens, and the tokens that share their upper 53 bits are never parted between two
/// pages. A position therefore needs 53 bits, which every client's numbers hold exactly, Redis's `SCAN` and JavaScript included,
/// and it means the same on every node and at any time: whatever is written meanwhile, it lies before or after the position.
package struct ListPosition: Hashable, Comparable, Sendable {
    private static let shift: UInt64 = 11

    /// 0 to 2^53 − 1.
    package let rawValue: UInt64

    /// Nothing was shown yet.
    package static let start = ListPosition(group: 0)

    private init(group: UInt64) { self.rawValue = group }

    /// The position of that number; nil when it is none.
    package init?(rawValue: UInt64) {
        guard rawValue < 1 << (64 - Self.shift) else { return nil }
        self.rawValue = rawValue
    }

    /// The position of the group that `token` belongs to.
    package init(of token: Token) { self.rawValue = token.rawValue >> Self.shift }

    /// The lowest token of the group.
    package var first: Token { Token(rawValue: self.rawValue << Self.shift) }

    /// In the order of the tokens.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What a client wants listed: the keys of a bucket, or the names of the buckets that have any.
package struct ListRequest: Hashable, Sendable {
    /// The most names of one answer.
    package static let limitMax = 10_000

    /// The bucket whose keys are wanted; nil for the names of buckets.
    package var bucket: ByteBuffer?
    /// Only keys that begin with these bytes, at most `ObjectName.keyBytesMax`.
    package var prefix: ByteBuffer
    /// Where to go on.
    package var from: ListPosition
    /// About how many names are wanted, 1 to `limitMax`. There may be fewer although more follow, and a few more where keys share
    /// a group of tokens.
    package var limit: UInt32

    /// A listing from the start.
    package init(
        bucket: ByteBuffer?, prefix: ByteBuffer = ByteBuffer(), from: ListPosition = .start, limit: UInt32 = 1_000
    ) {
        self.bucket = bucket
        self.prefix = prefix
        self.from = from
        self.limit = limit
    }
}

/// A part of a listing.
package struct ListedNames: Hashable, Sendable {
    /// Keys in the order of their tokens, or names of buckets in the order of their bytes, which another page may name again.
    package var names: [ByteBuffer]
    /// Where to go on; nil when everything was shown.
    package var next: ListPosition?

    /// The most names of one answer: the limit, and what one group of tokens may hold besides.
    package static let countMax = ListRequest.limitMax + ListQuestion.entriesMax

    /// Joins the two.
    package init(names: [ByteBuffer], next: ListPosition?) {
        self.names = names
        self.next = next
    }
}

/// What the coordinator of a listing asks an owner: a page of the objects it holds in a run of tokens.
package struct ListQuestion: Hashable, Sendable {
    /// The most objects in one answer.
    package static let entriesMax = 4_096

    /// The group of tokens to begin with.
    package var from: ListPosition
    /// The highest token wanted.
    package var last: Token
    /// The bucket wanted; nil for all.
    package var bucket: ByteBuffer?
    /// What keys must begin with.
    package var prefix: ByteBuffer

    /// Joins the parts.
    package init(from: ListPosition, last: Token, bucket: ByteBuffer?, prefix: ByteBuffer) {
        self.from = from
        self.last = last
        self.bucket = bucket
        self.prefix = prefix
    }
}

/// What an owner answers.
package enum ListAnswer: Hashable, Sendable {
    /// The objects that match, in storage order, each with its record without values and metadata; `next` is the first group of
    /// tokens that was not looked at, nil when the run is through.
    case page([NamedRecord], next: ListPosition?)
    /// It cannot say: it is at a limit, or not whole itself.
    case refused
}
