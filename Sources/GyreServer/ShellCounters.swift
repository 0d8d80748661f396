import GyreBase
import GyreMessages

/// What a request asks for, for counting.
enum OperationLabel: Int, CaseIterable {
    case put, get, delete, other

    init(_ request: ClientRequest) {
        switch request {
        case .put: self = .put
        case .get: self = .get
        case .delete: self = .delete
        case .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow, .bucketSet,
            .list:
            self = .other
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

    init(_ response: ClientResponse) {
        switch response {
        case .stored, .found, .status, .location, .explained, .repairing, .buckets, .listed: self = .done
        case .notFound: self = .notFound
        case .failed(let failure):
            switch failure {
            case .unavailable: self = .unavailable
            case .unknown: self = .unknown
            case .overloaded: self = .overloaded
            case .timeout: self = .timeout
            case .tooLarge, .badRequest, .notMember, .corrupt, .exists: self = .refused
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

/// What a shell counts: plain integers of one loop, sampled into metrics once a second.
struct ShellCounters {
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
    /// Requests by operation and outcome.
    var requests = [UInt64](repeating: 0, count: OperationLabel.allCases.count * OutcomeLabel.allCases.count)
    /// Latencies by operation, of the last second.
    var latencies = [LatencyHistogram](repeating: LatencyHistogram(), count: OperationLabel.allCases.count)

    /// Counts an answered request.
    mutating func record(_ operation: OperationLabel, _ outcome: OutcomeLabel, took span: TimeSpan) {
        self.requests[operation.rawValue * OutcomeLabel.allCases.count + outcome.rawValue] &+= 1
        self.latencies[operation.rawValue].record(span)
    }

    /// How many requests of that kind ended that way.
    func requests(_ operation: OperationLabel, _ outcome: OutcomeLabel) -> UInt64 {
        self.requests[operation.rawValue * OutcomeLabel.allCases.count + outcome.rawValue]
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
