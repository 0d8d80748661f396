import ArgumentParser

/// What the process says to its caller when it ends (docs/operations.md); a promise to scripts, never renumbered.
extension ExitCode {
    /// The key is not there.
    static let notFound = ExitCode(1)
    /// Too few replicas answered, or too late.
    static let quorumMissed = ExitCode(2)
    /// There are siblings where exactly one value was asked for.
    static let siblings = ExitCode(3)
    /// The command makes no sense; what ArgumentParser itself ends with as well.
    static let usage = ExitCode(64)
    /// No node could be reached.
    static let unreachable = ExitCode(69)
    /// Something could not be read, written or listened on.
    static let inputOutput = ExitCode(74)
}
