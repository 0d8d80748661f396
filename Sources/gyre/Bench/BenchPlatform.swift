import Glibc
import GyreMembership
import GyreReports

/// `base` to the power of `exponent`.
func platformPower(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// Monotonic nanoseconds.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Facts about the machine that a figure means nothing without.
func machineFacts() -> JSONText {
    let processor = procLine("/proc/cpuinfo", "model name") ?? "unknown"
    let memory = procLine("/proc/meminfo", "MemTotal") ?? "unknown"
    let kernel =
        (try? StandardStreams.read("/proc/sys/kernel/osrelease", bytesMax: 4_096))
        .map { String(decoding: $0, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? "" } ?? "unknown"
    return .object([
        ("cores", .integer(Int64(sysconf(Int32(_SC_NPROCESSORS_ONLN))))), ("processor", .text(processor)),
        ("memory", .text(memory)), ("kernel", .text(kernel)),
    ])
}

private func procLine(_ path: String, _ name: String) -> String? {
    guard let bytes = try? StandardStreams.read(path, bytesMax: 4 << 20) else { return nil }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
        guard let colon = line.firstIndex(of: ":") else { continue }
        return String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
    }
    return nil
}

extension ClusterOptions {
    /// The addresses, parsed.
    func peerAddresses() throws -> [PeerAddress] {
        try self.addresses.map { text in
            guard let address = PeerAddress(parsing: text) else {
                throw CommandFailure(.usage, "\(text) is not HOST:PORT")
            }
            return address
        }
    }
}

extension StandardStreams {
    /// Fails if `path` is clearly no file that can be written or made; leaves everything as it is.
    static func mayWriteFile(_ path: String) throws(InputError) {
        if access(path, W_OK) == 0 { return }
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        if errno == ENOENT, access(directory, W_OK | X_OK) == 0 { return }
        throw InputError("cannot write \(path): \(String(cString: strerror(errno)))")
    }

    /// Writes `text` to a new file, or over an old one.
    static func writeFile(_ path: String, _ text: String) throws(InputError) {
        guard let file = fopen(path, "we") else {
            throw InputError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        let written = fputs(text, file)
        guard fclose(file) == 0, written >= 0 else { throw InputError("cannot write all of \(path)") }
    }
}
