import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreMetrics
import GyreReports
import GyreRing
import GyreServer
import HTTPTypes
import NIOCore

/// What operators and their tools ask: the documents of the command line, figures, and whether the node is well. Sendable.
struct AdminRoutes: Sendable {
    let objects: ObjectRoutes
    let server: GyreServer
    /// Asks the node and its peers as the command line does, over its own connections.
    let client: GyreClient
    let board: StatsBoard
    let exporter: PrometheusExporter?
    let gate: ConnectionGate
    private let gauges = ScrapeGauges()
    private let status: StatusCache

    init(
        objects: ObjectRoutes, server: GyreServer, client: GyreClient, board: StatsBoard,
        exporter: PrometheusExporter?, gate: ConnectionGate
    ) {
        self.objects = objects
        self.server = server
        self.client = client
        self.board = board
        self.exporter = exporter
        self.gate = gate
        self.status = StatusCache(client)
    }

    /// The paths without variables, but for `/v1/repair`.
    func fixed(_ path: Route.Fixed, _ query: Query) async throws(Refusal) -> Answer {
        switch path {
        case .page: return StatusPage.answer
        case .ping: return Answer(.ok, "text/plain", "OK")
        case .healthz: return Answer(.ok, "text/plain", "ok\n")
        case .readyz: return await self.ready
        case .stats:
            let count = try query.integer("seconds", in: 1...StatsBoard.samplesMax) ?? 1
            return Answer(json: StatsDocument.text(self.board.samples, last: count))
        case .metrics: return try await self.metrics()
        case .status:
            do throws(GyreError) { return Answer(json: try await self.status.summary().json) } catch {
                throw Refusal(error)
            }
        case .ring: return try await self.ring(query)
        case .repair: throw .noRoute
        }
    }

    /// `/v1/explain/B/K`.
    func explain(_ name: ObjectName) async throws(Refusal) -> Answer {
        guard let bucket = String(validating: name.bucket.readableBytesView, as: UTF8.self),
            let key = String(validating: name.key.readableBytesView, as: UTF8.self)
        else { throw .badRequest("only names that are UTF-8 text can be explained in JSON") }
        do throws(GyreError) {
            return Answer(json: try await self.client.explain(bucket: bucket, key: key).json(bucket: bucket, key: key))
        } catch { throw Refusal(error) }
    }

    // MARK: - Repair

    /// `POST /v1/repair`: the same options as `gyre repair`, as JSON or in the query; the query wins.
    func startRepair(_ query: Query, _ body: ByteBuffer) async throws(Refusal) -> Answer {
        var options = RepairOptions()
        if body.readableBytes > 0 {
            guard let fields = JSONFields(body) else {
                throw .badRequest("the body must be a JSON object of at most \(JSONFields.countMax) fields")
            }
            for (name, value) in fields.all {
                switch (name, value) {
                case ("bucket", .text(let text)): options.bucket = text
                case ("node", .text(let text)): options.node = text
                case ("partition", .integer(let number)): options.partition = number
                case ("dry_run", .bool(let flag)): options.isDry = flag
                default:
                    throw .badRequest(
                        "'\(name.prefix(40))' is none of bucket, node, partition and dry_run, or no such value")
                }
            }
        }
        if let bucket = try query.text("bucket") { options.bucket = bucket }
        if let node = try query.text("node") { options.node = node }
        if let partition = try query.integer("partition", in: 0...Int(Int32.max)) { options.partition = partition }
        if query.bytes("dry_run") != nil { options.isDry = try query.flag("dry_run") }
        do throws(GyreError) {
            let progress = try await self.client.startRepair(options)
            var answer = Answer(.accepted, json: RepairReceipt(progress).json)
            answer.fields[.location] = "/v1/repair/\(progress.id.text)"
            return answer
        } catch { throw Refusal(error) }
    }

    /// `GET /v1/repair/ID`.
    func repairProgress(_ id: String) async throws(Refusal) -> Answer {
        do throws(GyreError) {
            return Answer(json: RepairReceipt(try await self.client.repairProgress(RepairID(text: id))).json)
        } catch { throw Refusal(error) }
    }

    /// `DELETE /v1/repair/ID`: what it repaired stays repaired.
    func cancelRepair(_ id: String) async throws(Refusal) -> Answer {
        do throws(GyreError) {
            let progress = try await self.client.cancelRepair(RepairID(text: id))
            return Answer(json: RepairReceipt(progress, wasStopped: !progress.isOver).json)
        } catch { throw Refusal(error) }
    }

    // MARK: - Ring

    private func ring(_ query: Query) async throws(Refusal) -> Answer {
        let report = try await self.report()
        if let key = try query.text("key") {
            let bucket = try query.text("bucket") ?? "default"
            let name: ObjectName
            do { name = try ObjectName(bucket: ByteBuffer(string: bucket), key: ByteBuffer(string: key)) } catch {
                throw .badRequest(
                    "a bucket has 1 to \(ObjectName.bucketBytesMax) bytes, a key 1 to \(ObjectName.keyBytesMax)")
            }
            guard case .location(let location) = try await self.objects.ask(.locate(name), Self.timeout) else {
                throw Self.nonsense
            }
            return Answer(json: location.json(bucket: bucket, key: key, report))
        }
        guard case .object(var fields) = report.ringJSON, try query.flag("primaries") else {
            return Answer(json: report.ringJSON)
        }
        fields.append(("primaries", .list(Self.primaries(report).map(JSONText.text))))
        return Answer(json: .object(fields))
    }

    /// The first owner of each partition, by name; empty while there is no ring.
    private static func primaries(_ report: StatusReport) -> [String] {
        let view = ClusterView()
        view.learn(report)
        guard let ring = view.ring else { return [] }
        return (0..<Int(report.partitionCount)).map { index in
            let owner = ring.owners(of: PartitionID(index: index)).first
            return report.members.first { $0.record.node == owner }?.record.name ?? "?"
        }
    }

    // MARK: - Health and figures

    /// Whether a balancer should send requests here: the node is a member with a ring, and does not drain.
    private var ready: Answer {
        get async {
            if self.server.isStopping { return Answer(.serviceUnavailable, "text/plain", "draining\n") }
            guard let name = try? ObjectName(bucket: ByteBuffer(string: "-"), key: ByteBuffer(string: "-")),
                case .location(let location)? = try? await self.objects.ask(.locate(name), Self.timeout),
                !location.owners.isEmpty
            else { return Answer(.serviceUnavailable, "text/plain", "not a member yet\n") }
            return Answer(.ok, "text/plain", "ready\n")
        }
    }

    private func metrics() async throws(Refusal) -> Answer {
        guard let exporter = self.exporter else { throw .noRoute }
        // A node that answers no more still has figures worth a look.
        if let report = try? await self.report() { self.gauges.set(report, httpConnections: self.gate.count) }
        self.server.setStorageGauges()
        return Answer(.ok, "text/plain; version=0.0.4; charset=utf-8", exporter.text)
    }

    private func report() async throws(Refusal) -> StatusReport {
        guard case .status(let report) = try await self.objects.ask(.status, Self.timeout) else { throw Self.nonsense }
        return report
    }

    private static let timeout = TimeSpan.seconds(1)

    private static var nonsense: Refusal {
        Refusal(.internalServerError, "failed", "the node gave an answer of another kind")
    }
}

/// The cluster's status, asked for at most twice a second however many look at it.
actor StatusCache {
    /// How old a status may be that is shown again.
    private static let ageMax = Duration.milliseconds(500)

    private let client: GyreClient
    private var kept: (summary: StatusSummary, at: ContinuousClock.Instant)?
    private var running: Task<Result<StatusSummary, GyreError>, Never>?

    init(_ client: GyreClient) { self.client = client }

    /// A status that is at most half a second old.
    func summary() async throws(GyreError) -> StatusSummary {
        let now = ContinuousClock.now
        if let kept = self.kept, now - kept.at < Self.ageMax { return kept.summary }
        let task: Task<Result<StatusSummary, GyreError>, Never>
        if let running = self.running {
            task = running
        } else {
            let client = self.client
            task = Task {
                do throws(GyreError) {
                    return .success(StatusSummary(try await client.gatherStatus(timeout: .milliseconds(400))))
                } catch { return .failure(error) }
            }
            self.running = task
        }
        let result = await task.value
        if self.running == task { self.running = nil }
        let summary = try result.get()
        self.kept = (summary, .now)
        return summary
    }
}
