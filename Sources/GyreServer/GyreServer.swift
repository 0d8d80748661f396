import Glibc
package import GyreBase
import GyreLevelDB
package import GyreMembership
import GyreNode
import GyreStorage
package import GyreTracing
package import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A running node: its data directory, its disk threads, its event loop and its listener.
///
/// Sendable: the shell is only touched on its loop; everything else is safe from any thread.
package final class GyreServer: Sendable {
    /// Who the node is.
    package let node: NodeID
    /// Where the node listens, with the port it got.
    package let listen: PeerAddress
    private let disk: Mutex<Disk?>
    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let shell: ShellBox
    /// Where Redis clients are served, with the port it got; nil for nowhere.
    package let resp: PeerAddress?
    private let listeners: [any Channel]
    private let ended: EventLoopFuture<Void>
    private let stopping = Atomic<Bool>(false)
    private let levels = LevelGauges()
    /// Keeps the spans of traced requests; nil when nobody wants them here.
    package let tracer: FileTracer?

    /// What holds the lock and the files, dropped together when the server closes.
    private struct Disk: Sendable {
        let directory: DataDirectory
        let storage: StorageThreads
    }

    /// The shell's place; filled on the loop once the disk has been read.
    typealias ShellBox = NIOLoopBoundBox<NodeShell?>

    /// Opens the data directory, listens, and starts the node; returns once it can be reached.
    ///
    /// Blocks the calling thread while the store is opened. On failure nothing is left running.
    package static func start(
        _ options: ServerOptions, limits: ShellLimits = ShellLimits(), tracer: FileTracer? = nil, log: Logger
    ) async throws(ServerError) -> GyreServer {
        try options.validate()
        Self.raiseDescriptorLimit()
        let directory = try Self.openDirectory(options, log)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            return try await GyreServer(options, limits, directory, group, tracer, log)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private init(
        _ options: ServerOptions, _ limits: ShellLimits, _ directory: DataDirectory,
        _ group: MultiThreadedEventLoopGroup, _ tracer: FileTracer?, _ log: Logger
    ) async throws(ServerError) {
        let loop = group.next()
        let shell = ShellBox.makeEmptyBox(valueType: NodeShell.self, eventLoop: loop)
        let ended = loop.makePromise(of: Void.self)
        self.group = group
        self.tracer = tracer
        self.loop = loop
        self.shell = shell
        self.ended = ended.futureResult
        self.node = directory.identity.node
        let listen: PeerAddress
        let presence: PresenceKeeper
        do throws(ServerError) {
            presence = try await Self.checkIdentity(options, directory, loop, log)
            (self.listeners, listen, self.resp) = try await Self.bindAll(options, loop, shell, limits)
            self.listen = listen
        } catch {
            ended.succeed()
            throw error
        }
        do {
            let storage = try StorageThreads(
                directory.engine,
                onReplies: { replies in loop.execute { shell.value?.onStorage(replies) } },
                onFailure: { failure in loop.execute { shell.value?.onStorageFailure(failure) } })
            self.disk = Mutex(Disk(directory: directory, storage: storage))
            try await loop.flatSubmit {
                do {
                    let made = try Self.makeShell(
                        options, limits, directory, presence, listen: listen, storage, loop, ended, tracer, log)
                    shell.value = made
                    return made.start()
                } catch {
                    return loop.makeFailedFuture(error)
                }
            }.get()
            // Nobody was accepted until here, because there was nobody to talk to.
            for listener in self.listeners { try await listener.setOption(.autoRead, value: true).get() }
        } catch {
            for listener in self.listeners { try? await listener.close() }
            ended.succeed()
            throw (error as? ServerError) ?? .storage("\(error)")
        }
    }

    /// A place where code of this process asks the node, as a client on a connection would. Throws once the node has stopped.
    package func makeDesk(_ limits: DeskLimits = DeskLimits()) async throws(ServerError) -> RequestDesk {
        let shell = self.shell
        do {
            return try await self.loop.submit {
                guard let shell = shell.value, !shell.isOver else { throw ServerError.storage("the node has stopped") }
                return RequestDesk(shell.makeDesk(limits))
            }.get()
        } catch { throw (error as? ServerError) ?? .storage("\(error)") }
    }

    /// What happened in the last seconds, for code outside the node's loop. Throws once the node has stopped.
    package func statsBoard() async throws(ServerError) -> StatsBoard {
        let shell = self.shell
        do {
            return try await self.loop.submit {
                guard let shell = shell.value else { throw ServerError.storage("the node has stopped") }
                return shell.board
            }.get()
        } catch { throw (error as? ServerError) ?? .storage("\(error)") }
    }

    /// Sets the gauges of LevelDB's levels; takes the database's own lock for a moment. From any thread.
    package func setStorageGauges() {
        let engine = self.disk.withLock { $0?.directory.engine }
        if let engine { self.levels.set(LevelFigures.read(engine.levelStatistics)) }
    }

    /// Whether a stop was asked for; new requests are refused from then on.
    package var isStopping: Bool { self.stopping.load(ordering: .relaxed) }

    // MARK: - Stop

    /// Stops accepting, refuses what is new, finishes what is in flight within `ShellLimits.drainTimeout`. Returns at once.
    package func beginStop() {
        self.stopping.store(true, ordering: .relaxed)
        for listener in self.listeners { listener.close(promise: nil) }
        let shell = self.shell
        self.loop.execute { shell.value?.beginStop() }
    }

    /// Waits until a stop is complete; throws when the disk failed.
    package func waitUntilStopped() async throws { try await self.ended.get() }

    /// Lets go of disk and threads; the last thing done with a server.
    package func close() async {
        let disk = self.disk.withLock { disk in
            defer { disk = nil }
            return disk
        }
        disk?.storage.close()
        let shell = self.shell
        try? await self.loop.submit { shell.value = nil }.get()
        try? await self.group.shutdownGracefully()
    }

    /// A graceful stop from beginning to end.
    package func stop() async throws {
        self.beginStop()
        try await self.waitUntilStopped()
        await self.close()
    }
}

// MARK: - Parts of the start

extension GyreServer {
    /// Opens and locks the data directory, and tells whoever reads the log when the node is not who it was.
    private static func openDirectory(_ options: ServerOptions, _ log: Logger) throws(ServerError) -> DataDirectory {
        var settings = LevelDBOptions()
        settings.durability =
            switch options.durability {
            case .always: .always
            case .interval: .interval
            case .none: .none
            }
        settings.hintBytesMax = options.hintBytesMax
        let directory: DataDirectory
        do throws(DataDirectoryError) {
            directory = try DataDirectory(
                path: options.dataDirectory, cluster: options.cluster, name: options.name, options: settings)
        } catch { throw .storage("\(error)") }
        switch directory.origin {
        case .kept, .created: break
        case .storeWasLost(let previous):
            log.warning("store was lost, node takes a new identity", metadata: ["previous": "\(previous)"])
        case .identityWasLost: log.warning("identity was lost, node takes a new one over the objects it holds")
        }
        let cut = directory.engine.bytesCutOff
        if cut > 0 { log.notice("a write under way at the last end was cut off", metadata: ["bytes": "\(cut)"]) }
        return directory
    }

    /// Asks those that the node knows whether it may come back under its identity; a new one needs no leave.
    private static func checkIdentity(
        _ options: ServerOptions, _ directory: DataDirectory, _ loop: any EventLoop, _ log: Logger
    ) async throws(ServerError) -> PresenceKeeper {
        let recovered = directory.engine.recovered
        let check = IdentityCheck(
            node: directory.identity.node, name: options.name, cluster: options.cluster,
            address: options.advertise ?? options.listen, leased: recovered.counterFloor,
            directory: options.dataDirectory, presence: recovered.presence.flatMap(Presence.init(document:)),
            awayMax: options.awayMax)
        let now = ShellClock().now.wall
        switch directory.origin {
        case .created, .storeWasLost: return PresenceKeeper(check, isConfirmed: true)
        case .kept, .identityWasLost: break
        }
        let known = recovered.members.flatMap(MembersDocument.decoded) ?? []
        let others = known.filter { $0.node != directory.identity.node && $0.state != .removed }.map(\.address)
        let seeds = Array(Set(options.seeds)).sorted()
        // Seeds are likely to be up; of the others a random part is asked, so that no few decide for all.
        let asked = seeds + Set(others).subtracting(seeds).sorted().shuffled()
        do throws(ServerError) {
            let isAnswered = try await check.run(asking: asked, at: now, on: loop)
            return PresenceKeeper(check, isConfirmed: isAnswered || !check.isInDoubt(at: now))
        } catch {
            log.critical("node may not start", metadata: ["reason": "\(error)"])
            throw error
        }
    }

    /// Opens every door; on failure none stays open.
    private static func bindAll(
        _ options: ServerOptions, _ loop: any EventLoop, _ shell: ShellBox, _ limits: ShellLimits
    ) async throws(ServerError) -> (listeners: [any Channel], listen: PeerAddress, resp: PeerAddress?) {
        func bound(_ channel: any Channel, _ wanted: PeerAddress) -> PeerAddress {
            let port = channel.localAddress?.port.flatMap(UInt16.init(exactly:)) ?? wanted.port
            return PeerAddress(host: wanted.host, port: port)
        }
        let native: any Channel
        do {
            native = try await Self.bind(options.listen, loop, shell, limits) { $0.makeConnection() }
        } catch { throw .cannotListen(Self.explanation(error, options.listen, "--listen")) }
        guard let address = options.resp else { return ([native], bound(native, options.listen), nil) }
        do {
            let resp = try await Self.bind(address, loop, shell, limits, allowsHalfClosure: true) {
                $0.makeRespConnection()
            }
            return ([native, resp], bound(native, options.listen), bound(resp, address))
        } catch {
            try? await native.close()
            throw .cannotListen(Self.explanation(error, address, "--resp"))
        }
    }

    /// Listens, without accepting anybody yet. With `allowsHalfClosure` a client may say that it has no more to say, and is answered
    /// all the same.
    private static func bind<Handler: ChannelInboundHandler>(
        _ address: PeerAddress, _ loop: any EventLoop, _ shell: ShellBox, _ limits: ShellLimits,
        allowsHalfClosure: Bool = false, _ makeHandler: @escaping @Sendable (NodeShell) -> Handler
    ) async throws -> any Channel {
        try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.autoRead, value: false)
            // Few at a time, so that a crowd of newcomers does not hold up those who are served.
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            // Linux hands these on to every connection that the socket accepts, which saves calls for each.
            .serverChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // TCP_NOTSENT_LOWAT: a socket takes more as soon as this little is left to be sent. Otherwise it waits until it can take a
            // megabyte, and a client that reads slowly looks for a minute like one that reads nothing.
            .serverChannelOption(.tcpOption(NIOBSDSocket.Option(rawValue: 25)), value: 128 << 10)
            .serverChannelOption(.socketOption(.so_keepalive), value: 1)
            .serverChannelInitializer { channel in
                // Without descriptors left, accepting is tried again a little later instead of in a busy loop.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: limits.clientOutputPauseBytes / 2, high: limits.clientOutputPauseBytes)
            )
            .childChannelOption(.allowRemoteHalfClosure, value: allowsHalfClosure)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let shell = shell.value else { throw ChannelError.ioOnClosedChannel }
                    try channel.pipeline.syncOperations.addHandler(makeHandler(shell))
                }
            }
            .bind(host: address.host, port: Int(address.port)).get()
    }

    private static func makeShell(
        _ options: ServerOptions, _ limits: ShellLimits, _ directory: DataDirectory, _ presence: PresenceKeeper,
        listen: PeerAddress,
        _ storage: StorageThreads, _ loop: any EventLoop, _ ended: EventLoopPromise<Void>,
        _ tracer: FileTracer?, _ log: Logger
    ) throws -> NodeShell {
        var log = log
        log[metadataKey: "name"] = "\(options.name)"
        var me = try MemberRecord(
            node: directory.identity.node, name: options.name, address: options.advertise ?? listen, zone: options.zone,
            weight: options.weight, softwareVersion: gyreVersion,
            labels: Self.labels(of: directory, options)
        ).validated()
        let recovered = directory.engine.recovered
        me.note(leased: recovered.counterFloor)
        let known = recovered.members.flatMap(MembersDocument.decoded)
        if recovered.members != nil, known == nil { log.warning("kept members are unreadable, asking the seeds") }
        let clock = ShellClock()
        let node = try Node(
            options: options.makeNodeOptions(), me: me, seeds: options.seeds, known: known ?? [], recovered: recovered,
            now: clock.now)
        let identity = ShellIdentity(
            node: directory.identity.node, address: me.address, cluster: options.cluster,
            partitionCount: UInt32(options.partitionCount), replicas: UInt8(options.replicas))
        let engine = directory.engine
        let shell = NodeShell(
            node: node, identity: identity, limits: limits, clock: clock,
            random: SeededRandom(seed: UInt64.random(in: .min ... .max)), loop: loop, presence: presence, ended: ended,
            log: log, tracer: tracer, submit: { storage.submit($0).taken(of: $0.count) },
            lookUp: engine.cachedOutcome)
        shell.storageFigures = { EngineSample(engine) }
        return shell
    }

    private static func labels(of directory: DataDirectory, _ options: ServerOptions) -> [MemberLabel] {
        var labels: [MemberLabel] = []
        if let old = directory.identity.replaces {
            labels.append(MemberLabel(name: MemberRecord.replacesLabel, value: old.description))
        }
        if options.isHeld { labels.append(MemberLabel(name: MemberRecord.holdLabel, value: "yes")) }
        return labels
    }

    private static func explanation(_ error: any Error, _ address: PeerAddress, _ flag: String) -> String {
        guard let error = error as? IOError else { return "cannot listen on \(address): \(error)" }
        switch error.errnoCode {
        case EADDRINUSE: return "\(address) is in use by another process; choose another \(flag), or stop that one"
        case EACCES: return "may not listen on \(address); choose a port above 1023"
        case EADDRNOTAVAIL: return "\(address) is no address of this machine; choose another \(flag)"
        default: return "cannot listen on \(address): \(error)"
        }
    }

    /// Ten thousand connections need more descriptors than a shell usually grants; the hard limit is left alone.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = min(limit.rlim_max, 1 << 20)
        _ = setrlimit(resource, &limit)
    }
}
