/// Blanks what is not code, so that rules may look for words without being fooled by prose.
///
/// Knows line and nested block comments, plain, raw and multi-line string literals and their interpolations; not
/// regular-expression literals, which this project does not use.
struct CodeMask {
    private enum Mode {
        /// Code; `parentheses` counts the open ones when the code is an interpolation.
        case code(parentheses: Int, isInterpolation: Bool)
        case lineComment
        case blockComment(depth: Int)
        case literal(pounds: Int, isMultiline: Bool)
    }

    private let input: [UInt8]
    private var index = 0
    private var output: [UInt8] = []
    private var modes: [Mode] = [.code(parentheses: 0, isInterpolation: false)]

    static func masked(_ text: String) -> String {
        var mask = CodeMask(text)
        while mask.index < mask.input.count { mask.step() }
        return String(decoding: mask.output, as: UTF8.self)
    }

    private init(_ text: String) {
        self.input = Array(text.utf8)
        self.output.reserveCapacity(self.input.count)
    }

    private mutating func step() {
        switch self.modes.removeLast() {
        case .code(let parentheses, let isInterpolation): self.stepCode(parentheses, isInterpolation)
        case .lineComment:
            if self.input[self.index] != UInt8(ascii: "\n") { self.modes.append(.lineComment) }
            self.blank(1)
        case .blockComment(let depth):
            if self.sees("/*") {
                self.modes.append(.blockComment(depth: depth + 1))
                self.blank(2)
            } else if self.sees("*/") {
                if depth > 1 { self.modes.append(.blockComment(depth: depth - 1)) }
                self.blank(2)
            } else {
                self.modes.append(.blockComment(depth: depth))
                self.blank(1)
            }
        case .literal(let pounds, let isMultiline): self.stepLiteral(pounds, isMultiline)
        }
    }

    private mutating func stepCode(_ parentheses: Int, _ isInterpolation: Bool) {
        var open = parentheses
        if isInterpolation {
            if self.sees("(") { open += 1 }
            if self.sees(")") { open -= 1 }
            if open == 0 { return self.blank(1) }
        }
        self.modes.append(.code(parentheses: open, isInterpolation: isInterpolation))
        if self.sees("//") {
            self.modes.append(.lineComment)
            return self.blank(2)
        }
        if self.sees("/*") {
            self.modes.append(.blockComment(depth: 1))
            return self.blank(2)
        }
        let pounds = self.input[self.index...].prefix { $0 == UInt8(ascii: "#") }.count
        if self.sees("\"", at: self.index + pounds) {
            let isMultiline = self.sees("\"\"\"", at: self.index + pounds)
            self.modes.append(.literal(pounds: pounds, isMultiline: isMultiline))
            return self.blank(pounds + (isMultiline ? 3 : 1))
        }
        self.output.append(self.input[self.index])
        self.index += 1
    }

    private mutating func stepLiteral(_ pounds: Int, _ isMultiline: Bool) {
        let rawness = String(repeating: "#", count: pounds)
        let end = (isMultiline ? "\"\"\"" : "\"") + rawness
        if self.sees(end) { return self.blank(end.utf8.count) }
        self.modes.append(.literal(pounds: pounds, isMultiline: isMultiline))
        let escape = "\\" + rawness
        if self.sees(escape + "(") {
            self.modes.append(.code(parentheses: 1, isInterpolation: true))
            self.blank(escape.utf8.count + 1)
        } else if self.sees(escape) {
            self.blank(escape.utf8.count + 1)
        } else {
            self.blank(1)
        }
    }

    private func sees(_ text: String, at start: Int? = nil) -> Bool {
        let start = start ?? self.index
        guard start + text.utf8.count <= self.input.count else { return false }
        return self.input[start..<start + text.utf8.count].elementsEqual(text.utf8)
    }

    /// Passes over `count` bytes; newlines stay, so that line numbers do.
    private mutating func blank(_ count: Int) {
        for _ in 0..<count where self.index < self.input.count {
            let isNewline = self.input[self.index] == UInt8(ascii: "\n")
            self.output.append(isNewline ? UInt8(ascii: "\n") : UInt8(ascii: " "))
            self.index += 1
        }
    }
}
