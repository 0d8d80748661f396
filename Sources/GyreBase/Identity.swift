/// A point in the 64-bit space that keys and virtual nodes are hashed to (Dynamo §4.2).
///
/// Pure value; safe from any thread.
package struct Token: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The position, 0 to 2^64 − 1, clockwise.
    package let rawValue: UInt64

    /// Wraps a position.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Sixteen hexadecimal digits.
    package var description: String { hexadecimal(self.rawValue) }

    /// Clockwise order, starting at zero.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Who a node is, for as long as its data directory lives; never its address (architecture D4, D11).
///
/// Drawn at random when a data directory is created, never zero. Pure value; safe from any thread.
package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The identity, 1 to 2^64 − 1.
    package let rawValue: UInt64

    /// Wraps an identity.
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Reads sixteen hexadecimal digits, as `description` writes them; nil for anything else and for zero.
    package init?(hexadecimal text: some StringProtocol) {
        guard text.utf8.count == 16, let value = UInt64(text, radix: 16), value != 0 else { return nil }
        self.rawValue = value
    }

    /// Sixteen hexadecimal digits.
    package var description: String { hexadecimal(self.rawValue) }

    /// Numerical order: the tie-break every node agrees on.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// `value` as sixteen lower-case hexadecimal digits.
package func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}
