import GyreBase
import GyreMessages
import GyreReports
import HTTPTypes
import HummingbirdCore
import NIOCore

/// What is done with buckets: their properties, their keys, their names. Sendable.
struct BucketRoutes: Sendable {
    let objects: ObjectRoutes

    private var timeout: TimeSpan { self.objects.limits.requestTimeout }

    /// `GET /buckets/B/props`.
    func properties(of bucket: BucketName) async throws(Refusal) -> Answer {
        try await self.document(.bucketShow(bucket), .ok)
    }

    /// `PUT /buckets/B/props`.
    func setProperties(of bucket: BucketName, _ body: ByteBuffer) async throws(Refusal) -> Answer {
        _ = try await self.document(.bucketSet(bucket, try BucketDocument.changes(in: body)), .ok)
        return Answer(.noContent)
    }

    /// `DELETE /buckets/B/props`.
    func resetProperties(of bucket: BucketName) async throws(Refusal) -> Answer {
        _ = try await self.document(.bucketSet(bucket, BucketDocument.reset), .ok)
        return Answer(.noContent)
    }

    /// `GET /buckets/B/keys`.
    func keys(of bucket: BucketName, _ query: Query) async throws(Refusal) -> Answer {
        let isStream: Bool
        switch try query.text("keys") {
        case "true": isStream = false
        case "stream": isStream = true
        default:
            throw .badRequest("listing keys takes a while", try: "keys=true, or keys=stream for one document a page")
        }
        let prefix = query.bytes("prefix") ?? ByteBuffer()
        guard prefix.readableBytes <= ObjectName.keyBytesMax else {
            throw .badRequest("a prefix has at most \(ObjectName.keyBytesMax) bytes")
        }
        return try await self.listing(
            ListRequest(bucket: bucket.bytes, prefix: prefix), "keys", isStream: isStream, query)
    }

    /// `GET /buckets`.
    func names(_ query: Query) async throws(Refusal) -> Answer {
        switch try query.text("buckets") {
        case "true": try await self.listing(ListRequest(bucket: nil), "buckets", isStream: false, query)
        case "stream": try await self.listing(ListRequest(bucket: nil), "buckets", isStream: true, query)
        default: throw .badRequest("listing buckets reads every key", try: "buckets=true, or buckets=stream")
        }
    }

    /// The names as they come, a page at a time, so that a listing of any length needs the memory of a page. The first page is
    /// waited for, because a status can only be sent before it; when a later one fails, the answer ends unfinished.
    private func listing(
        _ first: ListRequest, _ word: String, isStream: Bool, _ query: Query
    ) async throws(Refusal) -> Answer {
        let writer = ListingWriter(word: word, isStream: isStream, escapes: try Self.escapes(query))
        let page = try await self.page(first)
        var answer = Answer(.ok)
        answer.fields[.contentType] = "application/json"
        answer.stream = { out in
            var writer = writer
            var page = page
            try await out.write(writer.begin())
            while true {
                if let part = writer.part(page.names) { try await out.write(part) }
                guard let next = page.next else { break }
                var request = first
                request.from = next
                page = try await self.page(request)
            }
            try await out.write(writer.end())
            try await out.finish(nil)
        }
        return answer
    }

    private func page(_ request: ListRequest) async throws(Refusal) -> ListedNames {
        guard case .listed(let names) = try await self.objects.ask(.list(request), self.listTimeout) else {
            throw Refusal(.internalServerError, "failed", "the node gave an answer of another kind")
        }
        return names
    }

    /// A page may have to look at many keys of other buckets.
    private var listTimeout: TimeSpan { .seconds(10) }

    private static func escapes(_ query: Query) throws(Refusal) -> Bool {
        switch try query.text("encoding") {
        case nil: false
        case "percent": true
        case let text?: throw .badRequest("encoding=\(text.prefix(40)): give percent, or leave it out")
        }
    }

    private func document(_ request: ClientRequest, _ status: HTTPResponse.Status) async throws(Refusal) -> Answer {
        guard case .buckets(let report) = try await self.objects.ask(request, self.timeout),
            let record = report.buckets.first
        else { throw Refusal(.internalServerError, "failed", "the node gave an answer of another kind") }
        return Answer(status, json: BucketDocument.text(record, report))
    }
}
