import GyreBase
package import GyreClient

/// What a repair did, or has done so far, as a value. Pure; safe from any thread.
package struct RepairReceipt: Sendable {
    private let progress: RepairProgress
    private let planned: UInt64
    private let elapsed: Duration
    private let wasStopped: Bool

    /// Joins the parts.
    /// - Parameters:
    ///   - planned: the most comparisons that were ever planned.
    ///   - elapsed: for how long it was watched.
    ///   - wasStopped: whether this command stopped it.
    package init(
        _ progress: RepairProgress, planned: UInt64 = 0, elapsed: Duration = .zero, wasStopped: Bool = false
    ) {
        self.progress = progress
        self.planned = max(planned, progress.planned)
        self.elapsed = elapsed
        // Comparisons that could not be done are counted, so those that nobody did were given up.
        let wasGivenUp =
            progress.isOver && progress.silent.isEmpty && progress.compared &+ progress.failed < progress.planned
        self.wasStopped = wasStopped || wasGivenUp
    }

    /// Whether it is over, and nothing that was planned was left out.
    package var isComplete: Bool { self.progress.isComplete && !self.wasStopped }

    /// Known once all nodes have told of their end.
    private var rootsAfter: String? { self.progress.isOver ? hexadecimal(self.progress.rootsAfter) : nil }

    /// What could not be done, a sentence each.
    private var errors: [String] {
        var errors = self.progress.silent.map { "\($0) cannot be reached" }
        if self.progress.failed > 0 { errors.append("\(self.progress.failed) comparisons could not be done") }
        return errors
    }

    /// The one word for how it stands.
    private var state: String {
        if self.wasStopped { return "cancelled" }
        if !self.progress.isOver { return "running" }
        return self.isComplete ? "done" : "incomplete"
    }

    private var seconds: Double {
        let (seconds, attoseconds) = self.elapsed.components
        return Double(seconds) + (Double(attoseconds) / 1e15).rounded() / 1e3
    }

    /// For people.
    package var lines: [String] {
        let counts = self.progress
        var last = self.state
        if last == "incomplete" { last += ": start it again when all nodes answer" }
        return [
            "repair      \(counts.id)",
            "partitions  \(counts.compared) of \(self.planned) compared, \(counts.inSync) in sync",
            "keys        \(counts.keysDiffering) differed, \(counts.keysRepaired) repaired",
            "sent        \(byteText(counts.bytesSent))" + (self.elapsed > .zero ? " in \(self.seconds) s" : ""),
            "roots       \(hexadecimal(counts.rootsBefore)) before, \(self.rootsAfter ?? "-") after",
        ] + self.errors.map { "error       \($0)" } + [last]
    }

    /// For programs.
    package var json: JSONText {
        let counts = self.progress
        return .object([
            ("id", .text(counts.id.text)), ("state", .text(self.state)),
            ("partitions_planned", .unsigned(self.planned)), ("partitions_compared", .unsigned(counts.compared)),
            ("partitions_in_sync", .unsigned(counts.inSync)), ("partitions_failed", .unsigned(counts.failed)),
            ("keys_differing", .unsigned(counts.keysDiffering)), ("keys_repaired", .unsigned(counts.keysRepaired)),
            ("bytes_sent", .unsigned(counts.bytesSent)), ("roots_before", .text(hexadecimal(counts.rootsBefore))),
            ("roots_after", self.rootsAfter.map(JSONText.text) ?? .null), ("seconds", .number(self.seconds)),
            ("errors", .list(self.errors.map(JSONText.text))),
        ])
    }
}
