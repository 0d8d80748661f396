import Testing

@Suite("The HTTP door and clients of HTTP/1.0", .serialized)
struct OldRequestTests {
    /// Well below the minute after which a silent connection is closed.
    private static let soon = Duration.seconds(20)

    @Test("closes after its answer, whose end that is when it has no length")
    func closes() async throws {
        try await DoorFixture.with { door in
            _ = try await door.ask("PUT", "/buckets/b/keys/k", body: "v".utf8)
            for (path, body) in [("/ping", "OK"), ("/buckets/b/keys?keys=true", "{\"keys\":[\"k\"]}\n")] {
                for header in ["", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n"] {
                    let began = ContinuousClock.now
                    let answer = try await door.ask(bytes: Array("GET \(path) HTTP/1.0\r\n\(header)\r\n".utf8))
                    #expect(answer.status == 200 && answer.text == body && answer["transfer-encoding"] == nil)
                    #expect(answer["connection"] == "close")
                    #expect(ContinuousClock.now - began < Self.soon)
                }
            }
        }
    }

    @Test("keeps the form of the answers before it on the same connection")
    func pipeline() async throws {
        try await DoorFixture.with { door in
            let new = "GET /buckets?buckets=true HTTP/1.1\r\nHost: t\r\n\r\n"
            let old = "GET /buckets?buckets=true HTTP/1.0\r\n\r\n"
            let text = try await door.ask(bytes: Array((new + new + old + new).utf8))
            let whole = "HTTP/1.1 200" + text.text
            #expect(text["transfer-encoding"] == "chunked")
            #expect(whole.ranges(of: "HTTP/1.1 200").count == 2 && whole.ranges(of: "HTTP/1.0 200").count == 1)
            #expect(whole.hasSuffix("\r\n\r\n{\"buckets\":[]}\n"))
        }
    }

    @Test("closes for every spelling of Connection: close", arguments: ["Close", "TE, close", "CLOSE"])
    func spellings(_ value: String) async throws {
        try await DoorFixture.with { door in
            let began = ContinuousClock.now
            let answer = try await door.ask(
                bytes: Array("GET /ping HTTP/1.1\r\nHost: t\r\nConnection: \(value)\r\n\r\n".utf8))
            #expect(answer.text == "OK")
            #expect(ContinuousClock.now - began < Self.soon)
        }
    }
}
