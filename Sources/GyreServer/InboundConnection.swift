import GyreBase
import GyreMembership
import GyreMessages
import GyreNode
import GyreWire
import Logging
import NIOCore

/// A connection that somebody opened to this node: a client, or a peer that speaks and is answered elsewhere.
///
/// Confined to the shell's loop. The first frame must be a `Hello`; what cannot be read is counted, answered with a reason
/// where that is possible, and ends this connection only.
final class InboundConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Who is on the other side, as far as is known.
    private enum Phase {
        case handshake
        case client
        case peer(NodeID)
        case closed
    }

    /// A request that is not answered yet.
    private struct InFlight {
        let tag: UInt64
        let bytes: Int
        let started: Instant
        let operation: OperationLabel

        /// Whether the answer is likely to carry values.
        var isRead: Bool { self.operation == .get || self.operation == .other }
    }

    /// The number that answers carry.
    let id: UInt64
    private let shell: NodeShell
    private var context: ChannelHandlerContext?
    private var decoder = FrameDecoder()
    private var phase = Phase.handshake
    private var output = ByteBuffer()
    private var isDirty = false
    /// What the channel says, kept here since every frame asks for it.
    private var isWritable = false
    /// Whether the channel has output of this turn that was not flushed.
    private var hasPassedOutput = false
    private var isClosing = false
    private var readsPaused = false
    private var inFlight = RequestSlots<InFlight>()
    private var inFlightCount = 0
    /// Those in flight whose answer is likely to carry values.
    private var readsInFlight = 0
    private var requestBytes = 0
    private var pace = AnswerPace()
    private var outputWatch: StallWatch?
    /// Bytes that the channel was given.
    private var handedBytes = 0

    /// From this many bytes on, the output of a turn goes to the channel in pieces.
    private static let outputPieceBytes = 4 << 20

    init(id: UInt64, shell: NodeShell) {
        self.id = id
        self.shell = shell
    }

    // MARK: - The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.isWritable = context.channel.isWritable
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        self.shell.counters.connectionsAccepted += 1
        // Peers have room above what clients may take, so that a flood of clients does not part the cluster.
        if self.shell.connections.count > self.shell.limits.connectionsMax + self.shell.limits.peerConnectionsMax {
            self.refuseConnection()
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.phase = .closed
        self.shell.requestBytes -= self.requestBytes
        self.requestBytes = 0
        self.shell.changeDoors { $0.remove(self.id) }
        self.shell.peerClaims[self.id] = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isClosing else { return }
        self.shell.readClock()
        let bytes = self.unwrapInboundIn(data)
        self.shell.counters.receivedBytes &+= UInt64(bytes.readableBytes)
        self.readFrames(after: bytes)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isWritable = context.channel.isWritable
        if self.isWritable { self.resumeReading() }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or a broken pipe: the other side is gone, which is no news worth a line.
        context.close(promise: nil)
    }

    // MARK: - Frames

    /// Takes in the frames that are there, with `bytes` that just arrived.
    ///
    /// The decoder is taken out meanwhile: changed in place over a call, the property would be checked at every access. When the
    /// connection is being closed, what is left in it is of no interest.
    private func readFrames(after bytes: ByteBuffer? = nil) {
        var decoder = FrameDecoder()
        swap(&decoder, &self.decoder)
        defer { if !self.isClosing { swap(&decoder, &self.decoder) } }
        if let bytes { decoder.append(bytes) }
        do {
            while !self.isClosing {
                guard self.hasRoom else { return self.pauseReading() }
                guard let frame = try decoder.next() else { return }
                self.onFrame(frame)
                if decoder.isInHandshake { self.noteHandshake(&decoder) }
            }
        } catch {
            self.shell.counters.framesRejected += 1
            self.shell.notice("frame rejected", ["error": "\(error)", "remote": "\(self.remote)"])
            self.refuse("unreadable frame: \(error)")
        }
    }

    /// Lets other frames in once the first one was accepted.
    private func noteHandshake(_ decoder: inout FrameDecoder) {
        switch self.phase {
        case .handshake, .closed: break
        case .client, .peer: decoder.completeHandshake()
        }
    }

    private func onFrame(_ frame: Frame) {
        switch frame {
        case .peer(let message):
            guard case .peer(let node) = self.phase else { return self.refuseFrame() }
            self.shell.counters.peerReceived[PeerKind.of(message).rawValue] &+= 1
            self.shell.receive(message, from: node)
        case .request(let tag, let timeout, let request):
            guard case .client = self.phase else { return self.refuseFrame() }
            self.onRequest(tag, timeout: .milliseconds(Int64(timeout)), request)
        case .hello(let hello):
            guard case .handshake = self.phase else { return self.refuseFrame() }
            self.onHello(hello)
        case .helloReply, .response: self.refuseFrame()
        }
    }

    private func refuseFrame() {
        if case .closed = self.phase { return }
        self.shell.counters.framesRejected += 1
        self.shell.notice("frame out of place", ["remote": "\(self.remote)"])
        self.refuse("a frame that has no place in this conversation")
    }

    private func onRequest(_ tag: UInt64, timeout: TimeSpan, _ request: ClientRequest) {
        let bytes = request.valueBytes
        let entry = InFlight(
            tag: tag, bytes: bytes, started: self.shell.now.instant, operation: OperationLabel.of(request))
        self.inFlightCount += 1
        if entry.isRead { self.readsInFlight += 1 }
        self.requestBytes += bytes
        self.shell.requestBytes += bytes
        let address = ReplyAddress(connection: self.id, request: self.inFlight.insert(entry))
        guard self.shell.requestBytes <= self.shell.limits.requestBytesMax else {
            return self.reply(.failed(.overloaded), to: address.request)
        }
        self.shell.deliver(.client(address, request, timeout: timeout))
    }

    /// Appends the answer to the output of this turn.
    func reply(_ response: ClientResponse, to request: UInt64) {
        guard let entry = self.inFlight.take(request) else { return }
        self.inFlightCount -= 1
        self.requestBytes -= entry.bytes
        self.shell.requestBytes -= entry.bytes
        let before = self.output.readableBytes
        defer {
            if entry.isRead {
                self.readsInFlight -= 1
                self.pace.note(self.output.readableBytes - before)
            }
            if self.output.readableBytes >= Self.outputPieceBytes { self.passOutput() }
        }
        let span = self.shell.now.instant.since(entry.started)
        self.shell.counters.record(entry.operation, response, valueBytes: entry.bytes, took: span)
        if case .status(let report) = response {
            self.append(.response(tag: entry.tag, .status(self.shell.completed(report))))
        } else {
            let isSendable = self.append { output throws(WireError) in
                try FrameEncoder.encode(response, tag: entry.tag, into: &output)
            }
            guard !isSendable else { return }
            self.append(.response(tag: entry.tag, .failed(.tooLarge(limit: UInt64(WireLimits.recordFrameBytesMax)))))
        }
    }

    private func append(_ frame: Frame) {
        _ = self.append { output throws(WireError) in try FrameEncoder.encode(frame, into: &output) }
    }

    /// Lets `encode` append to the output of this turn; false when it failed. The output is taken out meanwhile, as is the decoder.
    private func append(_ encode: (inout ByteBuffer) throws(WireError) -> Void) -> Bool {
        var output = ByteBuffer()
        swap(&output, &self.output)
        defer { swap(&output, &self.output) }
        do { try encode(&output) } catch {
            self.shell.counters.framesUnsendable += 1
            return false
        }
        self.markDirty()
        return true
    }

    /// Hands what was written so far to the channel, which sends it with the rest of the turn: one buffer can hold 4 GiB, and what
    /// it holds is copied whenever it grows.
    private func passOutput() {
        guard let context = self.context else { return }
        self.noteSent(self.output.readableBytes)
        context.write(self.wrapOutboundOut(self.output), promise: nil)
        self.output = ByteBuffer()
        self.hasPassedOutput = true
    }

    private func noteSent(_ bytes: Int) {
        self.shell.counters.sentBytes &+= UInt64(bytes)
        self.handedBytes &+= bytes
    }

    private func markDirty() {
        guard !self.isDirty else { return }
        self.isDirty = true
        self.shell.markDirty(.native(self))
    }

    /// Writes what this turn produced; then the turn's room may be used for more requests.
    func flush() {
        self.isDirty = false
        guard let context = self.context else { return }
        var output = ByteBuffer()
        swap(&output, &self.output)
        self.noteSent(output.readableBytes)
        if self.isClosing {
            // Closing at once would throw away what the socket did not take yet.
            context.writeAndFlush(self.wrapOutboundOut(output)).assumeIsolated().whenComplete { _ in
                context.close(promise: nil)
            }
            self.watchOutput(context)
            return
        }
        if output.readableBytes > 0 || self.hasPassedOutput {
            self.hasPassedOutput = false
            context.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
            output.clear()
        }
        // The room is used again, unless something was answered while the channel wrote.
        if self.output.readableBytes == 0 { swap(&output, &self.output) }
        if !self.isWritable { self.watchOutput(context) }
        self.resumeReading()
    }

    // MARK: - Back pressure

    /// Whether one more request may be read: in number, in bytes, and in what its answer is likely to add.
    private var hasRoom: Bool {
        let limits = self.shell.limits
        guard self.inFlightCount < limits.requestsInFlightMax, self.isWritable, self.context != nil else {
            return false
        }
        if self.inFlightCount == 0 { return self.output.readableBytes < limits.clientOutputPauseBytes }
        return self.requestBytes < limits.requestBytesPause
            && self.output.readableBytes + self.readsInFlight * self.pace.bytesExpected < limits.clientOutputPauseBytes
    }

    private func pauseReading() {
        guard !self.readsPaused else { return }
        self.readsPaused = true
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    private func resumeReading() {
        guard self.readsPaused, !self.isClosing, self.hasRoom else { return }
        self.readsPaused = false
        self.shell.readClock()
        self.readFrames()
        if !self.readsPaused { try? self.context?.channel.syncOptions?.setOption(.autoRead, value: true) }
    }

    /// Closes the connection when the other side takes none of the answers that wait for it.
    private func watchOutput(_ context: ChannelHandlerContext) {
        let watch = self.outputWatch ?? StallWatch()
        self.outputWatch = watch
        guard !watch.isLooking else { return }
        watch.begin(on: context.eventLoop, span: self.shell.limits.clientStallTimeout) { [weak self] in
            guard let self, let context = self.context else { return nil }
            let pending = context.pendingBytes
            guard pending > 0, self.isClosing || !context.channel.isWritable else { return nil }
            return self.handedBytes - pending
        } onStall: { [weak self] in
            guard let self, let context = self.context else { return }
            self.shell.counters.slowReaders += 1
            self.shell.notice(
                "client does not read its answers", ["bytes": "\(context.pendingBytes)", "remote": "\(self.remote)"])
            self.isClosing = true
            context.close(promise: nil)
        }
    }

    // MARK: - Handshake

    private func onHello(_ hello: Hello) {
        let identity = self.shell.identity
        guard hello.protocolVersion >= 1 else { return self.refuseHandshake("protocol version 0 is none") }
        switch hello.role {
        case .client:
            if self.shell.connections.count > self.shell.limits.connectionsMax { return self.refuseConnection() }
            guard hello.cluster.isEmpty || hello.cluster == identity.cluster else {
                return self.refuseHandshake(
                    "this node belongs to cluster '\(identity.cluster)', not to '\(hello.cluster)'")
            }
            self.phase = .client
        case .peer(let node, let address, let partitionCount, let replicas):
            if let reason = self.difference(hello.cluster, partitionCount, replicas) {
                return self.refuseHandshake(reason)
            }
            if node == identity.node {
                let isLoop = self.shell.isOwnDial(from: self.context?.remoteAddress)
                guard isLoop else {
                    self.shell.noteTwin(at: address)
                    return self.refuseHandshake(self.shell.asTwin.reason)
                }
            }
            self.shell.peerClaims[self.id] = (node, address)
            self.phase = .peer(node)
            self.shell.dialBack(node, address)
        }
        let version = min(hello.protocolVersion, WireLimits.protocolVersion)
        self.append(
            .helloReply(.welcome(protocolVersion: version, cluster: identity.cluster, node: identity.node)))
    }

    /// What a peer has set differently, in words that name both.
    private func difference(_ cluster: String, _ partitionCount: UInt32, _ replicas: UInt8) -> String? {
        let identity = self.shell.identity
        return SettingsRefusal(
            address: identity.address, mine: (identity.cluster, identity.partitionCount, identity.replicas),
            yours: (cluster, partitionCount, replicas))?.reason
    }

    private func refuseConnection() {
        self.shell.counters.connectionsRefused += 1
        self.refuse("\(self.shell.limits.connectionsMax) connections are open; try another node")
    }

    private func refuseHandshake(_ reason: String) {
        self.shell.counters.handshakesRefused += 1
        self.shell.notice("handshake refused", ["reason": "\(reason)", "remote": "\(self.remote)"])
        self.refuse(reason)
    }

    /// Ends the connection if it has not introduced itself.
    func handshakeTimedOut() {
        guard case .handshake = self.phase, !self.isClosing else { return }
        self.refuseHandshake("no hello within \(self.shell.limits.handshakeTimeout.wholeMilliseconds) ms")
    }

    // MARK: - End

    /// Says why, in the form that fits the phase, and closes once that is written.
    private func refuse(_ reason: String) {
        switch self.phase {
        case .handshake: self.append(.helloReply(.refused(reason: reason)))
        // No request can be named, so the tag is one that no client uses.
        case .client: self.append(.response(tag: .max, .failed(.badRequest(reason))))
        case .peer, .closed: break
        }
        self.isClosing = true
        self.decoder = FrameDecoder()
        self.markDirty()
    }

    /// Closes after what is already to be written.
    func close() {
        self.isClosing = true
        self.flush()
    }

    private var remote: String { self.context?.remoteAddress?.description ?? "unknown" }
}
