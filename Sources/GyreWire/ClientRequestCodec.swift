import GyreBase
import GyreCausality
import GyreMessages
import NIOCore

extension ClientRequest {
    private enum Kind {
        // On the wire; never renumber.
        static let put: UInt8 = 1
        static let get: UInt8 = 2
        static let delete: UInt8 = 3
        static let status: UInt8 = 4
        static let locate: UInt8 = 5
        static let explain: UInt8 = 0x10
        static let repair: UInt8 = 0x11
        static let repairCounts: UInt8 = 0x12
        static let repairCancel: UInt8 = 0x13
        static let bucketList: UInt8 = 6
        static let bucketShow: UInt8 = 7
        static let bucketSet: UInt8 = 8
        static let ring: UInt8 = 0x20
        static let list: UInt8 = 9
    }

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .put(let put):
            buffer.writeInteger(Kind.put)
            put.encode(into: &buffer)
        case .get(let get):
            buffer.writeInteger(Kind.get)
            get.encode(into: &buffer)
        case .delete(let delete):
            buffer.writeInteger(Kind.delete)
            delete.encode(into: &buffer)
        case .status: buffer.writeInteger(Kind.status)
        case .locate(let name):
            buffer.writeInteger(Kind.locate)
            name.encode(into: &buffer)
        case .explain(let name):
            buffer.writeInteger(Kind.explain)
            name.encode(into: &buffer)
        case .repair(let request):
            buffer.writeInteger(Kind.repair)
            try request.encode(into: &buffer)
        case .repairCounts(let id):
            buffer.writeInteger(Kind.repairCounts)
            buffer.writeInteger(id)
        case .repairCancel(let id):
            buffer.writeInteger(Kind.repairCancel)
            buffer.writeInteger(id)
        case .bucketList: buffer.writeInteger(Kind.bucketList)
        case .bucketShow(let name):
            buffer.writeInteger(Kind.bucketShow)
            name.encode(into: &buffer)
        case .bucketSet(let name, let changes):
            buffer.writeInteger(Kind.bucketSet)
            name.encode(into: &buffer)
            try BucketChange.encode(changes, into: &buffer)
        case .ring(let request):
            buffer.writeInteger(Kind.ring)
            request.encode(into: &buffer)
        case .list(let request):
            buffer.writeInteger(Kind.list)
            try request.encode(into: &buffer)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.put: self = .put(try PutRequest(decoding: &buffer))
        case Kind.get: self = .get(try GetRequest(decoding: &buffer))
        case Kind.delete: self = .delete(try DeleteRequest(decoding: &buffer))
        case Kind.status: self = .status
        case Kind.locate: self = .locate(try ObjectName(decoding: &buffer))
        case Kind.explain: self = .explain(try ObjectName(decoding: &buffer))
        case Kind.repair: self = .repair(try RepairRequest(decoding: &buffer))
        case Kind.repairCounts: self = .repairCounts(id: try buffer.readFixed(as: UInt64.self))
        case Kind.repairCancel: self = .repairCancel(id: try buffer.readFixed(as: UInt64.self))
        case Kind.bucketList: self = .bucketList
        case Kind.bucketShow: self = .bucketShow(try BucketName(decoding: &buffer))
        case Kind.bucketSet:
            let name = try BucketName(decoding: &buffer)
            self = .bucketSet(name, try BucketChange.list(decoding: &buffer))
        case Kind.ring: self = .ring(try RingRequest(decoding: &buffer))
        case Kind.list: self = .list(try ListRequest(decoding: &buffer))
        default: throw .invalid(field: "client request")
        }
    }
}

extension PutRequest {
    private enum Flag {
        // On the wire; never renumber.
        static let ifAbsent: UInt8 = 0x01
        static let timeToLive: UInt8 = 0x02
    }

    /// Appends id, name, seen, flags, W, PW, time to live in milliseconds if its flag is set, metadata, value.
    func encode(into buffer: inout ByteWriter) {
        self.id.encode(into: &buffer)
        self.name.encode(into: &buffer)
        self.seen.encode(into: &buffer)
        var flags: UInt8 = self.ifAbsent ? Flag.ifAbsent : 0
        if self.timeToLiveMilliseconds != nil { flags |= Flag.timeToLive }
        buffer.writeInteger(flags)
        self.writes.encode(into: &buffer)
        self.primaryWrites.encode(into: &buffer)
        if let milliseconds = self.timeToLiveMilliseconds { buffer.writeVarint(milliseconds) }
        self.metadata.encode(into: &buffer)
        buffer.writeCounted(self.value)
    }

    /// Reads what `encode` wrote; the value is a slice.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let id = try RequestID(decoding: &buffer)
        let name = try ObjectName(decoding: &buffer)
        let seen = try Seen(decoding: &buffer)
        let flags = try buffer.readFixed(as: UInt8.self)
        guard flags & ~(Flag.ifAbsent | Flag.timeToLive) == 0 else { throw .invalid(field: "put flags") }
        let writes = try QuorumSize(decoding: &buffer)
        let primaryWrites = try QuorumSize(decoding: &buffer)
        var timeToLive: UInt64?
        if flags & Flag.timeToLive != 0 { timeToLive = try buffer.readVarint() }
        let metadata = try VersionMetadata(decoding: &buffer)
        let value = try buffer.readCounted(bytesMax: WireLimits.frameBytesMax)
        self.init(
            id: id, name: name, seen: seen, value: value, metadata: metadata, timeToLiveMilliseconds: timeToLive,
            ifAbsent: flags & Flag.ifAbsent != 0, writes: writes, primaryWrites: primaryWrites
        )
    }
}

extension DeleteRequest {
    /// Appends id, name, seen, W, PW.
    func encode(into buffer: inout ByteWriter) {
        self.id.encode(into: &buffer)
        self.name.encode(into: &buffer)
        self.seen.encode(into: &buffer)
        self.writes.encode(into: &buffer)
        self.primaryWrites.encode(into: &buffer)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        self.init(
            id: try RequestID(decoding: &buffer), name: try ObjectName(decoding: &buffer),
            seen: try Seen(decoding: &buffer), writes: try QuorumSize(decoding: &buffer),
            primaryWrites: try QuorumSize(decoding: &buffer)
        )
    }
}

extension GetRequest {
    /// Appends name, R, PR, and whether values are left out.
    func encode(into buffer: inout ByteWriter) {
        self.name.encode(into: &buffer)
        self.reads.encode(into: &buffer)
        self.primaryReads.encode(into: &buffer)
        buffer.writeFlag(self.headOnly)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        self.init(
            name: try ObjectName(decoding: &buffer), reads: try QuorumSize(decoding: &buffer),
            primaryReads: try QuorumSize(decoding: &buffer), headOnly: try buffer.readFlag()
        )
    }
}

extension RequestID {
    /// Appends client and sequence.
    func encode(into buffer: inout ByteWriter) {
        buffer.writeInteger(self.client)
        buffer.writeInteger(self.sequence)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let client = try buffer.readFixed(as: UInt64.self)
        self.init(client: client, sequence: try buffer.readFixed(as: UInt64.self))
    }
}

extension Seen {
    private enum Kind {
        // On the wire; never renumber.
        static let given: UInt8 = 1
        static let overwrite: UInt8 = 2
        static let blind: UInt8 = 3
    }

    /// Appends the kind, then the context if one is given.
    func encode(into buffer: inout ByteWriter) {
        switch self {
        case .given(let context):
            buffer.writeInteger(Kind.given)
            context.encode(into: &buffer)
        case .overwrite: buffer.writeInteger(Kind.overwrite)
        case .blind: buffer.writeInteger(Kind.blind)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.given: self = .given(try VersionVector(decoding: &buffer))
        case Kind.overwrite: self = .overwrite
        case Kind.blind: self = .blind
        default: throw .invalid(field: "seen")
        }
    }
}
