package import GyreBase
package import GyreRing

/// What an operator asks of the ring; each is answered with the `RingReport` of the node that did it.
package enum RingRequest: Hashable, Sendable {
    /// Nothing but the report.
    case report
    /// `node`, which was started to wait, joins.
    case join(NodeID)
    /// `node` hands over all it has and goes; `isForced` even when fewer than N owners are left.
    case leave(NodeID, isForced: Bool)
    /// `node` is dead and banned for good; `isForced` also when it is alive, or fewer than N owners are left.
    case remove(NodeID, isForced: Bool)
    /// `node`, which owns nothing yet, joins in the place of `old`.
    case takePlace(NodeID, of: NodeID)

    /// The node that must do it; nil for any.
    package var subject: NodeID? {
        switch self {
        case .report, .remove: nil
        case .join(let node), .leave(let node, _), .takePlace(let node, _): node
        }
    }
}

/// The ring in the eyes of one node, and what moves to and from it.
package struct RingReport: Hashable, Sendable {
    /// What the node knows.
    package var state: RingState
    /// Whom the change waits for at its present stage; empty when none goes on.
    package var waitsFor: [NodeID]
    /// Partitions that the node gains in the change, and those of them that are not whole yet.
    package var partitionsGained: UInt64
    /// See `partitionsGained`.
    package var partitionsMissing: UInt64
    /// Partitions that the node holds something of and owns no longer.
    package var partitionsForeign: UInt64
    /// Bytes and objects that came with the change so far.
    package var bytesFetched: UInt64
    /// See `bytesFetched`.
    package var keysFetched: UInt64
    /// Since when the node fetches, in milliseconds.
    package var elapsedMilliseconds: UInt64

    /// Whether a change goes on.
    package var isChanging: Bool { self.state.next != nil }
    /// Whether the cluster was founded, so that who owns ranges changes step by step only.
    package var isFounded: Bool { self.state.version > 0 }

    /// Joins the parts.
    package init(
        state: RingState, waitsFor: [NodeID], partitionsGained: UInt64 = 0, partitionsMissing: UInt64 = 0,
        partitionsForeign: UInt64 = 0, bytesFetched: UInt64 = 0, keysFetched: UInt64 = 0,
        elapsedMilliseconds: UInt64 = 0
    ) {
        self.state = state
        self.waitsFor = waitsFor
        self.partitionsGained = partitionsGained
        self.partitionsMissing = partitionsMissing
        self.partitionsForeign = partitionsForeign
        self.bytesFetched = bytesFetched
        self.keysFetched = keysFetched
        self.elapsedMilliseconds = elapsedMilliseconds
    }
}

extension RingRequest {
    private enum Kind {
        // On the wire; never renumber.
        static let report: UInt8 = 1
        static let join: UInt8 = 2
        static let leave: UInt8 = 3
        static let remove: UInt8 = 4
        static let takePlace: UInt8 = 5
    }

    /// Appends the kind, then nodes and a flag.
    package func encode(into buffer: inout ByteWriter) {
        switch self {
        case .report: buffer.writeInteger(Kind.report)
        case .join(let node):
            buffer.writeInteger(Kind.join)
            buffer.writeInteger(node.rawValue)
        case .leave(let node, let isForced):
            buffer.writeInteger(Kind.leave)
            buffer.writeInteger(node.rawValue)
            buffer.writeInteger(isForced ? UInt8(1) : 0)
        case .remove(let node, let isForced):
            buffer.writeInteger(Kind.remove)
            buffer.writeInteger(node.rawValue)
            buffer.writeInteger(isForced ? UInt8(1) : 0)
        case .takePlace(let node, let old):
            buffer.writeInteger(Kind.takePlace)
            buffer.writeInteger(node.rawValue)
            buffer.writeInteger(old.rawValue)
        }
    }

    /// Reads what `encode` wrote.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        func node() throws(DecodeError) -> NodeID {
            let value = try buffer.readFixed(as: UInt64.self)
            guard value != 0 else { throw .invalid(field: "node") }
            return NodeID(rawValue: value)
        }
        func flag() throws(DecodeError) -> Bool {
            let value = try buffer.readFixed(as: UInt8.self)
            guard value <= 1 else { throw .invalid(field: "flag") }
            return value == 1
        }
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.report: self = .report
        case Kind.join: self = .join(try node())
        case Kind.leave: self = .leave(try node(), isForced: try flag())
        case Kind.remove: self = .remove(try node(), isForced: try flag())
        case Kind.takePlace: self = .takePlace(try node(), of: try node())
        default: throw .invalid(field: "ring request")
        }
    }
}

extension RingReport {
    /// Appends the state, whom it waits for, then the figures.
    package func encode(into buffer: inout ByteWriter) {
        self.state.encode(into: &buffer)
        buffer.writeVarint(UInt64(self.waitsFor.count))
        for node in self.waitsFor { buffer.writeInteger(node.rawValue) }
        for figure in [
            self.partitionsGained, self.partitionsMissing, self.partitionsForeign, self.bytesFetched, self.keysFetched,
            self.elapsedMilliseconds,
        ] { buffer.writeInteger(figure) }
    }

    /// Reads what `encode` wrote.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let state = try RingState(decoding: &buffer)
        let count = try buffer.readVarint()
        guard count <= UInt64(2 * Ring.membersMax) else {
            throw .tooMany(count: count, countMax: UInt64(2 * Ring.membersMax))
        }
        guard Int(count) * 8 <= buffer.readableBytes else { throw .truncated }
        var waitsFor: [NodeID] = []
        waitsFor.reserveCapacity(Int(count))
        for _ in 0..<count { waitsFor.append(NodeID(rawValue: try buffer.readFixed(as: UInt64.self))) }
        var figures: [UInt64] = []
        for _ in 0..<6 { figures.append(try buffer.readFixed(as: UInt64.self)) }
        self.init(
            state: state, waitsFor: waitsFor, partitionsGained: figures[0], partitionsMissing: figures[1],
            partitionsForeign: figures[2], bytesFetched: figures[3], keysFetched: figures[4],
            elapsedMilliseconds: figures[5])
    }
}
