import Foundation
import GyreServer
import Testing

@Suite("The HTTP door for operators", .serialized)
struct AdminDoorTests {
    @Test("answers health, readiness, status, ring, explain and repair in the words of the command line")
    func documents() async throws {
        try await DoorFixture.with { door in
            #expect(try await door.ask("GET", "/healthz").status == 200)
            #expect(try await door.ask("GET", "/readyz").text == "ready\n")
            _ = try await door.ask("PUT", "/buckets/b/keys/k", body: "v".utf8)
            var status = try await Self.object(door.ask("GET", "/v1/status"))
            // On a busy machine the first look may come before the door has met its own node.
            for _ in 0..<20 where status["healthy"] as? Bool != true {
                try await Task.sleep(for: .milliseconds(250))
                status = try await Self.object(door.ask("GET", "/v1/status"))
            }
            #expect(status["healthy"] as? Bool == true)
            #expect((status["nodes"] as? [[String: Any]])?.first?["name"] as? String == "test")
            let ring = try await Self.object(door.ask("GET", "/v1/ring?primaries=true"))
            #expect((ring["primaries"] as? [String]) == [String](repeating: "test", count: 8))
            let location = try await Self.object(door.ask("GET", "/v1/ring?bucket=b&key=k"))
            #expect((location["owners"] as? [[String: Any]])?.count == 1)
            let explained = try await Self.object(door.ask("GET", "/v1/explain/b/k"))
            #expect(explained["in_sync"] as? Bool == true)
            let started = try await door.ask("POST", "/v1/repair")
            #expect(started.status == 202)
            let place = try #require(started["location"])
            #expect(try await Self.object(door.ask("GET", place))["state"] as? String == "done")
        }
    }

    @Test("is not ready once the node was told to stop")
    func draining() async throws {
        try await DoorFixture.with { door in
            door.server.beginStop()
            let answer = try await door.ask("GET", "/readyz")
            #expect(answer.status == 503 && answer.text == "draining\n")
            #expect(try await door.ask("GET", "/healthz").status == 200)
        }
    }

    @Test("serves one page that asks for nothing outside of it")
    func page() async throws {
        try await DoorFixture.with { door in
            let page = try await door.ask("GET", "/")
            #expect(page.status == 200 && page["content-type"] == "text/html; charset=utf-8")
            #expect(page["content-security-policy"]?.contains("default-src 'none'") == true)
            for link in ["src=\"http", "href=\"http", "url(", "@import", "STYLE", "SCRIPT"] {
                #expect(!page.text.contains(link), "the page contains \(link)")
            }
        }
    }

    @Test("has seconds to show soon after its start")
    func stats() async throws {
        try await DoorFixture.with { door in
            var seconds: [[String: Any]] = []
            for _ in 0..<100 where seconds.isEmpty {
                try await Task.sleep(for: .milliseconds(50))
                seconds =
                    try await Self.object(door.ask("GET", "/stats?seconds=120"))["seconds"] as? [[String: Any]] ?? []
            }
            let operations = try #require(seconds.first?["operations"] as? [String: [String: Any]])
            #expect(Set(operations.keys) == ["put", "get", "delete", "other"])
            #expect(try await door.ask("GET", "/stats?seconds=0").status == 400)
        }
    }

    private static func object(_ answer: RawAnswer) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
    }
}
