import GyreBase
package import NIOCore

/// Cuts a stream of bytes into frames: `append` what arrived, then call `next` until it returns nil.
///
/// Starts in the handshake, where only `hello` and `helloReply` frames of at most `WireLimits.handshakeFrameBytesMax`
/// are accepted; `completeHandshake` lets all others in. Holds at most the bytes received of one unfinished frame and
/// what came in one `append` after it. The cost is linear in the bytes however they are cut. A value with one owner, its
/// connection; the buffers in a frame share the storage that they arrived in.
package struct FrameDecoder: Sendable {
    private var pending = ByteBuffer()
    private var failure: WireError?
    /// Whether only handshake frames are accepted.
    package private(set) var isInHandshake: Bool

    /// A decoder for a new connection; `handshakeDone` leaves the handshake out, as between simulated nodes.
    package init(handshakeDone: Bool = false) { self.isInHandshake = !handshakeDone }

    /// Lets all frames in but those of the handshake.
    package mutating func completeHandshake() { self.isInHandshake = false }

    /// Bytes that wait for the rest of their frame.
    package var pendingBytes: Int { self.pending.readableBytes }

    /// Takes what arrived. Without an unfinished frame the buffer is kept as it is, not copied.
    package mutating func append(_ bytes: ByteBuffer) {
        guard self.failure == nil else { return }
        guard self.pending.readableBytes > 0 else {
            self.pending = bytes
            return
        }
        if self.pending.readerIndex > 0 {
            // Frames already given out share this storage. Writing to it would copy all of it; this copies the rest.
            let total = self.pending.readableBytes + bytes.readableBytes
            var rest = ByteBufferAllocator().buffer(capacity: total)
            rest.writeImmutableBuffer(self.pending)
            self.pending = rest
        }
        self.pending.writeImmutableBuffer(bytes)
    }

    /// The next whole frame, or nil until more bytes arrive. After an error it throws that error for ever.
    package mutating func next() throws(WireError) -> Frame? {
        if let failure = self.failure { throw failure }
        do throws(WireError) {
            return try self.readFrame()
        } catch {
            self.failure = error
            self.pending = ByteBuffer()
            throw error
        }
    }

    private mutating func readFrame() throws(WireError) -> Frame? {
        var reader = ByteReader(self.pending)
        guard let word = try? reader.readFixed(as: UInt64.self) else { return nil }
        let kind = try self.kind(in: word)
        let payloadBytes = Int(word >> 32)
        guard let checksum = try? reader.readFixed(as: UInt64.self), reader.readableBytes >= payloadBytes else {
            return nil
        }
        reader.end(after: payloadBytes)
        self.pending.moveReaderIndex(forwardBy: FrameHeader.bytes + payloadBytes)
        if self.pending.readableBytes == 0 { self.pending = ByteBuffer() }
        guard reader.xxh3OfRest(seed: word) == checksum else { throw .checksumMismatch(kind) }
        do throws(DecodeError) {
            return try Frame(kind: kind, decoding: &reader)
        } catch {
            throw .malformed(kind, error)
        }
    }

    /// Checks the first eight bytes, before anything waits for the announced length.
    private func kind(in word: UInt64) throws(WireError) -> FrameKind {
        let version = UInt8(truncatingIfNeeded: word >> 24)
        guard version == FrameHeader.version else { throw .unsupportedFrameVersion(version) }
        let reserved = UInt16(truncatingIfNeeded: word)
        guard reserved == 0 else { throw .reservedBitsSet(reserved) }
        let number = UInt8(truncatingIfNeeded: word >> 16)
        guard let kind = FrameKind(rawValue: number) else { throw .unknownKind(number) }
        guard kind.isHandshake == self.isInHandshake else { throw .unexpectedKind(kind) }
        let bytes = FrameHeader.bytes + Int(word >> 32)
        let bytesMax = kind.bytesMax
        guard bytes <= bytesMax else { throw .frameTooLong(bytes: bytes, bytesMax: bytesMax) }
        return kind
    }
}
