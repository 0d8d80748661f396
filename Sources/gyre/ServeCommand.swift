import ArgumentParser
import CoreMetrics
import Dispatch
import Glibc
import GyreBase
import GyreHTTP
import GyreMembership
import GyreMetrics
import GyreServer
import GyreTracing
import Logging
import ServiceLifecycle

/// Runs a node in the foreground until SIGTERM or SIGINT.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run a node in the foreground until SIGTERM or SIGINT.",
        discussion: """
            Every setting can also come from the environment (GYRE_NAME, GYRE_DATA, ...) or from a YAML file with the \
            same names. A flag wins over the environment, the environment over the file.
            """
    )

    @Option(help: "What people call the node; unique in the cluster.") var name: String?
    @Option(help: "The directory that belongs to this node alone.", completion: .directory) var data: String?
    @Option(help: "HOST:PORT to listen on; port 0 takes a free one. Default 127.0.0.1:7400.") var listen: String?
    @Option(help: "HOST:PORT where others reach the node, when it is not the one it listens on.") var advertise: String?
    @Option(help: "HOST:PORT of a node of the cluster; repeatable, may be down, may be this one.") var seed: [String] =
        []
    @Option(help: "The cluster's name; nodes of different names refuse each other. Default gyre.") var cluster: String?
    @Option(help: "The failure domain; replicas go to different ones first.") var zone: String?
    @Option(help: "The share of the ring, relative to the others. Default 1.") var weight: Int?
    @Option(help: "Slices of the ring, a power of two, fixed when the cluster is created. Default 1024.")
    var partitions: Int?
    @Option(help: "N, the replicas of a key; the same on every node. Default 3.") var replicas: Int?
    @Option(help: "R, the replicas that a read asks. Default 2.") var reads: Int?
    @Option(help: "W, the replicas that must have a write on disk. Default 2.") var writes: Int?
    @Option(
        help: "When a write counts as on disk: always, interval or none. Default always.",
        completion: .list(["always", "interval", "none"]))
    var durability: String?
    @Option(help: "How often each partition is compared with its other owners, or off. Default 10m.")
    var antiEntropy: String?
    @Option(help: "How long one pass of reading everything through takes. Default 24h.") var scrub: String?
    @Option(
        help: "How long the node may have been away from a cluster that went on without it, or off. Default 30d.")
    var awayMax: String?
    @Option(help: "How long a request may take before the log has a line about it, or off. Default 500ms.")
    var slow: String?
    @Option(help: "Bytes of hints kept for other nodes, at most; more are refused. Default 1073741824.")
    var hints: Int?
    @Option(
        help: "Whether healthy nodes stand in for owners that cannot be reached: on or off. Default on.",
        completion: .list(["on", "off"]))
    var sloppy: String?
    @Option(help: "HOST:PORT of the HTTP interface with the status page; port 0 takes a free one. Off unless given.")
    var http: String?
    @Option(help: "HOST:PORT to serve Redis clients on; port 0 takes a free one. Default: not served.") var resp:
        String?
    @Option(
        help: "A file for the spans of requests that bring a traceparent, as OTLP/JSON lines. Off unless given.",
        completion: .file())
    var traceFile: String?
    @Option(help: "Bytes above which the trace file becomes FILE.1 and a new one begins. Default 67108864.")
    var traceFileMax: Int?
    @Option(
        help: "trace, debug, info, notice, warning, error or critical. Default info.",
        completion: .list(["trace", "debug", "info", "notice", "warning", "error", "critical"]))
    var logLevel: String?
    @Option(help: "A YAML file of settings.", completion: .file(extensions: ["yaml", "yml"])) var config: String?
    @Flag(help: "Join a cluster that is there, but own nothing before gyre join or gyre replace says so.") var hold =
        false
    @Flag(help: "Check the settings and exit.") var check = false

    func run() async throws {
        try await reportingFailures(json: false) {
            let (options, doors, level) = try await self.settings()
            if self.check {
                StandardStreams.writeLine("ok")
                return
            }
            try await Self.serve(options, doors, level)
        }
    }

    /// The doors beside the node's own, and what watches them.
    private struct Doors {
        var http: PeerAddress?
        var traceFile: String?
        var traceFileBytesMax = 64 << 20
    }

    private static func serve(_ options: ServerOptions, _ doors: Doors, _ level: Logger.Level) async throws {
        // A write to a connection that is gone must be an error, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        var log = Logger(label: "gyre") { StreamLogHandler.standardError(label: $0) }
        log.logLevel = level
        // Before the node, which makes its metrics in what is there.
        let exporter = doors.http.map { _ in PrometheusExporter() }
        if let exporter { MetricsSystem.bootstrap(exporter) }
        let tracer = try Self.makeTracer(doors, options)
        let server: GyreServer
        do throws(ServerError) {
            if let address = doors.http { try await HTTPDoor.check(address) }
            server = try await GyreServer.start(options, tracer: tracer, log: log)
        } catch { throw Self.failure(error) }
        var http: HTTPDoor?
        if let address = doors.http {
            do throws(ServerError) {
                http = try await HTTPDoor.start(server, on: address, exporter: exporter, log: log)
            } catch {
                try? await server.stop()
                throw Self.failure(error)
            }
        }
        // The first to start is the last to stop, so that it still writes what the others end with. A node that has left the
        // cluster ends by itself, and that is no failure.
        let all: [any Service] = (tracer.map { [$0] } ?? []) + server.services(doors: http.map { [$0] } ?? [])
        let services = all.map { service in
            ServiceGroupConfiguration.ServiceConfiguration(
                service: service, successTerminationBehavior: .gracefullyShutdownGroup)
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: services, logger: Self.quiet(log)))
        let signals = await StopSignals { await group.triggerGracefulShutdown() }
        defer { signals.cancel() }
        StandardStreams.writeLine(
            "ready name=\(options.name) node=\(server.node) listen=\(server.listen)"
                + " http=\(http?.address.description ?? "-") resp=\(server.resp?.description ?? "-")")
        do {
            try await group.run()
        } catch let error as ServerError {
            throw Self.failure(error)
        }
        log.info("stopped")
    }

    private static func makeTracer(_ doors: Doors, _ options: ServerOptions) throws -> FileTracer? {
        guard let path = doors.traceFile else { return nil }
        let node = TracedNode(name: options.name, cluster: options.cluster, version: gyreVersion)
        do throws(TraceFileError) {
            return try FileTracer(path: path, bytesMax: doors.traceFileBytesMax, node: node)
        } catch { throw CommandFailure(.inputOutput, "\(error)") }
    }

    /// The group's own lines say nothing that ours do not.
    private static func quiet(_ log: Logger) -> Logger {
        var copy = log
        copy.logLevel = max(log.logLevel, .error)
        return copy
    }

    private static func failure(_ error: ServerError) -> CommandFailure {
        switch error {
        case .invalidOption(let text): CommandFailure(.usage, text)
        case .cannotListen(let text), .storage(let text), .refused(let text): CommandFailure(.inputOutput, text)
        }
    }

    private func settings() async throws -> (ServerOptions, Doors, Logger.Level) {
        let settings = try ServeSettings(file: self.config)
        guard let name = try settings.text(self.name, "name") else {
            throw CommandFailure(.usage, "a node needs a name: add --name")
        }
        guard let data = try settings.text(self.data, "data") else {
            throw CommandFailure(.usage, "a node needs a directory of its own: add --data")
        }
        var doors = Doors(http: try settings.address(self.http, "http"))
        doors.traceFile = try settings.text(self.traceFile, "trace-file")
        if let bytes = try settings.integer(self.traceFileMax, "trace-file-max") {
            guard bytes >= 1 << 16 else {
                throw CommandFailure(.usage, "trace-file-max must be at least 65536 bytes, not \(bytes)")
            }
            doors.traceFileBytesMax = bytes
        }
        var options = ServerOptions(name: name, dataDirectory: data)
        options.listen = try settings.address(self.listen, "listen") ?? options.listen
        options.resp = try settings.address(self.resp, "resp")
        options.advertise = try settings.address(self.advertise, "advertise")
        options.seeds = try settings.addresses(self.seed, "seed")
        options.cluster = try settings.text(self.cluster, "cluster") ?? options.cluster
        options.zone = try settings.text(self.zone, "zone") ?? options.zone
        options.weight = try settings.integer(self.weight, "weight") ?? options.weight
        options.partitionCount = try settings.integer(self.partitions, "partitions") ?? options.partitionCount
        options.replicas = try settings.integer(self.replicas, "replicas") ?? options.replicas
        options.reads = try settings.integer(self.reads, "reads") ?? min(options.reads, max(1, options.replicas))
        options.writes = try settings.integer(self.writes, "writes") ?? min(options.writes, max(1, options.replicas))
        if let text = try settings.text(self.durability, "durability") {
            guard let durability = DurabilityOption(rawValue: text) else {
                throw CommandFailure(.usage, "durability must be always, interval or none, not '\(text)'")
            }
            options.durability = durability
        }
        try self.readHealing(settings, into: &options)
        options.isHeld = self.hold
        var level = Logger.Level.info
        if let text = try settings.text(self.logLevel, "log-level") {
            guard let known = Logger.Level(rawValue: text) else {
                throw CommandFailure(.usage, "log-level must be one of trace to critical, not '\(text)'")
            }
            level = known
        }
        do throws(ServerError) { try options.validate() } catch { throw Self.failure(error) }
        try Self.checkDistinct([("listen", options.listen), ("http", doors.http), ("resp", options.resp)])
        return (options, doors, level)
    }

    /// Two doors at one address would be found out only when the node has joined. Port 0 is a port of its own each time.
    private static func checkDistinct(_ addresses: [(name: String, address: PeerAddress?)]) throws {
        var owners: [PeerAddress: String] = [:]
        for case (let name, let address?) in addresses where address.port != 0 {
            guard let other = owners.updateValue(name, forKey: address) else { continue }
            throw CommandFailure(.usage, "\(other) and \(name) are both \(address); each needs a port of its own")
        }
    }

    private func readHealing(_ settings: ServeSettings, into options: inout ServerOptions) throws {
        if let interval = try settings.duration(self.antiEntropy, "anti-entropy", mayBeOff: true) {
            options.antiEntropyInterval = interval.map(Self.span)
        }
        if let period = try settings.duration(self.scrub, "scrub", mayBeOff: false), let period {
            options.scrubPeriod = Self.span(period)
        }
        if let longest = try settings.duration(self.awayMax, "away-max", mayBeOff: true) {
            options.awayMax = longest.map(Self.span)
        }
        if let threshold = try settings.duration(self.slow, "slow", mayBeOff: true) {
            options.slowThreshold = threshold.map(Self.span)
        }
        if let bytes = try settings.integer(self.hints, "hints") {
            guard bytes >= 0 else { throw CommandFailure(.usage, "hints must be a number of bytes, not \(bytes)") }
            options.hintBytesMax = UInt64(bytes)
        }
        switch try settings.text(self.sloppy, "sloppy") {
        case nil, "on": break
        case "off": options.isSloppy = false
        case let text?: throw CommandFailure(.usage, "sloppy must be on or off, not '\(text)'")
        }
    }

    private static func span(_ duration: Duration) -> TimeSpan {
        let (seconds, attoseconds) = duration.components
        return TimeSpan(nanoseconds: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
