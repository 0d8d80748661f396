import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreServer
import GyreWire
import NIOCore
import Testing

/// Bytes that no honest program would send.
struct BadBytes: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
}

private func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

private let strangers: [BadBytes] = [
    BadBytes(testDescription: "random bytes", bytes: randomBytes(4_096, seed: 7)),
    BadBytes(testDescription: "an HTTP request", bytes: Array("GET / HTTP/1.1\r\nHost: gyre\r\n\r\n".utf8)),
    BadBytes(testDescription: "a Redis command", bytes: Array("*1\r\n$4\r\nPING\r\n\r\n\r\n".utf8)),
    BadBytes(testDescription: "a hello of length 0", bytes: forgedFrame(kind: 1, payload: [])),
    BadBytes(testDescription: "a hello of length -1", bytes: forgedHeader(kind: 1, length: .max)),
    BadBytes(testDescription: "a hello of length 2^31", bytes: forgedHeader(kind: 1, length: 1 << 31)),
    BadBytes(testDescription: "a hello above 4 KiB", bytes: forgedHeader(kind: 1, length: 4_097)),
    BadBytes(testDescription: "a request before the hello", bytes: forgedFrame(kind: 0x10, payload: [0])),
    BadBytes(
        testDescription: "a hello with a name of length 2^63",
        bytes: forgedFrame(kind: 1, payload: [0, 1] + [UInt8](repeating: 0x80, count: 9) + [1])),
]

private let impostors: [BadBytes] = [
    BadBytes(testDescription: "random bytes", bytes: randomBytes(4_096, seed: 8)),
    BadBytes(testDescription: "a request of length 0", bytes: forgedFrame(kind: 0x10, payload: [])),
    BadBytes(testDescription: "a request of length -1", bytes: forgedHeader(kind: 0x10, length: .max)),
    BadBytes(testDescription: "a request of length 2^31", bytes: forgedHeader(kind: 0x10, length: 1 << 31)),
    BadBytes(testDescription: "a request above 16 MiB", bytes: forgedHeader(kind: 0x10, length: 16 << 20)),
    BadBytes(
        testDescription: "a request that is all ones",
        bytes: forgedFrame(kind: 0x10, payload: [UInt8](repeating: 0xFF, count: 300))),
    BadBytes(
        testDescription: "a get whose bucket has length 2^63",
        bytes: forgedFrame(
            kind: 0x10,
            payload: [UInt8](repeating: 0, count: 12) + [2] + [UInt8](repeating: 0x80, count: 9) + [1])),
    BadBytes(testDescription: "a frame of an unknown kind", bytes: forgedFrame(kind: 0x7F, payload: [1, 2, 3])),
    BadBytes(testDescription: "a second hello", bytes: forgedFrame(kind: 1, payload: [0, 1, 0, 1, 0])),
    BadBytes(testDescription: "a frame with a wrong checksum", bytes: forgedHeader(kind: 0x10, length: 0)),
    BadBytes(testDescription: "what only a peer may say", bytes: forgedFrame(kind: 0x21, payload: [0])),
    BadBytes(testDescription: "an answer", bytes: forgedFrame(kind: 0x11, payload: [0])),
]

@Suite("A node")
struct BadInputTests {
    @Test("refuses a stranger that begins with", arguments: strangers)
    func refusesStrangers(_ example: BadBytes) async throws {
        try await TestServer.with { test in
            let socket = try RawSocket(port: test.port)
            try socket.send(example.bytes)
            guard case .helloReply(.refused(let reason)) = try socket.receive() else {
                Issue.record("no refusal")
                return
            }
            #expect(!reason.isEmpty)
            #expect(try socket.receive() == nil, "the connection stays open")
            #expect(try test.counter("frames_rejected") == 1)
        }
    }

    @Test("closes the connection of a client that goes on with", arguments: impostors)
    func closesImpostors(_ example: BadBytes) async throws {
        try await TestServer.with { test in
            let socket = try RawSocket(port: test.port)
            _ = try socket.introduce()
            try socket.send(example.bytes)
            guard case .response(.max, .failed(.badRequest(let reason))) = try socket.receive() else {
                Issue.record("no answer")
                return
            }
            #expect(!reason.isEmpty)
            #expect(try socket.receive() == nil, "the connection stays open")
            #expect(try test.counter("frames_rejected") == 1)
        }
    }

    @Test("outlives frames that end in the middle")
    func outlivesTruncatedFrames() async throws {
        try await TestServer.with { test in
            var whole = ByteBuffer()
            let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
            try FrameEncoder.encode(.get(GetRequest(name: name)), tag: 1, timeoutMilliseconds: 100, into: &whole)
            for count in 1..<whole.readableBytes {
                let socket = try RawSocket(port: test.port)
                _ = try socket.introduce()
                try socket.send(whole.readableBytesView.prefix(count))
                socket.finishSending()
                #expect(try socket.receive() == nil)
            }
            #expect(try test.counter("connections_accepted") > 10)
        }
    }

    @Test("understands a client that sends one byte at a time")
    func understandsSlowClients() async throws {
        var limits = ShellLimits()
        // However busy the machine is that runs this test.
        limits.handshakeTimeout = .seconds(60)
        try await TestServer.with(limits: limits) { test in
            let socket = try RawSocket(port: test.port)
            var hello = ByteBuffer()
            try FrameEncoder.encode(
                Hello(protocolVersion: 1, cluster: "", role: .client(name: "slow")), into: &hello)
            for byte in hello.readableBytesView {
                try socket.send([byte])
                try await Task.sleep(for: .milliseconds(1))
            }
            guard case .helloReply(.welcome) = try socket.receive() else {
                Issue.record("no welcome")
                return
            }
        }
    }

    @Test("sends away who does not introduce itself in time")
    func sendsTheSilentAway() async throws {
        var limits = ShellLimits()
        limits.handshakeTimeout = .milliseconds(100)
        try await TestServer.with(limits: limits) { test in
            let socket = try RawSocket(port: test.port)
            guard case .helloReply(.refused(let reason)) = try socket.receive() else {
                Issue.record("no refusal")
                return
            }
            #expect(reason.contains("100 ms"))
            #expect(try socket.receive() == nil)
            #expect(try test.counter("handshakes_refused") == 1)
        }
    }

    @Test("closes the connection of a client that never reads its answers, and serves the others")
    func closesSlowReaders() async throws {
        var limits = ShellLimits()
        limits.clientStallTimeout = .milliseconds(300)
        try await TestServer.with(limits: limits) { test in
            let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "big"))
            let socket = try RawSocket(port: test.port)
            _ = try socket.introduce()
            let put = PutRequest(
                id: RequestID(client: 1, sequence: 1), name: name, seen: .overwrite,
                value: ByteBuffer(repeating: 7, count: 1 << 20))
            guard case .stored = try socket.ask(.put(put)) else {
                Issue.record("not stored")
                return
            }
            for tag in UInt64(2)..<40 {
                try socket.send(.request(tag: tag, timeoutMilliseconds: 5_000, .get(GetRequest(name: name))))
            }
            var waited = 0
            while try test.counter("slow_readers") == 0, waited < 100 {
                waited += 1
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try test.counter("slow_readers") == 1)
        }
    }

    @Test("answers every one of 5,000 requests that came at once")
    func answersPipelines() async throws {
        try await TestServer.with { test in
            let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
            let socket = try RawSocket(port: test.port)
            _ = try socket.introduce()
            var all = ByteBuffer()
            for tag in 0..<UInt64(5_000) {
                try FrameEncoder.encode(.get(GetRequest(name: name)), tag: tag, timeoutMilliseconds: 5_000, into: &all)
            }
            try socket.send(all.readableBytesView)
            var tags: Set<UInt64> = []
            while tags.count < 5_000, case .response(let tag, .notFound) = try socket.receive() { tags.insert(tag) }
            #expect(tags.count == 5_000)
        }
    }

    @Test("tells one client too many that there are too many")
    func refusesTooManyClients() async throws {
        var limits = ShellLimits()
        limits.connectionsMax = 3
        try await TestServer.with(limits: limits) { test in
            let sockets = try (0..<3).map { _ in try RawSocket(port: test.port) }
            for socket in sockets { _ = try socket.introduce() }
            guard case .refused(let reason) = try RawSocket(port: test.port).introduce() else {
                Issue.record("no refusal")
                return
            }
            #expect(reason.contains("3 connections are open"))
            guard case .status = try sockets[0].ask(.status) else {
                Issue.record("the others are not served")
                return
            }
        }
    }
}
