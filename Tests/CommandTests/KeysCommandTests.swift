import Foundation
import Testing

@Suite("gyre keys and the Redis door", .serialized)
struct KeysCommandTests {
    @Test("keys are listed by bucket and prefix, in pages that a cursor joins")
    func keys() async throws {
        let node = try await ServedNode.start()
        for key in ["a1", "a2", "a3", "b1"] { _ = try await node.gyre(["put", key, "v", "--bucket", "list"]) }
        _ = try await node.gyre(["put", "a1", "v"])
        _ = try await node.gyre(["delete", "a3", "--bucket", "list"])
        let all = try await node.gyre(["keys", "--bucket", "list"])
        #expect(all.code == 0 && all.error.isEmpty)
        #expect(Set(all.out.split(separator: "\n")) == ["a1", "a2", "b1"])
        let part = try await node.gyre(["keys", "--bucket", "list", "--prefix", "a", "--json"]).json
        let names = try #require(part["keys"] as? [[String: String]])
        #expect(Set(names) == [["key": "a1"], ["key": "a2"]])
        #expect(part["bucket"] as? String == "list" && part["cursor"] is NSNull)
        var seen: Set<String> = []
        var cursor: [String] = []
        while true {
            let page = try await node.gyre(["keys", "--bucket", "list", "--limit", "1", "--json"] + cursor).json
            for key in try #require(page["keys"] as? [[String: String]]) { seen.insert(key["key"] ?? "") }
            guard let next = page["cursor"] as? String else { break }
            cursor = ["--cursor", next]
        }
        #expect(seen == ["a1", "a2", "b1"])
        let more = try await node.gyre(["keys", "--bucket", "list", "--limit", "1"])
        #expect(more.error.contains("--cursor "))
        #expect(try await node.gyre(["keys", "--cursor", "nonsense"]).code == 64)
        #expect(try await node.gyre(["keys", "--limit", "0"]).code == 64)
    }

    @Test("--resp is named when it is served, and gyre bench drives it")
    func resp() async throws {
        let node = try await ServedNode.start(["--resp", "127.0.0.1:0"])
        let word = try #require(node.readyLine.split(separator: " ").last)
        #expect(word.hasPrefix("resp=127.0.0.1:") && word != "resp=127.0.0.1:0")
        let address = word.dropFirst("resp=".count).trimmingCharacters(in: .whitespacesAndNewlines)
        let outcome = try await Command.run([
            "bench", "--resp", address, "--ops", "200", "--clients", "4", "--keys", "50", "--workload", "a", "--load",
            "--timeout", "10s", "--json",
        ])
        #expect(outcome.code == 0, "\(outcome.error)")
        let result = try outcome.json
        #expect(result["protocol"] as? String == "resp")
        let operations = try #require(result["operations"] as? [String: [String: Any]])
        let counts = operations.values.compactMap { $0["count"] as? Int }
        #expect(counts.reduce(0, +) == 200)
        #expect(
            operations.values.allSatisfy { ($0["errors"] as? [String: Int])?.values.allSatisfy { $0 == 0 } ?? false })
        let keys = try await node.gyre(["keys", "--bucket", "redis"])
        #expect(keys.out.split(separator: "\n").count == 50)
        let nobody = try await Command.run(["bench", "--resp", "127.0.0.1:1", "--ops", "1"])
        #expect(nobody.code == 69)
    }
}
