import GyreMembership
import GyreMessages
import GyreWire
import NIOCore

/// The members known at the last change, as they are kept on disk: one `membership` frame, with the checksum and the
/// version byte that every frame has (docs/internals/wire.md).
enum MembersDocument {
    /// The bytes to keep; nil when there are too many members for a frame, which the limits of membership rule out.
    static func encoded(_ members: [MemberRecord]) -> ByteBuffer? {
        var buffer = ByteBuffer()
        do { try FrameEncoder.encode(.membership(.state(members)), into: &buffer) } catch { return nil }
        return buffer
    }

    /// The members kept; nil when the bytes are damaged, which costs nothing but asking the seeds again.
    static func decoded(_ document: ByteBuffer) -> [MemberRecord]? {
        var decoder = FrameDecoder(handshakeDone: true)
        decoder.append(document)
        guard case .peer(.membership(.state(let members))) = try? decoder.next() else { return nil }
        return members
    }
}
