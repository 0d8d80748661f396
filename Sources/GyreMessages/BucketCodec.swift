package import GyreBase

/// The one form of bucket properties, on the wire and on disk; docs/internals/buckets.md shows the bytes.
extension BucketProperties {
    private enum Flag {
        // On the wire and on disk; never renumber.
        static let reads: UInt8 = 0x01
        static let writes: UInt8 = 0x02
        static let primaryReads: UInt8 = 0x04
        static let primaryWrites: UInt8 = 0x08
        static let siblings: UInt8 = 0x10
        static let timeToLive: UInt8 = 0x20
        static let sloppy: UInt8 = 0x40
        static let all: UInt8 = 0x7F
    }

    /// Appends one bit for each property that is set, then those, in the order of the bits.
    package func encode(into buffer: inout ByteWriter) {
        var flags: UInt8 = 0
        if self.reads != .standard { flags |= Flag.reads }
        if self.writes != .standard { flags |= Flag.writes }
        if self.primaryReads != .standard { flags |= Flag.primaryReads }
        if self.primaryWrites != .standard { flags |= Flag.primaryWrites }
        if self.siblings != nil { flags |= Flag.siblings }
        if self.timeToLiveMilliseconds != nil { flags |= Flag.timeToLive }
        if self.sloppy != nil { flags |= Flag.sloppy }
        buffer.writeInteger(flags)
        for size in [self.reads, self.writes, self.primaryReads, self.primaryWrites] where size != .standard {
            size.encode(into: &buffer)
        }
        if let rule = self.siblings { buffer.writeInteger(rule.rawValue) }
        if let milliseconds = self.timeToLiveMilliseconds { buffer.writeVarint(milliseconds) }
        if let isSloppy = self.sloppy { buffer.writeInteger(isSloppy ? UInt8(1) : 0) }
    }

    /// Reads what `encode` wrote; refuses every other form.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        self.init()
        let flags = try buffer.readFixed(as: UInt8.self)
        guard flags & ~Flag.all == 0 else { throw .invalid(field: "bucket flags") }
        if flags & Flag.reads != 0 { self.reads = try Self.size(decoding: &buffer) }
        if flags & Flag.writes != 0 { self.writes = try Self.size(decoding: &buffer) }
        if flags & Flag.primaryReads != 0 { self.primaryReads = try Self.size(decoding: &buffer) }
        if flags & Flag.primaryWrites != 0 { self.primaryWrites = try Self.size(decoding: &buffer) }
        if flags & Flag.siblings != 0 {
            guard let rule = SiblingRule(rawValue: try buffer.readFixed()) else { throw .invalid(field: "conflicts") }
            self.siblings = rule
        }
        if flags & Flag.timeToLive != 0 {
            let milliseconds = try buffer.readVarint()
            guard milliseconds > 0 else { throw .invalid(field: "time to live") }
            self.timeToLiveMilliseconds = milliseconds
        }
        if flags & Flag.sloppy != 0 {
            switch try buffer.readFixed(as: UInt8.self) {
            case 0: self.sloppy = false
            case 1: self.sloppy = true
            default: throw .invalid(field: "sloppy")
            }
        }
    }

    private static func size(decoding buffer: inout ByteReader) throws(DecodeError) -> QuorumSize {
        let size = try QuorumSize(decoding: &buffer)
        guard size != .standard, size != .count(0) else { throw .invalid(field: "quorum") }
        return size
    }
}

extension BucketName {
    /// Appends the bytes, counted.
    package func encode(into buffer: inout ByteWriter) { buffer.writeCounted(self.bytes) }

    /// Reads what `encode` wrote; refuses an empty or too long name.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let bytes = try buffer.readCounted(bytesMax: ObjectName.bucketBytesMax)
        do { try self.init(bytes) } catch { throw .invalid(field: "bucket name") }
    }
}

extension BucketRecord {
    /// The fewest bytes of a record: a name of one byte, counter, node, flags.
    private static let encodedBytesMin = 2 + 1 + 8 + 1

    /// Appends name, counter (varint), node, properties.
    package func encode(into buffer: inout ByteWriter) {
        self.name.encode(into: &buffer)
        buffer.writeVarint(self.version.counter)
        buffer.writeInteger(self.version.node.rawValue)
        self.properties.encode(into: &buffer)
    }

    /// Reads what `encode` wrote.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let name = try BucketName(decoding: &buffer)
        let counter = try buffer.readVarint()
        let node = NodeID(rawValue: try buffer.readFixed(as: UInt64.self))
        guard node.rawValue != 0 else { throw .invalid(field: "node") }
        let properties = try BucketProperties(decoding: &buffer)
        self.init(name: name, properties: properties, version: BucketVersion(counter: counter, node: node))
    }

    /// Appends the count and the records, which are sorted by name; refuses more than `countMax`.
    package static func encode(_ records: [BucketRecord], into buffer: inout ByteWriter) throws(DecodeError) {
        guard records.count <= Self.countMax else {
            throw .tooMany(count: UInt64(records.count), countMax: UInt64(Self.countMax))
        }
        buffer.writeVarint(UInt64(records.count))
        for record in records { record.encode(into: &buffer) }
    }

    /// Reads what `encode(_:into:)` wrote; refuses records out of order and two of one name.
    package static func list(decoding buffer: inout ByteReader) throws(DecodeError) -> [BucketRecord] {
        let count = try buffer.readVarint()
        guard count <= UInt64(Self.countMax) else {
            throw .tooMany(count: count, countMax: UInt64(Self.countMax))
        }
        guard Int(count) * Self.encodedBytesMin <= buffer.readableBytes else { throw .truncated }
        var records: [BucketRecord] = []
        records.reserveCapacity(Int(count))
        for _ in 0..<count {
            let record = try BucketRecord(decoding: &buffer)
            if let last = records.last, last.name >= record.name { throw .invalid(field: "bucket order") }
            records.append(record)
        }
        return records
    }
}

extension QuorumSize {
    private enum Kind {
        // On the wire and on disk; never renumber.
        static let standard: UInt8 = 0
        static let one: UInt8 = 1
        static let quorum: UInt8 = 2
        static let all: UInt8 = 3
        static let count: UInt8 = 4
        static let matching: UInt8 = 5
    }

    /// Appends the kind, then the count if it is one.
    package func encode(into buffer: inout ByteWriter) {
        switch self {
        case .standard: buffer.writeInteger(Kind.standard)
        case .one: buffer.writeInteger(Kind.one)
        case .quorum: buffer.writeInteger(Kind.quorum)
        case .all: buffer.writeInteger(Kind.all)
        case .matching: buffer.writeInteger(Kind.matching)
        case .count(let count):
            buffer.writeInteger(Kind.count)
            buffer.writeInteger(count)
        }
    }

    /// Reads what `encode` wrote; whether a count makes sense is for the node to say.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.standard: self = .standard
        case Kind.one: self = .one
        case Kind.quorum: self = .quorum
        case Kind.all: self = .all
        case Kind.matching: self = .matching
        case Kind.count: self = .count(try buffer.readFixed(as: UInt8.self))
        default: throw .invalid(field: "quorum")
        }
    }
}
