import GyreBase
import GyreMembership
import GyreMessages
import GyreNode
import GyreWire
import Logging
import NIOCore
import NIOPosix

/// The connection that this node opened to a peer; all it says to that peer goes here, answers included.
///
/// Confined to the shell's loop. Carries frames in one direction after the handshake.
final class PeerLink: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case dialling
        case handshake
        case open(NodeID)
        case closed
    }

    /// What was dialled.
    let address: PeerAddress
    private let shell: NodeShell
    private let handshakeDeadline: Instant
    private var context: ChannelHandlerContext?
    private var decoder = FrameDecoder()
    private var phase = Phase.dialling
    private var output = ByteBuffer()
    private var isDirty = false
    /// What the channel says, kept here since every message asks for it.
    private var isWritable = false
    /// Whether the other end is this very node.
    private(set) var isLoop = false
    /// The protocol version that the handshake agreed on.
    private var version: UInt16 = 1
    /// What is kept for a peer that dialled and is being dialled back, and how many messages that is.
    private var early = (node: NodeID?.none, messages: ByteBuffer(), count: UInt64(0))
    /// The most bytes of it; they are answers to what the peer asked in the first moments.
    private static let earlyBytesMax = 1 << 20

    init(address: PeerAddress, shell: NodeShell) {
        self.address = address
        self.shell = shell
        self.handshakeDeadline = shell.now.instant.advanced(by: shell.limits.handshakeTimeout)
    }

    /// The own end of the connection, once there is one.
    var localAddress: SocketAddress? { self.context?.localAddress }

    // MARK: - The channel

    // A host with several addresses is dialled on several channels at once; the first that opens is this link.

    func handlerRemoved(context: ChannelHandlerContext) { if context === self.context { self.context = nil } }

    func channelActive(context: ChannelHandlerContext) {
        guard case .dialling = self.phase else { return context.close(promise: nil) }
        self.context = context
        self.isWritable = context.channel.isWritable
        self.phase = .handshake
        let identity = self.shell.identity
        let hello = Hello(
            protocolVersion: WireLimits.protocolVersion, cluster: identity.cluster,
            role: .peer(
                node: identity.node, address: identity.address, partitionCount: identity.partitionCount,
                replicas: identity.replicas))
        guard self.append({ output throws(WireError) in try FrameEncoder.encode(hello, into: &output) }) else {
            return self.close()
        }
        self.flush()
        context.fireChannelActive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context === self.context { self.isWritable = context.channel.isWritable }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if context === self.context {
            self.shell.readClock()
            self.end()
        }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard context === self.context else { return }
        self.shell.readClock()
        self.decoder.append(self.unwrapInboundIn(data))
        do {
            while let frame = try self.decoder.next() {
                guard case .handshake = self.phase, case .helloReply(let reply) = frame else {
                    self.shell.counters.framesRejected += 1
                    return self.close()
                }
                self.onReply(reply)
            }
        } catch {
            self.shell.counters.framesRejected += 1
            self.shell.notice("peer answers with no frame", ["address": "\(self.address)", "error": "\(error)"])
            self.close()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: - Handshake

    private func onReply(_ reply: HelloReply) {
        switch reply {
        case .refused(let reason):
            self.shell.counters.handshakesRefused += 1
            let isSetting = SettingsRefusal.isOne(reason)
            let rest = isSetting ? "; a node that has not joined yet waits for a seed that welcomes it" : ""
            self.shell.notice(
                "peer refused the handshake\(rest)", ["address": "\(self.address)", "reason": "\(reason)"])
            if isSetting { self.shell.deliver(.peerRefused(self.address)) }
            if let twin = TwinRefusal(reason: reason) {
                self.isLoop = self.shell.onTwin(twin)
                if self.isLoop { self.shell.deliver(.peerUp(self.shell.identity.node, self.address)) }
            }
            self.close()
        case .welcome(let version, let cluster, let node):
            guard cluster == self.shell.identity.cluster else { return self.close() }
            if node == self.shell.identity.node {
                self.isLoop = true
                self.shell.deliver(.peerUp(node, self.address))
                return self.close()
            }
            self.decoder.completeHandshake()
            self.version = version
            self.phase = .open(node)
            self.releaseEarly(to: node)
            self.shell.linkOpened(self, to: node)
        }
    }

    /// Ends a handshake that takes too long.
    func checkHandshake(at now: Instant) {
        switch self.phase {
        case .dialling, .handshake: if now >= self.handshakeDeadline { self.close() }
        case .open, .closed: break
        }
    }

    // MARK: - Output

    /// Keeps a message for `node` until that has welcomed this link; false when it was dropped.
    func hold(_ message: PeerMessage, for node: NodeID) -> Bool {
        switch self.phase {
        case .dialling, .handshake: break
        case .open, .closed: return false
        }
        guard self.early.node == nil || self.early.node == node,
            self.early.messages.readableBytes < Self.earlyBytesMax
        else { return false }
        var message = message
        // Whether the peer knows traces is not known yet.
        if case .traced(_, let question) = message { message = question }
        guard (try? FrameEncoder.encode(message, into: &self.early.messages)) != nil else { return false }
        self.early.node = node
        self.early.count += 1
        return true
    }

    /// Somebody else may answer at the address by now, who gets nothing of it.
    private func releaseEarly(to node: NodeID) {
        if self.early.node == node {
            _ = self.append { output throws(WireError) in output.writeBuffer(&self.early.messages) }
        } else {
            self.dropEarly()
        }
        self.early = (nil, ByteBuffer(), 0)
        self.markDirty()
    }

    private func dropEarly() {
        self.shell.counters.peerMessagesDropped += self.early.count
        self.early.count = 0
    }

    private func markDirty() {
        guard !self.isDirty else { return }
        self.isDirty = true
        self.shell.markDirty(self)
    }

    /// Appends a message to the output of this turn; false when it was dropped.
    func send(_ message: PeerMessage) -> Bool {
        guard case .open = self.phase, self.context != nil, self.isWritable,
            self.output.readableBytes < self.shell.limits.peerOutputBytesMax
        else { return false }
        // A peer that does not know traces is asked without one.
        if self.version < WireLimits.tracedVersion, case .traced(_, let question) = message {
            return self.send(question)
        }
        // As in `append`, without a closure, which would keep a copy of the message.
        var output = ByteBuffer()
        swap(&output, &self.output)
        defer { swap(&output, &self.output) }
        do { try FrameEncoder.encode(message, into: &output) } catch {
            self.shell.counters.framesUnsendable += 1
            return false
        }
        self.shell.counters.peerSent[PeerKind.of(message).rawValue] &+= 1
        self.markDirty()
        return true
    }

    /// Lets `encode` append to the output of this turn; false when it failed.
    ///
    /// The output is taken out meanwhile: changed in place over a call, the property would be checked at every access.
    private func append(_ encode: (inout ByteBuffer) throws(WireError) -> Void) -> Bool {
        var output = ByteBuffer()
        swap(&output, &self.output)
        defer { swap(&output, &self.output) }
        do { try encode(&output) } catch { return false }
        return true
    }

    /// Writes what this turn produced.
    func flush() {
        self.isDirty = false
        guard let context = self.context, self.output.readableBytes > 0 else { return }
        var output = ByteBuffer()
        swap(&output, &self.output)
        self.shell.counters.sentBytes &+= UInt64(output.readableBytes)
        context.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
        // The room is used again, unless something was said while the channel wrote.
        output.clear()
        if self.output.readableBytes == 0 { swap(&output, &self.output) }
    }

    // MARK: - End

    /// Closes after what is already to be written.
    func close() {
        self.flush()
        if let context = self.context { context.close(promise: nil) } else { self.end() }
    }

    /// Forgets the link; harmless when it is forgotten already.
    func end() {
        let phase = self.phase
        self.phase = .closed
        self.dropEarly()
        if self.shell.linksByAddress[self.address] === self { self.shell.linksByAddress[self.address] = nil }
        if case .open(let node) = phase { self.shell.linkClosed(self, to: node) }
    }
}

extension NodeShell {
    /// Opens a link to `address`, unless one is open or being opened, or the address is this node's own.
    func dial(_ address: PeerAddress) {
        guard !self.isStopping, address != self.identity.address, self.linksByAddress[address] == nil else {
            self.linksByAddress[address]?.checkHandshake(at: self.now.instant)
            return
        }
        let link = PeerLink(address: address, shell: self)
        self.linksByAddress[address] = link
        let bound = NIOLoopBound(link, eventLoop: self.loop)
        let limits = self.limits
        let bootstrap = ClientBootstrap(group: self.loop)
            .connectTimeout(limits.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.tcpUserTimeout, value: limits.peerSilenceMilliseconds)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(
                .writeBufferWaterMark,
                value: .init(low: limits.peerOutputBytesMax / 2, high: limits.peerOutputBytesMax)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value) }
            }
        // A literal address needs no resolver, which would cost a thread each time.
        let connecting: EventLoopFuture<any Channel>
        if let literal = try? SocketAddress(ipAddress: address.host, port: Int(address.port)) {
            connecting = bootstrap.connect(to: literal)
        } else {
            connecting = bootstrap.connect(host: address.host, port: Int(address.port))
        }
        connecting.assumeIsolated().whenFailure { error in
            self.counters.dialsFailed += 1
            self.log.debug("dial failed", metadata: ["address": "\(address)", "error": "\(error)"])
            link.end()
        }
    }

    /// A peer has welcomed `link`. Of two links to one node the newer stays, because the older may be half dead.
    func linkOpened(_ link: PeerLink, to node: NodeID) {
        let older = self.links[node]
        self.links = self.links.with(link, to: node)
        self.log.debug("peer link open", metadata: ["peer": "\(node)", "address": "\(link.address)"])
        self.deliver(.peerUp(node, link.address))
        older?.close()
    }

    /// Dials peers that say they are elsewhere than where the link to them leads. Such a peer has moved, or it is two processes
    /// of which one would hear nothing from here and so never learn of the other. Once a second, since two would take turns.
    func dialClaims() {
        for (node, address) in self.peerClaims.values {
            if let link = self.links[node], link.address != address { self.dial(address) }
        }
    }

    /// `link` is gone; the node hears of it only if there is no newer one.
    func linkClosed(_ link: PeerLink, to node: NodeID) {
        guard self.links[node] === link else { return }
        self.links = self.links.with(nil, to: node)
        self.spans?.onLost(node)
        self.log.debug("peer link lost", metadata: ["peer": "\(node)", "address": "\(link.address)"])
        self.deliver(.peerDown(node))
    }

    /// Keeps a message for a peer that has dialled this node and is being dialled back; false when nobody is dialled for it.
    func hold(_ message: PeerMessage, for node: NodeID) -> Bool {
        for claim in self.peerClaims.values where claim.node == node {
            if let link = self.linksByAddress[claim.address], link.hold(message, for: node) { return true }
        }
        return false
    }

    /// A peer has introduced itself at its own dial: without a link back it could be heard and not be answered.
    func dialBack(_ node: NodeID, _ address: PeerAddress) {
        if self.links[node] == nil, node != self.identity.node { self.dial(address) }
    }

    /// Whether a connection from `remote` is the other end of one of this node's own dials.
    func isOwnDial(from remote: SocketAddress?) -> Bool {
        guard let remote else { return false }
        return self.linksByAddress.values.contains { $0.localAddress == remote }
    }
}

extension ChannelOption where Self == ChannelOptions.Types.SocketOption {
    /// How long sent data may stay unacknowledged before the system ends the connection, in milliseconds (RFC 5482).
    fileprivate static var tcpUserTimeout: Self { Self(level: .tcp, name: .init(rawValue: 18)) }
}
