import Glibc
import GyreWire
import NIOCore

/// A blocking Redis client that says exactly the bytes it is told, with a limit of ten seconds on every wait.
final class RespSocket {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var place = 0

    enum Failure: Error {
        case cannotConnect(Int32)
        case cannotWrite(Int32)
        case silence
        case closed
        case unreadable(UInt8)
    }

    /// Connects to a port of 127.0.0.1; `receiveBytes` bounds what the system takes in for a client that does not read.
    init(port: UInt16, receiveBytes: Int32? = nil) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(self.descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if var bytes = receiveBytes {
            setsockopt(self.descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
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

    /// Sends all bytes.
    func send(_ bytes: some Sequence<UInt8>) throws {
        let all = Array(bytes)
        var sent = 0
        while sent < all.count {
            let count = all.withUnsafeBytes { buffer in
                Glibc.send(
                    self.descriptor, buffer.baseAddress?.advanced(by: sent), all.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure.cannotWrite(errno) }
            sent += count
        }
    }

    /// A command as clients write it.
    static func command(_ arguments: [[UInt8]]) -> [UInt8] {
        var bytes = Array("*\(arguments.count)\r\n".utf8)
        for argument in arguments {
            bytes += Array("$\(argument.count)\r\n".utf8)
            bytes += argument
            bytes += [13, 10]
        }
        return bytes
    }

    /// Sends one command.
    func send(_ arguments: String...) throws { try self.send(Self.command(arguments.map { Array($0.utf8) })) }

    /// Sends one command and waits for the answer.
    func ask(_ arguments: String...) throws -> RespAnswer {
        try self.send(Self.command(arguments.map { Array($0.utf8) }))
        return try self.receive()
    }

    /// Says nothing more; reading goes on.
    func finishSending() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// The next answer's first line, as it was sent.
    func receiveLine() throws -> String { try self.line() }

    /// The next answer, of either version.
    func receive() throws -> RespAnswer {
        let kind = try self.byte()
        switch kind {
        case UInt8(ascii: "+"):
            switch try self.line() {
            case "OK": return .simple("OK")
            case "PONG": return .simple("PONG")
            case "RESET": return .simple("RESET")
            case "string": return .simple("string")
            case "none": return .simple("none")
            default: throw Failure.unreadable(kind)
            }
        case UInt8(ascii: "-"): return .error(try self.line())
        case UInt8(ascii: ":"): return .integer(try self.number())
        case UInt8(ascii: "_"):
            _ = try self.line()
            return .null
        case UInt8(ascii: "$"):
            let count = try self.number()
            guard count >= 0 else { return .null }
            let bytes = try self.bytes(Int(count))
            _ = try self.bytes(2)
            return .bulk(ByteBuffer(bytes: bytes))
        case UInt8(ascii: "*"): return .array(try (0..<(try self.number())).map { _ in try self.receive() })
        case UInt8(ascii: "%"):
            return .map(try (0..<(try self.number())).map { _ in (try self.receive(), try self.receive()) })
        default: throw Failure.unreadable(kind)
        }
    }

    /// Whether the other side has closed or reset the connection, once all it sent is read.
    func isClosed() throws -> Bool {
        do {
            while true { _ = try self.byte() }
        } catch Failure.closed { return true }
    }

    private func byte() throws -> UInt8 {
        try self.fill(1)
        self.place += 1
        return self.buffer[self.place - 1]
    }

    private func line() throws -> String {
        var line: [UInt8] = []
        while true {
            let byte = try self.byte()
            if byte == 13 { break }
            line.append(byte)
        }
        _ = try self.byte()
        return String(decoding: line, as: UTF8.self)
    }

    private func number() throws -> Int64 { Int64(try self.line()) ?? 0 }

    private func bytes(_ count: Int) throws -> ArraySlice<UInt8> {
        try self.fill(count)
        self.place += count
        return self.buffer[self.place - count..<self.place]
    }

    /// Takes what has come, at most `count` bytes, and forgets it.
    func drop(_ count: Int) throws -> Int {
        var chunk = [UInt8](repeating: 0, count: count)
        let got = chunk.withUnsafeMutableBytes { recv(self.descriptor, $0.baseAddress, $0.count, 0) }
        guard got > 0 else { throw Failure.closed }
        return got
    }

    /// Waits until `count` bytes are there.
    private func fill(_ count: Int) throws {
        while self.buffer.count - self.place < count {
            if self.place > 0 {
                self.buffer.removeFirst(self.place)
                self.place = 0
            }
            var chunk = [UInt8](repeating: 0, count: 256 << 10)
            let got = chunk.withUnsafeMutableBytes { recv(self.descriptor, $0.baseAddress, $0.count, 0) }
            if got == 0 || (got < 0 && errno == ECONNRESET) { throw Failure.closed }
            guard got > 0 else { throw Failure.silence }
            self.buffer += chunk[..<got]
        }
    }
}
