import GyreBase
import GyreCausality
import GyreMessages
import GyreWire
import NIOCore
import Testing

/// A header by hand, with whatever it claims.
private func header(length: UInt32, version: UInt8 = 1, kind: UInt8 = 0x10, reserved: UInt16 = 0) -> ByteBuffer {
    var bytes = ByteBuffer()
    bytes.writeInteger(length)
    bytes.writeInteger(version)
    bytes.writeInteger(kind)
    bytes.writeInteger(reserved)
    bytes.writeInteger(UInt64(0))
    return bytes
}

struct HeaderCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: ByteBuffer
    var handshakeDone = true
    let error: WireError
}

private let badHeaders = [
    HeaderCase(
        testDescription: "a length of 2^32 - 1 is refused", bytes: header(length: .max),
        error: .frameTooLong(bytes: 16 + 0xFFFF_FFFF, bytesMax: WireLimits.frameBytesMax)
    ),
    HeaderCase(
        testDescription: "a length of 2^31 is refused", bytes: header(length: 1 << 31),
        error: .frameTooLong(bytes: 16 + 1 << 31, bytesMax: WireLimits.frameBytesMax)
    ),
    HeaderCase(
        testDescription: "one byte above the limit is refused", bytes: header(length: (16 << 20) - 15),
        error: .frameTooLong(bytes: (16 << 20) + 1, bytesMax: WireLimits.frameBytesMax)
    ),
    HeaderCase(
        testDescription: "a stranger's hello above 4 KiB is refused", bytes: header(length: 4_081, kind: 1),
        handshakeDone: false, error: .frameTooLong(bytes: 4_097, bytesMax: WireLimits.handshakeFrameBytesMax)
    ),
    HeaderCase(
        testDescription: "another frame version is refused", bytes: header(length: 0, version: 2),
        error: .unsupportedFrameVersion(2)
    ),
    HeaderCase(
        testDescription: "reserved bits are refused", bytes: header(length: 0, reserved: 0x8000),
        error: .reservedBitsSet(0x8000)
    ),
    HeaderCase(
        testDescription: "an unknown kind is refused", bytes: header(length: 0, kind: 0x7F), error: .unknownKind(0x7F)
    ),
    HeaderCase(
        testDescription: "a request before the handshake is refused", bytes: header(length: 0), handshakeDone: false,
        error: .unexpectedKind(.clientRequest)
    ),
    HeaderCase(
        testDescription: "a hello after the handshake is refused", bytes: header(length: 0, kind: 1),
        error: .unexpectedKind(.hello)
    ),
    HeaderCase(
        testDescription: "an empty frame with a wrong checksum is refused", bytes: header(length: 0),
        error: .checksumMismatch(.clientRequest)
    ),
]

@Test(arguments: badHeaders)
func frameDecoderClaims(_ example: HeaderCase) {
    for pieceBytes in [1, 7, 16] {
        let conversation = Conversation(
            example.bytes, pieceBytes: pieceBytes, handshakeDone: example.handshakeDone
        )
        #expect(conversation.error == example.error)
        #expect(conversation.frames.isEmpty)
    }
}

@Test func anEmptyPayloadWithAValidChecksumIsMalformedNotATrap() {
    for kind in FrameKind.allCases {
        let word = UInt64(1) << 24 | UInt64(kind.rawValue) << 16
        var bytes = ByteBuffer(integer: word)
        bytes.writeInteger(StableHash.xxh3(ByteBuffer(), seed: word))
        let conversation = Conversation(bytes, pieceBytes: 16, handshakeDone: !kind.isHandshake)
        #expect(conversation.error == .malformed(kind, .truncated))
    }
}

@Test func aFrameAnnouncedButNotSentReservesNothing() throws {
    var decoder = FrameDecoder(handshakeDone: true)
    decoder.append(header(length: 16_000_000))
    #expect(try decoder.next() == nil)
    #expect(decoder.pendingBytes == 16)
}

@Test func anErrorIsFinal() {
    var decoder = FrameDecoder(handshakeDone: true)
    decoder.append(header(length: 0, kind: 0x7F))
    for _ in 0..<3 {
        #expect(throws: WireError.unknownKind(0x7F)) { try decoder.next() }
        decoder.append(header(length: 0))
    }
    #expect(decoder.pendingBytes == 0)
}

@Test(arguments: UInt64(0)..<20)
func randomFramesSurviveTheWireHoweverTheyAreCut(seed: UInt64) throws {
    var random = RandomFrames(seed: seed)
    var bytes = ByteBuffer()
    let hello = Frame.hello(random.hello())
    try FrameEncoder.encode(hello, into: &bytes)
    var frames = [hello]
    while frames.count < 40 {
        let frame = random.frame()
        if isHandshake(frame) { continue }
        frames.append(frame)
        try FrameEncoder.encode(frame, into: &bytes)
    }
    for pieceBytes in [1, 3, 17, 1_000, bytes.readableBytes] {
        let conversation = Conversation(bytes, pieceBytes: pieceBytes, handshakeDone: false)
        #expect(conversation.error == nil, "seed \(seed)")
        #expect(conversation.frames == frames, "seed \(seed)")
    }
}

@Test(arguments: UInt64(0)..<20)
func aFlippedBitAnywhereInAFrameIsNoticed(seed: UInt64) throws {
    var random = RandomFrames(seed: seed)
    let frame = random.frame()
    var bytes = ByteBuffer()
    try FrameEncoder.encode(frame, into: &bytes)
    var chance = SeededRandom(seed: seed)
    for _ in 0..<200 {
        var copy = bytes
        let index = Int(chance.below(UInt64(bytes.readableBytes)))
        let old = copy.getInteger(at: index, as: UInt8.self) ?? 0
        copy.setInteger(old ^ (1 << UInt8(chance.below(8))), at: index)
        let conversation = Conversation(copy, pieceBytes: .max, handshakeDone: !isHandshake(frame))
        #expect(conversation.frames.isEmpty, "seed \(seed) index \(index)")
    }
}

@Test(arguments: UInt64(0)..<20)
func aDamagedPayloadUnderAValidChecksumNeverTrapsAndStaysCanonical(seed: UInt64) throws {
    var random = RandomFrames(seed: seed)
    var chance = SeededRandom(seed: seed)
    for _ in 0..<50 {
        let frame = random.frame()
        var bytes = ByteBuffer()
        try FrameEncoder.encode(frame, into: &bytes)
        var payload = Array(bytes.readableBytesView.dropFirst(16))
        guard !payload.isEmpty else { continue }
        switch chance.below(3) {
        case 0: payload.removeLast(1 + Int(chance.below(UInt64(payload.count))))
        case 1: payload.append(UInt8(chance.below(256)))
        default: payload[Int(chance.below(UInt64(payload.count)))] = UInt8(chance.below(256))
        }
        let kind = bytes.getInteger(at: 5, as: UInt8.self) ?? 0
        let sealed = sealedFrame(kind: kind, payload: payload)
        let conversation = Conversation(sealed, pieceBytes: .max, handshakeDone: !isHandshake(frame))
        #expect(conversation.error != nil || conversation.frames.count == 1, "seed \(seed)")
        for decoded in conversation.frames {
            var again = ByteBuffer()
            try FrameEncoder.encode(decoded, into: &again)
            #expect(again == sealed, "seed \(seed): \(decoded)")
        }
    }
}

@Test(arguments: UInt64(0)..<20)
func randomBytesNeverTrap(seed: UInt64) {
    var random = RandomFrames(seed: seed)
    var chance = SeededRandom(seed: seed)
    for round in 0..<200 {
        let noise = random.bytes(max: 200)
        let kind = FrameKind.allCases[Int(chance.below(UInt64(FrameKind.allCases.count)))]
        let bytes = round % 2 == 0 ? noise : sealedFrame(kind: kind.rawValue, payload: Array(noise.readableBytesView))
        let whole = Conversation(bytes, pieceBytes: .max, handshakeDone: !kind.isHandshake)
        let dripped = Conversation(bytes, pieceBytes: 1, handshakeDone: !kind.isHandshake)
        #expect(whole == dripped, "seed \(seed)")
    }
}

@Test func aMessageThatCannotBeSentLeavesTheBufferAsItWas() throws {
    var buffer = ByteBuffer(string: "before")
    let record = ByteBuffer(repeating: 7, count: WireLimits.recordFrameBytesMax)
    #expect(throws: WireError.self) {
        try FrameEncoder.encode(ClientResponse.found(record: record), tag: 1, into: &buffer)
    }
    let long = Hello(protocolVersion: 1, cluster: String(repeating: "x", count: 256), role: .client(name: ""))
    #expect(throws: WireError.unencodable(.hello, .tooLong(bytes: 256, bytesMax: 255))) {
        try FrameEncoder.encode(long, into: &buffer)
    }
    #expect(buffer == ByteBuffer(string: "before"))
}

/// What seven coordinators may have put under one key at the same time must be readable and repairable.
@Test func recordsOfManyLargeSiblingsFitIntoAFrameAndRequestsOfThatSizeDoNot() throws {
    let record = ByteBuffer(repeating: 7, count: 7 * (9 << 20))
    var buffer = ByteBuffer()
    try FrameEncoder.encode(ClientResponse.found(record: record), tag: 1, into: &buffer)
    var decoder = FrameDecoder(handshakeDone: true)
    decoder.append(buffer)
    guard case .response(1, .found(let read)) = try decoder.next() else { throw DecodeError.truncated }
    #expect(read == record)
    let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
    let put = PutRequest(id: RequestID(client: 1, sequence: 1), name: name, seen: .blind, value: record)
    #expect(throws: WireError.self) {
        try FrameEncoder.encode(ClientRequest.put(put), tag: 1, timeoutMilliseconds: 1, into: &buffer)
    }
}

@Test func onlyQuestionsOfPutsAndGetsAreTracedAndATraceIsNeverInsideAnother() throws {
    let trace = try #require(TraceContext(traceHigh: 1, traceLow: 2, span: 3, flags: 1))
    let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
    let question = PeerMessage.fetch(tag: 1, name: name, whole: true)
    var buffer = ByteBuffer()
    for wrong in [PeerMessage.replicated(tag: 1, .durable), .traced(trace, question), .inspect(tag: 1, name: name)] {
        #expect(throws: WireError.unencodable(.traced, .invalid(field: "traced message"))) {
            try FrameEncoder.encode(PeerMessage.traced(trace, wrong), into: &buffer)
        }
    }
    try FrameEncoder.encode(PeerMessage.traced(trace, question), into: &buffer)
    // Behind the header: 25 bytes of context, then the kind of the question.
    func damaged(_ change: (inout ByteBuffer) -> Void) throws -> WireError? {
        var payload = ByteBuffer(buffer.readableBytesView.dropFirst(16))
        change(&payload)
        let word = UInt64(payload.readableBytes) << 32 | 1 << 24 | UInt64(FrameKind.traced.rawValue) << 16
        var frame = ByteBuffer(integer: word)
        frame.writeInteger(StableHash.xxh3(payload, seed: word))
        frame.writeImmutableBuffer(payload)
        var decoder = FrameDecoder(handshakeDone: true)
        decoder.append(frame)
        do throws(WireError) {
            _ = try decoder.next()
            return nil
        } catch { return error }
    }
    #expect(try damaged { _ in } == nil)
    for kind: UInt8 in [0x00, 0x10, 0x21, 0x26, 0x36, 0xFF] {
        #expect(
            try damaged { $0.setInteger(kind, at: 25) } == .malformed(.traced, .invalid(field: "traced message")),
            "\(kind)")
    }
    let zeros: [(at: Int, count: Int)] = [(0, 16), (16, 8)]
    for zero in zeros {
        #expect(
            try damaged { $0.setRepeatingByte(0, count: zero.count, at: zero.at) }
                == .malformed(.traced, .invalid(field: "trace context")))
    }
}

@Test func aLongReasonIsCutBetweenTwoCharacters() throws {
    for length in 1_020...1_030 {
        let reason = String(repeating: "a", count: length - 1_000) + String(repeating: "€", count: 400)
        var buffer = ByteBuffer()
        try FrameEncoder.encode(HelloReply.refused(reason: reason), into: &buffer)
        let conversation = Conversation(buffer, pieceBytes: .max, handshakeDone: false)
        guard case .helloReply(.refused(let cut)) = conversation.frames.first else {
            Issue.record("no reply: \(conversation)")
            continue
        }
        #expect(reason.hasPrefix(cut))
        #expect((1_022...1_024).contains(cut.utf8.count))
    }
}

@Test func valuesAreSlicesOfWhatArrived() throws {
    let value = ByteBuffer(repeating: 9, count: 100_000)
    var buffer = ByteBuffer()
    try FrameEncoder.encode(ClientResponse.found(record: value), tag: 1, into: &buffer)
    var decoder = FrameDecoder(handshakeDone: true)
    decoder.append(buffer)
    let frame = try decoder.next()
    guard case .response(1, .found(let record)) = frame else {
        Issue.record("not the response: \(String(describing: frame))")
        return
    }
    let whole = buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    let slice = record.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    #expect(slice > whole && slice < whole + UInt(buffer.readableBytes))
    #expect(record == value)
}

/// A frame of any kind number around any payload, with a valid checksum.
func sealedFrame(kind: UInt8, payload: [UInt8]) -> ByteBuffer {
    let word = UInt64(payload.count) << 32 | 1 << 24 | UInt64(kind) << 16
    var bytes = ByteBuffer(integer: word)
    bytes.writeInteger(StableHash.xxh3(ByteBuffer(bytes: payload), seed: word))
    bytes.writeBytes(payload)
    return bytes
}
