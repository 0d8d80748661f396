/// When the next group commit may begin.
///
/// A sync costs the same for one write as for many, and the disk is often that of other nodes too. So while writes come faster
/// than the writer could sync them one by one, a commit begins `restFactor` times as long after the one before it as commits
/// take, or as soon as `enough` writes wait, and gathers what comes meanwhile. Whoever writes alone, or next to alone, never
/// waits: its next write comes after the answer to this one, and nothing would be gathered. docs/decisions/0012 has the
/// figures. Pure; confined to its owner.
struct CommitPace {
    /// A commit never waits for longer than this after the one before it began, in nanoseconds.
    static let restMax: Int64 = 1_000_000
    /// So many writes need not wait for more: a sync is by then a small part of what they cost.
    static let enough = 16
    private static let restFactor: Int64 = 3
    /// A pause says nothing of how fast writes come when they come.
    private static let periodMax: Int64 = 20_000_000
    /// Each commit moves the means by this part of the difference.
    private static let weight: Int64 = 16
    /// The mean of writes up to which commits carry what one client sends, in 1/1024.
    private static let aloneMost: Int64 = 1_088

    private var lastBegan: Int64 = 0
    /// Means over the last commits: from one to the next, and how long each took, in nanoseconds; the writes of each, in 1/1024.
    private var period = Self.periodMax
    private var took: Int64 = 0
    private var writes: Int64 = 1_024

    /// Notes a commit of so many writes; both times on the monotonic clock, in nanoseconds.
    mutating func note(began: Int64, ended: Int64, writes: Int) {
        let period = min(Self.periodMax, max(0, began - self.lastBegan))
        self.lastBegan = began
        self.period += (period - self.period) / Self.weight
        self.took += (min(Self.periodMax, max(0, ended - began)) - self.took) / Self.weight
        self.writes += (Int64(min(writes, 1 << 20)) * 1_024 - self.writes) / Self.weight
    }

    /// The moment before which no commit should begin with what waits; in the past when there is no reason to wait.
    var earliest: Int64 {
        guard self.writes > Self.aloneMost else { return self.lastBegan }
        // Writes a second times the time that one takes, above three quarters: the writer could hardly keep up one by one.
        guard self.took * self.writes * 4 > self.period * 1_024 * 3 else { return self.lastBegan }
        return self.lastBegan + min(Self.restMax, self.took * Self.restFactor)
    }
}
