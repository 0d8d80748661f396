import CoreMetrics
import Glibc
import GyreLevelDB

/// What a store has counted since it was opened. Pure value.
struct EngineSample: Sendable {
    let commits: CommitFigures
    let filter: FilterFigures
    let cache: CacheFigures

    init(_ engine: LevelDBEngine) {
        self.commits = engine.commitFigures
        self.filter = engine.filterFigures
        self.cache = engine.cacheFigures
    }
}

/// What the system says of this process.
enum ProcessFigures {
    /// Seconds since 1970, now.
    static var wallSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec)
    }

    /// Bytes of memory that are in use; zero when the system does not say.
    static var residentBytes: UInt64 {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            .split(separator: " ")
        guard words.count > 1, let pages = UInt64(words[1]) else { return 0 }
        return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
}

/// Gauges of LevelDB's levels, which are set when somebody scrapes.
struct LevelGauges: Sendable {
    private let gauges: [(files: Gauge, bytes: Gauge, seconds: Gauge, read: Gauge, written: Gauge)]

    init() {
        func gauge(_ name: String, _ level: Int) -> Gauge {
            Gauge(label: "gyre_leveldb_\(name)", dimensions: [("level", "\(level)")])
        }
        self.gauges = (0...6).map { level in
            (
                gauge("level_files", level), gauge("level_bytes", level), gauge("compaction_seconds", level),
                gauge("compaction_read_bytes", level), gauge("compaction_written_bytes", level)
            )
        }
    }

    /// Takes in the rows that LevelDB prints; it prints none for a level that was never used.
    func set(_ levels: [LevelFigures]) {
        for level in levels where self.gauges.indices.contains(level.level) {
            let gauge = self.gauges[level.level]
            gauge.files.record(level.files)
            gauge.bytes.record(level.mebibytes << 20)
            gauge.seconds.record(level.seconds)
            gauge.read.record(level.readMebibytes << 20)
            gauge.written.record(level.writtenMebibytes << 20)
        }
    }
}
