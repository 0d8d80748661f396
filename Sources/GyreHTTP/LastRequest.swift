import NIOCore
import NIOHTTP1

/// Makes the last request of a connection look the same above, however its client says so, and speaks HTTP/1.0 to whoever did:
/// an answer without a length goes out in one piece that the end of the connection ends.
///
/// It stands between the parser and what makes versionless requests of its heads. Every request of HTTP/1.0 is the last of its
/// connection: to keep one is an extension of that protocol, which a server need not take up. Confined to the channel's loop.
final class LastRequest: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Requests that are not answered in full.
    private var unanswered = 0
    /// Answers that go out before the one to a client of HTTP/1.0; nil when there is none.
    private var answersBeforeOld: Int?

    /// Puts one behind the parser of a channel.
    static func add(to pipeline: ChannelPipeline) {
        let pipeline = pipeline.syncOperations
        guard let parser = try? pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self) else { return }
        try? pipeline.addHandler(LastRequest(), position: .after(parser))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = self.unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        let isOld = (head.version.major, head.version.minor) < (1, 1)
        if isOld {
            self.answersBeforeOld = self.answersBeforeOld ?? self.unanswered
            // Its clients do not know the answer in between that this asks for.
            head.headers.remove(name: "expect")
        }
        self.unanswered += 1
        if isOld || head.headers[canonicalForm: "connection"].contains(where: { $0.lowercased() == "close" }) {
            head.headers.replaceOrAdd(name: "connection", value: "close")
        }
        context.fireChannelRead(self.wrapInboundOut(.head(head)))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch self.unwrapOutboundIn(data) {
        case .head(var head) where self.answersBeforeOld == 0:
            head.version = .http1_0
            head.headers.replaceOrAdd(name: "connection", value: "close")
            context.write(self.wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            // A refusal may go out without a request.
            self.unanswered = max(0, self.unanswered - 1)
            self.answersBeforeOld = self.answersBeforeOld.map { $0 - 1 }
            context.write(data, promise: promise)
        case .head, .body: context.write(data, promise: promise)
        }
    }
}
