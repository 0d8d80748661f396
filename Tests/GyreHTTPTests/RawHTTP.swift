import Foundation
import Glibc

/// Runs what blocks on a thread of its own: the pool that tests and the door share has few.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

/// A blocking TCP socket that says exactly the bytes it is told, with a limit of a minute on every wait.
///
/// Sendable: it has no state but its descriptor, which lives as long as it does.
final class RawHTTP: Sendable {
    private let descriptor: Int32

    enum Failure: Error {
        case cannotConnect(Int32)
        case cannotWrite(Int32)
        case silence
    }

    /// Connects to a port of 127.0.0.1.
    init(port: UInt16) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(self.descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure.cannotConnect(errno) }
    }

    deinit { close(self.descriptor) }

    /// Sends all bytes; a server that hung up in between is no failure, because it may have answered before.
    func send(_ bytes: some Sequence<UInt8>) throws {
        let all = Array(bytes)
        var sent = 0
        while sent < all.count {
            let count = all.withUnsafeBytes { buffer in
                Glibc.send(
                    self.descriptor, buffer.baseAddress?.advanced(by: sent), all.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EPIPE || errno == ECONNRESET { return }
            guard count > 0 else { throw Failure.cannotWrite(errno) }
            sent += count
        }
    }

    /// Everything until the other side closes.
    func readAll() throws -> [UInt8] {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { recv(self.descriptor, $0.baseAddress, $0.count, 0) }
            if count == 0 || (count < 0 && errno == ECONNRESET) { return all }
            guard count > 0 else { throw Failure.silence }
            all += chunk[..<count]
        }
    }

    /// Reads one answer; the server must close the connection behind it.
    func answer() throws -> RawAnswer { RawAnswer(try self.readAll()) }
}

/// One answer, taken apart.
struct RawAnswer: Sendable {
    let status: Int
    let fields: [(name: String, value: String)]
    let body: [UInt8]

    init(_ bytes: [UInt8]) {
        let end = bytes.indices.first { bytes[$0...].starts(with: Array("\r\n\r\n".utf8)) } ?? bytes.endIndex
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        self.status = lines.first.flatMap { $0.split(separator: " ").dropFirst().first.flatMap { Int($0) } } ?? 0
        self.fields = lines.dropFirst().map { line in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            let value = line[colon...].dropFirst().drop { $0 == " " }
            return (line[..<colon].lowercased(), String(value))
        }
        self.body = Array(bytes[min(end + 4, bytes.endIndex)...])
    }

    /// The first header of that name, in lower case.
    subscript(_ name: String) -> String? { self.fields.first { $0.name == name }?.value }

    /// The text of a body that came in chunks.
    var unchunked: String {
        var text: [UInt8] = []
        var rest = self.body[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\r")),
            let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16), size > 0,
            rest.endIndex >= end + 4 + size
        {
            text += rest[(end + 2)..<(end + 2 + size)]
            rest = rest[(end + 4 + size)...]
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The body as text.
    var text: String { String(decoding: self.body, as: UTF8.self) }
}
