import GyreReports
import GyreServer

/// The seconds of a node as JSON, for `/stats` and the charts of the status page.
enum StatsDocument {
    /// The last `count` seconds, oldest first.
    static func text(_ samples: [StatsSample], last count: Int) -> JSONText {
        .object([("seconds", .list(samples.suffix(count).map(self.text)))])
    }

    private static func text(_ sample: StatsSample) -> JSONText {
        .object([
            ("time_ms", .unsigned(sample.wallMilliseconds)),
            ("operations", .object(sample.operations.map { ($0.operation, self.text($0)) })),
            ("connections", .integer(Int64(sample.connections))),
            ("loop_delay_us", .unsigned(sample.loopDelayMicroseconds)),
            ("request_bytes", .integer(Int64(sample.requestBytes))),
            ("received_bytes", .unsigned(sample.receivedBytes)), ("sent_bytes", .unsigned(sample.sentBytes)),
            ("resident_bytes", .unsigned(sample.residentBytes)),
        ])
    }

    private static func text(_ second: OperationSecond) -> JSONText {
        .object([
            ("count", .unsigned(second.count)), ("good", .unsigned(second.good)), ("p50_us", .unsigned(second.p50)),
            ("p90_us", .unsigned(second.p90)), ("p99_us", .unsigned(second.p99)), ("max_us", .unsigned(second.most)),
        ])
    }
}
