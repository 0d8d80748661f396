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
}
