import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreWire
import NIOCore
import Testing

/// Frames of every kind with the bytes they have for ever: a change here is a change of the protocol.
enum Golden {
    static let node = NodeID(rawValue: 0x1122_3344_5566_7788)
    static let context = VersionVector([Dot(node: node, counter: 300)])
    static let record = MemberRecord(
        node: node, name: "n1", address: PeerAddress(host: "127.0.0.1", port: 7400), zone: "z", weight: 2,
        state: .normal, recordVersion: 3, incarnation: 4, liveness: .suspect, softwareVersion: "0.1",
        labels: [MemberLabel(name: "rack", value: "7")]
    )

    static var trace: TraceContext {
        get throws {
            try #require(
                TraceContext(
                    traceHigh: 0x0AF7_6519_16CD_43DD, traceLow: 0x8448_EB21_1C80_319C, span: 0xB7AD_6B71_6920_3331,
                    flags: 1))
        }
    }

    /// Each frame with a name for the list.
    static func frames() throws -> [(name: String, frame: Frame)] {
        let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "key"))
        let metadata = try VersionMetadata(
            contentType: ByteBuffer(string: "text/plain"),
            fields: [MetadataField(name: ByteBuffer(string: "f"), value: ByteBuffer(string: "v"))]
        )
        let id = RequestID(client: 5, sequence: 6)
        let put = PutRequest(
            id: id, name: name, seen: .given(Self.context), value: ByteBuffer(string: "value"), metadata: metadata,
            timeToLiveMilliseconds: 30_000, ifAbsent: true, writes: .quorum, primaryWrites: .count(2)
        )
        let report = StatusReport(
            me: Self.node, cluster: "c", members: [MemberView(record: Self.record, ownedSlots: 1_024)],
            partitionCount: 1_024, replicas: 3, ringEpoch: 7, ringHash: 8, keys: 9, diskBytes: 10,
            hints: [StatusReport.Backlog(target: Self.node, count: 300, bytes: 30_000, ageMilliseconds: 2_000)],
            counters: [StatusReport.Counter(name: "puts", value: 11)]
        )
        let location = LocationReport(token: Token(rawValue: 12), partition: 13, owners: [Self.node])
        let welcome = HelloReply.welcome(protocolVersion: 1, cluster: "c", node: Self.node)
        let dialler = Hello.Role.peer(
            node: Self.node, address: Self.record.address, partitionCount: 1_024, replicas: 3
        )
        let get = GetRequest(name: name, reads: .one, primaryReads: .all, headOnly: true)
        let delete = DeleteRequest(id: id, name: name, seen: .overwrite)
        let blind = PutRequest(id: id, name: name, seen: .blind, value: ByteBuffer())
        func request(_ request: ClientRequest) -> Frame { .request(tag: 1, timeoutMilliseconds: 1_000, request) }
        func response(_ response: ClientResponse) -> Frame { .response(tag: 1, response) }
        func peer(_ message: PeerMessage) -> Frame { .peer(message) }
        func gossip(_ message: MembershipMessage) -> Frame { .peer(.membership(message)) }
        let failures: [Failure] = [
            .unavailable(needed: 2, got: 1), .unknown(needed: 2, got: 1), .overloaded, .tooLarge(limit: 100), .timeout,
            .badRequest("why"), .notMember, .corrupt, .exists,
        ]
        let handshakeAndClient: [(name: String, frame: Frame)] = [
            ("hello-client", .hello(Hello(protocolVersion: 1, cluster: "c", role: .client(name: "me")))),
            ("hello-peer", .hello(Hello(protocolVersion: 1, cluster: "c", role: dialler))),
            ("welcome", .helloReply(welcome)), ("refused", .helloReply(.refused(reason: "why"))),
            ("put", request(.put(put))), ("put-blind", request(.put(blind))), ("get", request(.get(get))),
            ("delete", request(.delete(delete))), ("status", request(.status)), ("locate", request(.locate(name))),
            ("stored", response(.stored(context: Self.context, acks: 2, needed: 2))),
            ("found", response(.found(record: ByteBuffer(string: "record")))),
            ("not-found", response(.notFound(context: Self.context))), ("report", response(.status(report))),
            ("location", response(.location(location))),
        ]
        let failed = failures.enumerated().map {
            (name: "failed-\($0.offset + 1)", frame: response(.failed($0.element)))
        }
        let peers: [(name: String, frame: Frame)] = [
            ("replicate", peer(.replicate(tag: 1, name: name, record: ByteBuffer(string: "record")))),
            ("replicated", peer(.replicated(tag: 1, .durable))),
            ("fetch", peer(.fetch(tag: 1, name: name, whole: true))),
            ("fetched-record", peer(.fetched(tag: 1, .record(ByteBuffer(string: "record"))))),
            ("fetched-digest", peer(.fetched(tag: 1, .digest(2)))), ("fetched-absent", peer(.fetched(tag: 1, .absent))),
            ("fetched-corrupt", peer(.fetched(tag: 1, .corrupt))),
            ("fetched-overloaded", peer(.fetched(tag: 1, .overloaded))),
            ("forward", peer(.forward(tag: 1, timeoutMilliseconds: 500, .delete(delete)))),
            ("forwarded", peer(.forwarded(tag: 1, .failed(.timeout)))),
            (
                "hint",
                peer(.hint(tag: 1, target: Self.node, name: name, record: ByteBuffer(string: "record")))
            ),
            (
                "traced-replicate",
                peer(.traced(try Self.trace, .replicate(tag: 1, name: name, record: ByteBuffer(string: "record"))))
            ),
            (
                "traced-forward",
                peer(.traced(try Self.trace, .forward(tag: 1, timeoutMilliseconds: 500, .delete(delete))))
            ),
            ("fetch-hint", peer(.fetchHint(tag: 1, target: Self.node, name: name, whole: true))),
            ("ping", gossip(.ping(sequence: 1, gossip: [Self.record]))), ("ack", gossip(.ack(sequence: 1, gossip: []))),
            ("ping-request", gossip(.pingRequest(sequence: 1, target: Self.node, gossip: []))),
            ("state-request", gossip(.stateRequest([Self.record]))), ("state", gossip(.state([]))),
            ("nack", gossip(.nack(sequence: 1))),
            (
                "accusations",
                gossip(
                    .accusations([
                        Accusation(node: Self.node, incarnation: 300, accuser: NodeID(rawValue: 0x0102_0304_0506_0708))
                    ]))
            ),
        ]
        return handshakeAndClient + failed + peers + Self.healing(name) + (try Self.buckets()) + Self.listings(name)
    }
}

extension Golden {
    /// What is said about listings.
    static func listings(_ name: ObjectName) -> [(name: String, frame: Frame)] {
        let position = ListPosition(of: Token(rawValue: 0x0123_4567_89AB_CDEF))
        let bucket = ByteBuffer(string: "carts")
        let prefix = ByteBuffer(string: "a")
        let page = ListAnswer.page([NamedRecord(name: name, record: ByteBuffer(string: "heads"))], next: position)
        let question = ListQuestion(
            from: position, last: Token(rawValue: .max), bucket: bucket, prefix: prefix)
        let all = ListRequest(bucket: nil, limit: 10)
        let part = ListRequest(bucket: bucket, prefix: prefix, from: position, limit: 10)
        return [
            ("list", .peer(.list(tag: 1, question))), ("listed", .peer(.listed(tag: 1, page))),
            ("listed-refused", .peer(.listed(tag: 1, .refused))),
            ("request-list", .request(tag: 1, timeoutMilliseconds: 1_000, .list(part))),
            ("request-list-buckets", .request(tag: 1, timeoutMilliseconds: 1_000, .list(all))),
            ("names", .response(tag: 1, .listed(ListedNames(names: [bucket, prefix], next: position)))),
            ("names-last", .response(tag: 1, .listed(ListedNames(names: [], next: nil)))),
        ]
    }

    /// What is said about buckets, with every property set and with none.
    static func buckets() throws -> [(name: String, frame: Frame)] {
        let name = try BucketName(ByteBuffer(string: "carts"))
        let other = try BucketName(ByteBuffer(string: "plain"))
        var properties = BucketProperties()
        properties.reads = .one
        properties.writes = .quorum
        properties.primaryReads = .all
        properties.primaryWrites = .count(2)
        properties.siblings = .lastWriteWins
        properties.timeToLiveMilliseconds = 30_000
        properties.sloppy = false
        let records = [
            BucketRecord(name: name, properties: properties, version: BucketVersion(counter: 300, node: Self.node)),
            BucketRecord(
                name: other, properties: BucketProperties(), version: BucketVersion(counter: 1, node: Self.node)),
        ]
        let changes: [BucketChange] = [
            .replicas(3), .reads(.one), .writes(.quorum), .primaryReads(.all), .primaryWrites(.count(2)),
            .siblings(.showAll), .timeToLive(30_000), .sloppy(true),
        ]
        let unset: [BucketChange] = [.reads(.standard), .siblings(nil), .timeToLive(nil), .sloppy(nil), .sloppy(false)]
        let report = BucketReport(replicas: 3, reads: 2, writes: 2, buckets: records)
        return [
            ("bucket-list", .request(tag: 1, timeoutMilliseconds: 1_000, .bucketList)),
            ("bucket-show", .request(tag: 1, timeoutMilliseconds: 1_000, .bucketShow(name))),
            ("bucket-set", .request(tag: 1, timeoutMilliseconds: 1_000, .bucketSet(name, changes))),
            ("bucket-unset", .request(tag: 1, timeoutMilliseconds: 1_000, .bucketSet(name, unset))),
            ("buckets", .response(tag: 1, .buckets(report))),
            ("buckets-digest", .peer(.buckets(.digest(2)))),
            ("buckets-records", .peer(.buckets(.records(records, wantsRest: true)))),
        ]
    }
}

@Test func everyKindOfFrameHasItsGoldenBytes() throws {
    let frames = try Golden.frames()
    let lines = goldenBytes.split(separator: "\n").map { $0.split(separator: " ") }
    let golden = Dictionary(uniqueKeysWithValues: lines.map { (String($0[0]), $0.dropFirst().joined()) })
    var actual = ""
    for (name, frame) in frames {
        var buffer = ByteBuffer()
        try FrameEncoder.encode(frame, into: &buffer)
        let hex = buffer.readableBytesView.map { hexadecimal(UInt64($0)).suffix(2) }.joined()
        actual += "\(name) \(hex)\n"
        #expect(golden[name] == hex, "\(name)")
        let conversation = Conversation(buffer, pieceBytes: .max, handshakeDone: !isHandshake(frame))
        #expect(conversation.frames == [frame], "\(name)")
    }
    #expect(golden.count == frames.count, "the whole list would be:\n\(actual)")
}
