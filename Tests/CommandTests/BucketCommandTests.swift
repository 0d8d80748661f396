import Foundation
import Testing

@Suite("gyre bucket", .serialized)
struct BucketCommandTests {
    @Test("set, show and list print what is in force, and only list what is set")
    func setShowList() async throws {
        let node = try await ServedNode.start()
        let shown = try await node.gyre(["bucket", "show", "carts"])
        #expect(shown.code == 0)
        #expect(
            shown.out.contains("r          1  (default)\n") && shown.out.contains("conflicts  siblings  (default)\n"))
        #expect(try await node.gyre(["bucket", "list"]).out.split(separator: "\n").count == 1)
        let set = try await node.gyre([
            "bucket", "set", "carts", "n=1", "r=1", "w=quorum", "conflicts=lww", "ttl=7d", "sloppy=off",
        ])
        #expect(set.code == 0, "\(set.error)")
        #expect(set.out.contains("ttl        604800s\n") && set.out.contains("sloppy     off\n"))
        let list = try await node.gyre(["bucket", "list"]).out.split(separator: "\n")
        #expect(list.count == 2 && list[1].hasPrefix("carts") && list[1].contains("lww"))
        #expect(try await node.stop() == 0)
    }

    @Test("--json has the promised names")
    func json() async throws {
        let node = try await ServedNode.start()
        let names: Set<String> = [
            "bucket", "n", "r", "w", "pr", "pw", "conflicts", "ttl_s", "sloppy", "own", "version",
        ]
        let shown = try await node.gyre(["bucket", "show", "b", "--json"]).json
        #expect(Set(shown.keys) == names)
        #expect(shown["ttl_s"] is NSNull && shown["sloppy"] as? Bool == true && shown["version"] is NSNull)
        let set = try await node.gyre(["bucket", "set", "b", "conflicts=lww", "ttl=1500ms", "r=one", "--json"]).json
        #expect(Set(set.keys) == names)
        #expect(set["bucket"] as? String == "b" && set["n"] as? Int == 1 && set["conflicts"] as? String == "lww")
        #expect(set["ttl_s"] as? Double == 1.5 && set["own"] as? [String] == ["r", "conflicts", "ttl"])
        let unset = try await node.gyre(["bucket", "set", "b", "ttl=none", "r=default", "--json"]).json
        #expect(unset["ttl_s"] is NSNull && unset["own"] as? [String] == ["conflicts"])
        let list = try await node.gyre(["bucket", "list", "--json"]).json
        #expect(Set(list.keys) == ["buckets"])
        #expect((list["buckets"] as? [[String: Any]])?.map { $0["bucket"] as? String } == ["b"])
    }

    @Test("properties decide what put and get do")
    func effects() async throws {
        let node = try await ServedNode.start()
        _ = try await node.gyre(["put", "k", "one", "--blind", "--bucket", "b"])
        _ = try await node.gyre(["put", "k", "two", "--blind", "--bucket", "b"])
        _ = try await node.gyre(["bucket", "set", "b", "conflicts=lww", "ttl=1h"])
        #expect(try await node.gyre(["get", "k", "--bucket", "b"]).out == "two\n")
        _ = try await node.gyre(["put", "k", "three", "--bucket", "b"])
        let head = try await node.gyre(["get", "k", "--head", "--bucket", "b"]).out
        // What is left of the hour: a busy machine may take its time between the two commands.
        #expect((3_500...3_600).contains { head.contains("ttl \($0)s") }, "\(head)")
        _ = try await node.gyre(["bucket", "set", "b", "conflicts=siblings"])
        #expect(try await node.gyre(["get", "k", "--bucket", "b"]).out == "three\n")
    }

    @Test(
        "refuses",
        arguments: [
            RefusedCase("bucket", code: 0, word: ""),
            RefusedCase("bucket set b", word: "property=value"),
            RefusedCase("bucket set b r", word: "PROPERTY=VALUE"),
            RefusedCase("bucket set b frob=1", word: "frob"),
            RefusedCase("bucket set b r=0", word: "r=0"),
            RefusedCase("bucket set b n=many", word: "n=many"),
            RefusedCase("bucket set b conflicts=maybe", word: "conflicts=maybe"),
            RefusedCase("bucket set b ttl=soon", word: "ttl=soon"),
            RefusedCase("bucket set b sloppy=yes", word: "sloppy=yes"),
            RefusedCase("bucket show b --node 127.0.0.1:1", code: 69, word: "127.0.0.1:1"),
        ])
    func refuses(_ example: RefusedCase) async throws {
        let outcome = try await Command.run(example.arguments)
        #expect(outcome.code == example.code)
        #expect(example.word.isEmpty || outcome.error.contains(example.word), "\(outcome.error)")
    }

    @Test("what a node refuses exits with 64 and says why, in text and in JSON")
    func refusedByTheNode() async throws {
        let node = try await ServedNode.start()
        let outcome = try await node.gyre(["bucket", "set", "b", "n=3", "--json"])
        #expect(outcome.code == 64)
        #expect(outcome.error.contains("n=3 is not possible") && outcome.error.contains("n=1"))
        #expect(try outcome.json["error"] as? String == "badRequest")
        #expect(try await node.gyre(["bucket", "set", "b", "w=2"]).code == 64)
        #expect(try await node.gyre(["bucket", "show", String(repeating: "x", count: 256)]).code == 64)
        #expect(try await node.gyre(["bucket", "list", "--json"]).json["buckets"] as? [String] == [])
    }
}
