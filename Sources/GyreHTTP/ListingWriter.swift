import GyreReports
import NIOCore

/// Writes names as JSON, page by page: one document `{"keys":[…]}` in the end, or one a page. Pure value.
struct ListingWriter: Sendable {
    /// Names of buckets that are remembered, so that none is written twice; beyond, one may be.
    private static let rememberedMax = 100_000

    private let word: String
    private let isStream: Bool
    private let escapes: Bool
    private var isFirst = true
    private var remembered: Set<ByteBuffer> = []

    /// - Parameters:
    ///   - word: `keys` or `buckets`; only buckets can come twice.
    ///   - isStream: one document a page.
    ///   - escapes: write names as they stand in a path, which keeps bytes that are no text.
    init(word: String, isStream: Bool, escapes: Bool) {
        self.word = word
        self.isStream = isStream
        self.escapes = escapes
    }

    /// What stands before the first page.
    func begin() -> ByteBuffer { ByteBuffer(string: self.isStream ? "" : "{\"\(self.word)\":[") }

    /// One page; nil when nothing of it is left to be written.
    mutating func part(_ page: [ByteBuffer]) -> ByteBuffer? {
        var names = page
        if self.word == "buckets" {
            names = names.filter { self.isNew($0) }
        }
        guard !names.isEmpty else { return nil }
        let texts = names.map { name in
            JSONText.text(self.escapes ? PercentText.encode(name) : String(buffer: name)).line
        }.joined(separator: ",")
        defer { self.isFirst = false }
        if self.isStream { return ByteBuffer(string: "{\"\(self.word)\":[\(texts)]}\n") }
        return ByteBuffer(string: (self.isFirst ? "" : ",") + texts)
    }

    /// What stands behind the last page.
    func end() -> ByteBuffer {
        guard self.isStream else { return ByteBuffer(string: "]}\n") }
        return ByteBuffer(string: self.isFirst ? "{\"\(self.word)\":[]}\n" : "")
    }

    private mutating func isNew(_ name: ByteBuffer) -> Bool {
        if self.remembered.contains(name) { return false }
        if self.remembered.count < Self.rememberedMax { self.remembered.insert(name) }
        return true
    }
}
