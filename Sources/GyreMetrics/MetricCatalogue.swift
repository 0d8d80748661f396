/// Every metric that a node exports, with what `docs/metrics.md` says of it; a test compares the two and the exporter.
package enum MetricCatalogue {
    /// Bounds of a histogram that is not in the catalogue, in seconds.
    static let defaultBounds: [Double] = [0.001, 0.01, 0.1, 1, 10]

    /// Upper bounds of latencies, in seconds: powers of two of a microsecond, 64 µs to 16.8 s.
    package static let latencyBounds: [Double] = (6...24).map { Double(UInt64(1) << UInt64($0)) / 1e6 }
    /// Upper bounds of sizes, in bytes: powers of four, 16 B to 16 MiB.
    package static let sizeBounds: [Double] = stride(from: 4, through: 24, by: 2).map {
        Double(UInt64(1) << UInt64($0))
    }
    /// Upper bounds of counts: powers of two, 1 to 1,024.
    package static let countBounds: [Double] = (0...10).map { Double(UInt64(1) << UInt64($0)) }

    static let seriesRefused = MetricFamily(
        "gyre_metrics_series_refused_total", .counter, unit: "series",
        "Metrics that were not kept because the limit of series was reached.")

    /// All families, by topic.
    package static let families: [MetricFamily] =
        requests + storage + peers + healing + connections + process + http + [seriesRefused]

    /// A counter without labels.
    private static func counter(_ name: String, _ unit: String, _ help: String) -> MetricFamily {
        MetricFamily("gyre_\(name)_total", .counter, unit: unit, help)
    }

    /// A gauge.
    private static func gauge(_ name: String, _ unit: String, by label: String? = nil, _ help: String) -> MetricFamily {
        MetricFamily("gyre_\(name)", .gauge, unit: unit, labels: label.map { [$0] } ?? [], help)
    }

    private static let requests: [MetricFamily] = [
        MetricFamily(
            "gyre_requests_total", .counter, unit: "requests", labels: ["operation", "outcome"],
            "Requests of clients that were answered, by what was asked and how it ended."),
        MetricFamily(
            "gyre_request_duration_seconds", .histogram, unit: "seconds", labels: ["operation", "outcome"],
            bounds: latencyBounds, "From the last byte of a request to the answer's place in the output."),
        MetricFamily(
            "gyre_object_bytes", .histogram, unit: "bytes", labels: ["operation"], bounds: sizeBounds,
            "Sizes of values put, and of records that gets returned."),
        MetricFamily(
            "gyre_siblings", .histogram, unit: "siblings", bounds: countBounds,
            "Values that a get found under one key; more than one come from concurrent puts."),
        counter("writes_stored", "writes", "Puts and deletes coordinated here that reached W disks."),
        counter("writes_unknown", "writes", "Quorum shortfalls: writes that fewer than W nodes took."),
        counter("reads_answered", "reads", "Gets coordinated here that reached R replicas."),
        counter(
            "unavailable", "requests", "Quorum shortfalls: requests refused because too few replicas could be reached."),
        counter("timeouts", "requests", "Requests whose deadline passed."),
        counter("overloaded", "requests", "Requests refused because a limit of this node was reached."),
        counter("forwards", "requests", "Requests handed to an owner of their key."),
        counter("deduplicated", "requests", "Writes answered from memory because their request had been seen."),
        counter("hedges", "reads", "Further replicas asked because one was slow."),
        counter("read_repairs", "records", "Records sent to stale replicas after a get."),
        counter("stand_ins", "nodes", "Nodes asked to stand in for an owner that failed during a write."),
    ]

    private static let storage: [MetricFamily] = [
        MetricFamily(
            "gyre_storage_commit_seconds", .histogram, unit: "seconds", bounds: latencyBounds,
            "How long a group commit took, its sync included."),
        MetricFamily(
            "gyre_storage_commit_writes", .histogram, unit: "writes", bounds: countBounds,
            "Writes that shared one group commit."),
        counter(
            "storage_stalls", "commits", "Group commits that took 100 ms or longer: LevelDB or the disk held them up."),
        counter("storage_batches", "batches", "Batches of requests handed to the disk threads."),
        counter("storage_requests", "requests", "Requests handed to the disk threads."),
        counter("corrupt_records", "records", "Corrupt records found on this disk."),
        counter("healed", "records", "Corrupt records rewritten from other replicas."),
        counter("versions_collected", "objects", "Objects whose expired versions were removed."),
        counter("objects_scanned", "objects", "Objects read by scans of the store."),
        counter("record_cache_hits", "reads", "Reads of objects that the cache of records answered."),
        counter("record_cache_misses", "reads", "Reads of objects that LevelDB was asked for."),
        counter("bloom_checks", "questions", "Questions asked of Bloom filters."),
        counter(
            "bloom_negatives", "questions", "Questions that a Bloom filter answered with no, each a block not read."),
        counter(
            "bloom_false_positives", "questions",
            "Questions answered with maybe for keys that were not there, estimated."),
        gauge("leveldb_level_files", "files", by: "level", "Tables of one level of LevelDB."),
        gauge("leveldb_level_bytes", "bytes", by: "level", "Bytes of one level of LevelDB, to the MiB."),
        gauge(
            "leveldb_compaction_seconds", "seconds", by: "level",
            "Time spent on compactions into one level since the start."),
        gauge(
            "leveldb_compaction_read_bytes", "bytes", by: "level",
            "Bytes that compactions into one level read, to the MiB."),
        gauge("leveldb_compaction_written_bytes", "bytes", by: "level", "Bytes that they wrote, to the MiB."),
        gauge("keys", "keys", "Keys with a value that this node holds."),
        gauge("disk_bytes", "bytes", "Bytes of all files of the store."),
    ]

    private static let peers: [MetricFamily] = [
        MetricFamily(
            "gyre_peer_messages_total", .counter, unit: "messages", labels: ["kind", "direction"],
            "Messages between nodes, by kind (gossip, data, exchange, other) and direction (in, out)."),
        counter(
            "peer_messages_dropped", "messages", "Messages to peers dropped: no connection, or too much waited on it."),
        counter("malformed_messages", "messages", "Messages of peers that made no sense."),
        counter("replica_writes", "writes", "Writes of other coordinators made durable here."),
        counter("replica_reads", "reads", "Reads of other coordinators answered here."),
        counter("dials_failed", "dials", "Dials of peers that led to no connection."),
        gauge("members", "nodes", by: "state", "Members by state, as this node sees them."),
        gauge("ring_epoch", "changes", "Changes of the ring that this node has seen."),
    ]

    private static let healing: [MetricFamily] = [
        gauge("hints_pending", "hints", by: "target", "Hints kept here for one node."),
        gauge("hint_bytes", "bytes", by: "target", "Bytes of hints kept here for one node."),
        gauge(
            "replication_lag_seconds", "seconds", by: "target",
            "Age of the oldest write kept here that one node does not have yet."),
        counter("hints_kept", "hints", "Hints made durable here."),
        counter("hints_delivered", "hints", "Hints that their owner has on its own disk and that are gone here."),
        counter("hints_refused", "hints", "Hints refused because the limit of bytes was reached."),
        counter("exchanges_done", "exchanges", "Comparisons of a partition led by this node that came to their end."),
        counter("exchanges_in_sync", "exchanges", "Those among them in which nothing differed."),
        counter("exchanges_failed", "exchanges", "Comparisons led by this node that failed."),
        counter("exchange_bytes", "bytes", "Bytes of comparisons led by this node, both directions."),
        counter("keys_repaired", "keys", "Keys made equal by comparisons led by this node."),
        counter(
            "objects_removed", "objects", "Objects removed here after a change of the ring, when every owner had them."),
        counter("leaves_corrected", "leaves", "Leaves of hash trees found wrong and built anew."),
        counter("checkpoints_refused", "trees", "Kept hash trees that could not be read."),
    ]

    private static let connections: [MetricFamily] = [
        gauge("connections", "connections", "Connections that are open, of clients and peers."),
        counter("connections_accepted", "connections", "Connections accepted."),
        counter("connections_refused", "connections", "Connections refused because there were too many."),
        counter("slow_readers", "connections", "Connections closed because their client did not read its answers."),
        counter("handshakes_refused", "connections", "Handshakes refused or not completed in time."),
        counter("frames_rejected", "frames", "Frames that could not be read; each ended its connection."),
        counter("frames_unsendable", "frames", "Answers and messages too large to be sent."),
        counter("received_bytes", "bytes", "Bytes read from native clients, Redis clients and peers."),
        counter("sent_bytes", "bytes", "Bytes written to them."),
        gauge("request_bytes", "bytes", "Bytes of values being put at the moment; limited to 256 MiB."),
    ]

    private static let process: [MetricFamily] = [
        gauge(
            "event_loop_delay_seconds", "seconds",
            "The longest wait of a due timer for the node's loop in the last second."),
        gauge("memory_resident_bytes", "bytes", "Memory of the process that is in use."),
        gauge("start_time_seconds", "seconds", "When the process started, since 1970."),
        counter("spans_written", "spans", "Spans of traced requests written to the trace file."),
        counter(
            "spans_dropped", "spans",
            "Spans lost because too many waited, or because the trace file could not be written."),
        gauge("build_info", "", by: "version", "Always 1; the label is the version of Gyre."),
    ]

    private static let http: [MetricFamily] = [
        MetricFamily(
            "gyre_http_responses_total", .counter, unit: "responses", labels: ["class"],
            "Answers of the HTTP door by class of status: 2xx, 3xx, 4xx, 5xx."),
        gauge("http_connections", "connections", "Open connections of the HTTP door."),
    ]
}
