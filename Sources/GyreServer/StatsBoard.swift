import GyreBase
import GyreNode
import Synchronization

/// What one kind of request did in one second. Pure value.
package struct OperationSecond: Hashable, Sendable {
    /// The word in metrics: put, get, delete or other.
    package let operation: String
    /// Requests answered.
    package let count: UInt64
    /// Those among them that ended as their client wished, or with a key that is not there.
    package let good: UInt64
    /// Latencies in microseconds that so many of 1,000 did not exceed; zero when there were none.
    package let p50: UInt64
    /// As `p50`, for 900.
    package let p90: UInt64
    /// As `p50`, for 990.
    package let p99: UInt64
    /// As `p50`, for all.
    package let most: UInt64
}

/// One second in the life of a node. Pure value.
package struct StatsSample: Hashable, Sendable {
    /// When it ended, in milliseconds since 1970.
    package let wallMilliseconds: UInt64
    /// By kind of request, in a fixed order.
    package let operations: [OperationSecond]
    /// Open connections.
    package let connections: Int
    /// The longest wait of a due timer for the loop, in microseconds.
    package let loopDelayMicroseconds: UInt64
    /// Bytes of values that are being put.
    package let requestBytes: Int
    /// Counted since the start: bytes from and to connections.
    package let receivedBytes: UInt64
    /// As `receivedBytes`, the other direction.
    package let sentBytes: UInt64
    /// Memory of the process in use, in bytes.
    package let residentBytes: UInt64

    init(_ counters: ShellCounters, _ sample: ServerSample, at wall: WallTime) {
        self.wallMilliseconds = wall.milliseconds
        self.operations = OperationLabel.allCases.map { operation in
            var all = LatencyHistogram()
            var good: UInt64 = 0
            for outcome in OutcomeLabel.allCases {
                let place = operation.rawValue * OutcomeLabel.allCases.count + outcome.rawValue
                let one = counters.answered.latencies[place]
                all.merge(one)
                if outcome == .done || outcome == .notFound { good += one.count }
            }
            return OperationSecond(
                operation: operation.name, count: all.count, good: good, p50: all.quantileMicroseconds(perMille: 500),
                p90: all.quantileMicroseconds(perMille: 900), p99: all.quantileMicroseconds(perMille: 990),
                most: all.quantileMicroseconds(perMille: 1_000))
        }
        self.connections = sample.connections
        self.loopDelayMicroseconds = UInt64(clamping: sample.loopDelay.nanoseconds / 1_000)
        self.requestBytes = sample.requestBytes
        self.receivedBytes = counters.receivedBytes
        self.sentBytes = counters.sentBytes
        self.residentBytes = sample.residentBytes
    }
}

/// The last seconds of a node, kept for whoever looks. Sendable: locked; written once a second.
package final class StatsBoard: Sendable {
    /// Seconds that are kept; older ones are dropped.
    package static let samplesMax = 120

    private let kept = Mutex<[StatsSample]>([])

    init() {}

    func add(_ sample: StatsSample) {
        self.kept.withLock { samples in
            if samples.count == Self.samplesMax { samples.removeFirst() }
            samples.append(sample)
        }
    }

    /// What is kept, oldest first; empty in the first second.
    package var samples: [StatsSample] { self.kept.withLock { $0 } }
}
