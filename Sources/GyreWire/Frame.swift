import GyreBase
package import GyreMessages
import NIOCore

/// One message as it travels. Pure value; buffers inside are slices of the bytes received.
package enum Frame: Hashable, Sendable {
    /// The first frame of the side that dialled.
    case hello(Hello)
    /// The first frame of the other side.
    case helloReply(HelloReply)
    /// A client asks; `tag` is its own number on this connection, and the answer carries it back.
    case request(tag: UInt64, timeoutMilliseconds: UInt32, ClientRequest)
    /// A node answers a client.
    case response(tag: UInt64, ClientResponse)
    /// A node speaks to another.
    case peer(PeerMessage)

    /// Reads the payload of one frame; refuses bytes left over.
    init(kind: FrameKind, decoding payload: inout ByteReader) throws(DecodeError) {
        switch kind {
        case .hello: self = .hello(try Hello(decoding: &payload))
        case .helloReply: self = .helloReply(try HelloReply(decoding: &payload))
        case .clientRequest:
            let tag = try payload.readFixed(as: UInt64.self)
            let timeout = try payload.readFixed(as: UInt32.self)
            self = .request(tag: tag, timeoutMilliseconds: timeout, try ClientRequest(decoding: &payload))
        case .clientResponse:
            let tag = try payload.readFixed(as: UInt64.self)
            self = .response(tag: tag, try ClientResponse(decoding: &payload))
        case .replicate, .replicated, .fetch, .fetched, .forward, .forwarded, .membership, .hint, .fetchHint,
            .exchange, .exchanged, .repair, .inspect, .inspected, .buckets, .ring, .list, .listed, .traced:
            self = .peer(try PeerMessage(kind: kind, decoding: &payload))
        }
        try payload.requireEnd()
    }
}
