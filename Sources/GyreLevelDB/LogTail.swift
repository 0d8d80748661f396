import Glibc

/// Cuts off what a crash left at the end of LevelDB's write-ahead logs, before LevelDB reads them.
///
/// A log is longer than what was written to it (`CLevelLog`), so after a crash it ends in zeros, and before them may stand a
/// write that was under way: some of its pages, in any order. LevelDB takes the end of a file in mid-record for such a write,
/// and anything else that does not fit for damage, which it refuses to open.
///
/// What makes the two distinguishable is that there is one writer, and that it begins a write only after the one before it is
/// synced: behind a write that was cut off, no other can begin. So a record that does not fit ends the log if nothing
/// begins behind it, and is damage if something does; damage is left as it is, for LevelDB to report. A value may hold bytes
/// that look like the beginning of a write, so one counts only if LevelDB would have numbered it as it is.
/// The format of logs: LevelDB, `doc/log_format.md`; that of writes: `db/write_batch.cc`.
enum LogTail {
    /// Records never cross the border of two blocks.
    static let blockBytes = 32 << 10
    /// Checksum, length and type.
    static let headBytes = 7
    /// What each write begins with: the number of its first change (8 bytes) and how many changes it has (4), little-endian.
    static let writeHeadBytes = 12
    /// Logs above this size are left as they are: no log of ours becomes that long, since it is replaced when the write
    /// buffer is full.
    static let logBytesMax = 1 << 30

    private enum Kind: UInt8 {
        case full = 1
        case first = 2
        case middle = 3
        case last = 4

        /// Whether a write begins with it.
        var begins: Bool { self == .full || self == .first }
    }

    private struct Record {
        let kind: Kind
        let start: Int
        let end: Int
    }

    /// Shortens every log in `directory` to its last whole write. A directory without any is no error. The number of bytes
    /// of writes that were cut off; not of the zeros behind them.
    static func cut(inDirectory path: String) throws(SystemError) -> Int {
        guard let directory = opendir(path) else { return 0 }
        defer { closedir(directory) }
        var remains = 0
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".log") { remains += try self.cut(path + "/" + name) }
        }
        return remains
    }

    private static func cut(_ path: String) throws(SystemError) -> Int {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("stat", path) }
        let count = Int(status.st_size)
        guard count > 0, count <= self.logBytesMax else { return 0 }
        // Read and not mapped: a sector that cannot be read is then an error and not a signal.
        let bytes = try Files.read(path, bytesMax: count) ?? []
        let (end, remains) = bytes.withUnsafeBytes { log in
            let end = self.end(of: log)
            return (end, log[end...].lastIndex { $0 != 0 }.map { $0 + 1 - end } ?? 0)
        }
        guard end < count else { return 0 }
        guard ftruncate(descriptor, off_t(end)) == 0 else { throw SystemError("truncate", path) }
        guard fsync(descriptor) == 0 else { throw SystemError("fsync", path) }
        return remains
    }

    /// How long the log is without the write that was cut off; all of it when it is whole, or damaged elsewhere.
    static func end(of log: UnsafeRawBufferPointer) -> Int {
        var position = 0
        var whole = 0
        var isWithin = false
        /// The numbers that the first change of the next write can have; any, as long as no write is known.
        var numbers: ClosedRange<UInt64> = 0...UInt64.max
        var next: UInt64?
        while true {
            let left = self.blockBytes - position % self.blockBytes
            if left < self.headBytes {
                position += left
                continue
            }
            guard let record = self.record(at: position, in: log), record.kind.begins != isWithin else { break }
            if record.kind.begins { next = self.head(of: record, in: log).map { $0.number &+ UInt64($0.count) } }
            position = record.end
            isWithin = record.kind == .first || record.kind == .middle
            guard !isWithin else { continue }
            whole = position
            // The write that was cut off has a change a byte at most.
            if let next { numbers = next...max(next, next &+ UInt64(log.count)) }
        }
        return self.begins(after: position, numbers, in: log) ? log.count : whole
    }

    /// The record at `position`, if it is one, with the right checksum.
    private static func record(at position: Int, in log: UnsafeRawBufferPointer) -> Record? {
        guard position + self.headBytes <= log.count else { return nil }
        guard let kind = Kind(rawValue: log[position + 6]) else { return nil }
        let length = Int(log[position + 4]) | Int(log[position + 5]) << 8
        let end = position + self.headBytes + length
        guard end <= log.count, position % self.blockBytes + self.headBytes + length <= self.blockBytes else {
            return nil
        }
        let noted = log.loadUnaligned(fromByteOffset: position, as: UInt32.self)
        let checked = UnsafeRawBufferPointer(rebasing: log[(position + 6)..<end])
        guard UInt32(littleEndian: noted) == CRC32C.masked(CRC32C.of(checked)) else { return nil }
        return Record(kind: kind, start: position + self.headBytes, end: end)
    }

    /// What the write that begins with `record` begins with, over as many records as that takes; nil when they are not there.
    private static func head(
        of record: Record, in log: UnsafeRawBufferPointer
    ) -> (number: UInt64, count: UInt32)? {
        if record.end - record.start >= self.writeHeadBytes { return self.head(at: record.start, in: log) }
        var bytes = Array(log[record.start..<record.end])
        var part = record
        while bytes.count < self.writeHeadBytes {
            guard part.kind == .first || part.kind == .middle else { return nil }
            let left = self.blockBytes - part.end % self.blockBytes
            let position = left < self.headBytes ? part.end + left : part.end
            guard let following = self.record(at: position, in: log), !following.kind.begins else { return nil }
            bytes += log[following.start..<following.end].prefix(self.writeHeadBytes - bytes.count)
            part = following
        }
        return bytes.withUnsafeBytes { self.head(at: 0, in: $0) }
    }

    private static func head(at start: Int, in bytes: UnsafeRawBufferPointer) -> (number: UInt64, count: UInt32) {
        (
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self))
        )
    }

    /// Whether a write whose first change has one of `numbers` begins anywhere behind `position`. The one at `position` may be the one
    /// that was cut off, and the lengths in it cannot be trusted, so every byte is tried.
    private static func begins(
        after position: Int, _ numbers: ClosedRange<UInt64>, in log: UnsafeRawBufferPointer
    ) -> Bool {
        var candidate = position + 1
        while candidate + self.headBytes <= log.count {
            if let kind = Kind(rawValue: log[candidate + 6]), kind.begins,
                let record = self.record(at: candidate, in: log), let head = self.head(of: record, in: log),
                numbers.contains(head.number)
            {
                return true
            }
            candidate += 1
        }
        return false
    }
}
