import GyreBase
package import GyreMessages
package import NIOCore

/// Appends messages as frames to a buffer, so that many leave in one write.
///
/// A message that cannot be sent leaves the buffer as it was and is a typed error: a frame above its limit, or a part that
/// the other side would refuse. Pure functions; safe from any thread.
package enum FrameEncoder {
    /// Appends the first frame of the side that dialled.
    package static func encode(_ hello: Hello, into buffer: inout ByteBuffer) throws(WireError) {
        try Self.append(.hello, to: &buffer) { out throws(DecodeError) in try hello.encode(into: &out) }
    }

    /// Appends the first frame of the other side.
    package static func encode(_ reply: HelloReply, into buffer: inout ByteBuffer) throws(WireError) {
        try Self.append(.helloReply, to: &buffer) { out throws(DecodeError) in try reply.encode(into: &out) }
    }

    /// Appends a client's request.
    package static func encode(
        _ request: ClientRequest, tag: UInt64, timeoutMilliseconds: UInt32, into buffer: inout ByteBuffer
    ) throws(WireError) {
        try Self.append(.clientRequest, to: &buffer) { out throws(DecodeError) in
            out.writeInteger(tag)
            out.writeInteger(timeoutMilliseconds)
            try request.encode(into: &out)
        }
    }

    /// Appends the answer to a client's request.
    package static func encode(
        _ response: ClientResponse, tag: UInt64, into buffer: inout ByteBuffer
    ) throws(WireError) {
        try Self.append(.clientResponse, to: &buffer) { out throws(DecodeError) in
            out.writeInteger(tag)
            try response.encode(into: &out)
        }
    }

    /// Appends what one node says to another.
    package static func encode(_ message: PeerMessage, into buffer: inout ByteBuffer) throws(WireError) {
        try Self.append(message.kind, to: &buffer) { out throws(DecodeError) in try message.encode(into: &out) }
    }

    /// Appends any frame.
    package static func encode(_ frame: Frame, into buffer: inout ByteBuffer) throws(WireError) {
        switch frame {
        case .hello(let hello): try Self.encode(hello, into: &buffer)
        case .helloReply(let reply): try Self.encode(reply, into: &buffer)
        case .request(let tag, let timeout, let request):
            try Self.encode(request, tag: tag, timeoutMilliseconds: timeout, into: &buffer)
        case .response(let tag, let response): try Self.encode(response, tag: tag, into: &buffer)
        case .peer(let message): try Self.encode(message, into: &buffer)
        }
    }

    /// Leaves room for the header, lets `body` write the payload, then fills the header in.
    private static func append(
        _ kind: FrameKind, to buffer: inout ByteBuffer, body: (inout ByteWriter) throws(DecodeError) -> Void
    ) throws(WireError) {
        var out = ByteWriter(taking: &buffer)
        let start = out.writerIndex
        do throws(WireError) {
            try Self.append(kind, to: &out, at: start, body: body)
        } catch {
            out.moveWriterIndex(to: start)
            buffer = out.finish()
            throw error
        }
        buffer = out.finish()
    }

    private static func append(
        _ kind: FrameKind, to out: inout ByteWriter, at start: Int,
        body: (inout ByteWriter) throws(DecodeError) -> Void
    ) throws(WireError) {
        out.writeInteger(UInt64(0))
        out.writeInteger(UInt64(0))
        do throws(DecodeError) { try body(&out) } catch { throw .unencodable(kind, error) }
        let bytes = out.writerIndex - start
        let bytesMax = kind.bytesMax
        guard bytes <= bytesMax else { throw .frameTooLong(bytes: bytes, bytesMax: bytesMax) }
        let word = FrameHeader.word(payloadBytes: UInt32(bytes - FrameHeader.bytes), kind: kind)
        out.setInteger(word, at: start)
        out.setInteger(out.xxh3(from: start + FrameHeader.bytes, seed: word), at: start + 8)
    }
}
