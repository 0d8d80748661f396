import Glibc
import GyreBase
import GyreStorage
import NIOCore

/// Looks up objects that follow each other in storage order, as those of a page do: one cursor goes along, where each lookup
/// would search all tables anew. What is not there costs one comparison with what comes next.
///
/// Sees what was committed when it was made. It gives up, and says so by nil, where it met damage or where the names lie too far
/// apart. Confined to its owner.
struct RecordWalk: ~Copyable {
    private let cursor: LevelDBCursor
    private var key = ByteBuffer()
    /// The key looked up last: nothing lies between it and where the cursor stands.
    private var last = ByteBuffer()
    private var value = ByteBuffer()
    private var isPlaced = false
    private var isOver = false
    private var lookups = 0
    private var seeks = 0

    /// So many entries are passed one by one before the cursor is placed anew.
    private static let stepsMax = 4
    /// So often it may be placed anew, and once more every `lookupsPerSeek`: a lookup of its own costs a fraction of that.
    private static let seeksMax = 4
    private static let lookupsPerSeek = 16

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
        self.value.clear()
        self.value.writeBytes(self.cursor.value)
        return RecordFormat.read(self.value, name: name)
    }

    /// Places the cursor at `key`, or behind where that would be.
    private mutating func move() throws(LookupError) {
        guard self.isPlaced, Self.order(self.key, self.last) >= 0 else { return try self.seek() }
        var steps = 0
        while self.cursor.isValid, self.order(of: self.key) > 0 {
            guard steps < Self.stepsMax else { return try self.seek() }
            self.cursor.next()
            try self.cursor.check()
            steps += 1
        }
    }

    private mutating func seek() throws(LookupError) {
        self.seeks += 1
        self.isPlaced = true
        self.key.withUnsafeReadableBytes { self.cursor.seek($0) }
        try self.cursor.check()
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
