import GyreBase
import GyreCausality
import GyreMessages
import NIOCore

/// What a request asks for, for counting.
enum OperationLabel: Int, CaseIterable {
    case put, get, delete, other

    /// What `request` asks for. No initializer, which would own what it is given and so keep a copy of it.
    static func of(_ request: ClientRequest) -> OperationLabel {
        switch request {
        case .put: .put
        case .get: .get
        case .delete: .delete
        case .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow, .bucketSet,
            .ring, .list:
            .other
        }
    }

    /// The word in metrics.
    var name: String {
        switch self {
        case .put: "put"
        case .get: "get"
        case .delete: "delete"
        case .other: "other"
        }
    }
}

/// How a request ended, for counting.
enum OutcomeLabel: Int, CaseIterable {
    case done, notFound, unavailable, unknown, overloaded, timeout, refused

    /// How a request that was answered with `response` ended.
    static func of(_ response: ClientResponse) -> OutcomeLabel {
        switch response {
        case .stored, .found, .status, .location, .explained, .repairing, .buckets, .ring, .listed: .done
        case .notFound: .notFound
        case .failed(let failure):
            switch failure {
            case .unavailable: .unavailable
            case .unknown: .unknown
            case .overloaded: .overloaded
            case .timeout: .timeout
            case .tooLarge, .badRequest, .notMember, .corrupt, .exists: .refused
            }
        }
    }

    /// The word in metrics.
    var name: String {
        switch self {
        case .done: "done"
        case .notFound: "not_found"
        case .unavailable: "unavailable"
        case .unknown: "unknown"
        case .overloaded: "overloaded"
        case .timeout: "timeout"
        case .refused: "refused"
        }
    }
}

/// What a message between nodes is about, for counting.
enum PeerKind: Int, CaseIterable {
    case gossip, data, exchange, other

    /// What `message` is about.
    static func of(_ message: PeerMessage) -> PeerKind {
        switch message {
        case .membership, .buckets: .gossip
        case .replicate, .replicated, .fetch, .fetched, .forward, .forwarded, .hint, .fetchHint: .data
        case .exchange, .exchanged: .exchange
        case .traced(_, let question): PeerKind.of(question)
        default: .other
        }
    }

    /// The word in metrics.
    var name: String {
        switch self {
        case .gossip: "gossip"
        case .data: "data"
        case .exchange: "exchange"
        case .other: "other"
        }
    }
}

/// The answered requests of a shell by kind and end, and how long they took. A value inside its counters.
struct AnswerTally {
    /// Requests by operation and outcome.
    private(set) var requests = [UInt64](
        repeating: 0, count: OperationLabel.allCases.count * OutcomeLabel.allCases.count)
    /// Latencies of the last second, placed as `requests`.
    var latencies = [LatencyHistogram](
        repeating: LatencyHistogram(), count: OperationLabel.allCases.count * OutcomeLabel.allCases.count)
    /// Sizes of values put, in bytes.
    var putBytes = PowerHistogram()
    /// Sizes of records that gets returned, in bytes.
    var getBytes = PowerHistogram()
    /// Values that a get found under one key.
    var siblings = PowerHistogram()

    /// Counts an answered request.
    mutating func record(_ operation: OperationLabel, _ outcome: OutcomeLabel, took span: TimeSpan) {
        let place = operation.rawValue * OutcomeLabel.allCases.count + outcome.rawValue
        self.requests[place] &+= 1
        self.latencies[place].record(span)
    }

    /// Counts an answered request, and what its answer says of the object.
    mutating func record(
        _ operation: OperationLabel, _ response: ClientResponse, valueBytes: Int, took span: TimeSpan
    ) {
        self.record(operation, OutcomeLabel.of(response), took: span)
        switch operation {
        case .put: self.putBytes.record(UInt64(valueBytes))
        case .get:
            guard case .found(let record) = response else { return }
            self.getBytes.record(UInt64(record.readableBytes))
            if let count = Siblings.versionCount(of: record) { self.siblings.record(UInt64(count)) }
        case .delete, .other: break
        }
    }
}

/// What a shell counts: plain integers of one loop, sampled into metrics once a second. Confined to the shell's loop.
///
/// A class, so that each integer is a property of its own, which the compiler sees changed by simple additions only: then no
/// count costs a check for overlapping accesses.
final class ShellCounters {
    /// Connections accepted.
    var connectionsAccepted: UInt64 = 0
    /// Connections refused because there were too many.
    var connectionsRefused: UInt64 = 0
    /// Connections closed because their client did not read its answers.
    var slowReaders: UInt64 = 0
    /// Handshakes refused or not completed in time.
    var handshakesRefused: UInt64 = 0
    /// Frames that could not be read; each ended its connection.
    var framesRejected: UInt64 = 0
    /// Answers and messages too large to be sent.
    var framesUnsendable: UInt64 = 0
    /// Messages to peers dropped because there was no connection, or too much waited on it.
    var peerMessagesDropped: UInt64 = 0
    /// Dials that led to no connection.
    var dialsFailed: UInt64 = 0
    /// Batches handed to the disk, and the requests in them.
    var storageBatches: UInt64 = 0
    /// Requests handed to the disk.
    var storageRequests: UInt64 = 0
    /// What was answered.
    var answered = AnswerTally()
    /// Bytes read from connections, and written to them.
    var receivedBytes: UInt64 = 0
    /// Bytes written to connections.
    var sentBytes: UInt64 = 0
    /// Messages of peers, by `PeerKind`.
    var peerReceived = PeerCounts(repeating: 0)
    /// Messages to peers, by `PeerKind`.
    var peerSent = PeerCounts(repeating: 0)

    /// Numbers by `PeerKind`.
    typealias PeerCounts = InlineArray<4, UInt64>

    /// Requests by operation and outcome.
    var requests: [UInt64] { self.answered.requests }

    /// Counts an answered request.
    func record(_ operation: OperationLabel, _ outcome: OutcomeLabel, took span: TimeSpan) {
        self.answered.record(operation, outcome, took: span)
    }

    /// Counts an answered request, and what its answer says of the object.
    func record(_ operation: OperationLabel, _ response: ClientResponse, valueBytes: Int, took span: TimeSpan) {
        self.answered.record(operation, response, valueBytes: valueBytes, took: span)
    }

    /// Names and values, in a fixed order, for status.
    var named: [StatusReport.Counter] {
        [
            StatusReport.Counter(name: "connections_accepted", value: self.connectionsAccepted),
            StatusReport.Counter(name: "connections_refused", value: self.connectionsRefused),
            StatusReport.Counter(name: "dials_failed", value: self.dialsFailed),
            StatusReport.Counter(name: "frames_rejected", value: self.framesRejected),
            StatusReport.Counter(name: "frames_unsendable", value: self.framesUnsendable),
            StatusReport.Counter(name: "handshakes_refused", value: self.handshakesRefused),
            StatusReport.Counter(name: "peer_messages_dropped", value: self.peerMessagesDropped),
            StatusReport.Counter(name: "slow_readers", value: self.slowReaders),
            StatusReport.Counter(name: "storage_batches", value: self.storageBatches),
            StatusReport.Counter(name: "storage_requests", value: self.storageRequests),
        ]
    }
}
