import GyreClient

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
