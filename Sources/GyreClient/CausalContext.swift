package import GyreBase
package import GyreCausality
import GyreMessages

/// What a client has seen of one key: comes with every answer, goes back with the next put or delete of that key.
///
/// Opaque; programs keep and pass on `text`. It belongs to one key: the checksum inside is seeded with the key's token,
/// so that a context of another key, or a damaged one, is refused instead of hiding somebody's write. Pure value; safe
/// from any thread.
public struct CausalContext: Hashable, Sendable, CustomStringConvertible {
    /// The longest text that is read.
    public static let textBytesMax = ContextToken.textBytesMax

    private let token: ContextToken

    /// The context of `name` that covers `vector`.
    package init(_ vector: VersionVector, of name: ObjectName) { self.token = ContextToken(vector, of: name) }

    /// Reads what `text` wrote. Whether it belongs to a key shows when it is used.
    /// - Throws: `badRequest` when it is not the text of any context.
    public init(text: String) throws(GyreError) {
        guard let token = ContextToken(text: text) else {
            throw GyreError(.badRequest, "not a causal context: \(text.prefix(40))", try: Self.advice)
        }
        self.token = token
    }

    /// Letters, digits, `-` and `_`: fits a header, a URL and a command line.
    public var text: String { self.token.text }

    /// The same as `text`.
    public var description: String { self.text }

    /// What the context covers.
    /// - Throws: `badRequest` when it belongs to another key or was damaged.
    package func vector(for name: ObjectName) throws(GyreError) -> VersionVector {
        guard let vector = self.token.vector(for: name) else {
            throw GyreError(.badRequest, "the context is damaged or belongs to another key", try: Self.advice)
        }
        return vector
    }

    private static let advice = "use the context that 'gyre get' prints for this key"
}
