import GyreBase
import GyreServer
import GyreWire
import NIOCore
import Testing

@Suite("The end of a Redis connection", .serialized, .timeLimit(.minutes(2)))
struct RespEndTests {
    @Test(
        "comes at once for what a browser sends", arguments: ["POST / HTTP/1.1", "post / HTTP/1.1", "GET / HTTP/1.1"])
    func webPages(_ line: String) async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            let head = "\(line)\r\nHost: 127.0.0.1:7402\r\nContent-Type: text/plain\r\n\r\n"
            try socket.send((head + "SET written 1\r\nQUIT\r\n").utf8)
            #expect(try socket.isClosed())
            let other = try RespSocket(port: test.resp)
            #expect(try other.ask("GET", "written") == .null)
            #expect(try test.counter("frames_rejected") == 1)
        }
    }

    @Test("comes for a command that is left unfinished, not for silence between commands")
    func unfinished() async throws {
        var limits = ShellLimits()
        limits.respCommandTimeout = .milliseconds(200)
        try await TestServer.withResp(limits: limits) { test in
            let idle = try RespSocket(port: test.resp)
            #expect(try idle.ask("PING") == .simple("PONG"))
            let socket = try RespSocket(port: test.resp)
            try socket.send("*2\r\n$3\r\nGET\r\n$5\r\nab".utf8)
            guard case .error(let reason) = try socket.receive() else { return #expect(Bool(false)) }
            #expect(reason == "ERR Protocol error: a command was left unfinished")
            #expect(try socket.isClosed())
            #expect(try idle.ask("PING") == .simple("PONG"))
        }
    }

    @Test("comes when the unfinished commands of all would fill the memory")
    func unfinishedBytes() async throws {
        var limits = ShellLimits()
        limits.requestBytesMax = 8 << 20
        try await TestServer.withResp(limits: limits) { test in
            let half =
                Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n".utf8) + [UInt8](repeating: 0x76, count: 5 << 20)
            let first = try RespSocket(port: test.resp)
            try first.send(half)
            let second = try RespSocket(port: test.resp)
            // What is sent after the refusal may be answered with a reset, which takes the refusal with it.
            do {
                try second.send(half)
                let answer = try second.receive()
                #expect(answer == .error("OVERLOADED a limit of the node was reached; try again later"))
            } catch RespSocket.Failure.closed {} catch RespSocket.Failure.cannotWrite {}
            #expect((try? second.isClosed()) != false)
            try first.send([UInt8](repeating: 0x76, count: 8_000_000 - (5 << 20)) + [13, 10])
            #expect(try first.receive() == .simple("OK"))
            // All that was charged is given back.
            #expect(try first.ask("SET", "k", String(repeating: "v", count: 7 << 20)) == .simple("OK"))
        }
    }
}
