import Logging

/// Lets a bounded number of log lines through per second and counts the rest. Confined to its shell.
struct NoticeGate {
    private let perSecondMax: Int
    private var admitted = 0
    private var suppressed = 0

    /// Lets `perSecondMax` lines a second through.
    init(perSecondMax: Int) { self.perSecondMax = perSecondMax }

    /// Whether one more line may be written now.
    mutating func admit() -> Bool {
        if self.admitted < self.perSecondMax {
            self.admitted += 1
            return true
        }
        self.suppressed += 1
        return false
    }

    /// Starts a new second; returns how many lines the last one held back.
    mutating func beginSecond() -> Int {
        defer {
            self.admitted = 0
            self.suppressed = 0
        }
        return self.suppressed
    }
}

extension NodeShell {
    /// Says something about a connection that misbehaves, unless too much was said this second.
    func notice(
        _ message: Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata, level: Logger.Level = .notice
    ) {
        guard self.notices.admit() else { return }
        self.log.log(level: level, message, metadata: metadata())
    }
}
