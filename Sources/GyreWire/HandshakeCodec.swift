import GyreBase
import GyreMembership
import GyreMessages
import NIOCore

// These two payloads never change, not even with a newer protocol version: they are what two versions agree on a third
// with. What a later version has to add, it says in frames of a new kind after the handshake.

extension Hello {
    private enum RoleKind {
        // On the wire; never renumber.
        static let client: UInt8 = 1
        static let peer: UInt8 = 2
    }

    /// Appends protocol version, cluster, kind of role, role.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeInteger(self.protocolVersion)
        try buffer.writeText(self.cluster, bytesMax: WireLimits.clusterBytesMax)
        switch self.role {
        case .client(let name):
            buffer.writeInteger(RoleKind.client)
            try buffer.writeText(name, bytesMax: WireLimits.clientNameBytesMax)
        case .peer(let node, let address, let partitionCount, let replicas):
            buffer.writeInteger(RoleKind.peer)
            try buffer.writeNode(node)
            try address.encode(into: &buffer)
            buffer.writeInteger(partitionCount)
            buffer.writeInteger(replicas)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let version = try buffer.readFixed(as: UInt16.self)
        let cluster = try buffer.readCountedString(bytesMax: WireLimits.clusterBytesMax)
        let role: Role
        switch try buffer.readFixed(as: UInt8.self) {
        case RoleKind.client:
            role = .client(name: try buffer.readCountedString(bytesMax: WireLimits.clientNameBytesMax))
        case RoleKind.peer:
            role = .peer(
                node: try buffer.readNode(), address: try PeerAddress(decoding: &buffer),
                partitionCount: try buffer.readFixed(as: UInt32.self), replicas: try buffer.readFixed(as: UInt8.self)
            )
        default: throw .invalid(field: "role")
        }
        self.init(protocolVersion: version, cluster: cluster, role: role)
    }
}

extension HelloReply {
    private enum Kind {
        // On the wire; never renumber.
        static let welcome: UInt8 = 1
        static let refused: UInt8 = 2
    }

    /// Appends the kind of reply, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .welcome(let version, let cluster, let node):
            buffer.writeInteger(Kind.welcome)
            buffer.writeInteger(version)
            try buffer.writeText(cluster, bytesMax: WireLimits.clusterBytesMax)
            try buffer.writeNode(node)
        case .refused(let reason):
            buffer.writeInteger(Kind.refused)
            buffer.writeReason(reason)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.welcome:
            let version = try buffer.readFixed(as: UInt16.self)
            let cluster = try buffer.readCountedString(bytesMax: WireLimits.clusterBytesMax)
            self = .welcome(protocolVersion: version, cluster: cluster, node: try buffer.readNode())
        case Kind.refused: self = .refused(reason: try buffer.readReason())
        default: throw .invalid(field: "hello reply")
        }
    }
}
