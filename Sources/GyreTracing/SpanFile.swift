import FoundationEssentials
import Glibc
import Synchronization

/// Why spans cannot be written to a file; the message is for people and names the path.
package struct TraceFileError: Error, Equatable, CustomStringConvertible {
    /// The whole message.
    package let description: String

    init(_ path: String, _ code: Int32) {
        self.description = "cannot write traces to \(path): \(String(cString: strerror(code)))"
    }
}

/// A file of lines that does not grow beyond a limit: the full one becomes `PATH.1`, in place of the one before it.
///
/// Sendable: a lock is held while a line is written, so only the thread that writes spans may use it.
final class SpanFile: Sendable {
    private struct State {
        var descriptor: Int32
        var bytes: Int
    }

    private let path: String
    private let bytesMax: Int
    private let state: Mutex<State>

    /// Opens `path` for appending.
    init(path: String, bytesMax: Int) throws(TraceFileError) {
        self.path = path
        self.bytesMax = bytesMax
        self.state = Mutex(try Self.open(path))
    }

    deinit { self.state.withLock { _ = close($0.descriptor) } }

    /// Appends one line. A line that was cut off by an error is ended before the next one, so that only that one is lost.
    func append(_ line: Data) throws(TraceFileError) {
        let failure = self.state.withLock { state -> TraceFileError? in
            do throws(TraceFileError) {
                if state.bytes > 0, state.bytes + line.count > self.bytesMax { try self.rotate(&state) }
                try self.write(line, &state)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private func rotate(_ state: inout State) throws(TraceFileError) {
        guard rename(self.path, self.path + ".1") == 0 else { throw TraceFileError(self.path, errno) }
        let next = try Self.open(self.path)
        close(state.descriptor)
        state = next
    }

    private func write(_ line: Data, _ state: inout State) throws(TraceFileError) {
        var sent = 0
        while sent < line.count {
            let count = line.withUnsafeBytes { all in
                Glibc.write(state.descriptor, all.baseAddress?.advanced(by: sent), all.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let code = errno
                if sent > 0, Glibc.write(state.descriptor, "\n", 1) == 1 { state.bytes += 1 }
                throw TraceFileError(self.path, code)
            }
            sent += count
            state.bytes += count
        }
    }

    private static func open(_ path: String) throws(TraceFileError) -> State {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw TraceFileError(path, errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw TraceFileError(path, code)
        }
        return State(descriptor: descriptor, bytes: Int(status.st_size))
    }
}
