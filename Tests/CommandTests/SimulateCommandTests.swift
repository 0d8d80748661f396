import Foundation
import Testing

@Suite("gyre simulate --scenario")
struct SimulateCommandTests {
    private static let story = """
        nodes a b c
        put cart plums via a -> done
        get cart via b -> pears

        """

    /// Runs the command on a file with `story`; what it left, and the file.
    private func run(_ story: String, _ options: [String]) async throws -> (outcome: Command.Outcome, text: String) {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("gyre-story-\(UUID().uuidString)")
        try story.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let outcome = try await Command.run(["simulate", "--scenario", file.path] + options)
        return (outcome, try String(contentsOf: file, encoding: .utf8))
    }

    @Test("with --json is one document, whatever came out")
    func documents() async throws {
        let (differs, same) = try await self.run(Self.story, ["--json"])
        #expect(differs.code == 1 && same == Self.story)
        var document = try differs.json
        #expect(document["as_written"] as? Bool == false && document["violation"] is NSNull)
        let difference = try #require(document["difference"] as? [String: Any])
        #expect(difference["line"] as? Int == 2)
        #expect(difference["expected"] as? String == "put cart plums via a -> done")
        #expect((difference["came_out"] as? String)?.hasPrefix("put cart plums via a -> stored") == true)

        let (rewritten, text) = try await self.run(Self.story, ["--json", "--rewrite"])
        #expect(rewritten.code == 0 && text != Self.story)
        document = try rewritten.json
        #expect(document["rewritten"] as? Bool == true)

        let (fits, _) = try await self.run(text, ["--json"])
        #expect(fits.code == 0)
        document = try fits.json
        #expect(document["as_written"] as? Bool == true && document["difference"] is NSNull)
    }

    @Test("with --crash --json counts the steps")
    func sweep() async throws {
        let story = "nodes a b c\nput cart plums via a\nrun 2s\n"
        let (outcome, _) = try await self.run(story, ["--json", "--crash", "b", "--power"])
        #expect(outcome.code == 0, "\(outcome.out)\(outcome.error)")
        let document = try outcome.json
        #expect((document["steps"] as? Int ?? 0) > 0 && document["losing_power"] as? Bool == true)
        #expect((document["failed"] as? [Any])?.isEmpty == true)
    }

    @Test("a seed's document names its trace")
    func seed() async throws {
        let outcome = try await Command.run(["simulate", "--seed", "3", "--time", "2s", "--json"])
        let document = try outcome.json
        #expect(outcome.code == 0 && document["passed"] as? Int == 1 && document["seeds"] as? Int == 1)
        #expect((document["trace_hash"] as? String)?.isEmpty == false)
        #expect((document["marks"] as? [String: Any])?.isEmpty == false)
    }
}
