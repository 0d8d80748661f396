/// How long the next answers of a connection or of a command are likely to be, judged by the last ones: it decides how many may
/// be asked for at the same time. A value of its owner.
///
/// Nothing says beforehand how long a value is, so few are asked for at first, more the more of them were short, and never so
/// many that a run of the longest values would fill the memory: with 4 MiB of room, 8 at first and 128 at most.
struct AnswerPace {
    private static let bytesAtFirst = 512 << 10
    private static let bytesMin = 32 << 10

    /// Bytes that one answer is likely to have.
    private(set) var bytesExpected = Self.bytesAtFirst

    /// Learns from an answer. A long one counts at once and is forgotten over the next dozens.
    mutating func note(_ bytes: Int) {
        self.bytesExpected = max(bytes, Self.bytesMin, self.bytesExpected - self.bytesExpected / 8)
    }
}
