import Foundation
import Testing

@Suite("On the command line", .serialized)
struct DataCommandTests {
    @Test("a put is printed with its context, a get prints the value, a delete removes it")
    func putGetDelete() async throws {
        let node = try await ServedNode.start()
        let put = try await node.gyre(["put", "cart", "apples"])
        #expect(put.code == 0)
        #expect(put.out.hasPrefix("ok "))
        #expect(try await node.gyre(["get", "cart"]).out == "apples\n")
        #expect(try await node.gyre(["get", "cart", "--raw"]).out == "apples")
        let deleted = try await node.gyre(["delete", "cart"])
        #expect(deleted.code == 0)
        let gone = try await node.gyre(["get", "cart"])
        #expect(gone.code == 1)
        #expect(gone.out.isEmpty)
        #expect(gone.error.contains("cart"))
        #expect(try await node.stop() == 0)
    }

    @Test("puts one after another leave one value; --blind adds a sibling; --context supersedes what it saw")
    func siblings() async throws {
        let node = try await ServedNode.start()
        _ = try await node.gyre(["put", "k", "one"])
        _ = try await node.gyre(["put", "k", "two"])
        #expect(try await node.gyre(["get", "k"]).out == "two\n")
        _ = try await node.gyre(["put", "k", "three", "--blind"])
        let both = try await node.gyre(["get", "k"])
        let lines = both.out.split(separator: "\n").map(String.init)
        #expect(lines.count == 3)
        #expect(Set(lines.prefix(2)) == ["1) two", "2) three"])
        #expect(try await node.gyre(["get", "k", "--raw"]).code == 3)
        let context = String(lines[2].dropFirst("context ".count))
        _ = try await node.gyre(["put", "k", "four", "--context", context])
        #expect(try await node.gyre(["get", "k"]).out == "four\n")
    }

    @Test("values come from standard input and from files, and keep every byte")
    func values() async throws {
        let node = try await ServedNode.start()
        let bytes = Data((0..<2_000).map { UInt8(truncatingIfNeeded: $0) })
        #expect(try await node.gyre(["put", "k", "-"], input: bytes).code == 0)
        let json = try await node.gyre(["get", "k", "--json"]).json
        let siblings = try #require(json["siblings"] as? [[String: Any]])
        #expect(siblings.first?["value_base64"] as? String == bytes.base64EncodedString())
        let path = Command.makePath()
        try bytes.write(to: URL(fileURLWithPath: path))
        let began = ContinuousClock.now
        #expect(try await node.gyre(["put", "f", "--file", path, "--content-type", "a/b", "--ttl", "1h"]).code == 0)
        try FileManager.default.removeItem(atPath: path)
        let head = try await node.gyre(["get", "f", "--head"])
        #expect(head.out.contains("content-type a/b"))
        // What is left is an hour less at most what passed since before the put, however busy this machine is.
        let passed = Int((ContinuousClock.now - began).components.seconds) + 1
        #expect((3_600 - passed...3_600).contains { head.out.contains("ttl \($0)s") }, "\(head.out)")
        #expect(try await node.gyre(["put", "f", "--file", "/nonexistent"]).code == 74)
        #expect(try await node.gyre(["put", "f", "x", "--if-absent"]).code == 1)
    }

    @Test("--json has the promised names, in success and in failure")
    func jsonShapes() async throws {
        let node = try await ServedNode.start()
        let put = try await node.gyre(["put", "k", "v", "--json"]).json
        #expect(Set(put.keys) == ["bucket", "key", "context", "acks", "needed"])
        #expect(put["acks"] as? Int == 1 && put["needed"] as? Int == 1 && put["bucket"] as? String == "default")
        let get = try await node.gyre(["get", "k", "--json"]).json
        #expect(Set(get.keys) == ["bucket", "key", "context", "siblings"])
        let sibling = try #require((get["siblings"] as? [[String: Any]])?.first)
        #expect(Set(sibling.keys) == ["value_base64", "content_type", "modified", "dot", "ttl_s"])
        let missing = try await node.gyre(["get", "none", "--json"])
        #expect(missing.code == 1)
        #expect(try missing.json["error"] as? String == "notFound")
        #expect(try missing.json["context"] is String)
        let bad = try await node.gyre(["get", "k", "--r", "3", "--json"])
        #expect(bad.code == 64)
        let failure = try bad.json
        #expect(Set(failure.keys) == ["error", "message", "needed", "got", "may_have_happened", "try"])
        #expect(failure["error"] as? String == "badRequest")
    }

    @Test(
        "wrong usage is JSON as well",
        arguments: [
            ["put", "k", "v", "--bogus"], ["put", "k"], ["get", "k", "--r", "x"],
            ["plan", "leave"], ["plan", "foo", "n1"], ["bench", "--ops", "1", "--duration", "1s"],
        ])
    func usageAsJSON(_ arguments: [String]) async throws {
        let outcome = try await Command.run(arguments + ["--json"])
        #expect(outcome.code == 64)
        let failure = try outcome.json
        #expect(Set(failure.keys) == ["error", "message", "needed", "got", "may_have_happened", "try"])
        #expect(failure["error"] as? String == "badRequest" && failure["message"] as? String != "")
        // Without --json nothing but an explanation for a person.
        let plain = try await Command.run(arguments)
        #expect(plain.code == 64 && plain.out.isEmpty && !plain.error.isEmpty)
    }

    @Test(
        "files that cannot be read or written are said at once, as JSON too",
        arguments: [
            ["put", "k", "--file", "/none"], ["bench", "--ops", "1", "--compare", "/none"],
            ["bench", "--ops", "1", "--out", "/none/result.json"], ["simulate", "--scenario", "/none"],
        ])
    func filesAsJSON(_ arguments: [String]) async throws {
        let outcome = try await Command.run(arguments + ["--json"])
        #expect(outcome.code == 74)
        #expect(try outcome.json["error"] as? String == "inputOutput")
    }

    @Test("arguments that are no text are refused, and not stored as something else")
    func bytesAsArguments() async throws {
        let node = try await ServedNode.start()
        for words in ["put \"$(printf 'k\\377')\" v", "put k \"$(printf 'v\\377')\"", "delete \"$(printf 'k\\377')\""] {
            let outcome = try await Command.script("$GYRE \(words) --node \(node.address) --json")
            #expect(outcome.code == 64 && outcome.error.contains("not UTF-8"), "\(words): \(outcome)")
            #expect(try outcome.json["error"] as? String == "badRequest")
        }
        #expect(try await node.gyre(["keys"]).out.contains("k") == false)
        let script =
            "printf 'v\\377' | $GYRE put k - --node \(node.address) && $GYRE get k --raw --node \(node.address) | od -c"
        let outcome = try await Command.script(script)
        #expect(outcome.code == 0 && outcome.out.contains("v 377"), "\(outcome)")
    }

    @Test("a benchmark in which nothing succeeded is no success")
    func failingBench() async throws {
        let node = try await ServedNode.start(["--replicas", "3", "--writes", "2", "--reads", "2"])
        let words = ["bench", "--workload", "put", "--clients", "2", "--ops", "10", "--keys", "10"]
        let outcome = try await node.gyre(words + ["--json"])
        #expect(outcome.code == 2)
        let put = try #require((try outcome.json["operations"] as? [String: Any])?["put"] as? [String: Any])
        let errors = try #require(put["errors"] as? [String: Int])
        #expect(errors["unavailable"] == 10 && errors["timeout"] == 0 && put["count"] as? Int == 0)
    }

    @Test("status and ring have the promised shapes")
    func statusAndRing() async throws {
        let node = try await ServedNode.start()
        let text = try await node.gyre(["status"])
        #expect(text.code == 0)
        #expect(text.out.hasSuffix("\nhealthy\n"))
        #expect(text.out.contains("n1") && text.out.contains("normal") && text.out.contains(node.address))
        let status = try await node.gyre(["status", "--json"]).json
        #expect(status["healthy"] as? Bool == true)
        let member = try #require((status["nodes"] as? [[String: Any]])?.first)
        let names = [
            "name", "node", "state", "address", "zone", "weight", "share", "keys", "disk_bytes", "hints_pending",
            "hint_bytes", "lag_s", "transfers", "version",
        ]
        for name in names { #expect(member[name] != nil, "\(name) is missing") }
        let ring = try await node.gyre(["ring", "--json"]).json
        #expect(ring["partitions"] as? Int == 8)
        for name in ["epoch", "hash", "nodes"] { #expect(ring[name] != nil, "\(name) is missing") }
        let place = try await node.gyre(["ring", "cart", "--json"]).json
        #expect(Set(place.keys) == ["bucket", "key", "token", "partition", "owners"])
        let owner = try #require((place["owners"] as? [[String: Any]])?.first)
        #expect(owner["name"] as? String == "n1" && owner["role"] as? String == "primary")
    }

    @Test("with nobody to talk to the exit code is 69, with too few replicas 2, and both say why")
    func unreachableAndUnavailable() async throws {
        let nobody = try await Command.run(["get", "k", "--node", "127.0.0.1:1", "--json"])
        #expect(nobody.code == 69)
        #expect(try nobody.json["error"] as? String == "noNodeReachable")
        #expect(!nobody.error.isEmpty)
        let node = try await ServedNode.start(["--replicas", "3", "--writes", "2", "--reads", "2"])
        let alone = try await node.gyre(["put", "k", "v", "--blind", "--json"])
        #expect(alone.code == 2)
        let failure = try alone.json
        #expect(failure["error"] as? String == "unavailable")
        #expect(failure["needed"] as? Int == 2 && failure["got"] as? Int == 1)
        #expect(failure["may_have_happened"] as? Bool == false)
        #expect(try await node.gyre(["status"]).out.contains("1 of the 3 nodes"))
    }
}
