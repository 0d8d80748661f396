import GyreBase
import GyreMessages
import NIOCore

extension BucketChange {
    private enum Kind {
        // On the wire; never renumber.
        static let replicas: UInt8 = 1
        static let reads: UInt8 = 2
        static let writes: UInt8 = 3
        static let primaryReads: UInt8 = 4
        static let primaryWrites: UInt8 = 5
        static let siblings: UInt8 = 6
        static let timeToLive: UInt8 = 7
        static let sloppy: UInt8 = 8
    }

    private enum Sloppy {
        // On the wire; never renumber.
        static let unset: UInt8 = 0
        static let on: UInt8 = 1
        static let off: UInt8 = 2
    }

    /// Appends the property, then its value; what is unset is 0.
    private func encode(into buffer: inout ByteWriter) {
        func write(_ kind: UInt8, _ size: QuorumSize) {
            buffer.writeInteger(kind)
            size.encode(into: &buffer)
        }
        switch self {
        case .replicas(let count):
            buffer.writeInteger(Kind.replicas)
            buffer.writeInteger(count)
        case .reads(let size): write(Kind.reads, size)
        case .writes(let size): write(Kind.writes, size)
        case .primaryReads(let size): write(Kind.primaryReads, size)
        case .primaryWrites(let size): write(Kind.primaryWrites, size)
        case .siblings(let rule):
            buffer.writeInteger(Kind.siblings)
            buffer.writeInteger(rule?.rawValue ?? 0)
        case .timeToLive(let milliseconds):
            buffer.writeInteger(Kind.timeToLive)
            buffer.writeVarint(milliseconds ?? 0)
        case .sloppy(let isSloppy):
            buffer.writeInteger(Kind.sloppy)
            buffer.writeInteger(isSloppy.map { $0 ? Sloppy.on : Sloppy.off } ?? Sloppy.unset)
        }
    }

    /// Reads what `encode` wrote.
    private init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.replicas: self = .replicas(try buffer.readFixed(as: UInt8.self))
        case Kind.reads: self = .reads(try QuorumSize(decoding: &buffer))
        case Kind.writes: self = .writes(try QuorumSize(decoding: &buffer))
        case Kind.primaryReads: self = .primaryReads(try QuorumSize(decoding: &buffer))
        case Kind.primaryWrites: self = .primaryWrites(try QuorumSize(decoding: &buffer))
        case Kind.siblings:
            let number = try buffer.readFixed(as: UInt8.self)
            let rule = SiblingRule(rawValue: number)
            guard number == 0 || rule != nil else { throw .invalid(field: "conflicts") }
            self = .siblings(rule)
        case Kind.timeToLive:
            let milliseconds = try buffer.readVarint()
            self = .timeToLive(milliseconds == 0 ? nil : milliseconds)
        case Kind.sloppy:
            switch try buffer.readFixed(as: UInt8.self) {
            case Sloppy.unset: self = .sloppy(nil)
            case Sloppy.on: self = .sloppy(true)
            case Sloppy.off: self = .sloppy(false)
            default: throw .invalid(field: "sloppy")
            }
        default: throw .invalid(field: "bucket change")
        }
    }

    /// Appends the count, then the changes in order.
    static func encode(_ changes: [BucketChange], into buffer: inout ByteWriter) throws(DecodeError) {
        try buffer.writeCount(changes.count, countMax: Self.countMax)
        for change in changes { change.encode(into: &buffer) }
    }

    /// Reads what `encode(_:into:)` wrote.
    static func list(decoding buffer: inout ByteReader) throws(DecodeError) -> [BucketChange] {
        let count = try buffer.readCount(countMax: Self.countMax, elementBytesMin: 2)
        var changes: [BucketChange] = []
        changes.reserveCapacity(count)
        for _ in 0..<count { changes.append(try BucketChange(decoding: &buffer)) }
        return changes
    }
}

extension BucketReport {
    /// Appends N, R, W, records.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeInteger(self.replicas)
        buffer.writeInteger(self.reads)
        buffer.writeInteger(self.writes)
        try BucketRecord.encode(self.buckets, into: &buffer)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let replicas = try buffer.readFixed(as: UInt8.self)
        let reads = try buffer.readFixed(as: UInt8.self)
        let writes = try buffer.readFixed(as: UInt8.self)
        self.init(
            replicas: replicas, reads: reads, writes: writes, buckets: try BucketRecord.list(decoding: &buffer))
    }
}

extension BucketMessage {
    private enum Kind {
        // On the wire; never renumber.
        static let digest: UInt8 = 1
        static let records: UInt8 = 2
    }

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .digest(let hash):
            buffer.writeInteger(Kind.digest)
            buffer.writeInteger(hash)
        case .records(let records, let wantsRest):
            buffer.writeInteger(Kind.records)
            buffer.writeFlag(wantsRest)
            try BucketRecord.encode(records, into: &buffer)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.digest: self = .digest(try buffer.readFixed(as: UInt64.self))
        case Kind.records:
            let wantsRest = try buffer.readFlag()
            self = .records(try BucketRecord.list(decoding: &buffer), wantsRest: wantsRest)
        default: throw .invalid(field: "bucket message")
        }
    }
}
