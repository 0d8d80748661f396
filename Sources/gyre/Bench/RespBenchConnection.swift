import GyreBase
import GyreMembership
import NIOCore
import NIOPosix

/// What a server of the Redis protocol answered to a `GET` or `SET`.
enum RespBenchAnswer {
    /// A value or `OK`.
    case done
    /// Nothing there.
    case nothing
    /// An error, or no answer; a word for the count.
    case failed(String)
}

/// One connection of a bench to a server of the Redis protocol, with many commands in flight. Confined to its loop.
///
/// Commands of one turn of the loop leave in one write. A connection that ends, or whose oldest command is too old, fails all
/// commands in flight, and the next command opens another.
final class RespBenchConnection {
    /// Receives the outcome of one command, on the loop.
    typealias Completion = (RespBenchAnswer) -> Void

    private let loop: any EventLoop
    private let address: PeerAddress
    private let timeoutNanoseconds: UInt64
    private var channel: (any Channel)?
    private var isConnecting = false
    private var out = ByteBuffer()
    private var flushIsScheduled = false
    private var input = ByteBuffer()
    private var waiting = CircularBuffer<(since: UInt64, completion: Completion)>()
    private var sweep: RepeatedTask?
    /// Tells the handler of a connection that was given up from that of the present one.
    private var generation = 0

    init(to address: PeerAddress, timeout: TimeSpan, loop: any EventLoop) {
        self.loop = loop
        self.address = address
        self.timeoutNanoseconds = UInt64(max(1, timeout.nanoseconds))
        let bound = NIOLoopBound(self, eventLoop: loop)
        self.sweep = loop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { _ in
            bound.value.failLate()
        }
    }

    /// `GET key`.
    func get(_ key: ByteBuffer, _ completion: @escaping Completion) {
        self.out.writeStaticString("*2\r\n$3\r\nGET\r\n")
        self.writeBulk(key)
        self.sent(completion)
    }

    /// `SET key value`.
    func set(_ key: ByteBuffer, _ value: ByteBuffer, _ completion: @escaping Completion) {
        self.out.writeStaticString("*3\r\n$3\r\nSET\r\n")
        self.writeBulk(key)
        self.writeBulk(value)
        self.sent(completion)
    }

    /// `PING`, to see whether anybody is there.
    func ping(_ completion: @escaping Completion) {
        self.out.writeStaticString("*1\r\n$4\r\nPING\r\n")
        self.sent(completion)
    }

    /// Ends the connection.
    func close() {
        self.sweep?.cancel()
        self.end("closed")
    }

    private func writeBulk(_ bytes: ByteBuffer) {
        self.out.writeString("$\(bytes.readableBytes)\r\n")
        self.out.writeImmutableBuffer(bytes)
        self.out.writeStaticString("\r\n")
    }

    private func sent(_ completion: @escaping Completion) {
        self.waiting.append((monotonicNanoseconds(), completion))
        if self.channel == nil { return self.connect() }
        guard !self.flushIsScheduled else { return }
        self.flushIsScheduled = true
        self.loop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        self.flushIsScheduled = false
        guard let channel = self.channel, self.out.readableBytes > 0 else { return }
        channel.writeAndFlush(self.out, promise: nil)
        self.out.clear()
    }

    private func connect() {
        guard !self.isConnecting else { return }
        self.isConnecting = true
        self.generation += 1
        let generation = self.generation
        let bound = NIOLoopBound(self, eventLoop: self.loop)
        ClientBootstrap(group: self.loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(1))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RespBenchReceiver(bound.value, generation))
                }
            }
            .connect(host: self.address.host, port: Int(self.address.port))
            .assumeIsolated()
            .whenComplete { result in
                self.isConnecting = false
                switch result {
                case .success(let channel):
                    guard generation == self.generation else { return channel.close(promise: nil) }
                    self.channel = channel
                    self.flush()
                case .failure: self.end("no_connection")
                }
            }
    }

    /// Bytes have come.
    fileprivate func receive(_ bytes: ByteBuffer, _ generation: Int) {
        guard generation == self.generation else { return }
        if self.input.readableBytes == 0 {
            self.input = bytes
        } else {
            self.input.writeImmutableBuffer(bytes)
        }
        while let answer = self.nextAnswer() {
            guard let entry = self.waiting.popFirst() else { return self.end("answer_without_command") }
            entry.completion(answer)
        }
    }

    /// The connection has ended.
    fileprivate func lost(_ generation: Int) {
        if generation == self.generation { self.end("connection_lost") }
    }

    private func end(_ reason: String) {
        self.generation += 1
        self.channel?.close(promise: nil)
        self.channel = nil
        self.isConnecting = false
        self.out.clear()
        self.input = ByteBuffer()
        let failed = self.waiting
        self.waiting.removeAll()
        // Later, so that whoever asks again does not do so from within.
        self.loop.assumeIsolated().execute { for entry in failed { entry.completion(.failed(reason)) } }
    }

    private func failLate() {
        guard let oldest = self.waiting.first, monotonicNanoseconds() - oldest.since > self.timeoutNanoseconds else {
            return
        }
        self.end("timeout")
    }

    /// Takes one whole answer off the input; nil when there is none yet.
    private func nextAnswer() -> RespBenchAnswer? {
        let view = self.input.readableBytesView
        guard let kind = view.first, let end = view.firstIndex(of: 10), end > view.startIndex + 1 else { return nil }
        let line = view[view.startIndex + 1..<end - 1]
        let headBytes = end - view.startIndex + 1
        switch kind {
        case UInt8(ascii: "$"):
            guard let count = Int(String(decoding: line, as: UTF8.self)) else { return .failed("unreadable") }
            if count < 0 {
                self.input.moveReaderIndex(forwardBy: headBytes)
                return .nothing
            }
            guard self.input.readableBytes >= headBytes + count + 2 else { return nil }
            self.input.moveReaderIndex(forwardBy: headBytes + count + 2)
            return .done
        case UInt8(ascii: "-"):
            let word = String(decoding: line.prefix { $0 != 32 }, as: UTF8.self)
            self.input.moveReaderIndex(forwardBy: headBytes)
            return .failed(word.lowercased())
        default:
            self.input.moveReaderIndex(forwardBy: headBytes)
            return kind == UInt8(ascii: "_") ? .nothing : .done
        }
    }
}

/// Hands what a channel receives to its connection.
private final class RespBenchReceiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let connection: RespBenchConnection
    private let generation: Int

    init(_ connection: RespBenchConnection, _ generation: Int) {
        self.connection = connection
        self.generation = generation
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.connection.receive(self.unwrapInboundIn(data), self.generation)
    }

    func channelInactive(context: ChannelHandlerContext) { self.connection.lost(self.generation) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
