import Glibc
import GyreBase
package import GyreMembership
package import GyreMessages
package import GyreWire
package import NIOCore
import NIOPosix

/// Why a call on a connection brought no answer.
package enum CallFailure: Error, Equatable, Sendable {
    /// The request never left: it cannot have had an effect. The reason is for people.
    case notSent(reason: String)
    /// The connection ended between request and answer.
    case lost(reason: String)
    /// The deadline passed; the request may have left.
    case timeout
    /// Too many requests wait on this connection already; nothing was sent.
    case overloaded
    /// The request does not fit the protocol, and no node will ever take it; nothing was sent.
    case unencodable(WireError)
}

/// One connection to one node, with many calls in flight.
///
/// Opens when created, completes every call exactly once, and is thrown away when it ends. Confined to `loop`: every
/// method is called there, and every completion runs there, never inside `send`. The calls of one turn of the loop leave
/// in one write, and one timer watches all deadlines.
package final class NodeConnection {
    /// Receives the outcome of one call, on the loop.
    package typealias Completion = (Result<ClientResponse, CallFailure>) -> Void

    /// The most calls in flight (architecture §6).
    package static let callsMax = 1_024
    /// The most bytes that wait to be written.
    package static let waitingBytesMax = 64 << 20
    private static let answerMarginMax: Int64 = 50_000_000
    private static let reusedBufferBytesMax = 1 << 20

    private enum State { case opening, open, closed }

    private struct Call {
        var tag: UInt64
        var deadline: NIODeadline
        var completion: Completion?
    }

    private let loop: any EventLoop
    private let address: PeerAddress
    private var state = State.opening
    private var channel: (any Channel)?
    private var decoder = FrameDecoder()
    private var out = ByteBuffer()
    private var flushIsScheduled = false
    /// The lower half of a tag is the call's place in here.
    private var calls: [Call] = []
    private var freePlaces: [Int] = []
    private var generation: UInt64 = 0
    private var sweep: Scheduled<Void>?
    private var sweepAt = NIODeadline.distantFuture

    /// When the node last said anything.
    package private(set) var lastReceived = NIODeadline.distantPast
    /// Calls that wait for an answer.
    package var callsInFlight: Int { self.calls.count - self.freePlaces.count }
    /// Whether the connection has ended; it takes no more calls.
    package var isClosed: Bool { self.state == .closed }
    /// Whether the handshake is done and the connection has not ended.
    package var isOpen: Bool { self.state == .open }

    /// Starts to connect to `address`.
    package init(to address: PeerAddress, options: ClientOptions, loop: any EventLoop) {
        self.loop = loop
        self.address = address
        loop.preconditionInEventLoop()
        let timeout = TimeAmount.nanoseconds(options.connectTimeout.span.nanoseconds)
        let bound = NIOLoopBound(self, eventLoop: loop)
        let hello = Hello(
            protocolVersion: WireLimits.protocolVersion, cluster: options.cluster, role: .client(name: options.name)
        )
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Receiver(bound.value, hello: hello))
                }
            }
            .connect(host: address.host, port: Int(address.port))
            .assumeIsolated()
            .whenFailure { error in self.end("cannot connect to \(address): \(reason(of: error))") }
        loop.assumeIsolated().scheduleTask(in: timeout) { [weak self] in
            guard let self, self.state == .opening else { return }
            self.end("\(address) did not complete the handshake in time")
        }
    }

    /// Sends `request`; before the handshake is done it waits. `deadline` is also the latest moment of completion.
    package func send(_ request: ClientRequest, deadline: NIODeadline, completion: @escaping Completion) {
        self.loop.assertInEventLoop()
        guard self.state != .closed else {
            return self.later(completion, .notSent(reason: "the connection to \(self.address) has ended"))
        }
        guard self.callsInFlight < Self.callsMax, self.out.readableBytes < Self.waitingBytesMax else {
            return self.later(completion, .overloaded)
        }
        let left = (deadline - NIODeadline.now()).nanoseconds
        guard left > 0 else { return self.later(completion, .timeout) }
        let place = self.freePlaces.popLast() ?? self.calls.count
        self.generation = (self.generation + 1) & 0xFFFF_FFFF
        let tag = self.generation << 32 | UInt64(place)
        do {
            // The node gets a little less, so that its own account of a missed deadline arrives before ours passes.
            let milliseconds = UInt32(clamping: max(1, (left - min(left / 10, Self.answerMarginMax)) / 1_000_000))
            try FrameEncoder.encode(request, tag: tag, timeoutMilliseconds: milliseconds, into: &self.out)
        } catch {
            if place < self.calls.count { self.freePlaces.append(place) }
            return self.later(completion, .unencodable(error))
        }
        let call = Call(tag: tag, deadline: deadline, completion: completion)
        if place == self.calls.count { self.calls.append(call) } else { self.calls[place] = call }
        if deadline < self.sweepAt { self.scheduleSweep(at: deadline) }
        if self.state == .open { self.scheduleFlush() }
    }

    /// Ends the connection; calls in flight fail.
    package func close() { self.end("closed by the client") }

    private func later(_ completion: @escaping Completion, _ failure: CallFailure) {
        self.loop.assumeIsolated().execute { completion(.failure(failure)) }
    }

    private func scheduleFlush() {
        guard !self.flushIsScheduled else { return }
        self.flushIsScheduled = true
        self.loop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        self.flushIsScheduled = false
        guard self.state == .open, self.out.readableBytes > 0, let channel = self.channel else { return }
        guard channel.isWritable else { return }
        channel.writeAndFlush(self.out, promise: nil)
        if self.out.capacity <= Self.reusedBufferBytesMax { self.out.clear() } else { self.out = ByteBuffer() }
    }

    private func scheduleSweep(at deadline: NIODeadline) {
        self.sweep?.cancel()
        self.sweepAt = deadline
        self.sweep = self.loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.sweepDeadlines()
        }
    }

    private func sweepDeadlines() {
        let now = NIODeadline.now()
        var earliest = NIODeadline.distantFuture
        var expired: [Completion] = []
        for place in self.calls.indices {
            guard let completion = self.calls[place].completion else { continue }
            if self.calls[place].deadline <= now {
                self.calls[place].completion = nil
                self.freePlaces.append(place)
                expired.append(completion)
            } else {
                earliest = min(earliest, self.calls[place].deadline)
            }
        }
        self.sweepAt = .distantFuture
        if earliest < .distantFuture { self.scheduleSweep(at: earliest) }
        for completion in expired { completion(.failure(.timeout)) }
    }

    // MARK: - What the channel says

    fileprivate func onActive(_ channel: any Channel, hello: Hello) {
        guard self.state == .opening else { return channel.close(promise: nil) }
        self.channel = channel
        var buffer = ByteBuffer()
        do {
            try FrameEncoder.encode(hello, into: &buffer)
        } catch {
            return self.end("the client's or the cluster's name is too long")
        }
        channel.writeAndFlush(buffer, promise: nil)
    }

    fileprivate func onBytes(_ bytes: ByteBuffer) {
        self.lastReceived = .now()
        self.decoder.append(bytes)
        do {
            while self.state != .closed, let frame = try self.decoder.next() { self.onFrame(frame) }
        } catch {
            self.end("\(self.address) does not speak this protocol: \(error)")
        }
    }

    fileprivate func onWritable() { self.flush() }

    fileprivate func onEnd(_ reason: String) { self.end(reason) }

    private func onFrame(_ frame: Frame) {
        switch frame {
        case .helloReply(.welcome(let version, _, _)):
            guard (1...WireLimits.protocolVersion).contains(version) else {
                return self.end("\(self.address) answers with protocol version \(version)")
            }
            self.decoder.completeHandshake()
            self.state = .open
            self.flush()
        case .helloReply(.refused(let reason)): self.end("\(self.address) refused: \(reason)")
        case .response(let tag, let response):
            let place = Int(tag & 0xFFFF_FFFF)
            // An answer to a call that timed out finds its place empty, or taken by a later call with another tag.
            guard place < self.calls.count, self.calls[place].tag == tag else { return }
            guard let completion = self.calls[place].completion else { return }
            self.calls[place].completion = nil
            self.freePlaces.append(place)
            completion(.success(response))
        case .hello, .request, .peer: self.end("\(self.address) sent what only a client or a peer may")
        }
    }

    private func end(_ reason: String) {
        guard self.state != .closed else { return }
        let wasOpen = self.state == .open
        self.state = .closed
        self.sweep?.cancel()
        self.sweep = nil
        self.channel?.close(promise: nil)
        self.channel = nil
        self.out = ByteBuffer()
        let failure: CallFailure = wasOpen ? .lost(reason: reason) : .notSent(reason: reason)
        let waiting = self.calls.compactMap(\.completion)
        self.calls = []
        self.freePlaces = []
        guard !waiting.isEmpty else { return }
        self.loop.assumeIsolated().execute {
            for completion in waiting { completion(.failure(failure)) }
        }
    }
}

/// Passes what the channel says to the connection. Confined to the connection's loop.
private final class Receiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: NodeConnection
    private let hello: Hello

    init(_ connection: NodeConnection, hello: Hello) {
        self.connection = connection
        self.hello = hello
    }

    func channelActive(context: ChannelHandlerContext) {
        self.connection.onActive(context.channel, hello: self.hello)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.connection.onBytes(self.unwrapInboundIn(data))
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.connection.onWritable() }
    }

    func channelInactive(context: ChannelHandlerContext) { self.connection.onEnd("the node closed the connection") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.connection.onEnd("\(error)")
        context.close(promise: nil)
    }
}

/// What the system said, without the names of the types that carried it.
private func reason(of error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
        if let first = error.connectionErrors.first { return reason(of: first.error) }
        return "the name \(error.host) is not known"
    case let error as IOError: return String(cString: strerror(error.errnoCode))
    case ChannelError.connectTimeout: return "no answer in time"
    default: return "\(error)"
    }
}
