package import GyreBase
package import GyreMembership
import NIOCore

extension PeerAddress {
    /// Appends the host, counted, and the port.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        try buffer.writeText(self.host, bytesMax: PeerAddress.hostBytesMax)
        buffer.writeInteger(self.port)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let host = try buffer.readCountedString(bytesMax: PeerAddress.hostBytesMax)
        self.init(host: host, port: try buffer.readFixed(as: UInt16.self))
    }
}

extension MemberRecord {
    /// The fewest bytes of an encoded record, one byte for each counted text that may be empty.
    static let encodedBytesMin = 8 + 2 + 4 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1

    /// Appends the record; refuses one that is not within its limits, because every receiver would.
    ///
    /// Shape: node, name, address, zone, weight (varint), state, record version (varint), incarnation (varint), liveness,
    /// software version, labels.
    package func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        do { _ = try self.validated() } catch { throw .invalid(field: "member record") }
        buffer.writeInteger(self.node.rawValue)
        buffer.writeCounted(self.name)
        try self.address.encode(into: &buffer)
        buffer.writeCounted(self.zone)
        buffer.writeVarint(UInt64(self.weight))
        buffer.writeInteger(self.state.rawValue)
        buffer.writeVarint(self.recordVersion)
        buffer.writeVarint(self.incarnation)
        buffer.writeInteger(self.liveness.rawValue)
        buffer.writeCounted(self.softwareVersion)
        buffer.writeVarint(UInt64(self.labels.count))
        for label in self.labels {
            buffer.writeCounted(label.name)
            buffer.writeCounted(label.value)
        }
    }

    /// Reads what `encode` wrote; refuses a record that is not within its limits.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let node = try buffer.readNode()
        let name = try buffer.readCountedString(bytesMax: Self.nameBytesMax)
        let address = try PeerAddress(decoding: &buffer)
        let zone = try buffer.readCountedString(bytesMax: Self.zoneBytesMax)
        let weight = try buffer.readVarint()
        guard weight <= UInt64(Self.weightMax) else { throw .invalid(field: "weight") }
        guard let state = MemberState(rawValue: try buffer.readFixed()) else { throw .invalid(field: "member state") }
        let recordVersion = try buffer.readVarint()
        let incarnation = try buffer.readVarint()
        guard let liveness = Liveness(rawValue: try buffer.readFixed()) else { throw .invalid(field: "liveness") }
        let softwareVersion = try buffer.readCountedString(bytesMax: Self.softwareVersionBytesMax)
        let labelCount = try buffer.readCount(countMax: Self.labelsMax, elementBytesMin: 2)
        var labels: [MemberLabel] = []
        labels.reserveCapacity(labelCount)
        for _ in 0..<labelCount {
            let labelName = try buffer.readCountedString(bytesMax: Self.labelBytesMax)
            let value = try buffer.readCountedString(bytesMax: Self.labelBytesMax)
            if let last = labels.last, last.name >= labelName { throw .invalid(field: "label order") }
            labels.append(MemberLabel(name: labelName, value: value))
        }
        let record = MemberRecord(
            node: node, name: name, address: address, zone: zone, weight: Int(weight), state: state,
            recordVersion: recordVersion, incarnation: incarnation, liveness: liveness,
            softwareVersion: softwareVersion, labels: labels
        )
        do { self = try record.validated() } catch { throw .invalid(field: "member record") }
    }

    /// Appends a list of records, its count first.
    package static func encode(_ records: [MemberRecord], into buffer: inout ByteWriter) throws(DecodeError) {
        try buffer.writeCount(records.count, countMax: WireLimits.membersMax)
        for record in records { try record.encode(into: &buffer) }
    }

    /// Reads what `encode(_:into:)` wrote.
    package static func list(decoding buffer: inout ByteReader) throws(DecodeError) -> [MemberRecord] {
        let count = try buffer.readCount(
            countMax: WireLimits.membersMax, elementBytesMin: Self.encodedBytesMin
        )
        var records: [MemberRecord] = []
        records.reserveCapacity(count)
        for _ in 0..<count { records.append(try MemberRecord(decoding: &buffer)) }
        return records
    }
}

extension Accusation {
    /// The fewest bytes of an encoded accusation.
    static let encodedBytesMin = 8 + 8 + 1

    /// Appends the accused node, the accuser and the incarnation (varint).
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        try buffer.writeNode(self.node)
        try buffer.writeNode(self.accuser)
        buffer.writeVarint(self.incarnation)
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let node = try buffer.readNode()
        let accuser = try buffer.readNode()
        self.init(node: node, incarnation: try buffer.readVarint(), accuser: accuser)
    }
}

extension MembershipMessage {
    private enum Kind {
        // On the wire; never renumber.
        static let ping: UInt8 = 1
        static let ack: UInt8 = 2
        static let pingRequest: UInt8 = 3
        static let stateRequest: UInt8 = 4
        static let state: UInt8 = 5
        static let nack: UInt8 = 6
        static let accusations: UInt8 = 7
    }

    /// Appends the kind, then what belongs to it; a list of records comes last.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .ping(let sequence, let gossip):
            buffer.writeInteger(Kind.ping)
            buffer.writeInteger(sequence)
            try MemberRecord.encode(gossip, into: &buffer)
        case .ack(let sequence, let gossip):
            buffer.writeInteger(Kind.ack)
            buffer.writeInteger(sequence)
            try MemberRecord.encode(gossip, into: &buffer)
        case .pingRequest(let sequence, let target, let gossip):
            buffer.writeInteger(Kind.pingRequest)
            buffer.writeInteger(sequence)
            try buffer.writeNode(target)
            try MemberRecord.encode(gossip, into: &buffer)
        case .stateRequest(let records):
            buffer.writeInteger(Kind.stateRequest)
            try MemberRecord.encode(records, into: &buffer)
        case .state(let records):
            buffer.writeInteger(Kind.state)
            try MemberRecord.encode(records, into: &buffer)
        case .nack(let sequence):
            buffer.writeInteger(Kind.nack)
            buffer.writeInteger(sequence)
        case .accusations(let accusations):
            buffer.writeInteger(Kind.accusations)
            try buffer.writeCount(accusations.count, countMax: MembershipOptions.accusationsMax)
            for accusation in accusations { try accusation.encode(into: &buffer) }
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.ping:
            let sequence = try buffer.readFixed(as: UInt64.self)
            self = .ping(sequence: sequence, gossip: try MemberRecord.list(decoding: &buffer))
        case Kind.ack:
            let sequence = try buffer.readFixed(as: UInt64.self)
            self = .ack(sequence: sequence, gossip: try MemberRecord.list(decoding: &buffer))
        case Kind.pingRequest:
            let sequence = try buffer.readFixed(as: UInt64.self)
            let target = try buffer.readNode()
            self = .pingRequest(sequence: sequence, target: target, gossip: try MemberRecord.list(decoding: &buffer))
        case Kind.stateRequest: self = .stateRequest(try MemberRecord.list(decoding: &buffer))
        case Kind.state: self = .state(try MemberRecord.list(decoding: &buffer))
        case Kind.nack: self = .nack(sequence: try buffer.readFixed(as: UInt64.self))
        case Kind.accusations:
            let count = try buffer.readCount(
                countMax: MembershipOptions.accusationsMax, elementBytesMin: Accusation.encodedBytesMin)
            var accusations: [Accusation] = []
            accusations.reserveCapacity(count)
            for _ in 0..<count { accusations.append(try Accusation(decoding: &buffer)) }
            self = .accusations(accusations)
        default: throw .invalid(field: "membership message")
        }
    }
}
