/// Why bytes from outside (client, peer, disk) could not be read as what they claim to be.
///
/// Typed and without allocation, because a decoder may throw it a million times a second.
package enum DecodeError: Error, Equatable, Sendable {
    /// The bytes end before the value does.
    case truncated
    /// A variable-length integer that is longer than needed or does not fit 64 bits.
    case malformedInteger
    /// A length above its limit.
    case tooLong(bytes: UInt64, bytesMax: UInt64)
    /// A count above its limit.
    case tooMany(count: UInt64, countMax: UInt64)
    /// A field with a value that is not one of its kind; `field` names it.
    case invalid(field: StaticString)
    /// Bytes left over after the value.
    case trailing(bytes: Int)
    /// A checksum that does not match.
    case checksumMismatch

    /// Equal when the case and its numbers are.
    package static func == (a: DecodeError, b: DecodeError) -> Bool {
        switch (a, b) {
        case (.truncated, .truncated), (.malformedInteger, .malformedInteger): true
        case (.checksumMismatch, .checksumMismatch): true
        case (.tooLong(let x, let y), .tooLong(let z, let w)): x == z && y == w
        case (.tooMany(let x, let y), .tooMany(let z, let w)): x == z && y == w
        case (.invalid(let x), .invalid(let y)): x.description == y.description
        case (.trailing(let x), .trailing(let y)): x == y
        default: false
        }
    }
}
