import GyreBase
import GyreMessages
import NIOCore

/// What a get of a bucket shows where concurrent puts left several values. What is stored is the same.
public enum ConflictRule: String, Hashable, Sendable, CaseIterable {
    /// All of them.
    case siblings
    /// The one that was written last by the clock of its coordinator.
    case lww
}

/// The properties of one bucket, as they are in force at the node that answered. Pure value; safe from any thread.
public struct Bucket: Hashable, Sendable {
    /// The bucket.
    public let name: String
    /// N, the same for all buckets of a cluster.
    public let replicas: Int
    /// R of gets that do not say.
    public let reads: Int
    /// W of puts and deletes that do not say.
    public let writes: Int
    /// PR of gets that do not say; 0 for none.
    public let primaryReads: Int
    /// PW of puts that do not say; 0 for none.
    public let primaryWrites: Int
    /// What a get shows of several values.
    public let conflicts: ConflictRule
    /// How long a value lives whose put does not say; nil for ever.
    public let timeToLive: Duration?
    /// Whether fallbacks may stand in for primaries.
    public let isSloppy: Bool
    /// Which of them were set for this bucket, in the words of `gyre bucket set`; the others are the cluster's.
    public let ownProperties: [String]
    /// The number and the node of the latest change, for comparing nodes; empty where nothing was ever set.
    public let version: String

    /// What a record says, with the report's numbers for what it leaves open.
    init(_ record: BucketRecord, _ report: BucketReport) {
        let replicas = Int(report.replicas)
        func count(_ size: QuorumSize, standard: Int) -> Int {
            switch size {
            case .standard: standard
            case .one: 1
            case .quorum: replicas / 2 + 1
            case .all: replicas
            case .count(let count): min(Int(count), replicas)
            // No bucket can be set to this.
            case .matching: standard
            }
        }
        let properties = record.properties
        self.name = String(buffer: record.name.bytes)
        self.replicas = replicas
        self.reads = count(properties.reads, standard: Int(report.reads))
        self.writes = count(properties.writes, standard: Int(report.writes))
        self.primaryReads = count(properties.primaryReads, standard: 0)
        self.primaryWrites = count(properties.primaryWrites, standard: 0)
        self.conflicts = (properties.siblings ?? .standard(of: record.name.bytes)) == .lastWriteWins ? .lww : .siblings
        self.timeToLive = properties.timeToLiveMilliseconds.map { .milliseconds(Int64(clamping: $0)) }
        self.isSloppy = properties.allowsFallbacks
        let all = [
            ("r", properties.reads != .standard), ("w", properties.writes != .standard),
            ("pr", properties.primaryReads != .standard), ("pw", properties.primaryWrites != .standard),
            ("conflicts", properties.siblings != nil), ("ttl", properties.timeToLiveMilliseconds != nil),
            ("sloppy", properties.sloppy != nil),
        ]
        self.ownProperties = all.filter(\.1).map(\.0)
        self.version = record.version.counter == 0 ? "" : "\(record.version.node):\(record.version.counter)"
    }
}

/// A property of a bucket with the value it is to have; nil and `standard` give it back to the cluster's default.
public enum BucketProperty: Hashable, Sendable {
    /// N; refused unless it is the cluster's.
    case replicas(Int)
    /// R of gets that do not say.
    case reads(ReplicaCount)
    /// W of puts and deletes that do not say.
    case writes(ReplicaCount)
    /// PR of gets that do not say.
    case primaryReads(ReplicaCount)
    /// PW of puts that do not say.
    case primaryWrites(ReplicaCount)
    /// What a get shows of several values.
    case conflicts(ConflictRule?)
    /// How long a value lives whose put does not say; nil for ever, else a millisecond at least. Values that are stored
    /// already keep the time they were given.
    case timeToLive(Duration?)
    /// Whether fallbacks may stand in for primaries.
    case sloppy(Bool?)

    /// The same in the words of the protocol.
    var change: BucketChange {
        switch self {
        case .replicas(let count): .replicas(UInt8(clamping: count))
        case .reads(let count): .reads(count.size)
        case .writes(let count): .writes(count.size)
        case .primaryReads(let count): .primaryReads(count.size)
        case .primaryWrites(let count): .primaryWrites(count.size)
        case .conflicts(let rule):
            switch rule {
            case .siblings: .siblings(.showAll)
            case .lww: .siblings(.lastWriteWins)
            case nil: .siblings(nil)
            }
        case .timeToLive(let time): .timeToLive(time.map { UInt64(max(1, $0.span.wholeMilliseconds)) })
        case .sloppy(let isSloppy): .sloppy(isSloppy)
        }
    }
}

extension GyreClient {
    /// All buckets that have properties of their own or once had, by name. A bucket without is as good as any and is not
    /// listed, whether it holds keys or not.
    /// - Throws: `GyreError`.
    public func buckets(timeout: Duration? = nil) async throws(GyreError) -> [Bucket] {
        try Self.buckets(in: await self.call(.bucketList, timeout: timeout))
    }

    /// The properties of one bucket; of one that has none, the cluster's.
    /// - Throws: `GyreError`; `badRequest` for a name that is not 1 to 255 bytes long.
    public func bucket(_ name: String, timeout: Duration? = nil) async throws(GyreError) -> Bucket {
        try Self.bucket(in: await self.call(.bucketShow(Self.bucketName(name)), timeout: timeout))
    }

    /// Sets properties of one bucket, in order, and leaves the others as they are.
    ///
    /// When this returns, the change is on the disk of the node that took it and was sent to all peers that it can reach; the
    /// others hear of it within seconds of being reachable. Of two changes of one bucket at the same time, through two
    /// nodes, one is lost, also when they set different properties.
    /// - Parameter properties: 1 to 32.
    /// - Returns: all properties of the bucket.
    /// - Throws: `GyreError`; `badRequest` says which property is not possible, and then nothing was changed.
    @discardableResult
    public func setBucket(
        _ name: String, _ properties: [BucketProperty], timeout: Duration? = nil
    ) async throws(GyreError) -> Bucket {
        guard properties.count <= BucketChange.countMax else {
            throw GyreError(.badRequest, "more than \(BucketChange.countMax) properties at once")
        }
        let request = ClientRequest.bucketSet(try Self.bucketName(name), properties.map(\.change))
        return try Self.bucket(in: await self.call(request, timeout: timeout))
    }

    private static func bucketName(_ name: String) throws(GyreError) -> BucketName {
        do throws(ObjectNameError) {
            return try BucketName(ByteBuffer(string: name))
        } catch {
            let bytesMax = ObjectName.bucketBytesMax
            throw GyreError(.badRequest, "a bucket has 1 to \(bytesMax) bytes, this one \(name.utf8.count)")
        }
    }

    private static func buckets(in response: ClientResponse) throws(GyreError) -> [Bucket] {
        guard case .buckets(let report) = response else { throw Self.nonsense }
        return report.buckets.map { Bucket($0, report) }
    }

    private static func bucket(in response: ClientResponse) throws(GyreError) -> Bucket {
        guard let bucket = try Self.buckets(in: response).first else { throw Self.nonsense }
        return bucket
    }
}
