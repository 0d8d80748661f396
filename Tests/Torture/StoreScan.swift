import CLevelDB
import Foundation
import Glibc
import GyreBase
import GyreLevelDB
import GyreRing
import GyreStorage
import NIOCore

/// What the stores of all nodes hold, compared record by record: the judge of every promise about healing.
///
/// Nothing of Gyre's own comparison is used, only the order of LevelDB and the bytes; who must hold a key follows from
/// the ring, computed here from the identities in the data directories.
struct StoreScan {
    private static let examplesMax = 5

    /// Different keys in all stores together.
    private(set) var keys = 0
    /// Keys whose owners do not all hold the same bytes.
    private(set) var differing = 0
    /// Keys that a node owns and lacks, by node.
    private(set) var missing: [Int]
    /// Records on nodes that do not own them.
    private(set) var strangers = 0
    /// Bytes of all keys and records as they are stored.
    private(set) var bytes = 0
    /// The first keys that differ, in words.
    private(set) var examples: [String] = []
    /// By partition, the owners as places of the cluster's nodes.
    private let owners: [[Int]]
    private let partitionShift: Int

    /// Scans the stores of a cluster of which no node runs. `partitions` and `replicas` are the cluster's.
    /// Of all nodes, unless some are named; the nodes' places in what comes out are those among them.
    static func run(
        _ cluster: TestCluster, of places: [Int]? = nil, partitions: Int = 1_024, replicas: Int = 3
    ) throws -> StoreScan {
        let places = places ?? Array(cluster.addresses.indices)
        let nodes = try places.map { try cluster.identity($0) }
        var scan = try StoreScan(nodes: nodes, partitions: partitions, replicas: replicas)
        try StoppedStore.openAll(places.map(cluster.data)) { try scan.compare($0) }
        return scan
    }

    private init(nodes: [NodeID], partitions: Int, replicas: Int) throws {
        self.missing = Array(repeating: 0, count: nodes.count)
        self.partitionShift = 64 - partitions.trailingZeroBitCount
        if nodes.count <= replicas {
            self.owners = Array(repeating: Array(nodes.indices), count: partitions)
        } else {
            let options = try RingOptions(partitionCount: partitions, replicas: replicas)
            let ring = try Ring(members: nodes.map { RingMember(node: $0) }, options: options)
            self.owners = (0..<partitions).map { partition in
                ring.owners(of: PartitionID(index: partition)).compactMap { nodes.firstIndex(of: $0) }
            }
        }
    }

    /// The places of the nodes that must hold an object.
    func owners(of token: Token) -> [Int] { self.owners[Int(token.rawValue >> UInt64(self.partitionShift))] }

    /// One line for people.
    var line: String {
        "\(self.keys) keys, \(self.differing) differ, missing \(self.missing), on strangers \(self.strangers)"
            + (self.examples.isEmpty ? "" : ", such as \(self.examples)")
    }

    /// Throws unless all owners of every key hold the same bytes, and nobody else holds any.
    func demandEqual() throws {
        try demand(self.differing == 0, "the stores are not equal: \(self.line)")
        try demand(self.strangers == 0, "nodes hold what they do not own: \(self.line)")
    }

    // MARK: - Comparing

    private mutating func compare(_ stores: [StoppedStore]) throws {
        let cursors = stores.map { $0.makeCursor() }
        while let least = Self.least(of: cursors) {
            let holders = cursors.indices.filter { cursors[$0].isAt(least) }
            self.judge(least, holders, cursors)
            for holder in holders { cursors[holder].next() }
        }
        for cursor in cursors { try cursor.end() }
    }

    /// The first key that any cursor stands at; the memory belongs to that cursor until it moves.
    private static func least(of cursors: [StoppedStore.Cursor]) -> UnsafeRawBufferPointer? {
        var least: UnsafeRawBufferPointer?
        for cursor in cursors {
            guard let key = cursor.key else { continue }
            if let other = least, StoppedStore.Cursor.order(other, key) <= 0 { continue }
            least = key
        }
        return least
    }

    private mutating func judge(_ key: UnsafeRawBufferPointer, _ holders: [Int], _ cursors: [StoppedStore.Cursor]) {
        self.keys += 1
        guard key.count >= StorageKey.headBytes else { return self.note(key, "is no storage key") }
        let token = Token(rawValue: UInt64(bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt64.self)))
        let owners = self.owners(of: token)
        self.strangers += holders.count { !owners.contains($0) }
        var isEqual = true
        var first: UnsafeRawBufferPointer?
        for owner in owners {
            guard holders.contains(owner), let value = cursors[owner].value else {
                self.missing[owner] += 1
                isEqual = false
                continue
            }
            if let first { isEqual = isEqual && StoppedStore.Cursor.order(first, value) == 0 } else { first = value }
        }
        self.bytes += key.count + (first?.count ?? 0)
        if !isEqual { self.note(key, "is held by \(holders.filter(owners.contains)) of \(owners)") }
    }

    private mutating func note(_ key: UnsafeRawBufferPointer, _ what: String) {
        self.differing += 1
        guard self.examples.count < Self.examplesMax else { return }
        let name = try? StorageKey.name(from: ByteBuffer(bytes: key))
        self.examples.append("\(name.map { String(buffer: $0.key) } ?? "?") \(what)")
    }
}

extension StoppedStore {
    /// Opens the stores in several data directories at once.
    static func openAll(_ paths: [String], _ body: ([StoppedStore]) throws -> Void) throws {
        try self.openRest(paths[...], [], body)
    }

    private static func openRest(
        _ paths: ArraySlice<String>, _ opened: [StoppedStore], _ body: ([StoppedStore]) throws -> Void
    ) throws {
        guard let path = paths.first else { return try body(opened) }
        try self.open(path) { try self.openRest(paths.dropFirst(), opened + [$0], body) }
    }

    /// Walks through all objects of a store in the order of their keys.
    final class Cursor {
        private let options: OpaquePointer?
        private let iterator: OpaquePointer?
        /// The storage key that it stands at; nil behind the last object. Valid until it moves.
        private(set) var key: UnsafeRawBufferPointer?

        fileprivate init(_ database: OpaquePointer) {
            self.options = leveldb_readoptions_create()
            self.iterator = leveldb_create_iterator(database, self.options)
            var start = [CChar(bitPattern: StorageTable.objects.rawValue)]
            leveldb_iter_seek(self.iterator, &start, 1)
            self.look()
        }

        deinit {
            leveldb_iter_destroy(self.iterator)
            leveldb_readoptions_destroy(self.options)
        }

        /// The record's bytes where it stands. Valid until it moves.
        var value: UnsafeRawBufferPointer? {
            var length = 0
            guard let bytes = leveldb_iter_value(self.iterator, &length) else { return nil }
            return UnsafeRawBufferPointer(start: bytes, count: length)
        }

        /// Whether it stands at that key.
        func isAt(_ key: UnsafeRawBufferPointer) -> Bool { self.key.map { Self.order($0, key) == 0 } ?? false }

        /// Goes on to the next object.
        func next() {
            leveldb_iter_next(self.iterator)
            self.look()
        }

        /// Throws when it ended because the disk could not be read.
        func end() throws {
            var error: UnsafeMutablePointer<CChar>?
            leveldb_iter_get_error(self.iterator, &error)
            if let error { throw Broken(String(cString: error)) }
        }

        private func look() {
            self.key = nil
            var length = 0
            guard leveldb_iter_valid(self.iterator) != 0, let bytes = leveldb_iter_key(self.iterator, &length),
                length > 0, UInt8(bitPattern: bytes[0]) == StorageTable.objects.rawValue
            else { return }
            self.key = UnsafeRawBufferPointer(start: bytes, count: length)
        }

        /// Bytewise order: negative, zero or positive.
        static func order(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
            guard let left = a.baseAddress, let right = b.baseAddress else { return a.count - b.count }
            let order = memcmp(left, right, min(a.count, b.count))
            return order != 0 ? Int(order) : a.count - b.count
        }
    }

    /// A cursor at the first object; it must not outlive the store.
    func makeCursor() -> Cursor { Cursor(self.database) }
}

extension TestCluster {
    /// Who the node in data directory `index` is.
    func identity(_ index: Int) throws -> NodeID {
        let text = try String(contentsOfFile: self.data(index) + "/identity.json", encoding: .utf8)
        return try NodeIdentity(json: Array(text.utf8)).node
    }
}
