import Glibc
import GyreBase
import GyreStorage
import NIOCore

/// Records by name in one piece of memory: a ring of entries, and a table with open addressing that finds them by token.
///
/// A record of its own on the heap costs an object, a counter and a free block that are all cold when it leaves; here the
/// oldest entry is passed over instead. What came in first leaves first, unless somebody asked for it since: then it goes
/// to the front once more (CLOCK, Corbató 1968), as do entries of the commit under way, which never leave, so that a commit
/// sees what it wrote. Confined to its owner.
///
/// Invariants: `tail <= head <= tail + capacity`; between them entries lie one behind the other, each `bytes` long, except
/// that what is left at the end of the memory is skipped; the table holds exactly the live ones.
struct RecordSlab: ~Copyable {
    /// What stands before the bytes of an entry: bucket, key, body.
    private struct Head {
        /// The whole entry, this included.
        var bytes: UInt32
        var bodyBytes: UInt32
        var token: UInt64
        var digest: UInt64
        var versionCount: UInt32
        /// The commit that wrote it.
        var commit: UInt32
        var keyBytes: UInt16
        var bucketBytes: UInt8
        var flags: UInt8

        static let live: UInt8 = 1
        static let expires: UInt8 = 2
        /// Somebody asked for it since it came to the front.
        static let wanted: UInt8 = 4
    }

    /// A record is not kept when its entry is longer: one would push out a hundred others.
    static let entryBytesMax = 16 << 10
    /// So that the table never fills up.
    private static let entryBytesMin = 96
    /// Entries that go to the front again while room is made for one, at most; wanted ones behind them leave all the same.
    private static let sparedMax = 16
    private static var headBytes: Int { MemoryLayout<Head>.stride }

    /// The bytes of the ring; zero keeps nothing.
    let capacity: Int
    private let memory: UnsafeMutableRawPointer
    /// By place: the low half of the token, and in the upper half where its entry is, in units of eight bytes and one more.
    private let table: UnsafeMutablePointer<UInt64>
    private let mask: Int
    /// Odd and drawn anew, so that nobody can choose names that crowd one part of the table.
    private let spread: UInt64
    private var head = 0
    private var tail = 0
    /// The commit under way.
    private(set) var commit: UInt32 = 1
    /// How many records there are.
    private(set) var count = 0

    /// An empty slab that takes `bytesMax` bytes, its table included, 16 GiB at most; with less than 4 KiB it keeps nothing.
    init(bytesMax: Int) {
        let bytesMax = min(bytesMax, 16 << 30)
        var places = 1
        while places < bytesMax / 64 { places *= 2 }
        let capacity = bytesMax < 4 << 10 ? 0 : (bytesMax - places * 8) & ~7
        self.capacity = capacity
        self.mask = places - 1
        self.memory = .allocate(byteCount: max(capacity, 8), alignment: 16)
        self.spread = UInt64.random(in: 0...UInt64.max) | 1
        self.table = .allocate(capacity: places)
        self.table.initialize(repeating: 0, count: places)
    }

    deinit {
        self.memory.deallocate()
        self.table.deallocate()
    }

    // MARK: - Looking up

    /// The record under `name`; with `isCommitted`, only what is in the store.
    mutating func record(_ name: ObjectName, isCommitted: Bool) -> ObjectRecord? {
        guard let offset = self.found(name, isCommitted: isCommitted) else { return nil }
        let head = self.entry(offset)
        var body = ByteBufferAllocator().buffer(capacity: Int(head.bodyBytes))
        body.writeBytes(
            UnsafeRawBufferPointer(
                start: self.memory + offset + Self.headBytes + Int(head.bucketBytes) + Int(head.keyBytes),
                count: Int(head.bodyBytes)))
        return ObjectRecord(
            body: body, digest: RecordDigest(rawValue: head.digest), versionCount: Int(head.versionCount),
            hasExpiry: head.flags & Head.expires != 0)
    }

    /// The digest of what is in the store under `name`, if that is known.
    mutating func committedDigest(_ name: ObjectName) -> RecordDigest? {
        self.found(name, isCommitted: true).map { RecordDigest(rawValue: self.entry($0).digest) }
    }

    /// Whether there is an entry, committed or not.
    func holds(_ name: ObjectName) -> Bool { self.place(of: name) != nil }

    private mutating func found(_ name: ObjectName, isCommitted: Bool) -> Int? {
        guard let place = self.place(of: name) else { return nil }
        let offset = self.offset(self.table[place])
        var head = self.entry(offset)
        if isCommitted, head.commit == self.commit { return nil }
        if head.flags & Head.wanted == 0 {
            head.flags |= Head.wanted
            self.setEntry(offset, head)
        }
        return offset
    }

    // MARK: - Changing

    /// Keeps what is written to the store under `name`, by the commit under way or before it. False when it is not kept; then
    /// nothing is known of `name`.
    mutating func keep(_ name: ObjectName, _ record: ObjectRecord, isCommitted: Bool) -> Bool {
        let nameBytes = name.bucket.readableBytes + name.key.readableBytes
        let needed = Self.headBytes + nameBytes + record.body.readableBytes
        var head = Head(
            bytes: 0, bodyBytes: UInt32(clamping: record.body.readableBytes), token: name.token.rawValue,
            digest: record.digest.rawValue, versionCount: UInt32(clamping: record.versionCount),
            commit: isCommitted ? self.commit &- 1 : self.commit, keyBytes: UInt16(clamping: name.key.readableBytes),
            bucketBytes: UInt8(clamping: name.bucket.readableBytes),
            flags: record.hasExpiry ? Head.live | Head.expires : Head.live)
        if let place = self.place(of: name) {
            let offset = self.offset(self.table[place])
            let old = self.entry(offset)
            if needed <= Int(old.bytes) {
                head.bytes = old.bytes
                head.flags |= old.flags & Head.wanted
                self.setEntry(offset, head)
                self.copy(record.body, to: offset + Self.headBytes + nameBytes)
                return true
            }
            self.remove(place)
        }
        // Some more than is needed: contexts grow by a few bytes when other nodes coordinate.
        let bytes = max((needed + 16 + 7) & ~7, Self.entryBytesMin)
        guard bytes <= min(Self.entryBytesMax, self.capacity / 4), let offset = self.room(for: bytes)
        else { return false }
        head.bytes = UInt32(bytes)
        self.setEntry(offset, head)
        self.copy(name.bucket, to: offset + Self.headBytes)
        self.copy(name.key, to: offset + Self.headBytes + name.bucket.readableBytes)
        self.copy(record.body, to: offset + Self.headBytes + nameBytes)
        self.enter(name.token.rawValue, offset)
        return true
    }

    /// Forgets what was known of `name`.
    mutating func forget(_ name: ObjectName) {
        if let place = self.place(of: name) { self.remove(place) }
    }

    /// What was kept by the commit under way is in the store now.
    mutating func endCommit() { self.commit &+= 1 }

    // MARK: - The ring

    /// Makes room for an entry and returns where it is; nil when too many of the oldest are of the commit under way.
    private mutating func room(for bytes: Int) -> Int? {
        var spared = Self.sparedMax
        while true {
            let left = self.capacity - self.head % self.capacity
            let wanted = bytes <= left ? bytes : left + bytes
            if self.capacity - (self.head - self.tail) >= wanted { break }
            guard self.dropOldest(&spared) else { return nil }
        }
        let left = self.capacity - self.head % self.capacity
        if bytes > left { self.skip(left) }
        defer { self.head += bytes }
        return self.head % self.capacity
    }

    /// An entry that is none.
    private static func gap(_ bytes: Int) -> Head {
        Head(
            bytes: UInt32(bytes), bodyBytes: 0, token: 0, digest: 0, versionCount: 0, commit: 0, keyBytes: 0,
            bucketBytes: 0, flags: 0)
    }

    private mutating func dropOldest(_ spared: inout Int) -> Bool {
        let offset = self.tail % self.capacity
        guard self.capacity - offset >= Self.headBytes else {
            self.tail += self.capacity - offset
            return true
        }
        var head = self.entry(offset)
        let bytes = Int(head.bytes)
        guard head.flags & Head.live != 0 else {
            self.tail += bytes
            return true
        }
        let isPending = head.commit == self.commit
        if isPending || head.flags & Head.wanted != 0, spared > 0 {
            spared -= 1
            if !isPending { head.flags &= ~Head.wanted }
            if self.moveToFront(offset, head) { return true }
        }
        if isPending { return false }
        self.remove(self.place(of: offset, head.token))
        self.tail += bytes
        return true
    }

    /// Moves the oldest entry, at `offset`, to the front as `head`. The room that it leaves is enough for it, unless the end of the
    /// memory is in between and the rest there reaches the entry itself: then it stays, and false comes back.
    private mutating func moveToFront(_ offset: Int, _ head: Head) -> Bool {
        let bytes = Int(head.bytes)
        let left = self.capacity - self.head % self.capacity
        if bytes > left {
            guard left <= self.capacity - (self.head - self.tail) else { return false }
            self.skip(left)
        }
        let front = self.head % self.capacity
        let place = self.place(of: offset, head.token)
        // The two may overlap when the ring is full.
        (self.memory + front).copyMemory(from: self.memory + offset, byteCount: bytes)
        self.setEntry(front, head)
        self.table[place] = self.tableEntry(head.token, front)
        self.tail += bytes
        self.head += bytes
        return true
    }

    /// Leaves the `rest` at the end of the memory out.
    private mutating func skip(_ rest: Int) {
        if rest >= Self.headBytes { self.setEntry(self.head % self.capacity, Self.gap(rest)) }
        self.head += rest
    }

    private func entry(_ offset: Int) -> Head { self.memory.load(fromByteOffset: offset, as: Head.self) }

    private func setEntry(_ offset: Int, _ head: Head) {
        self.memory.storeBytes(of: head, toByteOffset: offset, as: Head.self)
    }

    private func copy(_ bytes: ByteBuffer, to offset: Int) {
        bytes.withUnsafeReadableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            (self.memory + offset).copyMemory(from: start, byteCount: bytes.count)
        }
    }

    // MARK: - The table

    private func offset(_ tableEntry: UInt64) -> Int { (Int(tableEntry >> 32) - 1) * 8 }

    private func tableEntry(_ token: UInt64, _ offset: Int) -> UInt64 {
        UInt64(offset / 8 + 1) << 32 | token & 0xFFFF_FFFF
    }

    /// Where the search for a token, or for what the table holds of it, begins.
    private func home(_ token: UInt64) -> Int { Int(((token & 0xFFFF_FFFF) &* self.spread) >> 32) & self.mask }

    private func place(of name: ObjectName) -> Int? {
        let low = name.token.rawValue & 0xFFFF_FFFF
        var place = self.home(low)
        while self.table[place] != 0 {
            if self.table[place] & 0xFFFF_FFFF == low, self.isEntry(self.offset(self.table[place]), of: name) {
                return place
            }
            place = (place + 1) & self.mask
        }
        return nil
    }

    /// Where the table says that an entry with `token` is at `offset`, which is live.
    private func place(of offset: Int, _ token: UInt64) -> Int {
        var place = self.home(token)
        while self.offset(self.table[place]) != offset {
            precondition(self.table[place] != 0, "an entry that the table does not hold")
            place = (place + 1) & self.mask
        }
        return place
    }

    private func isEntry(_ offset: Int, of name: ObjectName) -> Bool {
        let head = self.entry(offset)
        guard head.token == name.token.rawValue, Int(head.bucketBytes) == name.bucket.readableBytes,
            Int(head.keyBytes) == name.key.readableBytes
        else { return false }
        let start = offset + Self.headBytes
        return self.isEqual(start, name.bucket) && self.isEqual(start + Int(head.bucketBytes), name.key)
    }

    private func isEqual(_ offset: Int, _ bytes: ByteBuffer) -> Bool {
        bytes.withUnsafeReadableBytes { bytes in
            guard let start = bytes.baseAddress else { return true }
            return memcmp(self.memory + offset, start, bytes.count) == 0
        }
    }

    private mutating func enter(_ token: UInt64, _ offset: Int) {
        var place = self.home(token)
        while self.table[place] != 0 { place = (place + 1) & self.mask }
        self.table[place] = self.tableEntry(token, offset)
        self.count += 1
    }

    /// Takes an entry out of the table and closes the gap, so that no search ends early (Knuth, TAOCP 3, 6.4, algorithm R).
    private mutating func remove(_ place: Int) {
        let offset = self.offset(self.table[place])
        var head = self.entry(offset)
        head.flags &= ~Head.live
        self.setEntry(offset, head)
        var hole = place
        var next = (place + 1) & self.mask
        while self.table[next] != 0 {
            let fromHome = (next - self.home(self.table[next])) & self.mask
            if fromHome >= (next - hole) & self.mask {
                self.table[hole] = self.table[next]
                hole = next
            }
            next = (next + 1) & self.mask
        }
        self.table[hole] = 0
        self.count -= 1
    }
}
