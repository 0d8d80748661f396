package import GyreBase

/// A set of dots, said in one counter a node: the causal past of a key.
///
/// An entry `(n, c)` covers every dot of `n` up to `c` that exists for the key. That is sound although node-wide
/// counters leave gaps, because a coordinator's dot leaves it only when it is durable in its own record of the key,
/// so that whoever learns of dot `c` learns of every earlier dot of `n` for that key with it.
///
/// Invariant: entries are sorted by node, one a node, counters at least 1. Equal sets are equal values and have equal
/// bytes. Pure value; safe from any thread.
package struct VersionVector: Hashable, Sendable {
    /// The highest covered dot of each node, sorted by node.
    package private(set) var entries: [Dot]

    /// The most entries that `init(decoding:)` accepts: far above any honest history, low enough to bound a forged one.
    package static let actorsMax = 1_024
    /// The fewest bytes of an encoded entry: a node and a counter of one byte.
    private static let entryBytesMin = 9

    /// Covers nothing.
    package init() { self.entries = [] }

    /// Covers what the `entries` cover, in any order; of several for one node the highest counts.
    package init(_ entries: [Dot]) {
        self.entries = []
        self.entries.reserveCapacity(entries.count)
        for dot in entries { self.record(dot) }
    }

    /// Keeps `entries` as they are: the caller has them sorted by node, one a node.
    init(sorted entries: [Dot]) {
        assert(zip(entries, entries.dropFirst()).allSatisfy { $0.node < $1.node }, "entries unsorted: \(entries)")
        self.entries = entries
    }

    /// True when no dot is covered.
    package var isEmpty: Bool { self.entries.isEmpty }

    /// The highest covered counter of `node`; zero when none is.
    package func counter(of node: NodeID) -> UInt64 {
        let index = self.position(of: node)
        return index < self.entries.count && self.entries[index].node == node ? self.entries[index].counter : 0
    }

    /// True when the write named `dot` is in this causal past.
    package func covers(_ dot: Dot) -> Bool { self.counter(of: dot.node) >= dot.counter }

    /// True when every dot that `other` covers is covered here too; equal vectors descend from each other.
    package func descends(from other: VersionVector) -> Bool {
        if other.entries.count > self.entries.count { return false }
        var index = 0
        for entry in other.entries {
            while index < self.entries.count, self.entries[index].node < entry.node { index += 1 }
            guard index < self.entries.count, self.entries[index].node == entry.node else { return false }
            guard self.entries[index].counter >= entry.counter else { return false }
            index += 1
        }
        return true
    }

    /// How many entries the join with `other` would have; lets a coordinator refuse a context before it takes it in.
    package func entryCount(mergedWith other: VersionVector) -> Int {
        var count = self.entries.count
        for entry in other.entries where self.counter(of: entry.node) == 0 { count += 1 }
        return count
    }

    /// Covers what either covers: the least vector that descends from both. Allocates only when it must grow.
    package mutating func merge(_ other: VersionVector) {
        if self.entries.isEmpty {
            self.entries = other.entries
            return
        }
        if self.descends(from: other) { return }
        if other.descends(from: self) {
            self.entries = other.entries
            return
        }
        self.entries = Self.joined(self.entries, other.entries)
        assert(self.descends(from: other), "join of \(other) lost an entry")
    }

    /// Raises the entry of the dot's node to the dot; covers it afterwards.
    package mutating func record(_ dot: Dot) {
        let index = self.position(of: dot.node)
        if index < self.entries.count, self.entries[index].node == dot.node {
            if self.entries[index].counter < dot.counter { self.entries[index] = dot }
        } else {
            self.entries.insert(dot, at: index)
        }
    }

    /// Sets the entry of the dot's node to the dot even when the entry was higher.
    ///
    /// Only the node itself may call this, with the newest dot it ever issued: whatever claims to have seen a later one
    /// was forged.
    mutating func reset(to dot: Dot) {
        self.record(dot)
        self.entries[self.position(of: dot.node)] = dot
    }

    /// Stops covering the dot and all later ones of its node; those before it stay covered.
    mutating func lower(below dot: Dot) {
        let index = self.position(of: dot.node)
        guard index < self.entries.count, self.entries[index].node == dot.node else { return }
        guard self.entries[index].counter >= dot.counter else { return }
        if dot.counter == 1 {
            self.entries.remove(at: index)
        } else {
            self.entries[index] = Dot(node: dot.node, counter: dot.counter - 1)
        }
    }

    /// Where the entry of `node` is or belongs, by binary search.
    func position(of node: NodeID) -> Int {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = low + (high - low) / 2
            if self.entries[middle].node < node { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func joined(_ a: [Dot], _ b: [Dot]) -> [Dot] {
        var result: [Dot] = []
        result.reserveCapacity(a.count + b.count)
        var i = 0
        var j = 0
        while i < a.count, j < b.count {
            if a[i].node == b[j].node {
                result.append(max(a[i], b[j]))
                i += 1
                j += 1
            } else if a[i].node < b[j].node {
                result.append(a[i])
                i += 1
            } else {
                result.append(b[j])
                j += 1
            }
        }
        result.append(contentsOf: a[i...])
        result.append(contentsOf: b[j...])
        return result
    }
}

// MARK: - Bytes (docs/internals/causality.md)

extension VersionVector {
    /// The most bytes `encode` appends.
    var encodedBytesMax: Int { 10 + self.entries.count * 18 }

    /// Appends the one canonical form: the count, then node (8 bytes, big-endian) and counter (varint) of each entry.
    package func encode(into buffer: inout ByteWriter) {
        buffer.writeVarint(UInt64(self.entries.count))
        for entry in self.entries {
            buffer.writeInteger(entry.node.rawValue)
            buffer.writeVarint(entry.counter)
        }
    }

    /// Moves behind what `encode` wrote without keeping it; false when the bytes end before.
    static func skip(in buffer: inout ByteReader) -> Bool {
        guard let count = try? buffer.readVarint(), count <= UInt64(Self.actorsMax) else { return false }
        for _ in 0..<Int(count) {
            guard (try? buffer.readFixed(as: UInt64.self)) != nil, (try? buffer.readVarint()) != nil else {
                return false
            }
        }
        return true
    }

    /// Reads what `encode` wrote and leaves the rest of `buffer` unread.
    ///
    /// Refuses every other form: unsorted or repeated nodes, a counter of zero, more than `actorsMax` entries.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let count = try buffer.readVarint()
        guard count <= UInt64(Self.actorsMax) else {
            throw .tooMany(count: count, countMax: UInt64(Self.actorsMax))
        }
        // A forged count must not reserve more memory than the bytes behind it could fill.
        guard Int(count) * Self.entryBytesMin <= buffer.readableBytes else { throw .truncated }
        var entries: [Dot] = []
        entries.reserveCapacity(Int(count))
        for _ in 0..<Int(count) {
            let node = NodeID(rawValue: try buffer.readFixed(as: UInt64.self))
            let counter = try buffer.readVarint()
            guard counter >= 1 else { throw .invalid(field: "version vector counter") }
            if let last = entries.last, last.node >= node { throw .invalid(field: "version vector order") }
            entries.append(Dot(node: node, counter: counter))
        }
        self.init(sorted: entries)
    }
}
