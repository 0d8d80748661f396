import Foundation
import Testing

/// A command line that must be refused, with its exit code and a word that the message must hold.
struct RefusedCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let arguments: [String]
    let code: Int32
    let word: String

    init(_ arguments: String, code: Int32 = 64, word: String) {
        self.testDescription = arguments
        self.arguments = arguments.split(separator: " ").map(String.init)
        self.code = code
        self.word = word
    }
}

@Suite("gyre", .serialized)
struct ServeCommandTests {
    @Test(
        "refuses",
        arguments: [
            RefusedCase("serve --frob", word: "--frob"),
            RefusedCase("frob", word: "frob"),
            RefusedCase("get", word: "<key>"),
            RefusedCase("get k --timeout soon", word: "--timeout"),
            RefusedCase("get k --r 0", word: "--r"),
            RefusedCase("get k --node nowhere", word: "nowhere"),
            RefusedCase("put k", word: "VALUE"),
            RefusedCase("put k v --blind --context x", word: "--context"),
            RefusedCase("put k v --context x!", word: "context"),
            RefusedCase("put k v --context -x!", word: "not a causal context"),
            RefusedCase("put k v --ttl never", word: "--ttl"),
            RefusedCase("serve --data /tmp/x", word: "--name"),
            RefusedCase("serve --name n1", word: "--data"),
            RefusedCase("serve --name n1 --data /tmp/x --writes 4 --check", word: "W"),
            RefusedCase("serve --name n1 --data /tmp/x --reads 0 --check", word: "R"),
            RefusedCase("serve --name n1 --data /tmp/x --replicas 9 --check", word: "N"),
            RefusedCase("serve --name n1 --data /tmp/x --partitions 1000 --check", word: "power of two"),
            RefusedCase("serve --name n1 --data /tmp/x --durability maybe --check", word: "durability"),
            RefusedCase("serve --name n1 --data /tmp/x --listen nowhere --check", word: "listen"),
            RefusedCase("serve --name n1 --data /tmp/x --http nowhere --check", word: "http"),
            RefusedCase("serve --name n1 --data /tmp/x --http 127.0.0.1:7400 --check", word: "listen and http"),
            RefusedCase("serve --name n1 --data /tmp/x --resp [::1]:80 --http [::1]:80 --check", word: "http and resp"),
            RefusedCase("serve --name n1 --data /tmp/x --log-level loud --check", word: "log-level"),
            RefusedCase("serve --config /nonexistent --check", code: 74, word: "/nonexistent"),
            RefusedCase("serve --name n1 --data /proc/none/x", code: 74, word: "/proc/none/x"),
            RefusedCase("serve --name n1 --data /dev/null", code: 74, word: "/dev/null"),
        ])
    func refuses(_ example: RefusedCase) async throws {
        let outcome = try await Command.run(example.arguments)
        #expect(outcome.code == example.code)
        #expect(outcome.error.contains(example.word), "'\(outcome.error)' does not name \(example.word)")
        #expect(outcome.out.isEmpty)
    }

    @Test("says ready in the promised words, and ends with 0 when it is asked to stop", arguments: [SIGTERM, SIGINT])
    func readyAndStop(_ signal: Int32) async throws {
        let node = try await ServedNode.start()
        let words = node.readyLine.split(separator: " ").map(String.init)
        #expect(words.count == 6)
        #expect(words.first == "ready" && words[1] == "name=n1")
        #expect(words[2].hasPrefix("node=") && words[2].count == 21)
        #expect(words[3].hasPrefix("listen=127.0.0.1:"))
        #expect(words[4] == "http=-" && words[5] == "resp=-")
        #expect(try await node.stop(signal) == 0)
    }

    @Test("names the process that holds a data directory, and the port that is in use")
    func refusesSeconds() async throws {
        let node = try await ServedNode.start()
        let same = try await Command.run(
            ["serve", "--name", "n2", "--data", node.directory, "--listen", "127.0.0.1:0"])
        #expect(same.code == 74)
        #expect(same.error.contains("\(node.pid)"))
        let path = Command.makePath()
        let port = try await Command.run(["serve", "--name", "n2", "--data", path, "--listen", node.address])
        #expect(port.code == 74)
        #expect(port.error.contains(node.address))
        try FileManager.default.removeItem(atPath: path)
        // Before it joins: nothing may be left of a node whose HTTP door cannot open.
        let door = try await Command.run(
            ["serve", "--name", "n2", "--data", path, "--listen", "127.0.0.1:0", "--http", node.address])
        #expect(door.code == 74)
        #expect(door.error.contains(node.address))
        #expect(!FileManager.default.fileExists(atPath: path))
        let other = try await Command.run(
            ["serve", "--name", "n1", "--data", node.directory, "--cluster", "other", "--listen", "127.0.0.1:0"])
        #expect(other.code == 74)
    }

    @Test("takes a setting from the flag before the environment before the file, and refuses unknown names")
    func settings() async throws {
        let file = Command.makePath()
        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
        defer { try? FileManager.default.removeItem(atPath: file) }
        let check = ["serve", "--config", file, "--check"]
        try write("name: n1\ndata: /tmp/x\nwrites: 9\nseed:\n  - 127.0.0.1:7400\n  - 127.0.0.1:7410\n")
        #expect(try await Command.run(check).code == 64)
        #expect(try await Command.run(check, environment: ["GYRE_WRITES": "1"]).code == 0)
        #expect(
            try await Command.run(check + ["--writes", "8"], environment: ["GYRE_WRITES": "1"]).error.contains("8"))
        try write("name: n1\ndata: /tmp/x\nwrite: 1\n")
        let misspelt = try await Command.run(check)
        #expect(misspelt.code == 64)
        #expect(misspelt.error.contains("'write'"))
        for (text, words) in [
            ("- just\n- a list\n", "line 1: a file of settings"), ("name: n1\ndata: [a\n", "line 3"),
            ("name: n1\nname: n2\n", "line 2: 'name' is set twice"), ("seed:\n  - {a: b}\n", "line 2: 'seed'"),
            ("name:\n  first: n1\n", "line 2: 'name' must be"), ("? [a]\n: b\n", "must be a word"),
            ("name: n1\n---\nname: n2\n", "line 3: a file of settings is one document"), ("name: \u{1}\n", "YAML"),
            ("", "--name"), ("name: n1\ndata: /tmp/x\nweight: [2]\n", "'weight' takes one value"),
        ] {
            try write(text)
            let refused = try await Command.run(check)
            #expect(refused.code == 64)
            #expect(refused.error.contains(words), "\(refused.error)")
        }
        try write("# nothing yet\n")
        #expect(try await Command.run(check).code == 64)
        try write("name: \"n1\"   # quoted\ndata: /tmp/x\nseed: [127.0.0.1:7400, 127.0.0.1:7410]\n")
        #expect(try await Command.run(check).code == 0)
        try write("name: n1\ndata: /tmp/x\nseed: nowhere\n")
        #expect(try await Command.run(check).error.contains("nowhere"))
    }

    @Test("prints its version and its help")
    func versionAndHelp() async throws {
        #expect(try await Command.run(["--version"]).code == 0)
        let help = try await Command.run(["--help"])
        #expect(help.code == 0)
        for word in ["serve", "put", "get", "delete", "keys", "status", "ring", "explain", "repair"] {
            #expect(help.out.contains(word))
        }
    }
}
