import GyreServer
import GyreWire
import NIOCore
import Testing

@Suite("A Redis client that asks for much", .serialized, .timeLimit(.minutes(2)))
struct RespLimitTests {
    private static let mebibyte = 1 << 20

    /// Keeps a value of 8 MiB, the longest there is, under `big`.
    private func putBig(_ socket: RespSocket) throws {
        let value = [UInt8](repeating: 0x76, count: 8 * Self.mebibyte)
        try socket.send(RespSocket.command([Array("SET".utf8), Array("big".utf8), value]))
        #expect(try socket.receive() == .simple("OK"))
    }

    @Test("gets no more than 32 MiB by one MGET")
    func getManyIsBounded() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            try self.putBig(socket)
            let names = [String](repeating: "big", count: 24)
            try socket.send(RespSocket.command((["MGET"] + names).map { Array($0.utf8) }))
            let expected = RespAnswer.error("TOOLARGE the values have more than 33554432 bytes; use GET")
            #expect(try socket.receive() == expected)
            guard case .array(let three) = try socket.ask("MGET", "big", "big", "no", "big") else {
                return #expect(Bool(false))
            }
            #expect(three.count == 4 && three[0] == three[3] && three[2] == .null)
        }
    }

    @Test("is read no further when the answers that wait for an earlier one are many bytes")
    func echoesAreBounded() async throws {
        try await TestServer.withSilentReplica { first, silence in
            let socket = try RespSocket(port: first.resp)
            let board = try await first.server.statsBoard()
            let before = board.samples.last?.receivedBytes ?? 0
            silence(3.5)
            let echo = RespSocket.command([Array("ECHO".utf8), [UInt8](repeating: 0x76, count: Self.mebibyte)])
            // One side of the socket is used by the task, the other by the test.
            nonisolated(unsafe) let sender = socket
            let sending = Task.detached {
                try sender.send("GET", "k")
                for _ in 0..<48 { try sender.send(echo) }
            }
            try await Task.sleep(for: .milliseconds(2_500))
            let read = (board.samples.last?.receivedBytes ?? 0) - before
            #expect(read < 16 * Self.mebibyte, "\(read) bytes were read")
            // The read is answered or given up, and then everything else.
            _ = try socket.receive()
            for _ in 0..<48 {
                guard case .bulk(let bytes) = try socket.receive() else { return #expect(Bool(false)) }
                #expect(bytes.readableBytes == Self.mebibyte)
            }
            try await sending.value
        }
    }

    @Test("by a long pattern is told so")
    func longPatterns() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            let long = "*[" + String(repeating: "b", count: 4_096) + "]"
            let expected = RespAnswer.error("ERR a pattern has at most 4096 bytes, not 4099")
            #expect(try socket.ask("KEYS", long) == expected)
            #expect(try socket.ask("SCAN", "0", "MATCH", long) == expected)
            #expect(try socket.ask("CONFIG", "GET", long) == expected)
            #expect(try socket.ask("KEYS", String(long.suffix(4_096))) == .array([]))
        }
    }

    @Test("by a pattern that takes long to match is told so before others notice")
    func costlyPatterns() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            let tail = String(repeating: "a", count: 4_000)
            for index in 0..<60 { #expect(try socket.ask("SET", "\(index)" + tail, "v") == .simple("OK")) }
            let pattern = "*" + String(repeating: "a", count: 2_000) + "b"
            let expected = RespAnswer.error("ERR the pattern takes too long to match; use a shorter one")
            #expect(try socket.ask("KEYS", pattern) == expected)
            #expect(try socket.ask("KEYS", "*a*a*a*a*a*a*a*a*b") == .array([]))
        }
    }
}
