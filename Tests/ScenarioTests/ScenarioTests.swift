import Foundation
import GyreSimulator
import Testing

/// One file of `Scenarios`.
struct ScenarioFile: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let text: String

    /// Every file of the folder next to this one, by name.
    static func all() throws -> [ScenarioFile] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Scenarios")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }.map { file in
            ScenarioFile(
                testDescription: file.lastPathComponent, text: try String(contentsOf: file, encoding: .utf8))
        }
    }
}

@Suite struct Scenarios {
    @Test func comeOutAsWritten() throws {
        let files = try ScenarioFile.all()
        #expect(files.count >= 8, "the folder of scenarios was not found whole")
        for file in files {
            let outcome = ScenarioRunner.run(try Scenario(parsing: file.text))
            #expect(outcome.violation == nil, "\(file.testDescription)")
            #expect(outcome.difference == nil, "\(file.testDescription), \(outcome.difference?.description ?? "")")
            #expect(outcome.text == file.text, "\(file.testDescription)")
        }
    }

    @Test func areShortEnoughToRead() throws {
        for file in try ScenarioFile.all() {
            #expect(file.text.split(separator: "\n").count < 25, "\(file.testDescription)")
        }
    }
}

@Suite struct ScenarioTextThatMakesNoSense {
    @Test(arguments: [
        ("", 1, "begins with 'nodes"),
        ("put cart plums via a", 1, "comes before 'nodes"),
        ("nodes a a", 1, "two nodes are called a"),
        ("nodes a b c d e f g h", 1, "1 to 7 nodes, not 8"),
        ("nodes a b n=2 w=3", 1, "r and w 1 to n"),
        ("nodes a b flavour=3", 1, "'flavour=3' is none of"),
        ("nodes a b\n\ndance", 3, "'dance' is no verb"),
        ("nodes a b\nput cart", 2, "a value is missing"),
        ("nodes a b\nget cart via z", 2, "'z' is none of the nodes a b"),
        ("nodes a b\nget cart at a", 2, "'via NODE' is expected"),
        ("nodes a b\nget cart via a quickly", 2, "'quickly' is not understood"),
        ("nodes a b\nget cart via a w=2", 2, "'get' knows no w="),
        ("nodes a b\nrun 9h", 2, "3600s at most"),
        ("nodes a b\nput x y via a times=5000", 2, "1 to 1000"),
        ("nodes a b\nput x-# y via a times=999\nput y-# y via a times=999", 3, "1000 keys at most"),
    ])
    func isRefusedWithItsLine(text: String, line: Int, reason: String) {
        let error = #expect(throws: ScenarioError.self) { try Scenario(parsing: text) }
        #expect(error?.line == line)
        #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    }

    @Test func isRefusedWhenItIsTooLong() {
        let long = "nodes a\n" + String(repeating: "#\n", count: Scenario.linesMax)
        #expect(throws: ScenarioError.self) { try Scenario(parsing: long) }
        let wide = "nodes a\n# " + String(repeating: "x", count: Scenario.bytesMax)
        #expect(throws: ScenarioError.self) { try Scenario(parsing: wide) }
    }
}

@Suite struct AScenarioThatComesOutOtherwise {
    @Test func namesItsFirstDifferenceAndIsRewrittenWhole() throws {
        let text = "nodes a b c seed=3\nput cart plums via a -> refused\nget cart via b\n"
        let outcome = ScenarioRunner.run(try Scenario(parsing: text))
        #expect(outcome.difference?.line == 2)
        #expect(outcome.difference?.expected == "put cart plums via a -> refused")
        let again = ScenarioRunner.run(try Scenario(parsing: outcome.text))
        #expect(again.difference == nil)
        #expect(again.text == outcome.text)
    }
}
