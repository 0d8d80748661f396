import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreWire
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A node that says what a test tells it to, on a free port of the loopback.
final class FakeNode: Sendable {
    /// What a node does with a request.
    enum Answer: Sendable {
        case response(ClientResponse)
        /// Never answers.
        case silence
        /// Ends the connection.
        case hangUp
    }

    typealias Script = @Sendable (ClientRequest) -> Answer

    let node: NodeID
    let address: PeerAddress
    private let listener: any Channel
    private let state: NIOLockedValueBox<State>

    struct State: Sendable {
        var script: Script
        var requests: [ClientRequest] = []
        var readCount = 0
        var connectionCount = 0
        var refusal: String?
    }

    /// Requests seen, status requests left out.
    var requests: [ClientRequest] { self.state.withLockedValue { $0.requests } }
    /// Connections accepted.
    var connectionCount: Int { self.state.withLockedValue { $0.connectionCount } }
    /// Buffers read, the handshake included.
    var readCount: Int { self.state.withLockedValue { $0.readCount } }

    init(node: UInt64, port: Int = 0, refusal: String? = nil, script: @escaping Script) async throws {
        let id = NodeID(rawValue: node)
        let state = NIOLockedValueBox(State(script: script, refusal: refusal))
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                state.withLockedValue { $0.connectionCount += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakeConnection(node: id, state: state))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        self.node = id
        self.state = state
        self.listener = listener
        self.address = PeerAddress(host: "127.0.0.1", port: UInt16(listener.localAddress?.port ?? 0))
    }

    /// Replaces the script.
    func follow(_ script: @escaping Script) { self.state.withLockedValue { $0.script = script } }

    /// Stops listening; connections stay.
    func stopListening() async throws { try await self.listener.close() }
}

private final class FakeConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let node: NodeID
    private let state: NIOLockedValueBox<FakeNode.State>
    private var decoder = FrameDecoder()

    init(node: NodeID, state: NIOLockedValueBox<FakeNode.State>) {
        self.node = node
        self.state = state
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.state.withLockedValue { $0.readCount += 1 }
        self.decoder.append(self.unwrapInboundIn(data))
        do {
            while let frame = try self.decoder.next() { try self.answer(frame, context: context) }
        } catch {
            context.close(promise: nil)
        }
    }

    private func answer(_ frame: Frame, context: ChannelHandlerContext) throws {
        var out = ByteBuffer()
        switch frame {
        case .hello:
            if let reason = self.state.withLockedValue({ $0.refusal }) {
                try FrameEncoder.encode(HelloReply.refused(reason: reason), into: &out)
                context.writeAndFlush(NIOAny(out), promise: nil)
                return context.close(promise: nil)
            }
            self.decoder.completeHandshake()
            let welcome = HelloReply.welcome(protocolVersion: 1, cluster: "test", node: self.node)
            try FrameEncoder.encode(welcome, into: &out)
        case .request(let tag, _, let request):
            let script = self.state.withLockedValue { state in
                if request != .status { state.requests.append(request) }
                return state.script
            }
            switch script(request) {
            case .response(let response): try FrameEncoder.encode(response, tag: tag, into: &out)
            case .silence: return
            case .hangUp: return context.close(promise: nil)
            }
        case .helloReply, .response, .peer: return context.close(promise: nil)
        }
        context.writeAndFlush(NIOAny(out), promise: nil)
    }
}

/// A record with one version for each value.
func record(_ values: [String], contentType: String = "") throws -> ClientResponse {
    var siblings = Siblings()
    for (index, value) in values.enumerated() {
        let metadata = try VersionMetadata(contentType: ByteBuffer(string: contentType), fields: [])
        let version = Version(
            dot: Dot(node: NodeID(rawValue: 1), counter: UInt64(index + 1)),
            time: HybridTime(wall: WallTime(milliseconds: 1_000), logical: 0),
            expiry: WallTime(milliseconds: 5_000), metadata: metadata, value: ByteBuffer(string: value)
        )
        siblings.put(version, seen: .blind)
    }
    let bytes = siblings.encoded
    return .found(record: bytes)
}

/// A report of a cluster whose members listen at the given addresses.
func report(of members: [(node: NodeID, address: PeerAddress)], replicas: UInt8 = 1) -> ClientResponse {
    let views = members.map { member in
        MemberView(
            record: MemberRecord(
                node: member.node, name: "n\(member.node.rawValue)", address: member.address, state: .normal
            ),
            ownedSlots: 8
        )
    }
    return .status(
        StatusReport(
            me: members.first?.node ?? NodeID(rawValue: 1), cluster: "test", members: views, partitionCount: 8,
            replicas: replicas, ringEpoch: 1, ringHash: 1, keys: 0, diskBytes: 0, counters: []
        )
    )
}

/// The answer to a put or a delete.
let stored = ClientResponse.stored(
    context: VersionVector([Dot(node: NodeID(rawValue: 1), counter: 9)]), acks: 2, needed: 2
)
