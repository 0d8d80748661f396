/// The rules of the Prometheus text format for names, labels and numbers.
enum PrometheusText {
    /// `name` with every character that the format does not allow made an underscore.
    static func name(_ name: String) -> String {
        var out = ""
        for scalar in name.unicodeScalars {
            let isLetter = "a"..."z" ~= scalar || "A"..."Z" ~= scalar || scalar == "_" || scalar == ":"
            let isDigit = "0"..."9" ~= scalar
            if isDigit, out.isEmpty { out += "_" }
            out.unicodeScalars.append(isLetter || isDigit ? scalar : "_")
        }
        return out.isEmpty ? "_" : out
    }

    /// What stands between the braces, in the order given.
    static func labels(_ dimensions: [(String, String)]) -> String {
        dimensions.map { "\(self.name($0.0))=\"\(self.value($0.1))\"" }.joined(separator: ",")
    }

    /// A label's value with backslash, quote and line feed escaped.
    static func value(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// A help text with backslash and line feed escaped.
    static func help(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// A number as Go reads it; whole ones without a point.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 9e15 { return String(Int64(value)) }
        return "\(value)"
    }

    /// One line.
    static func write(_ name: String, _ labels: String, _ value: String, into out: inout String) {
        out += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }
}
