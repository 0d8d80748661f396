import CoreMetrics
import Glibc
import GyreBase
import GyreClient
package import GyreMembership
package import GyreMetrics
package import GyreServer
import HTTPTypes
import HummingbirdCore
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// The HTTP interface of a node: keys as in Riak, figures, and the status page.
///
/// It has a loop of its own, so that what it does does not hold the node up. Sendable. A service that ends gracefully with the group
/// it is in; `stop` does the same without one.
package final class HTTPDoor: Service, Sendable {
    /// Where it listens, with the port it got.
    package let address: PeerAddress
    private let group: MultiThreadedEventLoopGroup
    private let listener: Server<HTTP1Channel>
    private let running: Task<Void, any Error>
    private let client: GyreClient
    private let gate: ConnectionGate
    private let drainTimeout: TimeAmount
    private let stopping = Mutex<Task<Void, Never>?>(nil)

    /// Listens; returns once requests can come.
    /// - Parameter exporter: what `/metrics` shows; nil answers 404 there.
    /// - Throws: `cannotListen` when the address cannot be used, `storage` when the node has stopped.
    package static func start(
        _ server: GyreServer, on address: PeerAddress, limits: HTTPLimits = HTTPLimits(),
        exporter: PrometheusExporter?, log: Logger
    ) async throws(ServerError) -> HTTPDoor {
        let client: GyreClient
        do throws(GyreError) {
            var options = ClientOptions()
            options.name = "http door"
            options.timeout = .seconds(5)
            options.connectTimeout = .seconds(5)
            client = try GyreClient(nodes: [Self.reachable(server.listen).description], options: options)
        } catch { throw .invalidOption("\(error)") }
        let desk = try await server.makeDesk()
        let board = try await server.statsBoard()
        let gate = ConnectionGate(most: limits.connectionsMax)
        let routes = HTTPRoutes(
            objects: ObjectRoutes(desk: desk, limits: limits), server: server, client: client, board: board,
            exporter: exporter, gate: gate, limits: limits)
        do {
            return try await HTTPDoor(address, limits, routes, gate, client, log)
        } catch {
            await client.close()
            throw .cannotListen(Self.explanation(error, address))
        }
    }

    /// Fails if nothing can listen on `address`: what `start` would find out only when the node has joined its cluster.
    /// - Throws: `cannotListen`.
    package static func check(_ address: PeerAddress) async throws(ServerError) {
        do {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: address.host, port: Int(address.port)).get()
            try await channel.close()
        } catch { throw .cannotListen(self.explanation(error, address)) }
    }

    private init(
        _ address: PeerAddress, _ limits: HTTPLimits, _ routes: HTTPRoutes, _ gate: ConnectionGate,
        _ client: GyreClient, _ log: Logger
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var quiet = log
        quiet.logLevel = max(log.logLevel, .warning)
        let configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionGuard(gate, limits)],
            idleTimeout: .nanoseconds(limits.idleTimeout.nanoseconds),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.headBytesMax, maxHeaderListSize: limits.headBytesMax,
                maxHeaderFieldCount: limits.headersMax))
        let (ports, arrived) = AsyncStream<Int?>.makeStream(bufferingPolicy: .bufferingOldest(1))
        let listener = Server(
            childChannelSetup: HTTP1Channel(responder: routes.serve, configuration: configuration),
            configuration: ServerConfiguration(
                address: .hostname(address.host, port: Int(address.port)), backlog: 1_024),
            onServerRunning: { channel in
                arrived.yield(channel.localAddress?.port)
                arrived.finish()
            },
            eventLoopGroup: group, logger: quiet)
        let running = Task {
            defer { arrived.finish() }
            try await listener.run()
        }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else {
            // It ended without ever running, so that its error says why.
            let result = await running.result
            try? await group.shutdownGracefully()
            try result.get()
            throw ServerError.cannotListen("cannot listen on \(address)")
        }
        self.address = PeerAddress(host: address.host, port: port.flatMap(UInt16.init(exactly:)) ?? address.port)
        self.group = group
        self.listener = listener
        self.running = running
        self.client = client
        self.gate = gate
        self.drainTimeout = .nanoseconds(limits.drainTimeout.nanoseconds)
    }

    /// Serves until the group it is in shuts down, then lets requests end and closes.
    package func run() async throws {
        try? await gracefulShutdown()
        await self.stop()
    }

    /// Stops accepting, lets requests that are being answered end within `HTTPLimits.drainTimeout`, and closes. A client that sends
    /// or reads slowly would hold the stop up otherwise. Again asked, it waits for the first stop.
    package func stop() async {
        let stopping = self.stopping.withLock { stopping in
            let task = stopping ?? Task { await self.end() }
            stopping = task
            return task
        }
        await stopping.value
    }

    private func end() async {
        let gate = self.gate
        let end = self.group.next().scheduleTask(in: self.drainTimeout) { gate.closeAll() }
        try? await self.listener.shutdownGracefully()
        end.cancel()
        // Before the last requests are waited for, whose clients are gone: those that ask other nodes end with it.
        await self.client.close()
        _ = await self.running.result
        try? await self.group.shutdownGracefully()
    }

    /// Where this process reaches its own node.
    private static func reachable(_ address: PeerAddress) -> PeerAddress {
        switch address.host {
        case "0.0.0.0": PeerAddress(host: "127.0.0.1", port: address.port)
        case "::": PeerAddress(host: "::1", port: address.port)
        default: address
        }
    }

    private static func explanation(_ error: any Error, _ address: PeerAddress) -> String {
        guard let error = error as? IOError else { return "cannot listen on \(address) for HTTP: \(error)" }
        switch error.errnoCode {
        case EADDRINUSE: return "\(address) is in use by another process; choose another --http, or stop that one"
        case EACCES: return "may not listen on \(address); choose a port above 1023 for --http"
        case EADDRNOTAVAIL: return "\(address) is no address of this machine; choose another --http"
        default: return "cannot listen on \(address) for HTTP: \(error)"
        }
    }
}
