import GyreBase
import GyreClient

/// What a repair did, or has done so far, as a value.
struct RepairReceipt {
    private let progress: RepairProgress
    private let planned: UInt64
    private let elapsed: Duration
    private let wasStopped: Bool

    /// - Parameters:
    ///   - planned: the most comparisons that were ever planned.
    ///   - elapsed: for how long it was watched.
    ///   - wasStopped: whether this command stopped it.
    init(_ progress: RepairProgress, planned: UInt64 = 0, elapsed: Duration = .zero, wasStopped: Bool = false) {
        self.progress = progress
        self.planned = max(planned, progress.planned)
        self.elapsed = elapsed
        // Comparisons that could not be done are counted, so those that nobody did were given up.
        let wasGivenUp =
            progress.isOver && progress.silent.isEmpty && progress.compared &+ progress.failed < progress.planned
        self.wasStopped = wasStopped || wasGivenUp
    }

    /// Whether it is over, and nothing that was planned was left out.
    var isComplete: Bool { self.progress.isComplete && !self.wasStopped }

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
    var lines: [String] {
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
    var json: JSONText {
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

/// How far a repair has come, on standard error: a bar that is drawn anew on a terminal, a line a second elsewhere.
struct RepairMeter {
    private static let barCells = 20
    private static let lineInterval = Duration.seconds(1)

    private let first: RepairProgress
    private let start: ContinuousClock.Instant
    private let isQuiet: Bool
    private let isBar: Bool
    private var lastLine: ContinuousClock.Instant
    private var barIsShown = false

    init(_ first: RepairProgress, at start: ContinuousClock.Instant, isQuiet: Bool) {
        self.first = first
        self.start = start
        self.isQuiet = isQuiet
        self.isBar = StandardStreams.isErrorTerminal
        self.lastLine = start
        guard !isQuiet, !first.isOver else { return }
        StandardStreams.writeError(
            "repair \(first.id); it goes on when this command ends, 'gyre repair --cancel \(first.id)' stops it")
    }

    /// Shows `progress`, unless the last line is too young.
    mutating func show(_ progress: RepairProgress, at now: ContinuousClock.Instant) {
        guard !self.isQuiet, !progress.isOver else { return }
        let text = self.text(progress, at: now)
        if self.isBar {
            // Back to the first column, and whatever the longer text before left is cleared.
            StandardStreams.writeErrorText("\r\(Self.bar(progress)) \(text)\u{1B}[K")
            self.barIsShown = true
        } else if now - self.lastLine >= Self.lineInterval {
            StandardStreams.writeError(text)
            self.lastLine = now
        }
    }

    /// Leaves the line of the bar.
    mutating func end() {
        guard self.barIsShown else { return }
        self.barIsShown = false
        StandardStreams.writeErrorText("\r\u{1B}[K")
    }

    /// Comparisons, rate, estimate and keys: short enough for a terminal of 80 columns beside the bar, as a rule.
    private func text(_ progress: RepairProgress, at now: ContinuousClock.Instant) -> String {
        let done = progress.compared &+ progress.failed
        let before = self.first.compared &+ self.first.failed
        let (seconds, attoseconds) = (now - self.start).components
        let elapsed = max(0.001, Double(seconds) + Double(attoseconds) / 1e18)
        let rate = Double(done > before ? done - before : 0) / elapsed
        var text = "\(done)/\(progress.planned) \(UInt64(rate.rounded()))/s"
        if rate > 0, progress.planned > done {
            text += " \(UInt64((Double(progress.planned - done) / rate).rounded(.up)))s left"
        }
        return text + ", \(progress.keysDiffering) keys differ"
    }

    private static func bar(_ progress: RepairProgress) -> String {
        let done = min(progress.compared &+ progress.failed, progress.planned)
        let full = progress.planned == 0 ? 0 : Int(Double(done) / Double(progress.planned) * Double(Self.barCells))
        return "[" + String(repeating: "#", count: full) + String(repeating: "-", count: Self.barCells - full) + "]"
    }
}
