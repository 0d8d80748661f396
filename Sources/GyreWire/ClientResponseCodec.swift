import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import NIOCore

extension ClientResponse {
    private enum Kind {
        // On the wire; never renumber.
        static let stored: UInt8 = 1
        static let found: UInt8 = 2
        static let notFound: UInt8 = 3
        static let status: UInt8 = 4
        static let location: UInt8 = 5
        static let failed: UInt8 = 6
        static let explained: UInt8 = 0x10
        static let repairing: UInt8 = 0x11
        static let buckets: UInt8 = 7
        static let ring: UInt8 = 0x20
        static let listed: UInt8 = 8
    }

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .stored(let context, let acks, let needed):
            buffer.writeInteger(Kind.stored)
            buffer.writeInteger(acks)
            buffer.writeInteger(needed)
            context.encode(into: &buffer)
        case .found(let record):
            buffer.writeInteger(Kind.found)
            buffer.writeCounted(record)
        case .notFound(let context):
            buffer.writeInteger(Kind.notFound)
            context.encode(into: &buffer)
        case .status(let report):
            buffer.writeInteger(Kind.status)
            try report.encode(into: &buffer)
        case .location(let report):
            buffer.writeInteger(Kind.location)
            try report.encode(into: &buffer)
        case .explained(let report):
            buffer.writeInteger(Kind.explained)
            try report.encode(into: &buffer)
        case .repairing(let counts, let isOver, let silent):
            buffer.writeInteger(Kind.repairing)
            counts.encode(into: &buffer)
            buffer.writeFlag(isOver)
            try buffer.writeCount(silent.count, countMax: WireLimits.membersMax)
            for node in silent { try buffer.writeNode(node) }
        case .failed(let failure):
            buffer.writeInteger(Kind.failed)
            failure.encode(into: &buffer)
        case .buckets(let report):
            buffer.writeInteger(Kind.buckets)
            try report.encode(into: &buffer)
        case .ring(let report):
            buffer.writeInteger(Kind.ring)
            report.encode(into: &buffer)
        case .listed(let page):
            buffer.writeInteger(Kind.listed)
            try page.encode(into: &buffer)
        }
    }

    /// Reads what `encode` wrote; the record is a slice, not looked into.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.stored:
            let acks = try buffer.readFixed(as: UInt8.self)
            let needed = try buffer.readFixed(as: UInt8.self)
            self = .stored(context: try VersionVector(decoding: &buffer), acks: acks, needed: needed)
        case Kind.found: self = .found(record: try buffer.readCounted(bytesMax: WireLimits.recordFrameBytesMax))
        case Kind.notFound: self = .notFound(context: try VersionVector(decoding: &buffer))
        case Kind.status: self = .status(try StatusReport(decoding: &buffer))
        case Kind.location: self = .location(try LocationReport(decoding: &buffer))
        case Kind.explained: self = .explained(try ExplainReport(decoding: &buffer))
        case Kind.repairing:
            let counts = try RepairCounts(decoding: &buffer)
            let isOver = try buffer.readFlag()
            let count = try buffer.readCount(countMax: WireLimits.membersMax, elementBytesMin: 8)
            var silent: [NodeID] = []
            for _ in 0..<count { silent.append(try buffer.readNode()) }
            self = .repairing(counts, isOver: isOver, silent: silent)
        case Kind.failed: self = .failed(try Failure(decoding: &buffer))
        case Kind.buckets: self = .buckets(try BucketReport(decoding: &buffer))
        case Kind.ring: self = .ring(try RingReport(decoding: &buffer))
        case Kind.listed: self = .listed(try ListedNames(decoding: &buffer))
        default: throw .invalid(field: "client response")
        }
    }
}

extension Failure {
    private enum Kind {
        // On the wire; never renumber.
        static let unavailable: UInt8 = 1
        static let unknown: UInt8 = 2
        static let overloaded: UInt8 = 3
        static let tooLarge: UInt8 = 4
        static let timeout: UInt8 = 5
        static let badRequest: UInt8 = 6
        static let notMember: UInt8 = 7
        static let corrupt: UInt8 = 8
        static let exists: UInt8 = 9
    }

    /// Appends the kind, then its numbers; a reason that is too long is cut.
    func encode(into buffer: inout ByteWriter) {
        switch self {
        case .unavailable(let needed, let got):
            buffer.writeInteger(Kind.unavailable)
            buffer.writeInteger(needed)
            buffer.writeInteger(got)
        case .unknown(let needed, let got):
            buffer.writeInteger(Kind.unknown)
            buffer.writeInteger(needed)
            buffer.writeInteger(got)
        case .overloaded: buffer.writeInteger(Kind.overloaded)
        case .tooLarge(let limit):
            buffer.writeInteger(Kind.tooLarge)
            buffer.writeInteger(limit)
        case .timeout: buffer.writeInteger(Kind.timeout)
        case .badRequest(let reason):
            buffer.writeInteger(Kind.badRequest)
            buffer.writeReason(reason)
        case .notMember: buffer.writeInteger(Kind.notMember)
        case .corrupt: buffer.writeInteger(Kind.corrupt)
        case .exists: buffer.writeInteger(Kind.exists)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.unavailable:
            let needed = try buffer.readFixed(as: UInt8.self)
            self = .unavailable(needed: needed, got: try buffer.readFixed(as: UInt8.self))
        case Kind.unknown:
            let needed = try buffer.readFixed(as: UInt8.self)
            self = .unknown(needed: needed, got: try buffer.readFixed(as: UInt8.self))
        case Kind.overloaded: self = .overloaded
        case Kind.tooLarge: self = .tooLarge(limit: try buffer.readFixed(as: UInt64.self))
        case Kind.timeout: self = .timeout
        case Kind.badRequest: self = .badRequest(try buffer.readReason())
        case Kind.notMember: self = .notMember
        case Kind.corrupt: self = .corrupt
        case Kind.exists: self = .exists
        default: throw .invalid(field: "failure")
        }
    }
}

extension LocationReport {
    /// Appends token, partition, owners.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeInteger(self.token.rawValue)
        buffer.writeInteger(self.partition)
        try buffer.writeCount(self.owners.count, countMax: WireLimits.ownersMax)
        for owner in self.owners { try buffer.writeNode(owner) }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let token = Token(rawValue: try buffer.readFixed(as: UInt64.self))
        let partition = try buffer.readFixed(as: UInt32.self)
        let count = try buffer.readCount(countMax: WireLimits.ownersMax, elementBytesMin: 8)
        var owners: [NodeID] = []
        owners.reserveCapacity(count)
        for _ in 0..<count { owners.append(try buffer.readNode()) }
        self.init(token: token, partition: partition, owners: owners)
    }
}

extension StatusReport {
    /// Appends me, cluster, Q, N, ring epoch, ring hash, keys, disk bytes, members with their slots, hints, counters.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        try buffer.writeNode(self.me)
        try buffer.writeText(self.cluster, bytesMax: WireLimits.clusterBytesMax)
        buffer.writeInteger(self.partitionCount)
        buffer.writeInteger(self.replicas)
        buffer.writeInteger(self.ringEpoch)
        buffer.writeInteger(self.ringHash)
        buffer.writeInteger(self.keys)
        buffer.writeInteger(self.diskBytes)
        try buffer.writeCount(self.members.count, countMax: WireLimits.membersMax)
        for member in self.members {
            try member.record.encode(into: &buffer)
            buffer.writeVarint(member.ownedSlots)
        }
        try buffer.writeCount(self.hints.count, countMax: WireLimits.membersMax)
        for backlog in self.hints {
            try buffer.writeNode(backlog.target)
            buffer.writeVarint(backlog.count)
            buffer.writeVarint(backlog.bytes)
            buffer.writeVarint(backlog.ageMilliseconds)
        }
        try buffer.writeCount(self.counters.count, countMax: WireLimits.countersMax)
        for counter in self.counters {
            try buffer.writeText(counter.name, bytesMax: WireLimits.counterNameBytesMax)
            buffer.writeVarint(counter.value)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let me = try buffer.readNode()
        let cluster = try buffer.readCountedString(bytesMax: WireLimits.clusterBytesMax)
        let partitionCount = try buffer.readFixed(as: UInt32.self)
        let replicas = try buffer.readFixed(as: UInt8.self)
        let ringEpoch = try buffer.readFixed(as: UInt64.self)
        let ringHash = try buffer.readFixed(as: UInt64.self)
        let keys = try buffer.readFixed(as: UInt64.self)
        let diskBytes = try buffer.readFixed(as: UInt64.self)
        let memberCount = try buffer.readCount(
            countMax: WireLimits.membersMax, elementBytesMin: MemberRecord.encodedBytesMin + 1
        )
        var members: [MemberView] = []
        members.reserveCapacity(memberCount)
        for _ in 0..<memberCount {
            let record = try MemberRecord(decoding: &buffer)
            members.append(MemberView(record: record, ownedSlots: try buffer.readVarint()))
        }
        let hintCount = try buffer.readCount(countMax: WireLimits.membersMax, elementBytesMin: 11)
        var hints: [Backlog] = []
        hints.reserveCapacity(hintCount)
        for _ in 0..<hintCount {
            let target = try buffer.readNode()
            let count = try buffer.readVarint()
            let bytes = try buffer.readVarint()
            hints.append(
                Backlog(target: target, count: count, bytes: bytes, ageMilliseconds: try buffer.readVarint()))
        }
        let counterCount = try buffer.readCount(countMax: WireLimits.countersMax, elementBytesMin: 2)
        var counters: [Counter] = []
        counters.reserveCapacity(counterCount)
        for _ in 0..<counterCount {
            let name = try buffer.readCountedString(bytesMax: WireLimits.counterNameBytesMax)
            counters.append(Counter(name: name, value: try buffer.readVarint()))
        }
        self.init(
            me: me, cluster: cluster, members: members, partitionCount: partitionCount, replicas: replicas,
            ringEpoch: ringEpoch, ringHash: ringHash, keys: keys, diskBytes: diskBytes, hints: hints,
            counters: counters
        )
    }
}
