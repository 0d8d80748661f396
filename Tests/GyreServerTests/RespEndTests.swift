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

    @Test("waits for the answers to what a client asked before it said that this is all")
    func halfClosed() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            try socket.send("PING\r\n".utf8)
            socket.finishSending()
            #expect(try socket.receive() == .simple("PONG"))
            #expect(try socket.isClosed())
            let many = try RespSocket(port: test.resp)
            for index in 0..<2_000 { try many.send("SET", "k\(index % 10)", "\(index)") }
            for _ in 0..<10 { try many.send("DEL", "k1", "k2") }
            // An unfinished command at the end is none.
            try many.send("*2\r\n$3\r\nGET\r\n$2\r\nk".utf8)
            many.finishSending()
            for index in 0..<2_000 {
                guard try many.receive() == .simple("OK") else {
                    Issue.record("answer \(index)")
                    return
                }
            }
            for index in 0..<10 { #expect(try many.receive() == .integer(index == 0 ? 2 : 0)) }
            #expect(try many.isClosed())
        }
    }

    @Test("comes for one that says no more and takes no answer")
    func halfClosedAndSilent() async throws {
        var limits = ShellLimits()
        limits.clientStallTimeout = .milliseconds(200)
        try await TestServer.withResp(limits: limits) { test in
            let other = try RespSocket(port: test.resp)
            let value = [UInt8](repeating: 0x76, count: 8 << 20)
            try other.send(RespSocket.command([Array("SET".utf8), Array("long".utf8), value]))
            #expect(try other.receive() == .simple("OK"))
            let silent = try RespSocket(port: test.resp, receiveBytes: 64 << 10)
            try silent.send("GET", "long")
            silent.finishSending()
            for _ in 0..<500 {
                if try test.counter("connections") == 2 { break }
                try await Task.sleep(for: .milliseconds(10))
            }
            // The other one, and the one that asks.
            #expect(try test.counter("connections") == 2)
        }
    }

    @Test("comes in bounded time for one that says no more, whatever it still waits for")
    func farewell() async throws {
        var limits = ShellLimits()
        limits.respFarewell = .milliseconds(300)
        try await TestServer.withSilentReplica(limits: limits) { first, silence in
            let socket = try RespSocket(port: first.resp)
            silence(4)
            try socket.send("GET", "k")
            socket.finishSending()
            let began = ContinuousClock.now
            #expect(try socket.isClosed())
            #expect(ContinuousClock.now - began < .seconds(2))
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
            // The figures are told once a second.
            let board = try await test.server.statsBoard()
            for _ in 0..<200 where board.samples.last?.requestBytes ?? 0 < 5 << 20 {
                try await Task.sleep(for: .milliseconds(50))
            }
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
