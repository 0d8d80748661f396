import Testing

/// A bad sample, and the rule that must find it.
struct BadSample: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let rule: @Sendable (SourceFile) -> [Finding]
    var path = "Sources/GyreRing/Sample.swift"
    let text: String
    /// Where the rule must point, from 1.
    var line = 1
}

/// Proof that each rule can fail, and that it leaves good code alone.
@Suite struct RuleTests {
    static let bad: [BadSample] = [
        BadSample(testDescription: "an arrow that is not drawn", rule: Rules.imports, text: "import GyreMembership"),
        BadSample(
            testDescription: "an arrow with access", rule: Rules.imports, text: "\npackage import NIOPosix", line: 2),
        BadSample(
            testDescription: "an arrow to one symbol", rule: Rules.imports, text: "internal import struct NIOPosix.X"
        ),
        BadSample(
            testDescription: "a room that is not drawn", rule: Rules.imports, path: "Sources/GyreAttic/A.swift",
            text: ""
        ),
        BadSample(
            testDescription: "C outside its room", rule: Rules.imports, path: "Sources/GyreNode/A.swift",
            text: "import CLevelDB"
        ),
        BadSample(
            testDescription: "a test behind the face", rule: Rules.testableImports, path: "Tests/GyreRingTests/A.swift",
            text: "@testable import GyreRing"
        ),
        BadSample(testDescription: "a wall clock", rule: Rules.impureWords, text: "let a = Date()"),
        BadSample(testDescription: "a monotonic clock", rule: Rules.impureWords, text: "let a = Clock.now"),
        BadSample(testDescription: "a clock by inference", rule: Rules.impureWords, text: "let a: Clock = .now"),
        BadSample(testDescription: "a clock's function", rule: Rules.impureWords, text: "let a = clock.now()"),
        BadSample(testDescription: "a task", rule: Rules.impureWords, text: "Task { work() }"),
        BadSample(testDescription: "a sleep", rule: Rules.impureWords, text: "\n\nTask.sleep(for: x)", line: 3),
        BadSample(testDescription: "async", rule: Rules.impureWords, text: "func a() async {}"),
        BadSample(testDescription: "await", rule: Rules.impureWords, text: "let a = await b()"),
        BadSample(testDescription: "a lock", rule: Rules.impureWords, text: "let a = Mutex(0)"),
        BadSample(testDescription: "NIO's lock", rule: Rules.impureWords, text: "let a = NIOLock()"),
        BadSample(testDescription: "a queue", rule: Rules.impureWords, text: "let a = DispatchQueue(label: b)"),
        BadSample(testDescription: "the environment", rule: Rules.impureWords, text: "let a = getenv(b)"),
        BadSample(testDescription: "the process", rule: Rules.impureWords, text: "let a = ProcessInfo.processInfo"),
        BadSample(testDescription: "Foundation", rule: Rules.impureWords, text: "import Foundation"),
        BadSample(testDescription: "an unseeded element", rule: Rules.impureWords, text: "a.randomElement()"),
        BadSample(testDescription: "an unseeded shuffle", rule: Rules.impureWords, text: "a.shuffled()"),
        BadSample(testDescription: "an unseeded number", rule: Rules.impureWords, text: "Int.random(in: 0..<3)"),
        BadSample(testDescription: "a hash per process", rule: Rules.impureWords, text: "var a = Hasher()"),
        BadSample(testDescription: "print", rule: Rules.impureWords, text: "print(1)"),
        BadSample(
            testDescription: "a clock in an interpolation", rule: Rules.impureWords, text: #"let a = "\(Date())""#
        ),
        BadSample(testDescription: "a forced try", rule: Rules.forbiddenEverywhere, text: "let a = try! b()"),
        BadSample(testDescription: "a forced cast", rule: Rules.forbiddenEverywhere, text: "let a = b as! C"),
        BadSample(testDescription: "work put off", rule: Rules.unfinishedWork, text: "// TODO: later"),
        BadSample(
            testDescription: "an empty room", rule: Rules.unfinishedWork, path: "Sources/GyreRing/Placeholder.swift",
            text: ""
        ),
        BadSample(
            testDescription: "an exemption without a proof", rule: Rules.uncheckedWithoutProof,
            text: "let b = 1\nclass A: @unchecked Sendable {}", line: 2
        ),
        BadSample(testDescription: "a word of another field", rule: Rules.words, text: "/// The Master node."),
        BadSample(
            testDescription: "a long file", rule: Rules.fileLength,
            text: String(repeating: "let a = 1\n", count: Rules.sourceLinesMax + 1), line: Rules.sourceLinesMax + 1
        ),
        BadSample(
            testDescription: "a long test", rule: Rules.fileLength, path: "Tests/GyreRingTests/A.swift",
            text: String(repeating: "let a = 1\n", count: Rules.testLinesMax + 1), line: Rules.testLinesMax + 1
        ),
        BadSample(
            testDescription: "a long function", rule: Rules.functionLength,
            text: "\n    private func a(\n        b: Int\n    )\n    -> Int {\n" + String(repeating: "\n", count: 70)
                + "    }",
            line: 2
        ),
        BadSample(testDescription: "a bare function", rule: Rules.documentation, text: "package func a() {}"),
        BadSample(testDescription: "a bare initialiser", rule: Rules.documentation, text: "public init?(a: Int) {}"),
        BadSample(
            testDescription: "a bare property", rule: Rules.documentation, text: "package private(set) var a = 1"),
        BadSample(
            testDescription: "a bare type below an attribute", rule: Rules.documentation,
            text: "// Why, but not what.\n@frozen\npublic struct A {}", line: 3
        ),
        BadSample(
            testDescription: "a link to nowhere", rule: { Rules.links($0, exists: { $0 == "docs/here.md" }) },
            path: "docs/page.md", text: "[a](here.md)\n[b](gone.md)", line: 2
        ),
        BadSample(
            testDescription: "a link out of the project", rule: { Rules.links($0, exists: { _ in false }) },
            path: "docs/page.md", text: "[a](../../elsewhere.md)"
        ),
    ]

    @Test(arguments: bad) func ruleFinds(_ sample: BadSample) {
        let findings = sample.rule(SourceFile(path: sample.path, text: sample.text))
        #expect(findings.map(\.line) == [sample.line], "\(findings)")
    }

    @Test func goodCodeHasNoFindings() {
        let text = #"""
            package import GyreBase

            // A comment may say Date(), print( and await.
            /* So may /* nested */ Task { */
            /// What it does.
            @inlinable
            package struct Good: Sendable {
                let text = "Date() \"await\" \(self.now) print("
                let raw = #"Task { "quoted" } \(async)"#
                /// Reads no clock.
                package static func good(now: Now, using random: inout SeededRandom) -> Int {
                    let printed = fingerprint(request.now)
                    return Int.random(in: 0..<3, using: &random)
                }
                package(set) var unusual: Int
                // Confined to one loop, which it asserts.
                final class Confined: @unchecked Sendable {}
                private func hash(into hasher: inout Hasher) {}
            }
            """#
        let file = SourceFile(path: "Sources/GyreRing/Good.swift", text: text)
        let rules = [
            Rules.imports, Rules.impureWords, Rules.forbiddenEverywhere, Rules.unfinishedWork, Rules.documentation,
            Rules.uncheckedWithoutProof, Rules.words, Rules.fileLength, Rules.functionLength,
        ]
        #expect(rules.flatMap { $0(file) } == [])
    }

    @Test func goodLinksHaveNoFindings() {
        let text = """
            [web](https://swift.org), [here](#part), [page](internals/ring.md#tokens), [up](../README.md)
            `[code](nowhere.md)`
            ```
            [code](nowhere.md)
            ```
            """
        let exists: Set<String> = ["docs/internals/ring.md", "README.md"]
        let page = SourceFile(path: "docs/page.md", text: text)
        #expect(Rules.links(page, exists: exists.contains) == [])
    }

    @Test func protocolRequirementsHaveNoBody() {
        let lines = ["    func a(b: Int) throws", "    func c()", "}", "func d() {", "}"]
        #expect(Declarations.functionLineCount(lines[0...]) == 0)
        #expect(Declarations.functionLineCount(lines[1...]) == 0)
        #expect(Declarations.functionLineCount(lines[3...]) == 2)
    }
}
