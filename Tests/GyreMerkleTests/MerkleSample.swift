import GyreBase
import GyreMerkle
import NIOCore

/// Shapes, names and stores that the tests of this room share.
enum Sample {
    static let salt = MerkleSalt(cluster: "tests")

    static func shape(_ partitionCount: Int = 8) throws -> MerkleShape {
        try MerkleShape(partitionCount: partitionCount)
    }

    static func forest(_ partitionCount: Int = 8) throws -> MerkleForest {
        MerkleForest(shape: try self.shape(partitionCount), salt: self.salt)
    }

    static func name(_ key: String, bucket: String = "b") throws -> ObjectName {
        try ObjectName(bucket: ByteBuffer(string: bucket), key: ByteBuffer(string: key))
    }

    /// The first `count` names `PREFIX-0`, `PREFIX-1`, … whose tokens `isWanted`; hashes before it makes names.
    static func names(_ count: Int, prefix: String = "key", where isWanted: (Token) -> Bool) throws -> [ObjectName] {
        var found: [ObjectName] = []
        var index = 0
        let seed = StableHash.xxh3("b")
        while found.count < count {
            let key = "\(prefix)-\(index)"
            index += 1
            guard isWanted(Token(rawValue: StableHash.xxh3(key, seed: seed))) else { continue }
            found.append(try self.name(key))
        }
        return found
    }
}

/// A store and its forest, as a node would keep them: every write tells the forest.
struct TreeStore {
    private(set) var objects: [ObjectName: UInt64] = [:]
    var forest: MerkleForest
    /// The names of `objects` in storage order.
    private var names: [ObjectName] = []

    init(_ shape: MerkleShape) {
        self.forest = MerkleForest(shape: shape, salt: Sample.salt)
        self.forest.markEmpty()
    }

    mutating func write(_ name: ObjectName, _ digest: UInt64?) {
        let old = self.objects[name]
        self.objects[name] = digest
        self.forest.onChange(name.token, old: old, new: digest)
        let index = Self.lowerBound(self.names) { $0 < name }
        if old == nil, digest != nil { self.names.insert(name, at: index) }
        if old != nil, digest == nil { self.names.remove(at: index) }
    }

    /// What an engine answers to a listing.
    func page(_ listing: Listing, entriesMax: Int) -> KeyPage {
        let floor = listing.tokens.lowerBound
        var start = Self.lowerBound(self.names) { $0.token < floor }
        if let after = listing.after { start = max(start, Self.lowerBound(self.names) { !(after < $0) }) }
        // One name more than fits tells whether there is more.
        let rest = self.names[start...].prefix(entriesMax + 1).prefix { listing.tokens.contains($0.token) }
        let entries = rest.prefix(entriesMax).map { KeyEntry(name: $0, digest: self.objects[$0] ?? 0) }
        return KeyPage(entries: entries, complete: rest.count <= entriesMax)
    }

    /// The objects in some leaves, as a scan finds them.
    func scan(_ partition: Int, _ leaves: Range<Int>) -> [ScannedObject] {
        let tokens = self.forest.shape.tokens(of: partition, leaves: leaves)
        return self.objects.filter { tokens.contains($0.key.token) }
            .map { ScannedObject(token: $0.key.token, digest: $0.value) }
    }

    private static func lowerBound(_ names: [ObjectName], _ isBefore: (ObjectName) -> Bool) -> Int {
        var low = 0
        var high = names.count
        while low < high {
            let middle = low + (high - low) / 2
            if isBefore(names[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// The naive twin of a forest: a sorted array of objects, hashed from scratch.
struct NaiveForest {
    private(set) var objects: [(token: Token, digest: UInt64)] = []

    mutating func set(_ token: Token, _ digest: UInt64?) {
        self.objects.removeAll { $0.token == token }
        if let digest { self.objects.append((token, digest)) }
        self.objects.sort { $0.token < $1.token }
    }

    func tree(of partition: Int, _ shape: MerkleShape) -> MerkleTree {
        var leaves = [UInt64](repeating: 0, count: MerkleShape.leavesPerPartition)
        for object in self.objects where shape.partition(of: object.token) == partition {
            leaves[shape.leaf(of: object.token)] &+= Sample.salt.element(object.token, digest: object.digest)
        }
        return MerkleTree(leaves: leaves)
    }
}

func hex(_ buffer: ByteBuffer) -> String {
    buffer.readableBytesView.map { byte in
        let digits = String(byte, radix: 16)
        return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined()
}
