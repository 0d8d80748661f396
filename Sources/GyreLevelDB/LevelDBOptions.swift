/// How much an acknowledged write has survived (architecture D6).
package enum Durability: String, Sendable, CaseIterable {
    /// Synced: survives power cuts.
    case always
    /// Written, and synced within `LevelDBOptions.syncIntervalMilliseconds`: survives a killed process.
    case interval
    /// Written, and synced when the system likes: survives a killed process.
    case none
}

/// Which Bloom filter the tables carry.
package enum FilterChoice: Hashable, Sendable {
    /// Gyre's own over XXH3, with counters.
    case own(bitsPerKey: Int)
    /// LevelDB's, for comparison; not counted.
    case builtIn(bitsPerKey: Int)
    /// None, for comparison.
    case off
}

/// Settings of one LevelDB store; the defaults are the ones measured best (docs/internals/storage-format.md).
package struct LevelDBOptions: Sendable {
    /// What a reply to a write promises.
    package var durability = Durability.always
    /// With `interval`, the longest time between a write and its sync.
    package var syncIntervalMilliseconds = 100
    /// The cache of data blocks.
    package var cacheBytes = 32 << 20
    /// Writes are sorted in memory up to this many bytes before they become a table.
    package var writeBufferBytes = 8 << 20
    /// The log grows by this many bytes ahead of its use, so that a sync writes data alone; zero lets each write make it
    /// longer. Of use where each commit is synced.
    package var logStepBytes = 1 << 20
    /// The cache of records that were written or read last, in bytes; zero keeps none.
    package var recordCacheBytes = 24 << 20
    /// Tables are split at this size.
    package var tableBytes = 8 << 20
    /// Data blocks are read and checked as a whole.
    package var blockBytes = 4 << 10
    /// Tables kept open.
    package var openFilesMax = 500
    /// Whether blocks are compressed with Snappy.
    package var isCompressed = false
    /// The Bloom filter; a store opened with another choice stays readable, older tables just go without.
    package var filter = FilterChoice.own(bitsPerKey: 10)
    /// Requests that wait or are being served, at most; more are refused whole (`StorageThreads.Admission`).
    package var queueMax = 65_536
    /// Requests served in one group commit, at most, so that one commit does not hold the others up.
    package var commitMax = 4_096

    /// Keys and values of all hints, in bytes, at most; more are refused (architecture §6).
    package var hintBytesMax: UInt64 = 1 << 30

    /// Where a sync is rare, nothing is gained by a log that is longer than what was written.
    var logStep: Int { self.durability == .always ? self.logStepBytes : 0 }

    /// The defaults.
    package init() {}
}
