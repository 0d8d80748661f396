package import GyreBase

/// How long group commits took, and how many writes shared one. Pure value.
package struct CommitFigures: Hashable, Sendable {
    /// From this many nanoseconds on a commit counts as held up by LevelDB or the disk: 100 ms.
    package static let stallNanoseconds: Int64 = 100_000_000

    /// Their durations in microseconds, syncs included.
    package var microseconds = PowerHistogram()
    /// Requests answered by one commit.
    package var writes = PowerHistogram()
    /// Commits that were held up.
    package var stalls: UInt64 = 0

    /// Nothing yet.
    package init() {}
}

/// One level of LevelDB in its own words, of which sizes are whole MiB. Pure value.
package struct LevelFigures: Hashable, Sendable {
    /// The level, 0 to 6.
    package let level: Int
    /// Its tables.
    package let files: UInt64
    /// Its size, in MiB.
    package let mebibytes: UInt64
    /// Seconds spent on compactions into it since the store was opened.
    package let seconds: UInt64
    /// What these read, in MiB.
    package let readMebibytes: UInt64
    /// What these wrote, in MiB.
    package let writtenMebibytes: UInt64

    /// Reads the rows of the property `leveldb.stats`: six whole numbers each; anything else is skipped, because the text is for
    /// people and another version of LevelDB may write another one.
    package static func read(_ text: String) -> [LevelFigures] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            let numbers = words.compactMap { UInt64($0) }
            guard words.count == 6, numbers.count == 6, numbers[0] <= 6 else { return nil }
            return LevelFigures(
                level: Int(numbers[0]), files: numbers[1], mebibytes: numbers[2], seconds: numbers[3],
                readMebibytes: numbers[4], writtenMebibytes: numbers[5])
        }
    }
}
