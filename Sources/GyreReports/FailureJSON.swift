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
