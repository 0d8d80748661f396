package import GyreBase

/// What a frame carries. On the wire; never renumber; docs/internals/wire.md lists the payloads.
package enum FrameKind: UInt8, Sendable, CaseIterable {
    /// `Hello`, the first frame of the side that dialled.
    case hello = 0x01
    /// `HelloReply`, the first frame of the other side.
    case helloReply = 0x02
    /// A client's request.
    case clientRequest = 0x10
    /// The answer to a client's request.
    case clientResponse = 0x11
    /// `PeerMessage.replicate`.
    case replicate = 0x20
    /// `PeerMessage.replicated`.
    case replicated = 0x21
    /// `PeerMessage.fetch`.
    case fetch = 0x22
    /// `PeerMessage.fetched`.
    case fetched = 0x23
    /// `PeerMessage.forward`.
    case forward = 0x24
    /// `PeerMessage.forwarded`.
    case forwarded = 0x25
    /// `PeerMessage.membership`.
    case membership = 0x26
    /// `PeerMessage.hint`.
    case hint = 0x27
    /// `PeerMessage.fetchHint`.
    case fetchHint = 0x28
    /// `PeerMessage.exchange`.
    case exchange = 0x29
    /// `PeerMessage.exchanged`.
    case exchanged = 0x2A
    /// `PeerMessage.repair`.
    case repair = 0x2B
    /// `PeerMessage.inspect`.
    case inspect = 0x2C
    /// `PeerMessage.inspected`.
    case inspected = 0x2D
    /// `PeerMessage.buckets`.
    case buckets = 0x30
    /// `PeerMessage.ring`.
    case ring = 0x31
    /// `PeerMessage.list`.
    case list = 0x34
    /// `PeerMessage.listed`.
    case listed = 0x35
    /// `PeerMessage.traced`; sent only where the handshake agreed on protocol version 2.
    case traced = 0x36

    /// Whether the frame belongs to the handshake, and to nothing after it.
    package var isHandshake: Bool { self == .hello || self == .helloReply }

    /// The longest frame of that kind, header included, in bytes.
    package var bytesMax: Int {
        switch self {
        case .hello, .helloReply: WireLimits.handshakeFrameBytesMax
        case .replicate, .fetched, .forwarded, .hint, .exchange, .exchanged, .inspected, .traced, .clientResponse:
            WireLimits.recordFrameBytesMax
        default: WireLimits.frameBytesMax
        }
    }

    /// Whether a frame of that kind may be inside one of kind `traced`.
    var mayBeTraced: Bool {
        switch self {
        case .replicate, .fetch, .forward, .hint, .fetchHint: true
        default: false
        }
    }
}

/// The limits of the wire. A decoder refuses what is above them before it reserves memory; an encoder does the same.
package enum WireLimits {
    /// The newest protocol version that this code speaks; `Hello` carries it, and the lower of two sides' is used.
    package static let protocolVersion: UInt16 = 2
    /// The first protocol version with frames of kind `traced`.
    package static let tracedVersion: UInt16 = 2
    /// The longest frame of most kinds, header included: a value of 8 MiB fits.
    package static let frameBytesMax = 16 << 20
    /// The longest frame that brings a record, header included: what seven coordinators may each have added to one key at the same
    /// time fits (`ObjectRecord.siblingBytesMax`). A record that fitted into no frame could be neither read nor repaired.
    package static let recordFrameBytesMax = 64 << 20
    /// The longest frame before the handshake is done: strangers get little memory.
    package static let handshakeFrameBytesMax = 4 << 10
    /// The longest cluster name in UTF-8 bytes.
    package static let clusterBytesMax = 255
    /// The longest client name in UTF-8 bytes.
    package static let clientNameBytesMax = 255
    /// The longest explanation for people in UTF-8 bytes; an encoder cuts a longer one.
    package static let reasonBytesMax = 1_024
    /// The most members in one message.
    package static let membersMax = 1_024
    /// The most counters in a status report.
    package static let countersMax = 1_024
    /// The longest name of a counter in UTF-8 bytes.
    package static let counterNameBytesMax = 128
    /// The most owners in a location report.
    package static let ownersMax = 255
}

/// The sixteen bytes before every payload.
///
/// ```text
/// 0  u32  payload length in bytes      4  u8  frame version, 1     5  u8  kind     6  u16  reserved, zero
/// 8  u64  XXH3-64 of the payload, seeded with the eight bytes before, read as one big-endian integer
/// ```
/// All integers are big-endian. Because the seed is the rest of the header, the checksum covers every byte of the frame.
enum FrameHeader {
    /// Bytes of a header.
    static let bytes = 16
    /// The only frame version there is.
    static let version: UInt8 = 1

    /// The first eight bytes, which are also the seed of the checksum.
    static func word(payloadBytes: UInt32, kind: FrameKind) -> UInt64 {
        UInt64(payloadBytes) << 32 | UInt64(Self.version) << 24 | UInt64(kind.rawValue) << 16
    }
}

/// Why bytes are not a conversation in this protocol. After one of these the connection is closed and the error counted.
package enum WireError: Error, Equatable, Sendable {
    /// A frame above the limit of the moment, announced by the other side or about to be sent.
    case frameTooLong(bytes: Int, bytesMax: Int)
    /// Not the frame version of this code; most likely not this protocol at all.
    case unsupportedFrameVersion(UInt8)
    /// Reserved bits that are set.
    case reservedBitsSet(UInt16)
    /// A kind that this code does not know.
    case unknownKind(UInt8)
    /// A handshake frame after the handshake, or any other before it.
    case unexpectedKind(FrameKind)
    /// The frame was damaged on its way.
    case checksumMismatch(FrameKind)
    /// A payload that is not what its kind says.
    case malformed(FrameKind, DecodeError)
    /// A message to be sent holds something that the other side would refuse.
    case unencodable(FrameKind, DecodeError)
}
