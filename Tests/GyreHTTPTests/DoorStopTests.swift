import GyreBase
import GyreHTTP
import Testing

@Suite("A stop of the HTTP door", .serialized)
struct DoorStopTests {
    /// How long it took a door to stop that gives requests `drainTimeout` and has one client like this.
    private func stop(
        drainTimeout: TimeSpan = .milliseconds(500), _ client: @escaping @Sendable (RawHTTP) throws -> Void
    ) async throws -> Duration {
        var limits = HTTPLimits()
        limits.drainTimeout = drainTimeout
        var took = Duration.zero
        try await DoorFixture.with(limits: limits) { door in
            let value = [UInt8](repeating: 7, count: 8 << 20)
            #expect(try await door.ask("PUT", "/buckets/b/keys/big", body: value).status == 204)
            let port = door.port
            let socket = try await blocking {
                let socket = try RawHTTP(port: port)
                try client(socket)
                return socket
            }
            try await Task.sleep(for: .milliseconds(300))
            let began = ContinuousClock.now
            await door.door.stop()
            took = ContinuousClock.now - began
            withExtendedLifetime(socket) {}
        }
        return took
    }

    @Test("waits no longer than its limit for a request that does not arrive")
    func halfRequest() async throws {
        let took = try await self.stop { socket in
            try socket.send("PUT /buckets/b/keys/k HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nabc".utf8)
        }
        #expect(took > .milliseconds(400) && took < .seconds(10), "\(took)")
    }

    @Test("waits no longer than its limit for answers that nobody takes")
    func unreadAnswers() async throws {
        let took = try await self.stop { socket in
            for _ in 0..<10 { try socket.send("GET /buckets/b/keys/big HTTP/1.1\r\nHost: t\r\n\r\n".utf8) }
        }
        #expect(took > .milliseconds(400) && took < .seconds(10), "\(took)")
    }

    @Test("waits for nobody who only keeps a connection")
    func idle() async throws {
        let took = try await self.stop(drainTimeout: .seconds(60)) { socket in
            try socket.send("GET /ping HTTP/1.1\r\nHost: t\r\n\r\n".utf8)
        }
        #expect(took < .seconds(10), "\(took)")
    }
}
