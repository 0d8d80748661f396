import Glibc
import GyreBase
import GyreStorage
import NIOCore

/// The records that the writer wrote last, so that a write to one of them needs no look into LevelDB.
///
/// Every update and merge wants the record that it changes. LevelDB finds it by a walk through a list of some ten thousand
/// entries, nearly each of which has to come from memory; here it is one place in a table. The cache is exact because the
/// writer alone changes records: what it writes it keeps here, and what it cannot keep it forgets.
///
/// Holds at most `bytesMax` bytes after `trim`, counted with `entryBytes` an entry; what came in first leaves first.
/// Nothing leaves in between, so that a commit sees all that it has written itself. Confined to the writer's thread. The
/// order of its dictionary reaches nothing.
struct RecordCache {
    private struct Entry {
        /// Storage key and value as they go to LevelDB, in a buffer of their own; empty when nothing is known.
        var bytes = ByteBuffer()
        var keyBytes = 0
        var versionCount = 0
        var hasExpiry = false
    }

    /// A record is not kept when its storage key and value are longer together: one would push out a hundred others.
    static let recordBytesMax = 16 << 10
    /// What an entry takes beside its buffer's bytes: places in table and queue, and what the buffer needs itself.
    static let entryBytes = 144

    private let bytesMax: Int
    private var entries: [Token: Entry] = [:]
    /// The tokens of all entries, each once, in the order they came in; those before `oldest` have left.
    private var queue: [Token] = []
    private var oldest = 0
    /// The bytes held, as they count against the limit.
    private(set) var bytes = 0

    /// An empty cache; with a limit of zero it stays so.
    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// How many entries there are, forgotten ones included.
    var count: Int { self.entries.count }

    /// The record last written under `name`, or nil when LevelDB must be asked.
    func record(_ name: ObjectName) -> ObjectRecord? {
        guard let entry = self.entries[name.token], Self.holds(entry, name) else { return nil }
        var body = entry.bytes
        body.moveReaderIndex(forwardBy: entry.keyBytes + 1)
        guard let digest = body.readInteger(as: UInt64.self) else { return nil }
        return ObjectRecord(
            body: body, digest: RecordDigest(rawValue: digest), versionCount: entry.versionCount,
            hasExpiry: entry.hasExpiry)
    }

    /// Keeps what was just written: `bytes` holds the storage key of `name` in its first `keyBytes`, then the value.
    /// False when it is not kept; then nothing is known of `name` any more.
    mutating func keep(_ bytes: ByteBuffer, keyBytes: Int, _ record: ObjectRecord, name: ObjectName) -> Bool {
        let fits = bytes.capacity <= min(Self.recordBytesMax, self.bytesMax)
        let entry =
            fits
            ? Entry(
                bytes: bytes, keyBytes: keyBytes, versionCount: record.versionCount, hasExpiry: record.hasExpiry)
            : Entry()
        guard let index = self.entries.index(forKey: name.token) else {
            guard fits else { return false }
            self.entries[name.token] = entry
            self.queue.append(name.token)
            self.bytes += entry.bytes.capacity + Self.entryBytes
            return true
        }
        let old = self.entries.values[index]
        // Two names with one token share a place, which belongs to the first of them until it leaves.
        guard old.keyBytes == 0 || Self.holds(old, name) else { return false }
        self.bytes += entry.bytes.capacity - old.bytes.capacity
        self.entries.values[index] = entry
        return fits
    }

    /// Forgets what was written under `name`, which is gone.
    mutating func forget(_ name: ObjectName) {
        guard let index = self.entries.index(forKey: name.token) else { return }
        let old = self.entries.values[index]
        guard Self.holds(old, name) else { return }
        self.bytes -= old.bytes.capacity
        self.entries.values[index] = Entry()
    }

    /// Lets the first go until the rest is within the limit. Not before the commit that wrote them is done.
    mutating func trim() {
        while self.bytes > self.bytesMax, self.oldest < self.queue.count {
            let leaving = self.entries.removeValue(forKey: self.queue[self.oldest])
            self.bytes -= (leaving?.bytes.capacity ?? 0) + Self.entryBytes
            self.oldest += 1
        }
        if self.oldest >= 1_024, self.oldest * 2 >= self.queue.count {
            self.queue.removeFirst(self.oldest)
            self.oldest = 0
        }
    }

    /// Whether `entry` is the one of `name`, given that their tokens are equal.
    private static func holds(_ entry: Entry, _ name: ObjectName) -> Bool {
        let bucketBytes = name.bucket.readableBytes
        guard entry.keyBytes == StorageKey.headBytes + bucketBytes + name.key.readableBytes else { return false }
        return entry.bytes.withUnsafeReadableBytes { held in
            let bucketEnd = StorageKey.headBytes + bucketBytes
            // With the length of the bucket equal, equal bytes are an equal name.
            guard Int(held[StorageKey.headBytes - 1]) == bucketBytes else { return false }
            return Self.isEqual(held[StorageKey.headBytes..<bucketEnd], name.bucket)
                && Self.isEqual(held[bucketEnd..<entry.keyBytes], name.key)
        }
    }

    private static func isEqual(_ a: Slice<UnsafeRawBufferPointer>, _ b: ByteBuffer) -> Bool {
        b.withUnsafeReadableBytes { b in
            guard let first = UnsafeRawBufferPointer(rebasing: a).baseAddress, let second = b.baseAddress else {
                return a.isEmpty
            }
            return memcmp(first, second, b.count) == 0
        }
    }
}
