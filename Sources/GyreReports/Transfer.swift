package import GyreMessages

/// What moves to and from one node, from the counters of its report.
package struct Transfer: Sendable {
    /// Partitions that it gains and does not have yet, and those that it has and owns no longer.
    package let partitionsLeft: UInt64
    /// Bytes a second that it has fetched since the change began.
    package let bytesPerSecond: UInt64
    /// Seconds left at the pace so far; nil when nothing moves, or nothing has moved yet.
    package let estimateSeconds: UInt64?

    /// Reads the counters.
    package init(_ report: StatusReport) {
        func figure(_ name: String) -> UInt64 { report.counters.first { $0.name == name }?.value ?? 0 }
        let missing = figure("transfer_partitions_missing")
        self.partitionsLeft = missing + figure("transfer_partitions_foreign")
        let elapsed = figure("transfer_milliseconds")
        self.bytesPerSecond = elapsed == 0 || missing == 0 ? 0 : figure("transfer_bytes") * 1_000 / elapsed
        let done = figure("transfer_partitions_gained") - min(missing, figure("transfer_partitions_gained"))
        self.estimateSeconds = missing == 0 || done == 0 ? nil : elapsed * missing / done / 1_000
    }
}
