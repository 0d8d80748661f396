import GyreNode
import Metrics

/// Hands what the loop counted to swift-metrics once a second, so that the hot path counts in plain integers.
///
/// Confined to its shell.
struct ServerMetrics {
    private let requests: [Counter]
    private let latencies: [(p50: Gauge, p99: Gauge)]
    private let shell: [(counter: Counter, read: (ShellCounters) -> UInt64)]
    private let node: [Counter]
    private let connections = Gauge(label: "gyre_connections")
    private var lastShell = ShellCounters()
    private var lastNode = NodeCounters().named

    /// Creates every metric in the factory that the process has bootstrapped.
    init() {
        self.requests = OperationLabel.allCases.flatMap { operation in
            OutcomeLabel.allCases.map { outcome in
                Counter(
                    label: "gyre_requests_total",
                    dimensions: [("operation", operation.name), ("outcome", outcome.name)])
            }
        }
        self.latencies = OperationLabel.allCases.map { operation in
            func gauge(_ quantile: String) -> Gauge {
                Gauge(
                    label: "gyre_request_latency_microseconds",
                    dimensions: [("operation", operation.name), ("quantile", quantile)])
            }
            return (p50: gauge("0.5"), p99: gauge("0.99"))
        }
        func counter(
            _ name: String, _ read: @escaping (ShellCounters) -> UInt64
        ) -> (counter: Counter, read: (ShellCounters) -> UInt64) { (Counter(label: "gyre_\(name)_total"), read) }
        self.shell = [
            counter("connections_accepted") { $0.connectionsAccepted },
            counter("connections_refused") { $0.connectionsRefused },
            counter("dials_failed") { $0.dialsFailed },
            counter("frames_rejected") { $0.framesRejected },
            counter("frames_unsendable") { $0.framesUnsendable },
            counter("handshakes_refused") { $0.handshakesRefused },
            counter("peer_messages_dropped") { $0.peerMessagesDropped },
            counter("slow_readers") { $0.slowReaders },
            counter("storage_batches") { $0.storageBatches },
            counter("storage_requests") { $0.storageRequests },
        ]
        self.node = NodeCounters().named.map { Counter(label: "gyre_\($0.name)_total") }
    }

    /// Adds what happened since the last sample, and starts the latencies of the next second.
    mutating func sample(_ counters: inout ShellCounters, node: NodeCounters, connections: Int) {
        for (index, metric) in self.requests.enumerated() {
            metric.increment(by: Int64(clamping: counters.requests[index] - self.lastShell.requests[index]))
        }
        for metric in self.shell {
            metric.counter.increment(by: Int64(clamping: metric.read(counters) - metric.read(self.lastShell)))
        }
        let named = node.named
        for (index, metric) in self.node.enumerated() {
            metric.increment(by: Int64(clamping: named[index].value - self.lastNode[index].value))
        }
        for (index, gauges) in self.latencies.enumerated() where counters.latencies[index].count > 0 {
            gauges.p50.record(counters.latencies[index].quantileMicroseconds(perMille: 500))
            gauges.p99.record(counters.latencies[index].quantileMicroseconds(perMille: 990))
            counters.latencies[index].reset()
        }
        self.connections.record(connections)
        self.lastShell = counters
        self.lastNode = named
    }
}
