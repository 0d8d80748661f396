import GyreBase
import GyreMessages
import NIOCore

/// The part of a target behind the question mark: names with values. Pure value.
struct Query {
    /// Names and values that are read at most; more are refused.
    static let itemsMax = 64

    private var items: [(name: String, value: ByteBuffer)] = []

    /// Reads `a=1&b=2`; of equal names the last counts.
    /// - Throws: 400 for bad escapes and too many items.
    init(_ text: Substring) throws(Refusal) {
        for item in text.split(separator: "&") {
            guard self.items.count < Self.itemsMax else {
                throw .badRequest("the query has more than \(Self.itemsMax) items")
            }
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? parts[1] : ""
            guard let name = PercentText.decode(parts[0], plusIsSpace: true),
                let decoded = PercentText.decode(value, plusIsSpace: true)
            else { throw .badRequest("a percent sign in the query is not followed by two hexadecimal digits") }
            self.items.append((String(decoding: name, as: UTF8.self), ByteBuffer(bytes: decoded)))
        }
    }

    /// The value of that name as it is, for what need not be text; nil when there is none.
    func bytes(_ name: String) -> ByteBuffer? { self.items.last { $0.name == name }?.value }

    /// The value of that name as text; nil when there is none.
    /// - Throws: 400 when it is not UTF-8, so that no other text takes its place.
    func text(_ name: String) throws(Refusal) -> String? {
        guard let bytes = self.bytes(name) else { return nil }
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw .badRequest("\(name) is not UTF-8 text")
        }
        return text
    }

    /// How many replicas the request asks for under that name.
    /// - Throws: 400 for anything but a number from 1 on, `one`, `quorum`, `all` and `default`.
    func size(_ name: String) throws(Refusal) -> QuorumSize {
        switch try self.text(name) {
        case nil, "default": return .standard
        case "one": return .one
        case "quorum": return .quorum
        case "all": return .all
        case let text?:
            // For PR and PW, zero is what Riak says for none.
            if text == "0", name == "pr" || name == "pw" { return .standard }
            guard let count = UInt8(text), count > 0 else {
                throw .badRequest("\(name)=\(text.prefix(40)): give a number from 1 on, one, quorum, all or default")
            }
            return .count(count)
        }
    }

    /// Whether the request says so under that name; false when it says nothing.
    func flag(_ name: String) throws(Refusal) -> Bool {
        switch try self.text(name) {
        case nil, "false": false
        case "true": true
        case let text?: throw .badRequest("\(name)=\(text.prefix(40)): give true or false")
        }
    }

    /// A whole number in a range; nil when there is none.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(Refusal) -> Int? {
        guard let text = try self.text(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .badRequest(
                "\(name)=\(text.prefix(40)): give a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
