/// As much of Swift's grammar as the rules need; works on masked code, one declaration a line.
enum Declarations {
    private static let keywords: Set<Substring> = [
        "func", "var", "let", "struct", "enum", "class", "actor", "protocol", "typealias", "init", "subscript",
        "associatedtype", "macro",
    ]

    /// True if the line declares something `package`, `public` or `open`.
    static func isVisibleOutsideModule(_ line: String) -> Bool {
        var isVisible = false
        for token in line.split(separator: " ") {
            // `init(`, `subscript(`, `init?(`, `init<T>(`.
            let word = token.prefix { $0.isLetter }
            if ["package", "public", "open"].contains(token) { isVisible = true }
            if word == "import" || word == "extension" { return false }
            // `class func` and `class var` are met at their first word; that is early enough.
            if self.keywords.contains(word) { return isVisible }
            let isModifier = token.hasPrefix("@") || token.hasSuffix("(set)") || word.count == token.count
            if !isModifier && !token.hasPrefix("nonisolated") && !token.hasPrefix("unowned") { return false }
        }
        return false
    }

    static func startsFunction(_ line: String) -> Bool {
        for token in line.split(separator: " ") {
            let word = token.prefix { $0.isLetter }
            if word == "func" && word.count == token.count { return true }
            if (word == "init" || word == "subscript") && word.count < token.count && !token.hasPrefix("init.") {
                return true
            }
            let isModifier = token.hasPrefix("@") || token.hasSuffix("(set)") || word.count == token.count
            if !isModifier || ["let", "var", "return", "case", "if", "guard", "self"].contains(word) { return false }
        }
        return false
    }

    /// Lines from the first to the closing brace of the first body; 0 for a requirement without one.
    static func functionLineCount(_ lines: ArraySlice<String>) -> Int {
        var parentheses = 0
        var braces = 0
        for (count, line) in zip(1..., lines) {
            for character in line {
                switch character {
                case "(", "[": parentheses += 1
                case ")", "]": parentheses -= 1
                case "{": braces += 1
                case "}":
                    braces -= 1
                    if braces < 0 { return 0 }
                    // A default argument may hold a closure; the body opens outside all parentheses.
                    if braces == 0 && parentheses == 0 { return count }
                default: break
                }
            }
            if braces == 0 && parentheses == 0 && count < lines.count {
                let next = lines[lines.startIndex + count].trimmed
                guard ["{", "->", "where", "throws", "async"].contains(where: { next.hasPrefix($0) }) else { return 0 }
            }
        }
        return 0
    }
}

/// Links between the pages of the project.
enum Links {
    /// The targets of `[text](target)`, each with its line; code blocks and code spans left out.
    static func targets(in page: SourceFile) -> [(line: Int, target: String)] {
        var isInFence = false
        var found: [(line: Int, target: String)] = []
        for (index, line) in page.lines.enumerated() {
            if line.trimmed.hasPrefix("```") { isInFence.toggle() }
            if isInFence { continue }
            let prose = line.split(separator: "`", omittingEmptySubsequences: false)
                .enumerated().map { $0 % 2 == 0 ? String($1) : " " }.joined()
            for range in prose.ranges(of: "](") {
                let target = prose[range.upperBound...].prefix { $0 != ")" && $0 != " " }
                found.append((index + 1, String(target)))
            }
        }
        return found
    }

    /// The path from the project's root that `target` means on the page at `path`; nil if it leaves the project.
    static func resolved(_ target: String, from path: String) -> String? {
        let file = target.prefix { $0 != "#" }
        if file.isEmpty || file.contains(":") { return nil }
        var parts = file.hasPrefix("/") ? [] : path.split(separator: "/").dropLast().map(String.init)
        for part in file.split(separator: "/") where part != "." {
            if part == ".." {
                // Above the root there is nothing that a clone has; this path never exists.
                if parts.popLast() == nil { return String(target) }
            } else {
                parts.append(String(part))
            }
        }
        return parts.joined(separator: "/")
    }
}
