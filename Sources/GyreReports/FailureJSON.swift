package import GyreClient

extension GyreError {
    /// The shape of any failure (docs/operations.md).
    package var json: JSONText {
        .object([
            ("error", .text(self.code.rawValue)), ("message", .text(self.message)),
            ("needed", self.needed.map { .integer(Int64($0)) } ?? .null),
            ("got", self.got.map { .integer(Int64($0)) } ?? .null),
            ("may_have_happened", .bool(self.mayHaveHappened)), ("try", .text(self.hint)),
        ])
    }
}

extension JSONText {
    /// The same shape for a failure that no node was asked about: one word for what it is, and the line for a person.
    package static func failure(_ word: String, _ message: String) -> JSONText {
        .object([
            ("error", .text(word)), ("message", .text(message)), ("needed", .null), ("got", .null),
            ("may_have_happened", .bool(false)), ("try", .text("")),
        ])
    }
}
