import Glibc
import GyreBase
import GyreStorage
import NIOCore

/// Looks up objects that follow each other in storage order, as those of a page do: one cursor goes along, where each lookup
/// would search all tables anew. What is not there costs one comparison with what comes next.
///
/// Sees what was committed when it was made. It gives up, and says so by nil, where it met damage, where the names lie too far
/// apart, and where a move takes long: LevelDB passes over what was removed and is not merged yet, entry by entry. Confined to its
/// owner.
struct RecordWalk: ~Copyable {
    private let cursor: LevelDBCursor
    private var key = ByteBuffer()
    /// The key looked up last: nothing lies between it and where the cursor stands.
    private var last = ByteBuffer()
    private var value = ByteBuffer()
    private var isPlaced = false
    private var isOver = false
    /// Whether a move took so long that the next commits had better look up one by one.
    private(set) var wasSlow = false
    private var lookups = 0
    private var seeks = 0

    /// So many entries are passed one by one before the cursor is placed anew.
    private static let stepsMax = 4
    /// So often it may be placed anew, and once more every `lookupsPerSeek`: a lookup of its own costs a fraction of that.
    private static let seeksMax = 4
    private static let lookupsPerSeek = 16
    /// A move takes some microseconds, and some tens where it reads a block; in nanoseconds.
    private static let moveMax: Int64 = 1_000_000

    init(_ database: LevelDB) throws(StorageFailure) {
        do { self.cursor = try database.cursor() } catch {
            throw StorageFailure("a walk of the store failed: \(error)")
        }
    }

    /// What stands under `name`; nil when it must be looked up otherwise.
    mutating func held(_ name: ObjectName) throws(StorageFailure) -> HeldRecord? {
        self.lookups += 1
        guard !self.isOver, self.seeks <= Self.seeksMax + self.lookups / Self.lookupsPerSeek else { return nil }
        swap(&self.key, &self.last)
        RecordPlace(name).setKey(&self.key)
        do { try self.move() } catch {
            switch error {
            case .corrupt: self.isOver = true
            case .unreadable(let text): throw StorageFailure("a walk of the store failed: \(text)")
            }
            return nil
        }
        guard self.cursor.isValid, self.order(of: self.key) == 0 else { return .absent }
        // Whoever dropped the record before this one has given its memory back.
        self.value.clear(minimumCapacity: self.cursor.value.count)
        self.value.writeBytes(self.cursor.value)
        return RecordFormat.read(self.value, name: name)
    }

    /// Places the cursor at `key`, or behind where that would be.
    private mutating func move() throws(LookupError) {
        guard self.isPlaced, Self.order(self.key, self.last) >= 0 else { return try self.seek() }
        var steps = 0
        while self.cursor.isValid, self.order(of: self.key) > 0 {
            guard steps < Self.stepsMax else { return try self.seek() }
            try self.timed { $0.next() }
            steps += 1
        }
    }

    private mutating func seek() throws(LookupError) {
        self.seeks += 1
        self.isPlaced = true
        let key = self.key
        try self.timed { cursor in key.withUnsafeReadableBytes { cursor.seek($0) } }
    }

    private mutating func timed(_ move: (borrowing LevelDBCursor) -> Void) throws(LookupError) {
        let began = Mailbox.clock
        move(self.cursor)
        try self.cursor.check()
        // The answer of this move is right all the same.
        guard Mailbox.clock - began > Self.moveMax else { return }
        self.isOver = true
        self.wasSlow = true
    }

    /// How `key` compares with where the cursor stands: below zero before it, zero there, above zero behind it.
    private func order(of key: ByteBuffer) -> Int {
        key.withUnsafeReadableBytes { Self.order($0, self.cursor.key) }
    }

    private static func order(_ a: ByteBuffer, _ b: ByteBuffer) -> Int {
        a.withUnsafeReadableBytes { a in b.withUnsafeReadableBytes { b in self.order(a, b) } }
    }

    private static func order(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        guard let startOfA = a.baseAddress, let startOfB = b.baseAddress else { return a.count - b.count }
        let order = memcmp(startOfA, startOfB, min(a.count, b.count))
        return order == 0 ? a.count - b.count : Int(order)
    }
}
