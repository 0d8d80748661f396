import Foundation
import Glibc
import Synchronization

/// A process of ours, ended by its pid at the latest when this program ends.
final class ChildProcess {
    let pid: pid_t
    /// Taken just before it was made.
    let startedAt: ContinuousClock.Instant
    private var status: Int32?

    private static let aliveMax = 16
    /// What a signal handler must end: it may only read plain memory.
    private static let alive = Mutex([pid_t](repeating: 0, count: aliveMax))

    /// Starts `path`; standard output replaces the file `out`, standard error is added to `error`.
    init(_ path: String, _ arguments: [String], out: String, error: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        // A file of an earlier life must not be taken for this one's.
        unlink(out)
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("GYRE_") }
        let environment = inherited.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.map { "\($0.key)=\($0.value)" }
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var environmentPointers: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var pid: pid_t = 0
        self.startedAt = .now
        let code = Self.alive.withLock { alive in
            let code = posix_spawn(&pid, path, &actions, nil, &argumentPointers, &environmentPointers)
            if code == 0, let free = alive.firstIndex(of: 0) { alive[free] = pid }
            return code
        }
        guard code == 0 else { throw Broken("\(path) cannot be started: \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    /// Whether it has not ended yet.
    var isRunning: Bool {
        guard self.status == nil else { return false }
        var status: Int32 = 0
        guard waitpid(self.pid, &status, WNOHANG) == self.pid else { return true }
        self.status = status
        Self.alive.withLock { alive in
            if let index = alive.firstIndex(of: self.pid) { alive[index] = 0 }
        }
        return false
    }

    /// Sends a signal; nothing when it has ended.
    func send(_ signal: Int32) { if self.isRunning { kill(self.pid, signal) } }

    /// Waits for its end: the exit code, or the negative signal.
    func ended(within limit: Duration = .seconds(20)) async throws -> Int32 {
        let deadline = ContinuousClock.now + limit
        while self.isRunning {
            try demand(.now < deadline, "process \(self.pid) did not end within \(milliseconds(limit)) ms")
            try await Task.sleep(for: .milliseconds(2))
        }
        let status = self.status ?? 0
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
    }

    /// Ctrl-C must not leave nodes behind.
    static func endAllOnSignals() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { number in
                _ = ChildProcess.alive.withLockIfAvailable { alive in
                    for pid in alive where pid > 0 { kill(pid, SIGKILL) }
                }
                _exit(128 + number)
            }
        }
    }
}
