import Foundation
import Testing

/// One span of a trace file.
private struct Span {
    let name: String
    let node: String
    let trace: String
    let id: String
    let parent: String?
    let kind: Int
    let times: ClosedRange<UInt64>?
    let attributes: [String: String]

    /// All spans of a file; fails on a line that is no OTLP/JSON.
    static func all(in path: String) throws -> [Span] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").flatMap { line in
            let document = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            let resources = try #require(document?["resourceSpans"] as? [[String: Any]], "no TracesData: \(line)")
            return try resources.flatMap { resource in
                let about = fields((resource["resource"] as? [String: Any])?["attributes"])
                #expect(about["service.name"] == "gyre" && about["service.version"] != nil)
                let scopes = try #require(resource["scopeSpans"] as? [[String: Any]])
                return try scopes.flatMap { scope in
                    try #require(scope["spans"] as? [[String: Any]]).map { span in
                        Span(
                            name: try #require(span["name"] as? String), node: about["service.instance.id"] ?? "",
                            trace: try #require(span["traceId"] as? String),
                            id: try #require(span["spanId"] as? String),
                            parent: span["parentSpanId"] as? String, kind: try #require(span["kind"] as? Int),
                            times: Self.times(span), attributes: Self.fields(span["attributes"]))
                    }
                }
            }
        }
    }

    private static func times(_ span: [String: Any]) -> ClosedRange<UInt64>? {
        guard let start = (span["startTimeUnixNano"] as? String).flatMap(UInt64.init),
            let end = (span["endTimeUnixNano"] as? String).flatMap(UInt64.init), start <= end
        else { return nil }
        return start...end
    }

    private static func fields(_ value: Any?) -> [String: String] {
        var fields: [String: String] = [:]
        for field in value as? [[String: Any]] ?? [] {
            guard let key = field["key"] as? String, let value = field["value"] as? [String: Any] else { continue }
            fields[key] = (value["stringValue"] ?? value["intValue"]) as? String
        }
        return fields
    }
}

@Suite("Traces of a cluster", .serialized)
struct TraceTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let client = "00f067aa0ba902b7"

    private func curl(_ node: ServedNode, _ path: String, _ arguments: [String], says status: String) async throws {
        let http = node.readyLine.split(separator: " ").first { $0.hasPrefix("http=") }?.dropFirst(5) ?? ""
        let said = try await Command.waiting {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments =
                ["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}"] + arguments
                + ["http://\(http)\(path)"]
            let out = Pipe()
            process.standardOutput = out
            try process.run()
            let bytes = out.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(said == status, "\(path) \(arguments)")
    }

    /// Three processes that know each other, with R = W = 3, so that an answer has been through all of them.
    private func withCluster(
        _ files: [String?], _ body: ([ServedNode]) async throws -> Void
    ) async throws {
        var nodes: [ServedNode] = []
        for (index, file) in files.enumerated() {
            var arguments = [
                "--name", "n\(index + 1)", "--replicas", "3", "--reads", "3", "--writes", "3", "--http", "127.0.0.1:0",
            ]
            if let file { arguments += ["--trace-file", file] }
            if let first = nodes.first { arguments += ["--seed", first.address] }
            nodes.append(try await ServedNode.start(arguments))
        }
        for node in nodes {
            for attempt in 0... {
                let outcome = try await node.gyre(["status", "--json"])
                let rows = (try? outcome.json)?["nodes"] as? [[String: Any]] ?? []
                if rows.count == 3, rows.allSatisfy({ $0["state"] as? String == "normal" }) { break }
                try #require(attempt < 300, "the cluster did not form: \(outcome.out)")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        try await body(nodes)
        for node in nodes { #expect(try await node.stop() == 0) }
    }

    @Test("have the spans of a put and a get on the coordinator and on every replica, under the client's span")
    func threeNodes() async throws {
        let files = (0..<3).map { _ in Command.makePath() }
        defer { for file in files { try? FileManager.default.removeItem(atPath: file) } }
        let header = "traceparent: 00-\(Self.trace)-\(Self.client)-01"
        try await self.withCluster(files) { nodes in
            try await self.curl(nodes[1], "/buckets/b/keys/k", ["-X", "PUT", "-H", header, "-d", "v"], says: "204")
            try await self.curl(nodes[2], "/buckets/b/keys/k", ["-H", header], says: "200")
            // Neither of these leaves a span: no trace, one that is not sampled, one that cannot be read.
            for extra in [[], ["-H", "traceparent: 00-\(Self.trace)-\(Self.client)-00"], ["-H", "traceparent: 00-x"]] {
                try await self.curl(nodes[0], "/buckets/b/keys/k", extra, says: "200")
            }
        }
        let spans = try files.flatMap { try Span.all(in: $0) }
        #expect(spans.allSatisfy { $0.trace == Self.trace && $0.times != nil && $0.id.count == 16 })
        #expect(Set(spans.map(\.id)).count == spans.count)
        try Self.check(spans, "HTTP PUT", "put", "replicate", on: "n2", peers: ["n1", "n3"])
        try Self.check(spans, "HTTP GET", "get", "fetch", on: "n3", peers: ["n1", "n2"])
        // Each request: the door, the coordinator, and for each replica one span where it is asked and one where it answers. The put
        // also asks its own node how the bucket treats siblings.
        let names = spans.map(\.name).sorted()
        let fetches = Array(repeating: "fetch", count: 4)
        let replications = Array(repeating: "replicate", count: 4)
        #expect(names == ["HTTP GET", "HTTP PUT"] + fetches + ["get", "other", "put"] + replications, "\(names)")
    }

    /// One request: what stands below what, and where.
    private static func check(
        _ spans: [Span], _ door: String, _ operation: String, _ question: String, on node: String, peers: Set<String>
    ) throws {
        let top = try #require(spans.first { $0.name == door })
        #expect(top.parent == Self.client && top.node == node && top.kind == 2)
        let work = try #require(spans.first { $0.name == operation })
        #expect(
            work.parent == top.id && work.node == node && work.kind == 1 && work.attributes["gyre.outcome"] == "done")
        let asked = spans.filter { $0.name == question && $0.kind == 3 }
        #expect(asked.count == 2 && asked.allSatisfy { $0.parent == work.id && $0.node == node })
        let served = spans.filter { $0.name == question && $0.kind == 2 }
        #expect(Set(served.map(\.node)) == peers)
        #expect(Set(served.compactMap(\.parent)) == Set(asked.map(\.id)))
    }

    @Test("go through a coordinator that keeps none itself")
    func coordinatorWithoutFile() async throws {
        let file = Command.makePath()
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await self.withCluster([file, nil, nil]) { nodes in
            let header = "traceparent: 00-\(Self.trace)-\(Self.client)-01"
            try await self.curl(nodes[1], "/buckets/b/keys/k", ["-X", "PUT", "-H", header, "-d", "v"], says: "204")
        }
        let spans = try Span.all(in: file)
        #expect(spans.map(\.name) == ["replicate"] && spans.first?.parent == Self.client && spans.first?.node == "n1")
    }

    @Test("need a file that can be written and that may have some length")
    func refused() async throws {
        let serve = ["serve", "--name", "n", "--data", Command.makePath(), "--listen", "127.0.0.1:0"]
        let nowhere = try await Command.run(serve + ["--trace-file", "/nowhere/traces"])
        #expect(nowhere.code == 74 && nowhere.error.contains("/nowhere/traces"))
        let short = try await Command.run(serve + ["--trace-file", "x", "--trace-file-max", "10"])
        #expect(short.code == 64 && short.error.contains("trace-file-max"))
    }
}
