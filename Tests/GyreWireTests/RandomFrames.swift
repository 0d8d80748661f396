import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreWire
import NIOCore

/// Draws messages of every kind: equal seed, equal frames.
struct RandomFrames {
    private var random: SeededRandom

    init(seed: UInt64) { self.random = SeededRandom(seed: seed) }

    mutating func frame() -> Frame {
        switch self.random.below(20) {
        case 0: .request(tag: self.random.next(), timeoutMilliseconds: self.word32(), self.request())
        case 1: .response(tag: self.random.next(), self.response())
        case 2: .peer(.replicate(tag: self.random.next(), name: self.name(), record: self.bytes(max: 300)))
        case 3:
            .peer(
                .replicated(
                    tag: self.random.next(), self.pick([.durable, .overloaded, .corrupt, .malformed, .hintsFull])))
        case 4: .peer(.fetch(tag: self.random.next(), name: self.name(), whole: self.coin()))
        case 5: .peer(.fetched(tag: self.random.next(), self.fetchOutcome()))
        case 6:
            .peer(.forward(tag: self.random.next(), timeoutMilliseconds: self.word32(), self.request()))
        case 7: .peer(.forwarded(tag: self.random.next(), self.response()))
        case 8, 9: .peer(.membership(self.membership()))
        case 10: .hello(self.hello())
        case 11:
            .peer(
                .hint(tag: self.random.next(), target: self.node(), name: self.name(), record: self.bytes(max: 300)))
        case 12:
            .peer(
                .fetchHint(tag: self.random.next(), target: self.node(), name: self.name(), whole: self.coin()))
        case 13: .peer(.buckets(self.buckets()))
        case 14: .peer(self.exchange())
        case 15: .peer(.repair(self.repairMessage()))
        case 16: .peer(self.inspect())
        case 17: .peer(self.listing())
        case 18: .peer(self.traced())
        default: .helloReply(self.helloReply())
        }
    }

    private mutating func traced() -> PeerMessage {
        let question: PeerMessage =
            switch self.random.below(5) {
            case 0: .replicate(tag: self.random.next(), name: self.name(), record: self.bytes(max: 300))
            case 1: .fetch(tag: self.random.next(), name: self.name(), whole: self.coin())
            case 2: .forward(tag: self.random.next(), timeoutMilliseconds: self.word32(), self.request())
            case 3: .hint(tag: self.random.next(), target: self.node(), name: self.name(), record: self.bytes(max: 300))
            default: .fetchHint(tag: self.random.next(), target: self.node(), name: self.name(), whole: self.coin())
            }
        let trace = TraceContext(
            traceHigh: self.random.next(), traceLow: self.random.next() | 1, span: self.random.next() | 1,
            flags: UInt8(self.random.below(256)))
        return trace.map { .traced($0, question) } ?? question
    }

    mutating func hello() -> Hello {
        let role: Hello.Role =
            self.coin()
            ? .client(name: self.text(max: 40))
            : .peer(
                node: self.node(), address: self.address(), partitionCount: self.word32(),
                replicas: UInt8(self.random.below(256))
            )
        return Hello(
            protocolVersion: UInt16(self.random.below(65_536)), cluster: self.text(max: 30), role: role
        )
    }

    mutating func helloReply() -> HelloReply {
        self.coin()
            ? .welcome(
                protocolVersion: UInt16(self.random.below(65_536)), cluster: self.text(max: 30), node: self.node()
            )
            : .refused(reason: self.text(max: 200))
    }

    mutating func request() -> ClientRequest {
        switch self.random.below(13) {
        case 0:
            .put(
                PutRequest(
                    id: self.requestID(), name: self.name(), seen: self.seen(), value: self.bytes(max: 500),
                    metadata: self.metadata(), timeToLiveMilliseconds: self.coin() ? self.number() : nil,
                    ifAbsent: self.coin(), writes: self.quorum(), primaryWrites: self.quorum()
                )
            )
        case 1:
            .get(
                GetRequest(
                    name: self.name(), reads: self.quorum(), primaryReads: self.quorum(), headOnly: self.coin()
                )
            )
        case 2:
            .delete(
                DeleteRequest(
                    id: self.requestID(), name: self.name(), seen: self.seen(), writes: self.quorum(),
                    primaryWrites: self.quorum()
                )
            )
        case 3: .status
        case 4: .bucketList
        case 5: .bucketShow(self.bucket())
        case 6: .bucketSet(self.bucket(), (0..<self.random.below(5)).map { _ in self.bucketChange() })
        case 7: .explain(self.name())
        case 8: .repair(self.repairRequest())
        case 9: .repairCounts(id: self.random.next())
        case 10: .repairCancel(id: self.random.next())
        case 11: .list(self.listRequest())
        default: .locate(self.name())
        }
    }

    mutating func response() -> ClientResponse {
        switch self.random.below(10) {
        case 0:
            .stored(
                context: self.context(), acks: UInt8(self.random.below(256)), needed: UInt8(self.random.below(256))
            )
        case 1: .found(record: self.bytes(max: 500))
        case 2: .notFound(context: self.context())
        case 3: .status(self.status())
        case 4:
            .location(
                LocationReport(
                    token: Token(rawValue: self.random.next()), partition: self.word32(),
                    owners: (0..<self.random.below(5)).map { _ in self.node() }
                )
            )
        case 5:
            .buckets(
                BucketReport(
                    replicas: UInt8(self.random.below(256)), reads: UInt8(self.random.below(256)),
                    writes: UInt8(self.random.below(256)), buckets: self.bucketRecords()
                )
            )
        case 6: .explained(self.explanation())
        case 8: .listed(self.listedNames())
        case 7:
            .repairing(
                self.repairCounts(), isOver: self.coin(), silent: (0..<self.random.below(4)).map { _ in self.node() })
        default: .failed(self.failure())
        }
    }

    mutating func failure() -> Failure {
        let needed = UInt8(self.random.below(256))
        let got = UInt8(self.random.below(256))
        return self.pick([
            .unavailable(needed: needed, got: got), .unknown(needed: needed, got: got), .overloaded,
            .tooLarge(limit: self.number()), .timeout, .badRequest(self.text(max: 100)), .notMember, .corrupt, .exists,
        ])
    }

    mutating func status() -> StatusReport {
        StatusReport(
            me: self.node(), cluster: self.text(max: 30),
            members: (0..<self.random.below(4)).map { _ in
                MemberView(record: self.member(), ownedSlots: self.number())
            },
            partitionCount: self.word32(), replicas: UInt8(self.random.below(256)), ringEpoch: self.number(),
            ringHash: self.random.next(), keys: self.number(), diskBytes: self.number(),
            hints: (0..<self.random.below(4)).map { _ in
                StatusReport.Backlog(
                    target: self.node(), count: self.number(), bytes: self.number(), ageMilliseconds: self.number())
            },
            counters: (0..<self.random.below(4)).map { _ in
                StatusReport.Counter(name: self.text(max: 20), value: self.number())
            }
        )
    }

    mutating func membership() -> MembershipMessage {
        let records = (0..<self.random.below(4)).map { _ in self.member() }
        return self.pick([
            .ping(sequence: self.number(), gossip: records), .ack(sequence: self.number(), gossip: records),
            .pingRequest(sequence: self.number(), target: self.node(), gossip: records), .stateRequest(records),
            .state(records), .nack(sequence: self.number()),
            .accusations(
                (0..<self.random.below(5)).map { _ in
                    Accusation(node: self.node(), incarnation: self.number() >> 3, accuser: self.node())
                }),
        ])
    }

    mutating func member() -> MemberRecord {
        MemberRecord(
            node: self.node(), name: "n\(self.random.below(1_000))", address: self.address(), zone: self.text(max: 16),
            weight: 1 + Int(self.random.below(1_000)), state: self.pick(MemberState.allCases),
            recordVersion: self.number() & (1 << 60), incarnation: self.number() >> 3,
            liveness: self.pick(Liveness.allCases), softwareVersion: self.text(max: 16),
            labels: (0..<self.random.below(3)).map { MemberLabel(name: "label-\($0)", value: self.text(max: 20)) }
        )
    }

    mutating func siblings() -> Siblings {
        var siblings = Siblings()
        for counter in 1...(1 + self.random.below(6)) {
            let version = Version(
                dot: Dot(node: NodeID(rawValue: 1 + self.random.below(3)), counter: counter),
                time: HybridTime(rawValue: self.random.next()),
                expiry: self.coin() ? WallTime(milliseconds: self.number()) : nil, metadata: self.metadata(),
                value: self.bytes(max: 60)
            )
            siblings.put(version, seen: self.coin() ? .blind : .overwrite)
        }
        return siblings
    }

    mutating func context() -> VersionVector {
        VersionVector((0..<self.random.below(5)).map { _ in Dot(node: self.node(), counter: max(1, self.number())) })
    }

    mutating func bytes(max: UInt64) -> ByteBuffer {
        ByteBuffer(bytes: (0..<self.random.below(max + 1)).map { _ in UInt8(self.random.below(256)) })
    }

    private mutating func fetchOutcome() -> FetchOutcome {
        self.pick([.record(self.bytes(max: 300)), .digest(self.random.next()), .absent, .corrupt, .overloaded])
    }

    mutating func metadata() -> VersionMetadata {
        let fields = (0..<self.random.below(3)).map { _ in
            MetadataField(name: self.bytes(max: 8), value: self.bytes(max: 8))
        }
        return (try? VersionMetadata(contentType: self.bytes(max: 20), fields: fields)) ?? .none
    }

    private mutating func seen() -> Seen { self.pick([.given(self.context()), .overwrite, .blind]) }

    mutating func quorum() -> QuorumSize {
        self.pick([.standard, .one, .quorum, .all, .matching, .count(UInt8(self.random.below(256)))])
    }

    private mutating func requestID() -> RequestID {
        RequestID(client: self.random.next(), sequence: self.number())
    }

    mutating func name() -> ObjectName {
        var bucket = self.bytes(max: 20)
        var key = self.bytes(max: 40)
        bucket.writeInteger(UInt8(1))
        key.writeInteger(UInt8(1))
        guard let name = try? ObjectName(bucket: bucket, key: key) else {
            preconditionFailure("a name of 1 to 41 bytes is within the limits")
        }
        return name
    }

    private mutating func address() -> PeerAddress {
        PeerAddress(host: "host-\(self.random.below(100)).example", port: UInt16(1 + self.random.below(65_535)))
    }

    mutating func node() -> NodeID { NodeID(rawValue: self.random.next() | 1) }

    mutating func word64() -> UInt64 { self.random.next() }

    mutating func word32() -> UInt32 { UInt32(truncatingIfNeeded: self.random.next()) }

    /// Numbers of every length, small ones most often.
    mutating func number() -> UInt64 { self.random.next() >> self.random.below(64) }

    private mutating func text(max: UInt64) -> String {
        String((0..<self.random.below(max / 3 + 1)).map { _ in self.pick(Array("abcxyz0189 -_äß€")) })
    }

    mutating func coin() -> Bool { self.random.chance(1, in: 2) }

    mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        choices[Int(self.random.below(UInt64(choices.count)))]
    }
}

/// What a connection does with bytes: frames until the end or the first error.
struct Conversation: Equatable {
    var frames: [Frame] = []
    var error: WireError?

    /// Feeds `bytes` in pieces of at most `pieceBytes`; a handshake is completed by its first frame.
    init(_ bytes: ByteBuffer, pieceBytes: Int, handshakeDone: Bool) {
        var decoder = FrameDecoder(handshakeDone: handshakeDone)
        var rest = bytes
        while let piece = rest.readSlice(length: min(pieceBytes, rest.readableBytes)), piece.readableBytes > 0 {
            decoder.append(piece)
            do throws(WireError) {
                while let frame = try decoder.next() {
                    self.frames.append(frame)
                    switch frame {
                    case .hello, .helloReply: decoder.completeHandshake()
                    case .request, .response, .peer: break
                    }
                }
            } catch {
                self.error = error
                return
            }
        }
    }
}

/// Whether a frame is one of the handshake.
func isHandshake(_ frame: Frame) -> Bool {
    switch frame {
    case .hello, .helloReply: true
    case .request, .response, .peer: false
    }
}
