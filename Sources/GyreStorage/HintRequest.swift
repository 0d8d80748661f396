package import GyreBase
package import NIOCore

/// Work on hints: records kept here for another node, until that node has them on its own disk (Dynamo §4.6).
///
/// A hint is a record like that of an object, in a table of its own ordered by target and token, one a target and object:
/// later records of the same object are merged into it. Hints are durable before they count (architecture D10).
package enum HintRequest: Sendable {
    /// Merges canonical `Siblings` bytes into the hint for `target`; `at` dates the backlog. Replies: `merged`, `refused`.
    case keep(target: NodeID, ObjectName, record: ByteBuffer, at: WallTime)
    /// A stand-in coordinates: as `StorageRequest.update`, over the hint. Replies: `updated`, `refused`.
    case update(target: NodeID, ObjectName, Update, at: WallTime)
    /// Looks a hint up. Replies: `record`, `digest`, `absent`, `refused(.corrupt)`.
    case read(target: NodeID, ObjectName, ReadDepth)
    /// Whole hints for `target` after an object, in storage order, at most `countMax` and, past the first, `bytesMax`
    /// bytes.
    /// Reply: `listed`.
    case list(target: NodeID, after: ObjectName?, countMax: Int, bytesMax: Int)
    /// Removes a hint whose record still has `digest`; another one stays, since it holds more than was delivered. With nil,
    /// removes one that cannot be read. Reply: `dropped`.
    case drop(target: NodeID, ObjectName, digest: RecordDigest?)

    /// Whether the request only looks.
    package var isRead: Bool {
        switch self {
        case .read, .list: true
        case .keep, .update, .drop: false
        }
    }

    /// The node that the hint is for.
    package var target: NodeID {
        switch self {
        case .keep(let target, _, _, _), .update(let target, _, _, _), .read(let target, _, _),
            .list(let target, _, _, _),
            .drop(let target, _, _):
            target
        }
    }
}

/// Where a record lies: among the objects, or among the hints for one node.
package struct RecordPlace: Hashable, Sendable {
    /// The node that the hint is for; nil for an object.
    package let target: NodeID?
    /// What the record is about.
    package let name: ObjectName

    /// The place of an object.
    package init(_ name: ObjectName) {
        self.target = nil
        self.name = name
    }

    /// The place of a hint.
    package init(_ name: ObjectName, hintFor target: NodeID) {
        self.target = target
        self.name = name
    }

    /// Appends the storage key.
    package func writeKey(into buffer: inout ByteWriter) {
        if let target = self.target {
            StorageKey.writeHint(for: target, self.name, into: &buffer)
        } else {
            StorageKey.write(self.name, into: &buffer)
        }
    }

    /// Makes `buffer` the storage key; its memory is used again.
    package func setKey(_ buffer: inout ByteBuffer) {
        buffer.clear()
        var writer = ByteWriter(taking: &buffer)
        self.writeKey(into: &writer)
        buffer = writer.finish()
    }

    /// The bytes of the storage key.
    package var bytes: Int {
        StorageKey.headBytes + (self.target == nil ? 0 : StorageKey.targetBytes) + self.name.bucket.readableBytes
            + self.name.key.readableBytes
    }
}

/// How much is kept for one node.
package struct HintBacklog: Hashable, Sendable {
    /// The most targets that a store keeps hints for.
    package static let targetsMax = 1_024

    /// Whom the hints are for.
    package let target: NodeID
    /// How many there are.
    package var count: UInt64
    /// The bytes of their keys and values.
    package var bytes: UInt64
    /// When the first of them was kept: no hint here is older.
    package var since: WallTime

    /// Joins the parts.
    package init(target: NodeID, count: UInt64 = 0, bytes: UInt64 = 0, since: WallTime = WallTime(milliseconds: 0)) {
        self.target = target
        self.count = count
        self.bytes = bytes
        self.since = since
    }
}

/// The backlogs of all targets, sorted by target; kept with the hints in one atomic write, so exact after any crash.
///
/// Pure value; one owner.
package struct HintTotals: Hashable, Sendable {
    /// By target, none with a count of zero.
    package private(set) var backlogs: [HintBacklog] = []

    /// None.
    package init() {}

    /// Bytes of all hints.
    package var bytes: UInt64 { self.backlogs.reduce(0) { $0 &+ $1.bytes } }

    /// What is kept for `target`.
    package subscript(_ target: NodeID) -> HintBacklog {
        self.backlogs.first { $0.target == target } ?? HintBacklog(target: target)
    }

    /// A hint of `old` bytes (nil when there was none) becomes one of `new` bytes (nil when it goes).
    package mutating func replace(_ target: NodeID, old: Int?, new: Int?, at wall: WallTime) {
        var backlog = self[target]
        if backlog.count == 0 { backlog.since = wall }
        if let old {
            backlog.count &-= 1
            backlog.bytes &-= UInt64(old)
        }
        if let new {
            backlog.count &+= 1
            backlog.bytes &+= UInt64(new)
        }
        self.backlogs.removeAll { $0.target == target }
        guard backlog.count > 0 else { return }
        let index = self.backlogs.firstIndex { $0.target > target } ?? self.backlogs.count
        self.backlogs.insert(backlog, at: index)
    }

    /// The body of the totals record: count (4 bytes), then target, count, bytes and since of each, 8 bytes big-endian.
    package var body: ByteBuffer {
        var buffer = ByteWriter()
        buffer.writeInteger(UInt32(self.backlogs.count))
        for backlog in self.backlogs {
            for word in [backlog.target.rawValue, backlog.count, backlog.bytes, backlog.since.milliseconds] {
                buffer.writeInteger(word)
            }
        }
        return buffer.finish()
    }

    /// Reads what `body` wrote.
    package init(decoding body: ByteBuffer) throws(DecodeError) {
        var rest = ByteReader(body)
        let count = try rest.readFixed(as: UInt32.self)
        guard rest.readableBytes == Int(count) * 32 else { throw .truncated }
        for _ in 0..<count {
            var backlog = HintBacklog(target: NodeID(rawValue: try rest.readFixed(as: UInt64.self)))
            backlog.count = try rest.readFixed(as: UInt64.self)
            backlog.bytes = try rest.readFixed(as: UInt64.self)
            backlog.since = WallTime(milliseconds: try rest.readFixed(as: UInt64.self))
            guard backlog.count > 0, self.backlogs.last.map({ $0.target < backlog.target }) ?? true else {
                throw .invalid(field: "hint totals")
            }
            self.backlogs.append(backlog)
        }
    }
}
