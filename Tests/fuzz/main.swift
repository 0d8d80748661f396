// Feeds libFuzzer's bytes to every decoder of the wire. Run by Tests/steps/20-fuzz; see docs/internals/wire.md.
//
// The first byte chooses the decoder: the number of a frame kind for that kind's payload, 0x00 for a stream of frames, and
// the numbers of `Part` for what is nested in payloads and kept on disk. What decodes must encode to the same bytes again.

import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreWire
import NIOCore

/// Decoders that do not read a whole payload. In the corpus; never renumber.
private enum Part: UInt8 {
    case siblings = 0x80
    case versionVector = 0x81
    case objectName = 0x82
    case metadata = 0x83
    case members = 0x84
    case buckets = 0x85
    case resp = 0x86
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// Stops the fuzzer, which keeps the bytes that led here.
private func require(_ holds: Bool, _ claim: StaticString) {
    precondition(holds, "broken: \(claim)")
}

private func fuzz(_ bytes: ByteBuffer) {
    var rest = bytes
    guard let selector = rest.readInteger(as: UInt8.self) else { return }
    if selector == 0 { return fuzzStream(rest) }
    if let kind = FrameKind(rawValue: selector) { return fuzzPayload(rest, kind: kind) }
    guard let part = Part(rawValue: selector) else { return }
    if part == .resp { return fuzzResp(rest) }
    fuzzPart(part, rest)
}

/// The frames and the error of a stream fed in pieces.
private func frames(in stream: ByteBuffer, pieceBytes: Int) -> ([Frame], WireError?) {
    var decoder = FrameDecoder()
    var frames: [Frame] = []
    var rest = stream
    while rest.readableBytes > 0, let piece = rest.readSlice(length: min(pieceBytes, rest.readableBytes)) {
        decoder.append(piece)
        do {
            while let frame = try decoder.next() {
                frames.append(frame)
                if decoder.isInHandshake { decoder.completeHandshake() }
            }
        } catch {
            return (frames, error)
        }
    }
    return (frames, nil)
}

private func fuzzStream(_ stream: ByteBuffer) {
    let (whole, error) = frames(in: stream, pieceBytes: .max)
    let (dripped, drippedError) = frames(in: stream, pieceBytes: 1)
    require(whole == dripped && error == drippedError, "the cut of a stream does not matter")
    var again = ByteBuffer()
    for frame in whole {
        do { try FrameEncoder.encode(frame, into: &again) } catch { require(false, "a decoded frame encodes") }
    }
    require(stream.readableBytesView.starts(with: again.readableBytesView), "frames encode to the same bytes")
}

private func fuzzPayload(_ payload: ByteBuffer, kind: FrameKind) {
    let word = UInt64(payload.readableBytes) << 32 | 1 << 24 | UInt64(kind.rawValue) << 16
    var bytes = ByteBuffer(integer: word)
    bytes.writeInteger(StableHash.xxh3(payload, seed: word))
    bytes.writeImmutableBuffer(payload)
    var decoder = FrameDecoder(handshakeDone: !kind.isHandshake)
    decoder.append(bytes)
    guard let frame = try? decoder.next() else { return }
    var again = ByteBuffer()
    do { try FrameEncoder.encode(frame, into: &again) } catch { require(false, "a decoded message encodes") }
    require(again == bytes, "a message encodes to the same bytes")
}

/// The commands of a Redis client fed in pieces, and whether they end in an error.
private func commands(in stream: ByteBuffer, pieceBytes: Int) -> ([[ByteBuffer]], RespError?) {
    var parser = RespParser()
    var commands: [[ByteBuffer]] = []
    var rest = stream
    while rest.readableBytes > 0, let piece = rest.readSlice(length: min(pieceBytes, rest.readableBytes)) {
        parser.append(piece)
        do {
            while try parser.next() {
                require(parser.count > 0 && parser.commandBytes > 0, "a command has a name")
                _ = parser.packedName
                commands.append((0..<parser.count).map { parser.argument($0) })
                parser.consume()
            }
        } catch { return (commands, error) }
    }
    return (commands, nil)
}

private func fuzzResp(_ stream: ByteBuffer) {
    let (whole, error) = commands(in: stream, pieceBytes: .max)
    let (dripped, drippedError) = commands(in: stream, pieceBytes: 1)
    require(whole == dripped && error == drippedError, "the cut of a stream does not matter")
    var again = ByteBuffer()
    for command in whole {
        RespEncoder.array(count: command.count, into: &again)
        for argument in command { RespEncoder.bulk(argument, into: &again) }
    }
    let (back, backError) = commands(in: again, pieceBytes: .max)
    require(back == whole && backError == nil, "commands that are written again are read again")
}

private func fuzzPart(_ part: Part, _ bytes: ByteBuffer) {
    var rest = ByteReader(bytes)
    var again = ByteWriter()
    do throws(DecodeError) {
        switch part {
        case .siblings:
            _ = try? Siblings.peek(bytes)
            let siblings = try Siblings(decoding: &rest)
            siblings.encode(into: &again)
            var merged = siblings
            require(!merged.merge(siblings).changed, "a merge with itself changes nothing")
        case .versionVector: try VersionVector(decoding: &rest).encode(into: &again)
        case .objectName: try ObjectName(decoding: &rest).encode(into: &again)
        case .metadata: try VersionMetadata(decoding: &rest).encode(into: &again)
        case .members: try MemberRecord.encode(MemberRecord.list(decoding: &rest), into: &again)
        case .buckets: try BucketRecord.encode(BucketRecord.list(decoding: &rest), into: &again)
        case .resp: return
        }
    } catch {
        return
    }
    let consumed = bytes.readableBytes - rest.readableBytes
    require(
        again.finish() == bytes.getSlice(at: bytes.readerIndex, length: consumed), "a part encodes to the same bytes")
}

private var argumentCount = CommandLine.argc
private var arguments = CommandLine.unsafeArgv
private let status = withUnsafeMutablePointer(to: &argumentCount) { count in
    withUnsafeMutablePointer(to: &arguments) { list in
        runFuzzer(count, list) { start, count in
            fuzz(ByteBuffer(bytes: UnsafeRawBufferPointer(start: start, count: count)))
            return 0
        }
    }
}
require(status == 0, "the fuzzer ran")
