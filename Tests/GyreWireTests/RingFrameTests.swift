import GyreBase
import GyreMessages
import GyreRing
import GyreWire
import NIOCore
import Testing

@Suite struct RingFrames {
    private static func node(_ number: UInt64) -> NodeID { NodeID(rawValue: number) }

    private static var state: RingState {
        var state = RingState(
            version: 7, base: [RingMember(node: Self.node(1), weight: 2, zone: "x"), RingMember(node: Self.node(2))],
            next: [RingMember(node: Self.node(2)), RingMember(node: Self.node(9), place: Self.node(1))])
        state.mark(Self.node(2), .synced)
        state.mark(Self.node(1), .knows)
        return state
    }

    private func back(_ message: PeerMessage) throws -> PeerMessage? {
        var frame = ByteBuffer()
        try FrameEncoder.encode(message, into: &frame)
        var decoder = FrameDecoder(handshakeDone: true)
        decoder.append(frame)
        guard case .peer(let message) = try decoder.next() else { return nil }
        return message
    }

    @Test(arguments: [
        RingMessage.digest(42), .state(RingState(), wantsRest: true), .state(RingFrames.state, wantsRest: false),
    ])
    func comeBackAsTheyWent(_ message: RingMessage) throws {
        #expect(try self.back(.ring(message)) == .ring(message))
    }

    @Test(arguments: [
        RingRequest.report, .join(RingFrames.node(3)), .leave(RingFrames.node(3), isForced: true),
        .remove(RingFrames.node(4), isForced: false), .takePlace(RingFrames.node(5), of: RingFrames.node(6)),
    ])
    func carryRequestsAndReports(_ request: RingRequest) throws {
        let asked = PeerMessage.forward(tag: 1, timeoutMilliseconds: 2, .ring(request))
        #expect(try self.back(asked) == asked)
        let report = RingReport(
            state: Self.state, waitsFor: [Self.node(1)], partitionsGained: 1, partitionsMissing: 2,
            partitionsForeign: 3,
            bytesFetched: 4, keysFetched: 5, elapsedMilliseconds: 6)
        let answer = PeerMessage.forwarded(tag: 1, .ring(report))
        #expect(try self.back(answer) == answer)
    }

    /// Kept on disks as they are: what was written once is read for ever.
    @Test func haveTheBytesThatTheyHadAtFirst() {
        let text = Self.state.document.readableBytesView.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
        #expect(
            text == "010702" + "0000000000000001" + "0000000000000001" + "02" + "0178"
                + "0000000000000002" + "0000000000000002" + "01" + "00" + "01" + "02"
                + "0000000000000009" + "0000000000000001" + "01" + "00"
                + "0000000000000002" + "0000000000000002" + "01" + "00" + "02"
                + "0000000000000001" + "01" + "0000000000000002" + "02")
    }

    @Test func areRefusedOutOfOrderAndOutOfBounds() throws {
        let good = Self.state.document
        for length in 0..<good.readableBytes {
            var part = ByteReader(good.getSlice(at: good.readerIndex, length: length) ?? ByteBuffer())
            #expect(throws: DecodeError.self) { _ = try RingState(decoding: &part) }
        }
        // Two members of one place.
        var twice = ByteBuffer(bytes: [1, 1, 2])
        for _ in 0..<2 {
            twice.writeInteger(UInt64(5))
            twice.writeInteger(UInt64(5))
            twice.writeBytes([1, 0])
        }
        twice.writeInteger(UInt8(0))
        #expect(throws: DecodeError.invalid(field: "ring member order")) { try self.read(twice) }
        // As many members as no bytes are there for.
        let forged = ByteBuffer(bytes: [1, 1, 0xFF, 0x07])
        #expect(throws: DecodeError.self) { try self.read(forged) }
    }

    private func read(_ bytes: ByteBuffer) throws {
        var reader = ByteReader(bytes)
        _ = try RingState(decoding: &reader)
    }
}
