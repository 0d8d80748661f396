import Glibc
import GyreMembership
import GyreServer
import GyreWire
import NIOCore
import Testing

@Suite("A Redis connection", .serialized, .timeLimit(.minutes(2)))
struct RespConnectionTests {
    @Test("answers pipelined commands in order, whatever they take")
    func keepsOrder() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            var bytes: [UInt8] = []
            var expected: [RespAnswer] = []
            func say(_ answer: RespAnswer, _ arguments: String...) {
                bytes += RespSocket.command(arguments.map { Array($0.utf8) })
                expected.append(answer)
            }
            for index in 0..<100 {
                say(.simple("OK"), "SET", "k\(index % 7)", "\(index)")
                say(.simple("PONG"), "PING")
                say(.text("\(index)"), "GET", "k\(index % 7)")
                say(.text("echo \(index)"), "ECHO", "echo \(index)")
                say(.integer(index % 3 == 0 ? 1 : 0), "SETNX", "new\(index / 3)", "v")
                say(.integer(1), "DEL", "k\(index % 7)")
                say(.null, "GET", "k\(index % 7)")
                say(.simple("OK"), "MSET", "m1", "\(index)", "m2", "\(index)")
                say(.array([.text("\(index)"), .text("\(index)"), .null]), "MGET", "m1", "m2", "m3")
            }
            try socket.send(bytes)
            for (index, answer) in expected.enumerated() {
                let got = try socket.receive()
                #expect(got == answer, "answer \(index)")
                if got != answer { return }
            }
        }
    }

    @Test("carries binary keys and values of 8 MiB, and refuses longer ones without ending")
    func isBinarySafe() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            let key: [UInt8] = (0...255).map { UInt8($0) }
            let part = (0..<4_096).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
            let value = [[UInt8]](repeating: part, count: 2_048).flatMap { $0 }
            try socket.send(RespSocket.command([Array("SET".utf8), key, value]))
            #expect(try socket.receive() == .simple("OK"))
            try socket.send(RespSocket.command([Array("GET".utf8), key]))
            guard case .bulk(let back) = try socket.receive() else { return #expect(Bool(false)) }
            #expect(back == ByteBuffer(bytes: value))
            try socket.send(RespSocket.command([Array("SET".utf8), key, value + [1]]))
            #expect(try socket.receive() == .error("TOOLARGE above the limit of 8388608"))
            #expect(try socket.ask("PING") == .simple("PONG"))
        }
    }

    @Test("is counted in bytes, both ways")
    func isCounted() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            let value = [UInt8](repeating: 0x76, count: 100_000)
            try socket.send(RespSocket.command([Array("SET".utf8), Array("k".utf8), value]))
            #expect(try socket.receive() == .simple("OK"))
            #expect(try socket.ask("GET", "k") == .bulk(ByteBuffer(bytes: value)))
            // The figures are told once a second.
            let board = try await test.server.statsBoard()
            for _ in 0..<100 where board.samples.last?.sentBytes ?? 0 < 100_000 {
                try await Task.sleep(for: .milliseconds(50))
            }
            let last = try #require(board.samples.last)
            #expect((100_000..<110_000).contains(last.receivedBytes), "received \(last.receivedBytes)")
            #expect((100_000..<110_000).contains(last.sentBytes), "sent \(last.sentBytes)")
        }
    }

    @Test("is told what is no protocol, and closed", arguments: ["*1\r\n$-5\r\n", "*x\r\n", "GET \"a\r\n"])
    func refusesNonsense(_ text: String) async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            try socket.send("*1\r\n$4\r\nPING\r\n".utf8)
            try socket.send(text.utf8)
            #expect(try socket.receive() == .simple("PONG"))
            guard case .error(let reason) = try socket.receive() else { return #expect(Bool(false)) }
            #expect(reason.hasPrefix("ERR Protocol error: "))
            #expect(try socket.isClosed())
            #expect(try test.counter("frames_rejected") == 1)
        }
    }

    @Test("is refused with a reason when there are too many")
    func tooMany() async throws {
        var limits = ShellLimits()
        limits.connectionsMax = 2
        try await TestServer.withResp(limits: limits) { test in
            let two = try (0..<2).map { _ in try RespSocket(port: test.resp) }
            for socket in two { #expect(try socket.ask("PING") == .simple("PONG")) }
            let third = try RespSocket(port: test.resp)
            #expect(try third.receive() == .error("ERR max number of clients reached"))
            #expect(try third.isClosed())
        }
    }

    @Test("that ends in the middle of everything leaves nothing behind")
    func endsAnytime() async throws {
        try await TestServer.withResp { test in
            for index in 0..<50 {
                let socket = try RespSocket(port: test.resp)
                for key in 0..<20 { try socket.send("DEL", "k\(index)-\(key)") }
                try socket.send("KEYS", "*")
                try socket.send("*3\r\n$3\r\nSET\r\n$5\r\nab".utf8)
            }
            let socket = try RespSocket(port: test.resp)
            #expect(try socket.ask("SET", "k", "v") == .simple("OK"))
            for _ in 0..<200 {
                if try test.counter("connections") == 2 { break }
                try await Task.sleep(for: .milliseconds(10))
            }
            // This one, and the one that asks.
            #expect(try test.counter("connections") == 2)
        }
    }

    @Test("is told the quorum's arithmetic when too few replicas can be reached")
    func saysUnavailable() async throws {
        func three(_ options: inout ServerOptions) {
            options.resp = PeerAddress(host: "127.0.0.1", port: 0)
            (options.replicas, options.reads, options.writes) = (3, 2, 2)
        }
        try await TestServer.with(three) { first in
            let second = try await TestServer.start {
                $0.name = "second"
                $0.seeds = [first.server.listen]
                ($0.replicas, $0.reads, $0.writes) = (3, 2, 2)
            }
            let socket = try RespSocket(port: first.resp)
            var answer = RespAnswer.null
            for _ in 0..<500 {
                answer = try socket.ask("SET", "k", "v")
                if answer == .simple("OK") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(answer == .simple("OK"))
            try await second.stop()
            for _ in 0..<500 {
                answer = try socket.ask("GET", "k")
                if case .error = answer { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(answer == .error("UNAVAILABLE needed 2 got 1"))
            #expect(try socket.ask("MGET", "k", "l") == .error("UNAVAILABLE needed 2 got 1"))
            #expect(try socket.ask("SCAN", "0") == .error("UNAVAILABLE needed 2 got 1"))
            #expect(try socket.ask("SET", "k", "w") == .error("UNAVAILABLE needed 2 got 1"))
            #expect(try socket.ask("PING") == .simple("PONG"))
        }
    }
}
