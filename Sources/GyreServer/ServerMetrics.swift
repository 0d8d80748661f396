import CoreMetrics
import GyreBase
import GyreLevelDB
import GyreMetrics
import GyreNode

/// What a shell hands over once a second beside its own counters.
struct ServerSample {
    let node: NodeCounters
    let connections: Int
    let requestBytes: Int
    let loopDelay: TimeSpan
    let residentBytes = ProcessFigures.residentBytes
    var storage: EngineSample?
    var spans: (written: UInt64, dropped: UInt64)?

    init(node: NodeCounters, connections: Int, requestBytes: Int, loopDelay: TimeSpan) {
        self.node = node
        self.connections = connections
        self.requestBytes = requestBytes
        self.loopDelay = loopDelay
    }
}

/// Hands what the loop counted to swift-metrics once a second, so that the hot path counts in plain integers.
///
/// Confined to its shell.
struct ServerMetrics {
    private let requests: [Counter]
    private var latencies: [HistogramFeed?]
    private let putBytes = HistogramFeed("gyre_object_bytes", [("operation", "put")], .sizes)
    private let getBytes = HistogramFeed("gyre_object_bytes", [("operation", "get")], .sizes)
    private let siblings = HistogramFeed("gyre_siblings", [], .counts)
    private let commits = HistogramFeed("gyre_storage_commit_seconds", [], .latencies)
    private let writes = HistogramFeed("gyre_storage_commit_writes", [], .counts)
    private let shell: [(counter: Counter, read: (ShellCounters) -> UInt64)]
    private let storage: [(counter: Counter, read: (EngineSample) -> UInt64)]
    private let peers: [(sent: Counter, received: Counter)]
    private let node: [Counter]
    private let spansWritten = Counter(label: "gyre_spans_written_total")
    private let spansDropped = Counter(label: "gyre_spans_dropped_total")
    private let connections = Gauge(label: "gyre_connections")
    private let requestBytes = Gauge(label: "gyre_request_bytes")
    private let loopDelay = Gauge(label: "gyre_event_loop_delay_seconds")
    private let memory = Gauge(label: "gyre_memory_resident_bytes")
    private var last = Totals()

    /// What was handed over already.
    private struct Totals {
        var requests = ShellCounters().requests
        var shell: [UInt64] = []
        var peerSent = ShellCounters().peerSent
        var peerReceived = ShellCounters().peerReceived
        var node = NodeCounters().named.map(\.value)
        var storage: [UInt64] = []
        var commits = CommitFigures()
        var spans: (written: UInt64, dropped: UInt64) = (0, 0)
    }

    /// Creates every metric in the factory that the process has bootstrapped.
    init() {
        self.requests = Self.places.map { Counter(label: "gyre_requests_total", dimensions: $0) }
        self.latencies = [HistogramFeed?](repeating: nil, count: self.requests.count)
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
            counter("received_bytes") { $0.receivedBytes },
            counter("sent_bytes") { $0.sentBytes },
            counter("slow_readers") { $0.slowReaders },
            counter("storage_batches") { $0.storageBatches },
            counter("storage_requests") { $0.storageRequests },
        ]
        func stored(
            _ name: String, _ read: @escaping (EngineSample) -> UInt64
        ) -> (counter: Counter, read: (EngineSample) -> UInt64) { (Counter(label: "gyre_\(name)_total"), read) }
        self.storage = [
            stored("storage_stalls") { $0.commits.stalls },
            stored("record_cache_hits") { $0.cache.hits },
            stored("record_cache_misses") { $0.cache.misses },
            stored("bloom_checks") { $0.filter.checks },
            stored("bloom_negatives") { $0.filter.negatives },
            stored("bloom_false_positives") { $0.filter.falsePositives },
        ]
        self.peers = PeerKind.allCases.map { kind in
            func messages(_ direction: String) -> Counter {
                Counter(
                    label: "gyre_peer_messages_total", dimensions: [("kind", kind.name), ("direction", direction)])
            }
            return (messages("out"), messages("in"))
        }
        self.node = NodeCounters().named.map { Counter(label: "gyre_\($0.name)_total") }
        Gauge(label: "gyre_build_info", dimensions: [("version", gyreVersion)]).record(1)
        Gauge(label: "gyre_start_time_seconds").record(ProcessFigures.wallSeconds)
        self.last.shell = self.shell.map { _ in 0 }
        self.last.storage = self.storage.map { _ in 0 }
    }

    /// The labels of each pair of operation and outcome, placed as the shell counts them.
    private static let places: [[(String, String)]] = OperationLabel.allCases.flatMap { operation in
        OutcomeLabel.allCases.map { [("operation", operation.name), ("outcome", $0.name)] }
    }

    /// Adds what happened since the last sample, and starts the latencies of the next second.
    mutating func sample(_ counters: ShellCounters, _ sample: ServerSample) {
        for (index, metric) in self.requests.enumerated() {
            Self.hand(counters.requests[index], &self.last.requests[index], to: metric)
        }
        for (index, metric) in self.shell.enumerated() {
            Self.hand(metric.read(counters), &self.last.shell[index], to: metric.counter)
        }
        for (index, metric) in self.peers.enumerated() {
            Self.hand(counters.peerSent[index], &self.last.peerSent[index], to: metric.sent)
            Self.hand(counters.peerReceived[index], &self.last.peerReceived[index], to: metric.received)
        }
        let named = sample.node.named
        for (index, metric) in self.node.enumerated() {
            Self.hand(named[index].value, &self.last.node[index], to: metric)
        }
        self.handLatencies(counters)
        self.putBytes.add(counters.answered.putBytes)
        self.getBytes.add(counters.answered.getBytes)
        self.siblings.add(counters.answered.siblings)
        counters.answered.putBytes.reset()
        counters.answered.getBytes.reset()
        counters.answered.siblings.reset()
        if let spans = sample.spans {
            Self.hand(spans.written, &self.last.spans.written, to: self.spansWritten)
            Self.hand(spans.dropped, &self.last.spans.dropped, to: self.spansDropped)
        }
        if let storage = sample.storage { self.handStorage(storage) }
        self.connections.record(sample.connections)
        self.requestBytes.record(sample.requestBytes)
        self.loopDelay.record(Double(sample.loopDelay.nanoseconds) / 1e9)
        self.memory.record(sample.residentBytes)
    }

    private mutating func handLatencies(_ counters: ShellCounters) {
        for index in counters.answered.latencies.indices where counters.answered.latencies[index].count > 0 {
            // Most pairs never happen; a series of buckets is made for those that do.
            let feed =
                self.latencies[index]
                ?? HistogramFeed("gyre_request_duration_seconds", Self.places[index], .latencies)
            self.latencies[index] = feed
            feed.add(counters.answered.latencies[index].powers)
            counters.answered.latencies[index].reset()
        }
    }

    private mutating func handStorage(_ storage: EngineSample) {
        for (index, metric) in self.storage.enumerated() {
            Self.hand(metric.read(storage), &self.last.storage[index], to: metric.counter)
        }
        self.commits.add(storage.commits.microseconds.since(self.last.commits.microseconds))
        self.writes.add(storage.commits.writes.since(self.last.commits.writes))
        self.last.commits = storage.commits
    }

    private static func hand(_ value: UInt64, _ last: inout UInt64, to counter: Counter) {
        guard value > last else { return }
        counter.increment(by: Int64(clamping: value - last))
        last = value
    }
}
