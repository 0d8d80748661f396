import Glibc

/// Standard output, input and error as bytes, without Foundation.
enum StandardStreams {
    /// Writes all of `bytes` to standard output; a reader that went away ends the process quietly, as `head` expects.
    static func write(_ bytes: some Sequence<UInt8>) { self.write(Array(bytes), to: STDOUT_FILENO) }

    /// Writes a line to standard output.
    static func writeLine(_ line: String) { self.write(Array((line + "\n").utf8), to: STDOUT_FILENO) }

    /// Writes a line to standard error.
    static func writeError(_ line: String) { self.write(Array((line + "\n").utf8), to: STDERR_FILENO) }

    /// Writes `text` to standard error as it is, without the end of a line.
    static func writeErrorText(_ text: String) { self.write(Array(text.utf8), to: STDERR_FILENO) }

    /// Whether standard output is a terminal.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Whether standard error is a terminal.
    static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// All bytes of a file, or of standard input for `-`; refuses more than `bytesMax`.
    static func read(_ path: String, bytesMax: Int) throws(InputError) -> [UInt8] {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw InputError("cannot open \(path): \(String(cString: strerror(errno)))") }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw InputError("cannot read \(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= bytesMax else { throw InputError("\(path) has more than \(bytesMax) bytes") }
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                Glibc.exit(errno == EPIPE ? 0 : 74)
            }
            written += count
        }
    }
}

/// Why input could not be read, in words for a person.
struct InputError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
