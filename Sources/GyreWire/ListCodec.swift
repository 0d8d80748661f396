import GyreBase
import GyreMessages
import NIOCore

extension ListRequest {
    /// Appends the bucket behind a flag, prefix, position, limit.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeFlag(self.bucket != nil)
        if let bucket = self.bucket { buffer.writeCounted(bucket) }
        buffer.writeCounted(self.prefix)
        buffer.writeInteger(self.from.rawValue)
        buffer.writeInteger(self.limit)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let bucket = try buffer.readFlag() ? try buffer.readCounted(bytesMax: ObjectName.bucketBytesMax) : nil
        let prefix = try buffer.readCounted(bytesMax: ObjectName.keyBytesMax)
        let from = try buffer.readPosition()
        self.init(bucket: bucket, prefix: prefix, from: from, limit: try buffer.readFixed(as: UInt32.self))
    }
}

extension ListedNames {
    /// Appends the names, each counted, then the position behind a flag.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        try buffer.writeCount(self.names.count, countMax: Self.countMax)
        for name in self.names { buffer.writeCounted(name) }
        buffer.writePosition(self.next)
    }

    /// Reads what `encode` wrote; names are slices.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let count = try buffer.readCount(countMax: Self.countMax, elementBytesMin: 1)
        var names: [ByteBuffer] = []
        names.reserveCapacity(count)
        for _ in 0..<count { names.append(try buffer.readCounted(bytesMax: ObjectName.keyBytesMax)) }
        self.init(names: names, next: try buffer.readOptionalPosition())
    }
}

extension ListQuestion {
    /// Appends position, last token, the bucket behind a flag, prefix.
    func encode(into buffer: inout ByteWriter) {
        buffer.writeInteger(self.from.rawValue)
        buffer.writeInteger(self.last.rawValue)
        buffer.writeFlag(self.bucket != nil)
        if let bucket = self.bucket { buffer.writeCounted(bucket) }
        buffer.writeCounted(self.prefix)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let from = try buffer.readPosition()
        let last = Token(rawValue: try buffer.readFixed(as: UInt64.self))
        let bucket = try buffer.readFlag() ? try buffer.readCounted(bytesMax: ObjectName.bucketBytesMax) : nil
        let prefix = try buffer.readCounted(bytesMax: ObjectName.keyBytesMax)
        self.init(from: from, last: last, bucket: bucket, prefix: prefix)
    }
}

extension ListAnswer {
    private enum Kind {
        // On the wire; never renumber.
        static let page: UInt8 = 1
        static let refused: UInt8 = 2
    }

    /// Appends the kind, then the objects with their records and the position behind a flag.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .page(let entries, let next):
            buffer.writeInteger(Kind.page)
            try buffer.writeCount(entries.count, countMax: ListQuestion.entriesMax)
            for entry in entries {
                entry.name.encode(into: &buffer)
                buffer.writeCounted(entry.record)
            }
            buffer.writePosition(next)
        case .refused: buffer.writeInteger(Kind.refused)
        }
    }

    /// Reads what `encode` wrote; records are slices, not looked into.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.page:
            let count = try buffer.readCount(countMax: ListQuestion.entriesMax, elementBytesMin: 5)
            var entries: [NamedRecord] = []
            entries.reserveCapacity(count)
            for _ in 0..<count {
                let name = try ObjectName(decoding: &buffer)
                let record = try buffer.readCounted(bytesMax: WireLimits.recordFrameBytesMax)
                entries.append(NamedRecord(name: name, record: record))
            }
            self = .page(entries, next: try buffer.readOptionalPosition())
        case Kind.refused: self = .refused
        default: throw .invalid(field: "list answer")
        }
    }
}

extension ByteWriter {
    fileprivate mutating func writePosition(_ position: ListPosition?) {
        self.writeFlag(position != nil)
        if let position { self.writeInteger(position.rawValue) }
    }
}

extension ByteReader {
    fileprivate mutating func readPosition() throws(DecodeError) -> ListPosition {
        guard let position = ListPosition(rawValue: try self.readFixed(as: UInt64.self)) else {
            throw .invalid(field: "position")
        }
        return position
    }

    fileprivate mutating func readOptionalPosition() throws(DecodeError) -> ListPosition? {
        try self.readFlag() ? try self.readPosition() : nil
    }
}
