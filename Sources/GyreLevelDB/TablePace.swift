/// Whether the thread that writes and merges tables may rest between its pieces of work: not while what is written would fill the
/// memory table faster than a thread that rests writes it out, nor while tables wait to be merged. Pure; confined to its owner.
struct TablePace {
    /// Looked at so often, in nanoseconds.
    static let interval: Int64 = 100_000_000
    /// LevelDB merges level 0 from four tables on, and slows writes down from eight on.
    static let levelZeroCalm = 5
    /// The memory table must last so many seconds.
    private static let bufferSeconds: Int64 = 2

    private let bufferBytes: Int64
    private var bytes: Int64 = 0
    private var lastLook: Int64 = 0

    /// For a memory table of `bufferBytes`.
    init(bufferBytes: Int) { self.bufferBytes = Int64(bufferBytes) }

    /// Counts a commit of so many bytes at `now`, monotonic nanoseconds. When it is time to look: whether it is too much for a rest,
    /// with so many tables in level 0.
    mutating func isBehind(after bytes: Int, at now: Int64, levelZero: () -> Int) -> Bool? {
        self.bytes += Int64(bytes)
        let passed = now - self.lastLook
        guard passed >= Self.interval else { return nil }
        let bytesPerSecond = self.bytes * 1_000 / max(1, passed / 1_000_000)
        self.bytes = 0
        self.lastLook = now
        return bytesPerSecond > self.bufferBytes / Self.bufferSeconds || levelZero() > Self.levelZeroCalm
    }
}
