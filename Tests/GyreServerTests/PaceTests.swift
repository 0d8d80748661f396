import GyreBase
import GyreMembership
import GyreMessages
import GyreServer
import GyreWire
import NIOCore
import Testing

/// Whoever reads what it asked for is served, however much that is; whoever does not is closed after a while.
@Suite("A client that asks for long values", .serialized, .timeLimit(.minutes(2)))
struct PaceTests {
    private static let count = 100
    private static let value = [UInt8](repeating: 0x76, count: 1 << 20)

    private static func serveRedis(_ options: inout ServerOptions) {
        options.resp = PeerAddress(host: "127.0.0.1", port: 0)
    }

    /// Runs `body` against a node that has to go to its disk for a hundred values of 1 MiB, since it was started again.
    private func withLongValues(_ body: (TestServer) throws -> Void) async throws {
        let first = try await TestServer.start(Self.serveRedis)
        let socket = try RespSocket(port: first.resp)
        for index in 0..<Self.count {
            try socket.send(RespSocket.command([Array("SET".utf8), Array("long\(index)".utf8), Self.value]))
            #expect(try socket.receive() == .simple("OK"))
        }
        #expect(try socket.ask("SET", "short", "v") == .simple("OK"))
        try await first.stop(keepingData: true)
        let again = try await TestServer.restart(directory: first.directory, Self.serveRedis)
        do { try body(again) } catch {
            try await again.stop()
            throw error
        }
        try await again.stop()
    }

    @Test("all at once over the Redis protocol, after many short ones, gets them")
    func respPipeline() async throws {
        try await self.withLongValues { test in
            let socket = try RespSocket(port: test.resp)
            for _ in 0..<100 { #expect(try socket.ask("GET", "short") == .text("v")) }
            try socket.send(
                (0..<Self.count).flatMap { RespSocket.command([Array("GET".utf8), Array("long\($0)".utf8)]) })
            for index in 0..<Self.count {
                guard case .bulk(let bytes) = try socket.receive(), bytes.readableBytes == Self.value.count else {
                    Issue.record("answer \(index)")
                    return
                }
            }
            #expect(try test.counter("slow_readers") == 0)
        }
    }

    @Test("all at once over Gyre's own protocol, after many short ones, gets them")
    func nativePipeline() async throws {
        try await self.withLongValues { test in
            let socket = try RawSocket(port: test.port)
            _ = try socket.introduce()
            func get(_ key: String) throws -> ClientRequest {
                .get(
                    GetRequest(
                        name: try ObjectName(bucket: ByteBuffer(string: "redis"), key: ByteBuffer(string: key))))
            }
            for _ in 0..<100 {
                guard case .found = try socket.ask(get("short")) else { return #expect(Bool(false)) }
            }
            var all = ByteBuffer()
            for index in 0..<Self.count {
                try FrameEncoder.encode(
                    get("long\(index)"), tag: UInt64(index), timeoutMilliseconds: 10_000, into: &all)
            }
            try socket.send(all.readableBytesView)
            var tags: Set<UInt64> = []
            while tags.count < Self.count, case .response(let tag, .found) = try socket.receive() { tags.insert(tag) }
            #expect(tags.count == Self.count)
            #expect(try test.counter("slow_readers") == 0)
        }
    }

    @Test("and takes them slowly is not closed, though it takes longer than one that stands still may")
    func slowButSteady() async throws {
        var limits = ShellLimits()
        limits.clientOutputPauseBytes = 1 << 20
        limits.clientStallTimeout = .seconds(2)
        try await TestServer.withResp(limits: limits) { test in
            let other = try RespSocket(port: test.resp)
            let value = [UInt8](repeating: 0x76, count: 8 << 20)
            try other.send(RespSocket.command([Array("SET".utf8), Array("long".utf8), value]))
            #expect(try other.receive() == .simple("OK"))
            let slow = try RespSocket(port: test.resp, receiveBytes: 64 << 10)
            for _ in 0..<8 { try slow.send("GET", "long") }
            for index in 0..<8 {
                try await Task.sleep(for: .milliseconds(400))
                guard case .bulk = try slow.receive() else {
                    Issue.record("answer \(index)")
                    return
                }
            }
            #expect(try test.counter("slow_readers") == 0)
        }
    }

    @Test("and takes a little of one now and then is not closed")
    func dribble() async throws {
        var limits = ShellLimits()
        limits.clientOutputPauseBytes = 1 << 20
        limits.clientStallTimeout = .seconds(2)
        try await TestServer.withResp(limits: limits) { test in
            let other = try RespSocket(port: test.resp)
            let value = [UInt8](repeating: 0x76, count: 8 << 20)
            try other.send(RespSocket.command([Array("SET".utf8), Array("long".utf8), value]))
            #expect(try other.receive() == .simple("OK"))
            let slow = try RespSocket(port: test.resp, receiveBytes: 64 << 10)
            for _ in 0..<4 { try slow.send("GET", "long") }
            // A fifth of a megabyte a second: the system has room for what it hands out in ten seconds.
            for _ in 0..<50 {
                try await Task.sleep(for: .milliseconds(200))
                _ = try slow.drop(40 << 10)
            }
            #expect(try test.counter("slow_readers") == 0)
        }
    }

    @Test("and takes none of them is closed after its time, and others are served")
    func standsStill() async throws {
        var limits = ShellLimits()
        limits.clientOutputPauseBytes = 1 << 20
        limits.clientStallTimeout = .milliseconds(300)
        try await TestServer.withResp(limits: limits) { test in
            let other = try RespSocket(port: test.resp)
            let value = [UInt8](repeating: 0x76, count: 8 << 20)
            try other.send(RespSocket.command([Array("SET".utf8), Array("long".utf8), value]))
            #expect(try other.receive() == .simple("OK"))
            let silent = try RespSocket(port: test.resp, receiveBytes: 64 << 10)
            try silent.send("GET", "long")
            for _ in 0..<500 {
                if try test.counter("slow_readers") == 1 { break }
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try test.counter("slow_readers") == 1)
            #expect(try other.ask("PING") == .simple("PONG"))
        }
    }
}
