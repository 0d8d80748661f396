import GyreBase
import GyreMembership
import GyreMessages
import GyreWire
import NIOCore
import NIOPosix

/// What a node that comes back asks the cluster before it serves: whether it may still be who its disk says it is.
///
/// It asks those it knows as any client would. When nobody answers it starts: a cluster that was down as a whole has to come up.
struct IdentityCheck {
    /// The most nodes asked, all at once. Many, because those that are down cannot answer, and one answer is enough.
    private static let askedMax = 64
    /// How long each may take to connect, and then to answer.
    private static let patience = TimeAmount.milliseconds(500)
    /// How long those may take that connected and did not answer, when nobody else did: a busy cluster is one all the same.
    private static let longPatience = TimeAmount.seconds(3)

    /// Somebody took the connection and did not answer in time.
    private struct Slow: Error {}

    /// The identity on the disk.
    let node: NodeID
    /// What people call it.
    let name: String
    /// The cluster it belongs to.
    let cluster: String
    /// Where it is going to be.
    let address: PeerAddress
    /// How far its disk says that dots were leased.
    let leased: UInt64
    /// The data directory.
    let directory: String
    /// When its disk says that it last took part; nil when it says nothing.
    let presence: Presence?
    /// How long it may have been away from a cluster that went on; nil for any time.
    let awayMax: TimeSpan?

    /// Whether the node may have been away for too long, so that somebody has to be asked.
    func isInDoubt(at now: WallTime) -> Bool {
        guard let presence = self.presence, let most = self.awayMax else { return false }
        return presence.absence(from: presence.last, at: now) > most
    }

    /// Refuses, with what can be done, a node that was removed, whose disk is a restored copy, that is running already, or that was
    /// away for too long. False if nobody of its cluster answered.
    func run(
        asking addresses: [PeerAddress], at now: WallTime, on loop: any EventLoop
    ) async throws(ServerError) -> Bool {
        var isAnswered = false
        let asked = Array(addresses.filter { $0 != self.address }.prefix(Self.askedMax))
        var elsewhere: [PeerAddress] = []
        for (address, report) in await self.ask(asked, on: loop) {
            if report.me == self.node { throw self.twin(at: address) }
            guard report.cluster == self.cluster,
                let record = report.members.first(where: { $0.record.node == self.node })?.record
            else { continue }
            isAnswered = true
            if record.state == .removed { throw self.removed }
            try self.checkAbsence(report, at: now)
            if let leased = record.leased, leased > self.leased { throw self.rolledBack }
            if record.address != self.address, !asked.contains(record.address) { elsewhere.append(record.address) }
        }
        // It has moved, unless somebody is at the old place under this very identity.
        for (address, report) in await self.ask(Array(Set(elsewhere)).sorted(), on: loop) where report.me == self.node {
            throw self.twin(at: address)
        }
        return isAnswered
    }

    /// Refuses a node that started while nobody answered and was away for too long, as those say that it has met since. False if
    /// still nobody answered.
    func runLate(
        asking addresses: [PeerAddress], at now: WallTime, on loop: any EventLoop
    ) async throws(ServerError) -> Bool {
        let reports = await self.ask(Array(addresses.prefix(Self.askedMax)), on: loop).map(\.1)
            .filter { $0.me != self.node && $0.cluster == self.cluster }
        for report in reports { try self.checkAbsence(report, at: now) }
        return !reports.isEmpty
    }

    private func checkAbsence(_ report: StatusReport, at now: WallTime) throws(ServerError) {
        guard let presence = self.presence, let most = self.awayMax, let since = Presence.since(in: report) else {
            return
        }
        let absence = presence.absence(from: since, at: now)
        if absence > most { throw self.tooLate(absence, most) }
    }

    private func tooLate(_ absence: TimeSpan, _ most: TimeSpan) -> ServerError {
        .refused(
            "node \(self.name) was away for \(Self.text(absence)) while cluster '\(self.cluster)' went on without it, and at most"
                + " \(Self.text(most)) is allowed (--away-max). Move \(self.directory)/store away and start again: the node takes a"
                + " new identity in its old place and is filled from the others. If only this disk may hold something, start it"
                + " with --away-max off instead; to give its place up: gyre remove \(self.name)")
    }

    /// A length of time in the largest unit of which there are two.
    private static func text(_ time: TimeSpan) -> String {
        let milliseconds = time.wholeMilliseconds
        for (unit, size) in [("d", Int64(86_400_000)), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        where milliseconds >= 2 * size { return "\(milliseconds / size)\(unit)" }
        return "\(milliseconds)ms"
    }

    private func twin(at address: PeerAddress) -> ServerError {
        .refused(
            "node \(self.name) is running already, at \(address), under the identity in \(self.directory); stop one of the two,"
                + " and give a copy a --data directory of its own")
    }

    private var removed: ServerError {
        .refused(
            "node \(self.name) was removed from cluster '\(self.cluster)' and its identity never comes back; start it with an"
                + " empty --data directory, or give it a dead node's place with: gyre replace OLD --with \(self.name)")
    }

    private var rolledBack: ServerError {
        .refused(
            "the disk of node \(self.name) is older than what the cluster has seen of it, as after restoring a copy; it would lose"
                + " acknowledged writes. Move \(self.directory)/store away and start again: the node takes a new identity"
                + " in its old place and is filled from the others")
    }

    /// What those say who answer, in the order asked.
    private func ask(_ addresses: [PeerAddress], on loop: any EventLoop) async -> [(PeerAddress, StatusReport)] {
        let (reports, slow) = await self.ask(addresses, patience: Self.patience, on: loop)
        guard reports.isEmpty, !slow.isEmpty else { return reports }
        return await self.ask(slow, patience: Self.longPatience, on: loop).reports
    }

    private func ask(
        _ addresses: [PeerAddress], patience: TimeAmount, on loop: any EventLoop
    ) async -> (reports: [(PeerAddress, StatusReport)], slow: [PeerAddress]) {
        let answers = addresses.map { address in
            (address, Self.report(of: address, cluster: self.cluster, patience: patience, on: loop))
        }
        var reports: [(PeerAddress, StatusReport)] = []
        var slow: [PeerAddress] = []
        for (address, answer) in answers {
            do { reports.append((address, try await answer.get())) } catch {
                if error is Slow { slow.append(address) }
            }
        }
        return (reports, slow)
    }

    private static func report(
        of address: PeerAddress, cluster: String, patience: TimeAmount, on loop: any EventLoop
    ) -> EventLoopFuture<StatusReport> {
        let promise = loop.makePromise(of: StatusReport.self)
        let connecting = ClientBootstrap(group: loop)
            .connectTimeout(Self.patience)
            .channelInitializer { channel in
                promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StatusAsker(cluster: cluster, promise: promise))
                }
            }
            .connect(host: address.host, port: Int(address.port))
        connecting.whenFailure { promise.fail($0) }
        connecting.whenSuccess { _ in
            let timeout = loop.scheduleTask(in: patience) { promise.fail(Slow()) }
            promise.futureResult.whenComplete { _ in timeout.cancel() }
        }
        return promise.futureResult
    }
}

/// Says hello as a client, asks for the status, and closes once it is there.
private final class StatusAsker: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let cluster: String
    private let promise: EventLoopPromise<StatusReport>
    private var decoder = FrameDecoder()

    init(cluster: String, promise: EventLoopPromise<StatusReport>) {
        self.cluster = cluster
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        let hello = Hello(
            protocolVersion: WireLimits.protocolVersion, cluster: self.cluster, role: .client(name: "identity-check"))
        self.send(.hello(hello), context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.decoder.append(self.unwrapInboundIn(data))
        do {
            while let frame = try self.decoder.next() {
                switch frame {
                case .helloReply(.welcome):
                    self.decoder.completeHandshake()
                    self.send(.request(tag: 1, timeoutMilliseconds: 3_000, .status), context)
                case .response(_, .status(let report)):
                    self.promise.succeed(report)
                case .hello, .helloReply, .request, .response, .peer: context.close(promise: nil)
                }
            }
        } catch { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { self.promise.fail(ChannelError.eof) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func send(_ frame: Frame, _ context: ChannelHandlerContext) {
        var buffer = ByteBuffer()
        do { try FrameEncoder.encode(frame, into: &buffer) } catch { return context.close(promise: nil) }
        context.writeAndFlush(self.wrapOutboundOut(buffer), promise: nil)
    }
}
