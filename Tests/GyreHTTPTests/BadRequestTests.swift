import Foundation
import GyreBase
import GyreHTTP
import Testing

/// Bytes that are no good request, with the statuses that may come back; 0 is a connection closed without a word.
struct BadRequest: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let statuses: Set<Int>

    init(_ name: String, _ text: String, _ statuses: Set<Int> = [400]) {
        self.testDescription = name
        self.bytes = Array(text.utf8)
        self.statuses = statuses
    }
}

@Suite("The HTTP door answers with 4xx", .serialized)
struct BadRequestTests {
    private static let end = "Host: t\r\nConnection: close\r\n\r\n"
    private static let examples: [BadRequest] = [
        BadRequest("noise", "\u{1}\u{2}\u{3}\u{4}\r\n\r\n"),
        BadRequest("a native handshake", "GYRE\u{0}\u{0}\u{1}\u{0}\u{0}\u{0}\u{0}\u{10}\r\n\r\n"),
        BadRequest("an unknown version", "GET /ping HTTP/9.9\r\n\(end)"),
        BadRequest("a version that is no number", "GET /ping HTTP/x.y\r\n\(end)"),
        BadRequest("no version", "GET /ping\r\n\(end)"),
        BadRequest("a space in the path", "GET /pi ng HTTP/1.1\r\n\(end)"),
        BadRequest("a method of odd characters", "G{}T /ping HTTP/1.1\r\n\(end)"),
        BadRequest("a header without a colon", "GET /ping HTTP/1.1\r\nnonsense\r\n\(end)"),
        BadRequest("a header with a space in its name", "GET /ping HTTP/1.1\r\na b: c\r\n\(end)"),
        BadRequest("a zero byte in a header", "GET /ping HTTP/1.1\r\na: b\u{0}c\r\n\(end)"),
        BadRequest("a negative length", "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Length: -1\r\n\(end)"),
        BadRequest("a huge length", "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\(end)"),
        BadRequest("a length that is no number", "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Length: x\r\n\(end)"),
        BadRequest(
            "two lengths", "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\(end)ab"),
        BadRequest(
            "length and chunks",
            "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\(end)0\r\n\r\n"),
        BadRequest(
            "a chunk size that is none", "PUT /buckets/b/keys/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\(end)zz\r\n"),
        BadRequest("an endless header", "GET /ping HTTP/1.1\r\na: \(String(repeating: "x", count: 70_000))\r\n\(end)"),
        BadRequest("an endless path", "GET /\(String(repeating: "x", count: 70_000)) HTTP/1.1\r\n\(end)", [400, 404]),
        BadRequest(
            "a thousand headers", "GET /ping HTTP/1.1\r\n\(String(repeating: "a: b\r\n", count: 1_000))\(end)"),
        BadRequest(
            "a length above the limit", "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Length: 8388609\r\n\(end)", [413]),
        BadRequest("a path from nowhere", "GET /nothing HTTP/1.1\r\n\(end)", [404]),
        BadRequest("an asterisk", "OPTIONS * HTTP/1.1\r\n\(end)", [404]),
        BadRequest("a bad escape", "GET /buckets/b/keys/%zz HTTP/1.1\r\n\(end)"),
        BadRequest("half an escape", "GET /buckets/b/keys/a%2 HTTP/1.1\r\n\(end)"),
        BadRequest("a bad escape in the query", "GET /buckets/b/keys/k?r=%g1 HTTP/1.1\r\n\(end)"),
        BadRequest(
            "a key that is too long", "GET /buckets/b/keys/\(String(repeating: "k", count: 4_097)) HTTP/1.1\r\n\(end)"),
        BadRequest(
            "a bucket that is too long", "GET /buckets/\(String(repeating: "b", count: 256))/keys/k HTTP/1.1\r\n\(end)"),
        BadRequest("an empty bucket", "GET /buckets//keys/k HTTP/1.1\r\n\(end)"),
        BadRequest("an unknown type", "GET /types/other/buckets/b/keys/k HTTP/1.1\r\n\(end)", [404]),
        BadRequest("a method that is not allowed", "PATCH /buckets/b/keys/k HTTP/1.1\r\n\(end)", [405]),
        BadRequest("a context of nothing", "GET /buckets/b/keys/k HTTP/1.1\r\nX-Riak-Vclock: !!\r\n\(end)"),
        BadRequest(
            "a context of another key",
            "GET /buckets/b/keys/k HTTP/1.1\r\nX-Riak-Vclock: XILDaGoXkR4B7RqW-mFW9YsC\r\n\(end)"),
        BadRequest("a tag without quotes", "GET /buckets/b/keys/k HTTP/1.1\r\nIf-Match: abc\r\n\(end)"),
        BadRequest("r of zero", "GET /buckets/b/keys/k?r=0 HTTP/1.1\r\n\(end)"),
        BadRequest("a timeout of a year", "GET /buckets/b/keys/k?timeout=31536000000 HTTP/1.1\r\n\(end)"),
        BadRequest(
            "a long content type",
            "PUT /buckets/b/keys/k HTTP/1.1\r\nContent-Type: \(String(repeating: "t", count: 300))\r\n\(end)"),
        BadRequest("a key in the query that is no text", "GET /v1/ring?key=%ff HTTP/1.1\r\n\(end)"),
        BadRequest("a bucket in the query that is no text", "POST /v1/repair?bucket=%ff HTTP/1.1\r\n\(end)"),
        BadRequest("a repair that is none", "GET /v1/repair/xyz HTTP/1.1\r\n\(end)"),
        BadRequest(
            "a page of another origin", "DELETE /buckets/b/keys/k HTTP/1.1\r\nOrigin: http://evil\r\n\(end)", [403]),
    ]

    @Test("to each of these, and lives on")
    func examples() async throws {
        try await DoorFixture.with { door in
            for example in Self.examples {
                let answer = try await door.ask(bytes: example.bytes)
                #expect(example.statuses.contains(answer.status), "\(example.testDescription): \(answer.status)")
            }
            #expect(try await door.ask("GET", "/ping").text == "OK")
        }
    }

    @Test("or ends a connection whose request never arrives in full, and one that is silent")
    func slow() async throws {
        var limits = HTTPLimits()
        limits.receiveTimeout = .milliseconds(300)
        limits.idleTimeout = .milliseconds(300)
        try await DoorFixture.with(limits: limits) { door in
            for text in ["", "GET /pi", "PUT /buckets/b/keys/k HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc"] {
                let began = ContinuousClock.now
                _ = try await door.ask(bytes: Array(text.utf8))
                #expect(ContinuousClock.now - began < .seconds(8), "\(text)")
            }
            #expect(try await door.ask("GET", "/ping").status == 200)
        }
    }

    @Test("but not one whose request before was answered meanwhile")
    func slowBehindAnother() async throws {
        try await DoorFixture.with { door in
            let port = door.port
            let head = "PUT /buckets/b/keys/k HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc"
            let socket = try await blocking {
                let socket = try RawHTTP(port: port)
                try socket.send(("GET /ping HTTP/1.1\r\nHost: t\r\n\r\n" + head).utf8)
                return socket
            }
            try await Task.sleep(for: .milliseconds(5_500))
            try await blocking { try socket.send("defghij".utf8) }
            let text = String(decoding: try await blocking { try socket.readAll() }, as: UTF8.self)
            #expect(text.contains("204 No Content"), "\(text)")
        }
    }

    @Test("or 503 above the limit of connections, and takes new ones once others are gone")
    func tooMany() async throws {
        var limits = HTTPLimits()
        limits.connectionsMax = 4
        try await DoorFixture.with(limits: limits) { door in
            var held = try (0..<4).map { _ in try RawHTTP(port: door.port) }
            for socket in held { try socket.send("GET /ping HTTP/1.1\r\nHost: t\r\n".utf8) }
            try await Task.sleep(for: .milliseconds(100))
            #expect(try await door.ask(bytes: []).status == 503)
            held.removeAll()
            var status = 0
            for _ in 0..<50 where status != 200 {
                try await Task.sleep(for: .milliseconds(50))
                status = try await door.ask("GET", "/ping").status
            }
            #expect(status == 200)
        }
    }

    @Test("in the place of each request of a pipeline, in order")
    func pipeline() async throws {
        try await DoorFixture.with { door in
            let keep = "Host: t\r\n\r\n"
            let requests =
                "GET /ping HTTP/1.1\r\n\(keep)GET /none HTTP/1.1\r\n\(keep)GET /healthz HTTP/1.1\r\n\(Self.end)"
            let port = door.port
            let bytes = try await blocking {
                let socket = try RawHTTP(port: port)
                try socket.send(requests.utf8)
                return try socket.readAll()
            }
            let text = String(decoding: bytes, as: UTF8.self)
            let statuses = text.ranges(of: /HTTP\/1\.1 \d{3}/).map { text[$0].suffix(3) }
            #expect(statuses == ["200", "404", "200"])
        }
    }
}
