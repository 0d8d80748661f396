package import GyreBase

/// Who the node of a data directory is: the content of `DATA/identity.json`.
package struct NodeIdentity: Hashable, Sendable {
    /// Drawn at random when the directory was created.
    package let node: NodeID
    /// The cluster it belongs to; a node never changes it.
    package let cluster: String
    /// What people call the node.
    package let name: String
    /// The identity whose disk was lost, and whose place this node has taken; nil when there was none.
    package let replaces: NodeID?
    /// Whether no store was ever opened under it: a start that was to make one has not ended yet.
    package let isPending: Bool

    /// The format of data directories that this version writes, and the newest it reads.
    package static let formatVersion: UInt64 = 1
    /// A longer file is not ours.
    package static let fileBytesMax = 4_096

    /// Puts the parts together.
    package init(node: NodeID, cluster: String, name: String, replaces: NodeID? = nil, isPending: Bool = false) {
        self.replaces = replaces
        self.isPending = isPending
        self.node = node
        self.cluster = cluster
        self.name = name
    }

    /// One JSON object on one line.
    package var json: String {
        "{\"format_version\":\(Self.formatVersion),\"node\":\"\(self.node)\",\"cluster\":"
            + "\(Self.quoted(self.cluster)),\"name\":\(Self.quoted(self.name))"
            + (self.replaces.map { ",\"replaces\":\"\($0)\"" } ?? "") + (self.isPending ? ",\"pending\":1" : "") + "}\n"
    }

    /// Why a file is no identity.
    package enum ParseError: Error, Equatable {
        /// Not a JSON object of strings and whole numbers, or without a field that must be there.
        case malformed(String)
        /// Written by a later version of Gyre.
        case newerFormat(UInt64)
    }

    /// Reads what `json` wrote; white space, order and further fields do not matter.
    package init(json: [UInt8]) throws(ParseError) {
        guard let text = String(validating: json, as: UTF8.self) else { throw .malformed("not UTF-8") }
        var reader = FlatJSON(text)
        let fields = try reader.object()
        guard case .number(let version)? = fields["format_version"] else { throw .malformed("no format_version") }
        guard version <= Self.formatVersion else { throw .newerFormat(version) }
        guard case .text(let hexadecimal)? = fields["node"], let node = NodeID(hexadecimal: hexadecimal) else {
            throw .malformed("no node of sixteen hexadecimal digits")
        }
        guard case .text(let cluster)? = fields["cluster"] else { throw .malformed("no cluster") }
        guard case .text(let name)? = fields["name"] else { throw .malformed("no name") }
        var replaces: NodeID?
        if case .text(let hexadecimal)? = fields["replaces"] {
            guard let earlier = NodeID(hexadecimal: hexadecimal) else {
                throw .malformed("replaces is no node of sixteen hexadecimal digits")
            }
            replaces = earlier
        }
        let isPending: Bool
        if case .number(1)? = fields["pending"] { isPending = true } else { isPending = false }
        self.init(node: node, cluster: cluster, name: name, replaces: replaces, isPending: isPending)
    }

    /// `text` as a JSON string.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// A reader for JSON objects that hold nothing but strings and whole numbers: the one shape of `identity.json`, so that
/// the storage room needs no library for it.
private struct FlatJSON {
    enum Value {
        case text(String)
        case number(UInt64)
    }

    private var rest: Substring.UnicodeScalarView

    init(_ text: String) { self.rest = Substring(text).unicodeScalars }

    mutating func object() throws(NodeIdentity.ParseError) -> [String: Value] {
        var fields: [String: Value] = [:]
        try self.expect("{")
        if self.skip("}") { return fields }
        repeat {
            let name = try self.string()
            try self.expect(":")
            guard fields.updateValue(try self.value(), forKey: name) == nil else {
                throw .malformed("field \(name) twice")
            }
        } while self.skip(",")
        try self.expect("}")
        self.skipSpace()
        guard self.rest.isEmpty else { throw .malformed("something after the object") }
        return fields
    }

    private mutating func value() throws(NodeIdentity.ParseError) -> Value {
        self.skipSpace()
        if self.rest.first == "\"" { return .text(try self.string()) }
        var digits = ""
        while let scalar = self.rest.first, ("0"..."9").contains(scalar) {
            digits.unicodeScalars.append(scalar)
            self.rest.removeFirst()
        }
        guard let number = UInt64(digits) else { throw .malformed("neither a string nor a whole number") }
        return .number(number)
    }

    private mutating func string() throws(NodeIdentity.ParseError) -> String {
        try self.expect("\"")
        var result = ""
        while let scalar = self.rest.popFirst() {
            if scalar == "\"" { return result }
            guard scalar.value >= 0x20 else { throw .malformed("control character in a string") }
            result.unicodeScalars.append(scalar == "\\" ? try self.escaped() : scalar)
        }
        throw .malformed("a string without an end")
    }

    private mutating func escaped() throws(NodeIdentity.ParseError) -> Unicode.Scalar {
        switch self.rest.popFirst() {
        case "\"": return "\""
        case "\\": return "\\"
        case "/": return "/"
        case "b": return "\u{8}"
        case "f": return "\u{C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "u":
            let high = try self.codeUnit()
            guard high & 0xFC00 == 0xD800 else {
                guard let scalar = Unicode.Scalar(high) else { throw .malformed("half a surrogate pair") }
                return scalar
            }
            guard self.rest.popFirst() == "\\", self.rest.popFirst() == "u" else {
                throw .malformed("half a surrogate pair")
            }
            let low = try self.codeUnit()
            guard low & 0xFC00 == 0xDC00,
                let scalar = Unicode.Scalar(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
            else { throw .malformed("half a surrogate pair") }
            return scalar
        default: throw .malformed("an unknown escape")
        }
    }

    private mutating func codeUnit() throws(NodeIdentity.ParseError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let scalar = self.rest.popFirst(), let digit = Character(scalar).hexDigitValue else {
                throw .malformed("an unknown escape")
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private mutating func expect(_ scalar: Unicode.Scalar) throws(NodeIdentity.ParseError) {
        guard self.skip(scalar) else { throw .malformed("no \(scalar) where one belongs") }
    }

    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        self.skipSpace()
        guard self.rest.first == scalar else { return false }
        self.rest.removeFirst()
        return true
    }

    private mutating func skipSpace() {
        while let scalar = self.rest.first, scalar == " " || scalar == "\n" || scalar == "\r" || scalar == "\t" {
            self.rest.removeFirst()
        }
    }
}
