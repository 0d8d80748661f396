import Glibc
import GyreBase
import GyreMessages
import GyreWire
import NIOCore

/// A blocking TCP socket that says exactly the bytes it is told, with a limit of five seconds on every wait.
final class RawSocket {
    private let descriptor: Int32
    private var decoder = FrameDecoder()

    enum Failure: Error {
        case cannotConnect(Int32)
        case cannotWrite(Int32)
        case silence
    }

    /// A socket that is connected already.
    fileprivate init(connected descriptor: Int32) {
        self.descriptor = descriptor
        Self.limitWaits(descriptor)
    }

    fileprivate static func limitWaits(_ descriptor: Int32) {
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connects to a port of 127.0.0.1.
    init(port: UInt16) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        Self.limitWaits(self.descriptor)
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

    /// Sends a frame.
    func send(_ frame: Frame) throws {
        var buffer = ByteBuffer()
        try FrameEncoder.encode(frame, into: &buffer)
        try self.send(buffer.readableBytesView)
    }

    /// Says nothing more; reading goes on.
    func finishSending() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// The next frame; nil when the other side has closed or reset the connection.
    func receive() throws -> Frame? {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            if let frame = try self.decoder.next() { return frame }
            let count = chunk.withUnsafeMutableBytes { recv(self.descriptor, $0.baseAddress, $0.count, 0) }
            if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
            guard count > 0 else { throw Failure.silence }
            self.decoder.append(ByteBuffer(bytes: chunk[..<count]))
        }
    }

    /// Introduces itself as a client and returns the answer.
    func introduce(cluster: String = "") throws -> HelloReply? {
        try self.send(.hello(Hello(protocolVersion: 1, cluster: cluster, role: .client(name: "test"))))
        guard case .helloReply(let reply) = try self.receive() else { return nil }
        self.decoder.completeHandshake()
        return reply
    }

    /// Reads the hello of a node that dialled here, and welcomes it in the name of `node`.
    func welcome(as node: NodeID, cluster: String) throws -> Hello? {
        guard case .hello(let hello) = try self.receive() else { return nil }
        try self.send(
            .helloReply(.welcome(protocolVersion: WireLimits.protocolVersion, cluster: cluster, node: node)))
        self.decoder.completeHandshake()
        return hello
    }

    /// Asks and waits for the answer.
    func ask(_ request: ClientRequest, tag: UInt64 = 1) throws -> ClientResponse? {
        try self.send(.request(tag: tag, timeoutMilliseconds: 1_000, request))
        guard case .response(tag, let response) = try self.receive() else { return nil }
        return response
    }
}

/// Makes the bytes of a frame whose payload no encoder would write.
func forgedFrame(kind: UInt8, payload: [UInt8]) -> [UInt8] {
    let word = UInt64(payload.count) << 32 | 1 << 24 | UInt64(kind) << 16
    var buffer = ByteBuffer(integer: word)
    buffer.writeInteger(StableHash.xxh3(ByteBuffer(bytes: payload), seed: word))
    buffer.writeBytes(payload)
    return Array(buffer.readableBytesView)
}

/// The header of a frame that announces `length` bytes of payload, and no payload.
func forgedHeader(kind: UInt8, length: UInt32) -> [UInt8] {
    var buffer = ByteBuffer(integer: UInt64(length) << 32 | 1 << 24 | UInt64(kind) << 16)
    buffer.writeInteger(UInt64(0))
    return Array(buffer.readableBytesView)
}

/// A port of 127.0.0.1 that waits for connections, five seconds at most.
final class RawListener {
    private let descriptor: Int32
    /// The port, which the system chose.
    let port: UInt16

    init() throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        RawSocket.limitWaits(self.descriptor)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard result else { throw RawSocket.Failure.cannotConnect(errno) }
        self.port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(self.descriptor) }

    /// The next connection.
    func accept() throws -> RawSocket {
        let connection = Glibc.accept(self.descriptor, nil, nil)
        guard connection >= 0 else { throw RawSocket.Failure.silence }
        return RawSocket(connected: connection)
    }
}
