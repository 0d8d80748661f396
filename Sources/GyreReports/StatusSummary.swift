import GyreBase
package import GyreClient
package import GyreMembership
package import GyreMessages

/// What `gyre status` and the HTTP door show, as a value: one row a member, and everything that an operator should look at.
///
/// Pure value; safe from any thread.
package struct StatusSummary: Sendable {
    /// One member.
    package struct Row: Sendable {
        /// All that its peers say of it, merged.
        package let record: MemberRecord
        /// joining, normal, leaving, down or removed.
        package let state: String
        /// Its part of the ring, 0 to 1.
        package let share: Double
        /// What it says itself; nil when it did not answer.
        package let report: StatusReport?
        /// What all nodes that answered keep for it.
        package let backlog: Backlog

        /// What moves to and from it.
        package var transfer: Transfer? { self.report.map(Transfer.init) }

        /// Whether it takes hints: it answers itself, and its peers do not believe it to be dead.
        var isUp: Bool { self.report != nil && self.state != "down" && self.state != "removed" }
    }

    /// Hints that wait for one node, summed over those who keep them.
    package struct Backlog: Sendable {
        /// How many.
        package private(set) var count: UInt64 = 0
        /// Bytes of keys and records.
        package private(set) var bytes: UInt64 = 0
        /// Whole seconds since the first of them was kept: no write that the node lacks for them is older.
        package private(set) var lagSeconds: UInt64 = 0

        /// From this lag on, hints wait for a reason that somebody should look at.
        static let lagSecondsTolerated: UInt64 = 60

        init(of target: NodeID, in reports: [StatusReport]) {
            for kept in reports.flatMap(\.hints) where kept.target == target {
                self.count &+= kept.count
                self.bytes &+= kept.bytes
                if kept.count > 0 { self.lagSeconds = max(self.lagSeconds, kept.ageMilliseconds / 1_000) }
            }
        }
    }

    /// One a member, by name.
    package let rows: [Row]
    /// What an operator should look at, a sentence each; empty when all is well.
    package let problems: [String]
    /// The first report, for what is the same on all nodes; nil when none answered.
    private let first: StatusReport?
    private let agreesOnRing: Bool

    /// Looks at what every node said, and at the change of the ring if one goes on.
    package init(_ status: ClusterStatus, _ change: RingReport? = nil) {
        let first = status.reports.first
        self.first = first
        self.agreesOnRing = status.agreesOnRing
        let slots = Double(first.map { UInt64($0.partitionCount) * UInt64($0.replicas) } ?? 1)
        self.rows = status.members.sorted { ($0.name, $0.node) < ($1.name, $1.node) }.map { record in
            let owned = first?.members.first { $0.record.node == record.node }?.ownedSlots ?? 0
            return Row(
                record: record, state: Self.word(record), share: Double(owned) / max(1, slots),
                report: status.report(of: record.node), backlog: Backlog(of: record.node, in: status.reports))
        }
        self.problems = Self.problems(self.rows, status) + Self.blocked(status, change)
    }

    /// The one word for what a node is and whether it answers.
    package static func word(_ record: MemberRecord) -> String {
        if record.state != .removed, record.liveness == .dead { return "down" }
        return switch record.state {
        case .joining: "joining"
        case .normal: "normal"
        case .leaving: "leaving"
        case .removed: "removed"
        }
    }

    /// Whom a change of the ring waits for in vain, and what to do about it.
    private static func blocked(_ status: ClusterStatus, _ change: RingReport?) -> [String] {
        guard let change else { return status.isRingChanging ? ["the ring is changing"] : [] }
        guard change.isChanging else { return [] }
        let down = change.waitsFor.filter { node in
            status.members.first { $0.node == node }?.liveness == .dead || status.report(of: node) == nil
        }
        if down.isEmpty { return ["the ring is changing"] }
        return down.map { node in
            let name = status.members.first { $0.node == node }?.name ?? node.description
            return "the ring cannot change before \(name) answers: start it, or gyre remove \(name)"
        }
    }

    private static func problems(_ rows: [Row], _ status: ClusterStatus) -> [String] {
        var problems: [String] = []
        for row in rows {
            switch row.state {
            case "down": problems.append("\(row.record.name) is down")
            case "joining": problems.append("\(row.record.name) is joining")
            case "removed": break
            default: if row.report == nil { problems.append("\(row.record.name) does not answer") }
            }
        }
        let down = rows.filter { $0.state == "down" }.map(\.record.name)
        let words = Set(rows.map(\.state)).subtracting(["removed"])
        if words == ["down", "joining"] {
            let names = down.joined(separator: ", ")
            problems.append(
                "the cluster is not founded, and answers no client, before most of its nodes are up: start \(names), "
                    + "or gyre remove what is gone")
        }
        for row in rows {
            guard
                row.report?.counters.contains(where: { $0.name == StatusReport.identityInUse && $0.value > 0 }) ?? false
            else { continue }
            problems.append("another process uses the identity of \(row.record.name): stop it")
        }
        problems += Self.waitingHints(rows, status.reports)
        if !status.agreesOnRing { problems.append("the nodes do not agree on the ring") }
        let owners = rows.count { $0.record.state.ownsRanges }
        if let replicas = status.reports.first.map({ Int($0.replicas) }), owners < replicas {
            problems.append("\(owners) of the \(replicas) nodes that \(replicas) replicas need")
        }
        let live = rows.filter { $0.state != "removed" }
        for (index, row) in live.enumerated()
        where live[..<index].contains(where: { $0.record.name == row.record.name }) {
            problems.append("two nodes are named \(row.record.name)")
        }
        return problems
    }

    /// Hints that nobody takes, or that have waited for long. Those for a node that is up are on their way.
    private static func waitingHints(_ rows: [Row], _ reports: [StatusReport]) -> [String] {
        var targets = rows.map { row in
            (
                name: row.record.name, backlog: row.backlog,
                isFine: row.isUp && row.backlog.lagSeconds < Backlog.lagSecondsTolerated
            )
        }
        let strangers = Set(reports.flatMap(\.hints).map(\.target)).subtracting(rows.map(\.record.node))
        for node in strangers.sorted() {
            targets.append((name: node.description, backlog: Backlog(of: node, in: reports), isFine: false))
        }
        return targets.filter { $0.backlog.count > 0 && !$0.isFine }.map { target in
            target.backlog.count == 1
                ? "1 hint waits for \(target.name)"
                : "\(target.backlog.count) hints wait for \(target.name)"
        }
    }

    /// For programs.
    package var json: JSONText {
        .object([
            ("healthy", .bool(self.problems.isEmpty)), ("problems", .list(self.problems.map(JSONText.text))),
            ("nodes", .list(self.rows.map(Self.json))),
            ("cluster", self.first.map { .text($0.cluster) } ?? .null), ("ring", self.ring),
        ])
    }

    private var ring: JSONText {
        guard let first = self.first else { return .null }
        return .object([
            ("partitions", .unsigned(UInt64(first.partitionCount))), ("replicas", .unsigned(UInt64(first.replicas))),
            ("hash", .text(hexadecimal(first.ringHash))), ("agreed", .bool(self.agreesOnRing)),
        ])
    }

    private static func json(_ row: Row) -> JSONText {
        .object([
            ("name", .text(row.record.name)), ("node", .text(row.record.node.description)),
            ("state", .text(row.state)), ("address", .text(row.record.address.description)),
            ("zone", .text(row.record.zone)), ("weight", .integer(Int64(row.record.weight))),
            ("share", .number(row.share)), ("keys", row.report.map { .unsigned($0.keys) } ?? .null),
            ("disk_bytes", row.report.map { .unsigned($0.diskBytes) } ?? .null),
            ("hints_pending", .unsigned(row.backlog.count)),
            ("hint_bytes", .unsigned(row.backlog.bytes)), ("lag_s", .unsigned(row.backlog.lagSeconds)),
            ("transfers", .unsigned(row.transfer?.partitionsLeft ?? 0)),
            ("transfer_bytes_per_s", .unsigned(row.transfer?.bytesPerSecond ?? 0)),
            ("transfer_estimate_s", row.transfer?.estimateSeconds.map { .unsigned($0) } ?? .null),
            ("version", .text(row.record.softwareVersion)),
            (
                "counters",
                row.report.map { .object($0.counters.map { ($0.name, JSONText.unsigned($0.value)) }) } ?? .null
            ),
        ])
    }
}
