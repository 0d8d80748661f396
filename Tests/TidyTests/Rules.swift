/// A rule of the house that a file breaks, printed as `path:line: what to do`.
struct Finding: Equatable, Sendable, CustomStringConvertible {
    let path: String
    let line: Int
    let advice: String

    var description: String { "\(self.path):\(self.line): \(self.advice)" }
}

/// The rules that neither the compiler nor swift-format knows.
enum Rules {
    static let sourceLinesMax = 500
    static let testLinesMax = 800
    static let functionLinesMax = 70

    static func imports(_ file: SourceFile) -> [Finding] {
        guard let allowed = Arrows.allowed[file.module] else {
            return [Finding(path: file.path, line: 1, advice: "room '\(file.module)' is not drawn in Arrows.swift")]
        }
        return self.findings(file) { line in
            guard let module = self.importedModule(line), !allowed.contains(module) else { return nil }
            return "\(file.module) may not import \(module); docs/ARCHITECTURE.md draws the arrows"
        }
    }

    /// Tests go through the face of a pure room, which is small enough for that.
    static func testableImports(_ file: SourceFile) -> [Finding] {
        self.findings(file) { line in
            guard line.contains("@testable"), let module = self.importedModule(line) else { return nil }
            return Arrows.pure.contains(module) ? "no @testable import of the pure room \(module)" : nil
        }
    }

    /// What would read the world, or the process's hash seed, inside the pure core.
    static func impureWords(_ file: SourceFile) -> [Finding] {
        self.findings(file) { line in
            for (word, instead) in BannedWords.inPureRooms where line.containsWord(word) {
                return "'\(word)' in a pure room; use \(instead)"
            }
            if BannedWords.readsClock(line) { return "a clock in a pure room; take `now: Now` as an argument" }
            if line.contains(".random(in:"), !line.contains("using:") {
                return "'.random(in:' without 'using:' in a pure room; use `random: inout SeededRandom`"
            }
            return nil
        }
    }

    static func forbiddenEverywhere(_ file: SourceFile) -> [Finding] {
        self.findings(file) { line in
            for (word, instead) in BannedWords.everywhere where line.containsWord(word) {
                return "'\(word)'; use \(instead)"
            }
            return nil
        }
    }

    static func unfinishedWork(_ file: SourceFile) -> [Finding] {
        var found: [Finding] = []
        if file.name == "Placeholder.swift" {
            found.append(Finding(path: file.path, line: 1, advice: "a room without content; fill it or take it away"))
        }
        for (index, line) in file.lines.enumerated() {
            for word in ["TODO", "FIXME", "XXX"] where line.containsWord(word) {
                found.append(Finding(path: file.path, line: index + 1, advice: "'\(word)'; finish it or open an issue"))
            }
        }
        return found
    }

    /// An exemption from the compiler's proof needs one of ours, right above it.
    static func uncheckedWithoutProof(_ file: SourceFile) -> [Finding] {
        file.code.indices.compactMap { index in
            let line = file.code[index]
            guard line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") else { return nil }
            let above = file.lines[..<index].last { !$0.trimmed.hasPrefix("@") }?.trimmed ?? ""
            guard !above.hasPrefix("//") else { return nil }
            return Finding(path: file.path, line: index + 1, advice: "say in a comment above why this is safe")
        }
    }

    static func words(_ file: SourceFile) -> [Finding] {
        file.lines.enumerated().compactMap { index, line in
            let folded = line.lowercased()
            guard let word = BannedWords.ofOtherFields.first(where: { folded.containsWord($0) }) else { return nil }
            return Finding(path: file.path, line: index + 1, advice: "'\(word)' is not a word of this field")
        }
    }

    static func fileLength(_ file: SourceFile) -> [Finding] {
        let linesMax = file.isSource ? self.sourceLinesMax : self.testLinesMax
        let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
        guard count > linesMax else { return [] }
        return [Finding(path: file.path, line: linesMax + 1, advice: "\(count) lines of \(linesMax); split by concept")]
    }

    static func documentation(_ file: SourceFile) -> [Finding] {
        file.code.indices.compactMap { index in
            guard Declarations.isVisibleOutsideModule(file.code[index]) else { return nil }
            let above = file.lines[..<index].last { !$0.trimmed.hasPrefix("@") }?.trimmed ?? ""
            guard !above.hasPrefix("///") else { return nil }
            return Finding(path: file.path, line: index + 1, advice: "a package or public symbol needs a doc comment")
        }
    }

    static func functionLength(_ file: SourceFile) -> [Finding] {
        file.code.indices.compactMap { index in
            guard Declarations.startsFunction(file.code[index]) else { return nil }
            let count = Declarations.functionLineCount(file.code[index...])
            guard count > self.functionLinesMax else { return nil }
            let advice = "function of \(count) lines, \(self.functionLinesMax) allowed; split it"
            return Finding(path: file.path, line: index + 1, advice: advice)
        }
    }

    static func links(_ page: SourceFile, exists: (String) -> Bool) -> [Finding] {
        Links.targets(in: page).compactMap { line, target in
            guard let path = Links.resolved(target, from: page.path), !exists(path) else { return nil }
            return Finding(path: page.path, line: line, advice: "link to '\(target)', which does not exist")
        }
    }

    private static func findings(_ file: SourceFile, _ advice: (String) -> String?) -> [Finding] {
        file.code.enumerated().compactMap { index, line in
            advice(line).map { Finding(path: file.path, line: index + 1, advice: $0) }
        }
    }

    private static func importedModule(_ line: String) -> String? {
        let tokens = line.split(separator: " ")
        guard let keyword = tokens.firstIndex(of: "import"), keyword < 3, var name = tokens.last, tokens.count > 1
        else {
            return nil
        }
        // `import struct NIOCore.ByteBuffer` imports NIOCore.
        if let dot = name.firstIndex(of: ".") { name = name[..<dot] }
        return String(name)
    }
}
