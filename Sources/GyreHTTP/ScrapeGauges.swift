import CoreMetrics
import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreReports
import Synchronization

/// Gauges that are set when somebody scrapes, because nobody needs them otherwise. Sendable: locked.
final class ScrapeGauges: Sendable {
    private let state = Mutex(State())

    private struct State {
        var gauges: [String: Gauge] = [:]
        var targets: Set<String> = []
    }

    /// Takes in what the node says of itself and its cluster.
    func set(_ report: StatusReport, httpConnections: Int) {
        var names: [NodeID: String] = [:]
        for member in report.members { names[member.record.node] = member.record.name }
        self.state.withLock { state in
            Self.set(&state, "gyre_keys", Double(report.keys))
            Self.set(&state, "gyre_disk_bytes", Double(report.diskBytes))
            Self.set(&state, "gyre_ring_epoch", Double(report.ringEpoch))
            Self.set(&state, "gyre_http_connections", Double(httpConnections))
            for word in ["joining", "normal", "leaving", "down", "removed"] {
                let count = report.members.count { StatusSummary.word($0.record) == word }
                Self.set(&state, "gyre_members", Double(count), by: ("state", word))
            }
            let backlogs = report.hints.map { (names[$0.target] ?? $0.target.description, $0) }
            // A node for which nothing is kept any more has to fall to zero instead of standing still.
            for target in state.targets.subtracting(backlogs.map(\.0)) { Self.setBacklog(&state, target, nil) }
            for (name, backlog) in backlogs { Self.setBacklog(&state, name, backlog) }
            state.targets.formUnion(backlogs.map(\.0))
        }
    }

    private static func setBacklog(_ state: inout State, _ target: String, _ backlog: StatusReport.Backlog?) {
        let count = backlog?.count ?? 0
        let lag = count == 0 ? 0 : Double(backlog?.ageMilliseconds ?? 0) / 1_000
        self.set(&state, "gyre_hints_pending", Double(count), by: ("target", target))
        self.set(&state, "gyre_hint_bytes", Double(backlog?.bytes ?? 0), by: ("target", target))
        self.set(&state, "gyre_replication_lag_seconds", lag, by: ("target", target))
    }

    private static func set(
        _ state: inout State, _ name: String, _ value: Double, by label: (String, String)? = nil
    ) {
        let key = "\(name) \(label?.1 ?? "")"
        let gauge = state.gauges[key] ?? Gauge(label: name, dimensions: label.map { [$0] } ?? [])
        state.gauges[key] = gauge
        gauge.record(value)
    }
}
