package import GyreBase
package import GyreRing
package import NIOCore

/// What nodes tell each other about a change of the ring. Safe to receive twice and in any order.
package enum RingMessage: Hashable, Sendable {
    /// The hash of what the sender knows; a receiver that knows something else tells it.
    case digest(UInt64)
    /// What the sender knows and has on its disk; with `wantsRest`, a receiver that knows more tells it.
    case state(RingState, wantsRest: Bool)
}

/// The one form of a ring state, on the wire and on disk; docs/internals/ring-changes.md shows the bytes.
extension RingState {
    private static let documentVersion: UInt8 = 0x01
    /// Node, place, weight, counted zone.
    private static let memberBytesMin = 8 + 8 + 1 + 1
    private static let markBytes = 9

    /// Appends a version byte, the version, the owners, a flag for a change, then its owners and marks.
    package func encode(into buffer: inout ByteWriter) {
        buffer.writeInteger(Self.documentVersion)
        buffer.writeVarint(self.version)
        Self.encode(self.base, into: &buffer)
        buffer.writeInteger(self.next == nil ? UInt8(0) : 1)
        guard let next = self.next else { return }
        Self.encode(next, into: &buffer)
        buffer.writeVarint(UInt64(self.marks.count))
        for mark in self.marks {
            buffer.writeInteger(mark.node.rawValue)
            buffer.writeInteger(mark.stage.rawValue)
        }
    }

    /// Reads what `encode` wrote; refuses lists out of order, too long, or with weights and zones out of bounds.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        guard try buffer.readFixed(as: UInt8.self) == Self.documentVersion else {
            throw .invalid(field: "ring version byte")
        }
        let version = try buffer.readVarint()
        guard version <= Self.versionMax else { throw .invalid(field: "ring version") }
        let base = try Self.members(decoding: &buffer)
        switch try buffer.readFixed(as: UInt8.self) {
        case 0:
            self.init(version: version, base: base, next: nil)
            return
        case 1: break
        default: throw .invalid(field: "ring change")
        }
        let next = try Self.members(decoding: &buffer)
        let count = try Self.count(decoding: &buffer, countMax: 2 * Ring.membersMax, elementBytesMin: Self.markBytes)
        var marks: [RingMark] = []
        marks.reserveCapacity(count)
        for _ in 0..<count {
            let node = NodeID(rawValue: try buffer.readFixed(as: UInt64.self))
            guard let stage = RingStage(rawValue: try buffer.readFixed()) else { throw .invalid(field: "ring stage") }
            if let last = marks.last, last.node >= node { throw .invalid(field: "ring mark order") }
            marks.append(RingMark(node: node, stage: stage))
        }
        self.init(version: version, base: base, next: next, marks: marks)
    }

    /// A hash that is equal where the states are.
    package var hash: UInt64 {
        StableHash.xxh3(self.document)
    }

    /// What `encode` appends, alone.
    package var document: ByteBuffer {
        var writer = ByteWriter()
        self.encode(into: &writer)
        return writer.finish()
    }

    private static func encode(_ members: [RingMember], into buffer: inout ByteWriter) {
        buffer.writeVarint(UInt64(members.count))
        for member in members {
            buffer.writeInteger(member.node.rawValue)
            buffer.writeInteger(member.place.rawValue)
            buffer.writeVarint(UInt64(member.weight))
            buffer.writeCounted(member.zone)
        }
    }

    private static func count(
        decoding buffer: inout ByteReader, countMax: Int, elementBytesMin: Int
    ) throws(DecodeError) -> Int {
        let count = try buffer.readVarint()
        guard count <= UInt64(countMax) else { throw .tooMany(count: count, countMax: UInt64(countMax)) }
        guard Int(count) * elementBytesMin <= buffer.readableBytes else { throw .truncated }
        return Int(count)
    }

    private static func members(decoding buffer: inout ByteReader) throws(DecodeError) -> [RingMember] {
        let count = try Self.count(
            decoding: &buffer, countMax: Ring.membersMax, elementBytesMin: Self.memberBytesMin)
        var members: [RingMember] = []
        members.reserveCapacity(count)
        for _ in 0..<count {
            let node = NodeID(rawValue: try buffer.readFixed(as: UInt64.self))
            let place = NodeID(rawValue: try buffer.readFixed(as: UInt64.self))
            guard node.rawValue != 0, place.rawValue != 0 else { throw .invalid(field: "node") }
            let weight = try buffer.readVarint()
            guard (1...UInt64(RingMember.weightMax)).contains(weight) else { throw .invalid(field: "weight") }
            let zone = try buffer.readCountedString(bytesMax: 64)
            if let last = members.last, last.place >= place { throw .invalid(field: "ring member order") }
            members.append(RingMember(node: node, place: place, weight: Int(weight), zone: zone))
        }
        let nodes = members.map(\.node).sorted()
        guard zip(nodes, nodes.dropFirst()).allSatisfy({ $0 != $1 }) else { throw .invalid(field: "ring member twice") }
        return members
    }
}

extension RingMessage {
    private enum Kind {
        // On the wire; never renumber.
        static let digest: UInt8 = 1
        static let state: UInt8 = 2
        static let stateAsking: UInt8 = 3
    }

    /// Appends the kind, then hash or state.
    package func encode(into buffer: inout ByteWriter) {
        switch self {
        case .digest(let hash):
            buffer.writeInteger(Kind.digest)
            buffer.writeInteger(hash)
        case .state(let state, let wantsRest):
            buffer.writeInteger(wantsRest ? Kind.stateAsking : Kind.state)
            state.encode(into: &buffer)
        }
    }

    /// Reads what `encode` wrote.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let kind = try buffer.readFixed(as: UInt8.self)
        switch kind {
        case Kind.digest: self = .digest(try buffer.readFixed(as: UInt64.self))
        case Kind.state, Kind.stateAsking:
            self = .state(try RingState(decoding: &buffer), wantsRest: kind == Kind.stateAsking)
        default: throw .invalid(field: "ring message")
        }
    }
}
