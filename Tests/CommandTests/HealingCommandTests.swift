import Foundation
import Testing

@Suite("Healing on the command line", .serialized, .timeLimit(.minutes(3)))
struct HealingCommandTests {
    @Test(
        "refuses",
        arguments: [
            RefusedCase("explain", word: "<key>"),
            RefusedCase("repair --watch x --cancel y", word: "--cancel"),
            RefusedCase("repair --watch x --wait", word: "--wait"),
            RefusedCase("repair --watch x --bucket b", word: "--bucket"),
            RefusedCase("repair --cancel x --dry-run", word: "--dry-run"),
            RefusedCase("repair --cancel x --partition 1", word: "--partition"),
            RefusedCase("repair --cancel x --node-name n1", word: "--node-name"),
            RefusedCase("repair --watch nonsense", word: "nonsense"),
            RefusedCase("repair --cancel 0000000000000000-0000000000000001", word: "id of a repair"),
            RefusedCase("repair --partition -1", word: "partition"),
            RefusedCase("put k v --strict --pw 1", word: "--strict"),
            RefusedCase("delete k --strict --pw 1", word: "--strict"),
            RefusedCase("get k --strict --pr 1", word: "--strict"),
            RefusedCase("explain k --node 127.0.0.1:1", code: 69, word: "noNodeReachable"),
            RefusedCase("repair --node 127.0.0.1:1", code: 69, word: "noNodeReachable"),
        ])
    func refuses(_ example: RefusedCase) async throws {
        let outcome = try await Command.run(example.arguments)
        #expect(outcome.code == example.code)
        #expect(outcome.error.contains(example.word), "'\(outcome.error)' does not name \(example.word)")
        #expect(outcome.out.isEmpty)
    }

    @Test("explain shows a key, a deleted key and a key that never was, and has the promised shape")
    func explain() async throws {
        let node = try await ServedNode.start()
        #expect(try await node.gyre(["put", "k", "v"]).code == 0)
        let text = try await node.gyre(["explain", "k"])
        #expect(text.code == 0)
        #expect(text.out.hasSuffix("\nin sync\n"))
        #expect(text.out.contains("n1") && text.out.contains("record"))
        let json = try await node.gyre(["explain", "k", "--json"]).json
        #expect(
            Set(json.keys) == ["bucket", "key", "token", "partition", "leaf", "owners", "readers", "in_sync"])
        #expect(json["in_sync"] as? Bool == true && json["readers"] as? [String] == ["n1"])
        let owner = try #require((json["owners"] as? [[String: Any]])?.first)
        #expect(
            Set(owner.keys) == [
                "name", "node", "reachable", "role", "digest", "context", "siblings", "bytes", "hints_waiting",
                "corrupt", "dots", "leaf_sum",
            ])
        #expect(owner["role"] as? String == "primary" && owner["reachable"] as? Bool == true)
        #expect(owner["siblings"] as? Int == 1 && owner["hints_waiting"] as? Int == 0)
        let get = try await node.gyre(["get", "k", "--json"]).json
        #expect(owner["context"] as? String == get["context"] as? String)
        let dots = (get["siblings"] as? [[String: Any]])?.map { $0["dot"] as? String }
        #expect((owner["dots"] as? [String])?.map(Optional.some) == dots)

        #expect(try await node.gyre(["delete", "k"]).code == 0)
        #expect(try await node.gyre(["explain", "k"]).out.contains("tombstone"))
        let never = try await node.gyre(["explain", "none", "--json"])
        #expect(never.code == 0)
        let nothing = try #require((try never.json["owners"] as? [[String: Any]])?.first)
        #expect(nothing["digest"] is NSNull && nothing["context"] is NSNull && nothing["bytes"] as? Int == 0)
        #expect(try never.json["in_sync"] as? Bool == true)
    }

    @Test("repair prints an id that can be watched and cancelled, and with --wait a receipt")
    func repair() async throws {
        let node = try await ServedNode.start()
        #expect(try await node.gyre(["put", "k", "v"]).code == 0)
        let names: Set = [
            "id", "partitions_compared", "partitions_in_sync", "keys_differing", "keys_repaired", "bytes_sent",
            "seconds",
            "errors",
        ]
        let waited = try await node.gyre(["repair", "--wait", "--json"])
        #expect(waited.code == 0)
        #expect(Set(try waited.json.keys).isSuperset(of: names))
        #expect(try waited.json["errors"] as? [String] == [])
        #expect(try waited.json["keys_differing"] as? Int == 0)
        let receipt = try await node.gyre(["repair", "--wait", "--dry-run", "--partition", "7", "--node-name", "n1"])
        #expect(receipt.code == 0)
        for word in ["partitions", "in sync", "differed", "repaired", "sent", "before", "after", "\ndone\n"] {
            #expect(receipt.out.contains(word), "no '\(word)' in \(receipt.out)")
        }
        let started = try await node.gyre(["repair", "--bucket", "default"])
        #expect(started.code == 0)
        let lines = started.out.split(separator: "\n").map(String.init)
        let id = String(try #require(lines.first).dropFirst("repair ".count))
        #expect(lines.contains { $0.contains("--watch \(id)") } && lines.contains { $0.contains("--cancel \(id)") })
        #expect(try await node.gyre(["repair", "--watch", id, "--json"]).json["id"] as? String == id)
        #expect(try await node.gyre(["repair", "--cancel", id, "--json"]).code == 0)
        let unknown = id.prefix(17) + "0000000000000001"
        for option in ["--watch", "--cancel"] {
            let outcome = try await node.gyre(["repair", option, String(unknown), "--json"])
            #expect(outcome.code == 64)
            #expect(try outcome.json["error"] as? String == "badRequest")
        }
        for bad in [["--partition", "8"], ["--bucket", ""], ["--node-name", "n9"]] {
            #expect(try await node.gyre(["repair"] + bad).code == 64, "\(bad)")
        }
    }

    @Test("a strict put of one node that is its own primary succeeds, and so do a strict get and delete")
    func strict() async throws {
        let node = try await ServedNode.start()
        #expect(try await node.gyre(["put", "k", "v", "--strict"]).code == 0)
        #expect(try await node.gyre(["get", "k", "--strict"]).out == "v\n")
        #expect(try await node.gyre(["delete", "k", "--strict"]).code == 0)
    }

    @Test("with a node down: its hints show in status and explain, strict writes are refused, its repair is lost")
    func nodeDown() async throws {
        let n1 = try await ServedNode.start()
        let n2 = try await ServedNode.start(["--name", "n2", "--seed", n1.address])
        try await self.until("both are members") {
            let ours = try await n1.gyre(["status"]).out
            let theirs = try await n2.gyre(["status"]).out
            return ours.hasSuffix("\nhealthy\n") && ours.contains("n2") && theirs.contains("n1")
        }
        // A key that n2 owns alone, and the id of a repair that n2 coordinates.
        var key = ""
        for number in 0..<64 where key.isEmpty {
            if try await n1.gyre(["ring", "k\(number)"]).out.contains("  n2  ") { key = "k\(number)" }
        }
        try #require(!key.isEmpty)
        let n2ID = n2.readyLine.split(separator: " ").first { $0.hasPrefix("node=") }?.dropFirst(5) ?? ""
        var id = ""
        try await self.until("a repair was started on n2") {
            id = try await n2.gyre(["repair", "--json"]).json["id"] as? String ?? ""
            return id.hasPrefix(n2ID)
        }
        #expect(try await n1.gyre(["repair", "--watch", id]).code == 0)

        _ = try await n2.stop(SIGKILL)
        try await self.until("n1 keeps a hint") {
            try await n1.gyre(["put", key, "v", "--blind"]).code == 0
        }
        let status = try await n1.gyre(["status", "--json"]).json
        let rows = try #require(status["nodes"] as? [[String: Any]])
        let row = try #require(rows.first { $0["name"] as? String == "n2" })
        for name in ["hints_pending", "hint_bytes"] {
            let figure = try #require(row[name] as? Int)
            #expect(figure > 0, "\(name)")
        }
        #expect(status["healthy"] as? Bool == false)
        let text = try await n1.gyre(["status"]).out
        #expect(text.contains(" for n2\n") || text.contains(" for n2;"), "\(text)")
        let explained = try await n1.gyre(["explain", key, "--json"]).json
        let owners = try #require(explained["owners"] as? [[String: Any]])
        #expect(owners.map { $0["role"] as? String } == ["primary", "keeper"])
        #expect(owners[0]["reachable"] as? Bool == false && owners[0]["hints_waiting"] as? Int == 1)
        #expect(explained["in_sync"] as? Bool == false)
        #expect(try await n1.gyre(["explain", key]).out.contains("n2 cannot be reached"))
        let strict = try await n1.gyre(["put", key, "v", "--blind", "--strict", "--json"])
        #expect(strict.code == 2)
        #expect(try strict.json["error"] as? String == "unavailable")
        let lost = try await n1.gyre(["repair", "--watch", id])
        #expect(lost.code == 2)
        #expect(lost.error.contains("n2") && lost.error.contains("stays repaired"))
        let incomplete = try await n1.gyre(["repair", "--wait", "--json"])
        #expect(incomplete.code == 2)
        #expect(try incomplete.json["errors"] as? [String] == ["n2 cannot be reached"])
    }

    /// Tries for half a minute.
    private func until(_ claim: String, _ holds: () async throws -> Bool) async throws {
        for _ in 0..<150 {
            if try await holds() { return }
            try await Task.sleep(for: .milliseconds(200))
        }
        Issue.record("\(claim): not within 30 s")
    }
}
