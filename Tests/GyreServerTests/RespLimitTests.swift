import Glibc
import GyreMembership
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
}
