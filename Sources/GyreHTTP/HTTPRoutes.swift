import CoreMetrics
import GyreBase
import GyreClient
import GyreMessages
import GyreMetrics
import GyreReports
import GyreServer
import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTP1

/// Answers every request: finds what its path names, does it, and makes failures into statuses. Sendable.
struct HTTPRoutes: Sendable {
    let objects: ObjectRoutes
    let buckets: BucketRoutes
    let admin: AdminRoutes
    private let limits: HTTPLimits
    private let budget: BodyBudget
    private let trace: RequestTrace
    /// By hundred of the status, from 200.
    private let classes: [Counter]

    init(
        objects: ObjectRoutes, server: GyreServer, client: GyreClient, board: StatsBoard,
        exporter: PrometheusExporter?, gate: ConnectionGate, limits: HTTPLimits
    ) {
        self.objects = objects
        self.buckets = BucketRoutes(objects: objects)
        self.admin = AdminRoutes(
            objects: objects, server: server, client: client, board: board, exporter: exporter, gate: gate)
        self.limits = limits
        self.trace = RequestTrace(tracer: server.tracer)
        self.budget = BodyBudget(most: limits.bodiesBytesMax)
        self.classes = (2...5).map {
            Counter(label: "gyre_http_responses_total", dimensions: [("class", "\($0)xx")])
        }
    }

    /// The whole of one request; what it throws ends the connection.
    @Sendable func serve(
        _ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel
    ) async throws {
        let tooLarge = request.headers[.contentLength].flatMap(Int.init).map { $0 > self.limits.bodyBytesMax } ?? false
        let answer: Answer
        do {
            // What is too large by its own account is refused before it travels.
            if tooLarge { throw Refusal(.tooLarge(limit: UInt64(self.limits.bodyBytesMax))) }
            if request.headers[.expect]?.lowercased() == "100-continue" {
                try await writer.writeInformationalHead(HTTPResponse(status: .continue))
            }
            let body = try await ReceivedBody.receive(request, bytesMax: self.limits.bodyBytesMax, self.budget)
            answer = try await self.trace.around(request) { try await self.answer(request, body.bytes) }
        } catch let refusal as Refusal {
            answer = refusal.answer
        }
        let index = answer.status.code / 100 - 2
        if self.classes.indices.contains(index) { self.classes[index].increment() }
        let response = answer.response(to: request.method)
        try await writer.write(response: response.head, body: response.body)
        if tooLarge, request.headers[.connection]?.lowercased() == "close" { try await ReceivedBody.discard(request) }
    }

    private func answer(_ request: Request, _ body: ByteBuffer) async throws -> Answer {
        guard let target = request.head.path else { throw Refusal.noRoute }
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let route = try Route(path: parts.first ?? "")
        let query = try Query(parts.count > 1 ? parts[1] : "")
        try Self.checkOrigin(request)
        switch route {
        case .object(let name): return try await self.object(name, query, request, body)
        case .keys(let bucket):
            switch request.method {
            case .get, .head: return try await self.buckets.keys(of: bucket, query)
            case .post: return try await self.newObject(in: bucket, query, request, body)
            default: throw Self.notAllowed("GET, HEAD, POST")
            }
        case .buckets:
            guard Self.isRead(request) else { throw Self.notAllowed("GET, HEAD") }
            return try await self.buckets.names(query)
        case .properties(let bucket):
            switch request.method {
            case .get, .head: return try await self.buckets.properties(of: bucket)
            case .put:
                return try await self.buckets.setProperties(of: bucket, try Self.document(body))
            case .delete: return try await self.buckets.resetProperties(of: bucket)
            default: throw Self.notAllowed("GET, HEAD, PUT, DELETE")
            }
        case .explain(let name):
            guard Self.isRead(request) else { throw Self.notAllowed("GET, HEAD") }
            return try await self.admin.explain(name)
        case .repairProgress(let id):
            switch request.method {
            case .get, .head: return try await self.admin.repairProgress(id)
            case .delete: return try await self.admin.cancelRepair(id)
            default: throw Self.notAllowed("GET, HEAD, DELETE")
            }
        case .fixed(.repair):
            guard request.method == .post else { throw Self.notAllowed("POST") }
            return try await self.admin.startRepair(query, try Self.document(body))
        case .fixed(let fixed):
            guard Self.isRead(request) else { throw Self.notAllowed("GET, HEAD") }
            return try await self.admin.fixed(fixed, query)
        }
    }

    private func object(
        _ name: ObjectName, _ query: Query, _ request: Request, _ body: ByteBuffer
    ) async throws -> Answer {
        let wanted = try ObjectRequest(name, query, request.headers, self.limits)
        switch request.method {
        case .get, .head: return try await self.objects.read(wanted)
        case .put, .post:
            return try await self.objects.store(wanted, body, location: nil)
        case .delete: return try await self.objects.delete(wanted)
        default: throw Self.notAllowed("GET, HEAD, PUT, POST, DELETE")
        }
    }

    /// Stores under a key that is made up here: 128 random bits.
    private func newObject(
        in bucket: BucketName, _ query: Query, _ request: Request, _ body: ByteBuffer
    ) async throws -> Answer {
        let key = hexadecimal(UInt64.random(in: .min ... .max)) + hexadecimal(UInt64.random(in: .min ... .max))
        let name: ObjectName
        do { name = try ObjectName(bucket: bucket.bytes, key: ByteBuffer(string: key)) } catch {
            throw Refusal.badRequest("\(error)")
        }
        let wanted = try ObjectRequest(name, query, request.headers, self.limits)
        return try await self.objects.store(
            wanted, body, location: "/buckets/\(PercentText.encode(bucket.bytes))/keys/\(key)")
    }

    /// A body that is to be a JSON document, of at most 64 KiB.
    private static func document(_ body: ByteBuffer) throws(Refusal) -> ByteBuffer {
        let bytesMax = 64 << 10
        guard body.readableBytes <= bytesMax else { throw Refusal(.tooLarge(limit: UInt64(bytesMax))) }
        return body
    }

    private static func isRead(_ request: Request) -> Bool { request.method == .get || request.method == .head }

    private static func notAllowed(_ methods: String) -> Refusal {
        var refusal = Refusal(
            .methodNotAllowed, "methodNotAllowed", "this path does not take that method", try: methods)
        refusal.answer.fields[.allow] = methods
        return refusal
    }

    /// Keeps a web page from elsewhere, opened beside the node, from changing anything: browsers say where a request comes from.
    private static func checkOrigin(_ request: Request) throws(Refusal) {
        guard !Self.isRead(request), let origin = request.headers[.origin] else { return }
        guard let host = request.head.authority, origin == "http://\(host)" || origin == "https://\(host)" else {
            throw Refusal(.forbidden, "forbidden", "a page of another origin may not change anything here")
        }
    }
}
