import GyreBase
import GyreCausality
import GyreStorage

/// Issues this node's dots, each once, ever (architecture D4).
///
/// Counters are leased on disk in blocks before they are used. A life starts at the floor the disk remembers, which is at
/// or above every counter any earlier life used, so no crash can bring one back.
struct DotSource {
    /// The name in the dots: the node's identity, unless a record here was healed (docs/decisions/0003).
    private(set) var author: NodeID
    private let block: UInt64
    private var nextCounter: UInt64
    private var ceiling: UInt64 = 0
    private var asked: UInt64

    init(author: NodeID, floor: UInt64, block: UInt64) {
        self.author = author
        self.block = block
        self.nextCounter = max(floor, 1)
        self.asked = self.nextCounter
    }

    /// Whether at least one dot can be issued now.
    var isLeased: Bool { self.nextCounter < self.ceiling }

    /// The lowest counter that was never issued.
    var unissued: UInt64 { self.nextCounter }

    /// A dot that no one has seen, or nil when the lease is used up. `author` is this node unless it coordinates as a stand-in.
    mutating func issue(as author: NodeID? = nil) -> Dot? {
        guard self.isLeased else { return nil }
        defer { self.nextCounter += 1 }
        return Dot(node: author ?? self.author, counter: self.nextCounter)
    }

    /// Takes a name that no dot has had: made of the old one and of the lowest counter that was never issued.
    mutating func renew() {
        self.author = NodeID(rawValue: StableHash.xxh3(self.nextCounter, seed: self.author.rawValue) | 1)
    }

    /// The ceiling to ask the disk for, when half of what was asked for is used up.
    mutating func wanted() -> UInt64? {
        guard self.asked - min(self.asked, self.nextCounter) < self.block / 2 else { return nil }
        self.asked = max(self.asked, self.nextCounter) + self.block
        return self.asked
    }

    /// The disk promises to restart at `ceiling` or above.
    mutating func onLeased(_ ceiling: UInt64) { self.ceiling = max(self.ceiling, ceiling) }
}

extension Node {
    /// Asks for more dots before they run out.
    mutating func leaseDots(into effects: inout [NodeEffect]) {
        guard let ceiling = self.dots.wanted() else { return }
        let tag = self.replicas.insert(.lease)
        effects.append(.store(.lease(StorageTag(rawValue: tag), ceiling: ceiling)))
    }
}
