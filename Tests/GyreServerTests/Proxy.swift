import GyreMembership
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Passes connections on to a target, so that neither end sees the other's address.
final class Proxy: Sendable {
    let address: PeerAddress
    private let listener: any Channel
    private let state: NIOLockedValueBox<State>

    private struct State: Sendable {
        var target: PeerAddress?
        var connections = 0
    }

    /// Where connections lead; without one they are closed.
    var target: PeerAddress? {
        get { self.state.withLockedValue { $0.target } }
        set { self.state.withLockedValue { $0.target = newValue } }
    }

    /// Connections that were passed on.
    var connections: Int { self.state.withLockedValue { $0.connections } }

    init() async throws {
        let state = NIOLockedValueBox(State())
        let group = MultiThreadedEventLoopGroup.singleton
        self.listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { near in
                let target = state.withLockedValue { state in
                    if state.target != nil { state.connections += 1 }
                    return state.target
                }
                guard let target else { return near.close() }
                return ClientBootstrap(group: near.eventLoop)
                    .channelInitializer { far in far.pipeline.addHandler(Glue(near)) }
                    .connect(host: target.host, port: Int(target.port))
                    .flatMap { far in near.pipeline.addHandler(Glue(far)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.state = state
        self.address = PeerAddress(host: "127.0.0.1", port: UInt16(self.listener.localAddress?.port ?? 0))
    }

    func close() async throws { try await self.listener.close() }
}

/// Writes to the other end what one end reads.
private final class Glue: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let other: any Channel

    init(_ other: any Channel) { self.other = other }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.other.writeAndFlush(self.unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.other.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
