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
    func keys(of bucket: BucketName, _ query: Query) async throws(Refusal) -> Answer { throw Self.noListing }

    /// `GET /buckets`.
    func names(_ query: Query) async throws(Refusal) -> Answer { throw Self.noListing }

    private static let noListing = Refusal(.notImplemented, "notImplemented", "keys cannot be listed in this version")

    private func document(_ request: ClientRequest, _ status: HTTPResponse.Status) async throws(Refusal) -> Answer {
        guard case .buckets(let report) = try await self.objects.ask(request, self.timeout),
            let record = report.buckets.first
        else { throw Refusal(.internalServerError, "failed", "the node gave an answer of another kind") }
        return Answer(status, json: BucketDocument.text(record, report))
    }
}
