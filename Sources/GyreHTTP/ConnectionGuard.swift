import GyreBase
import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import Synchronization

/// Knows the connections of the door. Sendable: a lock around them.
final class ConnectionGate: Sendable {
    private let open = Mutex<[ObjectIdentifier: any Channel]>([:])
    private let most: Int

    init(most: Int) { self.most = most }

    /// Open connections, those included that are being refused.
    var count: Int { self.open.withLock { $0.count } }

    /// Takes in one more; false when there are too many, and then it is to be refused and yet to be left.
    func enter(_ channel: any Channel) -> Bool {
        self.open.withLock { open in
            open[ObjectIdentifier(channel)] = channel
            return open.count <= self.most
        }
    }

    /// Forgets one.
    func leave(_ channel: any Channel) { self.open.withLock { $0[ObjectIdentifier(channel)] = nil } }

    /// Closes every connection, whatever is on its way.
    func closeAll() {
        // Closing one makes it leave, on this very thread.
        for channel in self.open.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}

/// Keeps the limits that are about a connection: how many there are, how long a request may take to arrive, and how long a client
/// may leave its answer unread. Confined to the channel's loop.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// How long a connection stays open after its last word, so that the client can read it.
    private static let lastWordTime = TimeAmount.seconds(5)

    private let gate: ConnectionGate
    private let timeout: TimeAmount
    private var isRefused = false
    /// Requests whose heads came and whose answers have not ended.
    private var unanswered = 0
    private var arrival: Scheduled<Void>?
    private var departure: Scheduled<Void>?

    init(_ gate: ConnectionGate, _ limits: HTTPLimits) {
        self.gate = gate
        self.timeout = .nanoseconds(limits.receiveTimeout.nanoseconds)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        LastRequest.add(to: context.pipeline)
        self.isRefused = !self.gate.enter(context.channel)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.gate.leave(context.channel)
        self.arrival?.cancel()
        self.departure?.cancel()
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        guard self.isRefused else { return }
        let refusal = Refusal(
            .serviceUnavailable, "overloaded", "too many connections are open", try: "try again later, or another node")
        let response = refusal.answer.response(to: .get)
        var head = response.head
        head.headerFields[.connection] = "close"
        context.write(self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(self.wrapOutboundOut(.body(refusal.answer.body)), promise: nil)
        context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
        self.closeSoon(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isRefused else { return }
        switch self.unwrapInboundIn(data) {
        case .head:
            self.unanswered += 1
            self.arrival?.cancel()
            self.arrival = self.schedule(self.timeout, context)
        case .body: break
        case .end:
            self.arrival?.cancel()
            self.arrival = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = self.unwrapOutboundIn(data) {
            self.unanswered = max(0, self.unanswered - 1)
            // The last one was answered before it arrived in full: what is left of it need not be waited for.
            if self.arrival != nil, self.unanswered == 0 { self.closeSoon(context) }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.departure?.cancel()
        self.departure = context.channel.isWritable ? nil : self.schedule(self.timeout, context)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is HTTPParserError, is IOError, is ChannelError: context.fireErrorCaught(error)
        // A head that the parser let through and that is no request of this protocol: the client is to be told as well.
        default: context.fireErrorCaught(HTTPParserError.invalidURL)
        }
        if !(error is IOError) { self.closeSoon(context) }
    }

    private func closeSoon(_ context: ChannelHandlerContext) {
        self.arrival?.cancel()
        self.arrival = self.schedule(Self.lastWordTime, context)
    }

    private func schedule(_ time: TimeAmount, _ context: ChannelHandlerContext) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }
}
