import Foundation
import Testing

/// One file of the project, as its lines and as its lines without comments and string literals.
struct SourceFile: Sendable {
    /// Relative to the project's root, with `/`.
    let path: String
    /// The lines as written.
    let lines: [String]
    /// The lines with comments and the text of string literals blanked; interpolated code stays.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        self.lines = Self.split(text)
        self.code = Self.split(path.hasSuffix(".swift") ? CodeMask.masked(text) : text)
    }

    /// The directory below `Sources` or `Tests`; empty for other files.
    var module: String {
        let parts = self.path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    var isSource: Bool { self.path.hasPrefix("Sources/") }
    var name: String { self.path.split(separator: "/").last.map(String.init) ?? self.path }

    private static func split(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}

/// The project on disk.
enum Project {
    /// The directory of `Package.swift`.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let sources = files(below: "Sources", extension: "swift")
    static let tests = files(below: "Tests", extension: "swift")
    /// Every page that a newcomer may be sent to.
    static let pages =
        files(below: "docs", extension: "md")
        + ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "cluster/README.md"].compactMap(file)

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: self.root.appendingPathComponent(path).path)
    }

    /// All files below a directory, sorted, hidden ones and build products left out.
    private static func files(below directory: String, extension suffix: String) -> [SourceFile] {
        let start = self.root.appendingPathComponent(directory).path
        let paths = FileManager.default.enumerator(atPath: start)?.compactMap { $0 as? String } ?? []
        return paths.filter { $0.hasSuffix(".\(suffix)") && !$0.hasPrefix(".") && !$0.contains("/.") }
            .sorted().compactMap { self.file("\(directory)/\($0)") }
    }

    private static func file(_ path: String) -> SourceFile? {
        guard let text = try? String(contentsOf: self.root.appendingPathComponent(path), encoding: .utf8) else {
            return nil
        }
        return SourceFile(path: path, text: text)
    }
}
