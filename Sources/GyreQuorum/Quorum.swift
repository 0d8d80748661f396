/// Why three numbers cannot be N, R and W.
package enum QuorumError: Error, Equatable, Sendable {
    /// N is outside 1 to `replicasMax`.
    case replicas(Int, replicasMax: Int)
    /// R or W is outside 1 to N.
    case size(Int, replicas: Int)
}

/// N, R and W (Dynamo §4.5). Pure value; safe from any thread.
package struct Quorum: Hashable, Sendable {
    /// N is at most this, so that the replicas of one key, twice while the ring changes, fit in two bytes of bits.
    package static let replicasMax = 7

    /// N, how many distinct nodes keep a key.
    package let replicas: Int
    /// R, how many of them a read asks.
    package let reads: Int
    /// W, how many of them must have a write on disk before the client is told.
    package let writes: Int

    /// Checks 1 ≤ N ≤ 7, 1 ≤ R ≤ N, 1 ≤ W ≤ N.
    package init(replicas: Int, reads: Int, writes: Int) throws(QuorumError) {
        guard (1...Self.replicasMax).contains(replicas) else {
            throw .replicas(replicas, replicasMax: Self.replicasMax)
        }
        for size in [reads, writes] where !(1...replicas).contains(size) {
            throw .size(size, replicas: replicas)
        }
        self.replicas = replicas
        self.reads = reads
        self.writes = writes
    }

    /// More than half of N.
    package var majority: Int { self.replicas / 2 + 1 }

    /// Every read set meets every write set while membership is stable (Dynamo §4.5).
    package var readsOverlapWrites: Bool { self.reads + self.writes > self.replicas }
}

/// A set of places among the replicas of one key, as bits: 0 to 6 in one preference list, and up to 13 while a change of the
/// ring gives a key two of them.
package struct SlotSet: Hashable, Sendable, Sequence {
    /// Bit i stands for place i.
    package private(set) var bits: UInt16
    /// The most places: two preference lists.
    package static let placesMax = 2 * Quorum.replicasMax

    /// The empty set.
    package init() { self.bits = 0 }

    /// Places `0..<count`.
    package init(first count: Int) {
        precondition((0...Self.placesMax).contains(count), "\(count) slots")
        self.bits = UInt16(truncatingIfNeeded: (1 << count) - 1)
    }

    /// How many places are in the set.
    package var count: Int { self.bits.nonzeroBitCount }
    /// Whether no place is.
    package var isEmpty: Bool { self.bits == 0 }
    /// The lowest place.
    package var first: Int? { self.bits == 0 ? nil : self.bits.trailingZeroBitCount }

    /// Whether `slot` is in the set.
    package func contains(_ slot: Int) -> Bool { self.bits & (1 << UInt16(slot)) != 0 }
    /// Adds `slot`.
    package mutating func insert(_ slot: Int) { self.bits |= 1 << UInt16(slot) }
    /// Takes `slot` out.
    package mutating func remove(_ slot: Int) { self.bits &= ~(1 << UInt16(slot)) }
    /// The places in either set.
    package func union(_ other: SlotSet) -> SlotSet { SlotSet(bits: self.bits | other.bits) }
    /// The places in both sets.
    package func intersection(_ other: SlotSet) -> SlotSet { SlotSet(bits: self.bits & other.bits) }
    /// The places in `self` and not in `other`.
    package func subtracting(_ other: SlotSet) -> SlotSet { SlotSet(bits: self.bits & ~other.bits) }

    private init(bits: UInt16) { self.bits = bits }

    /// From the lowest place to the highest.
    package func makeIterator() -> Iterator { Iterator(bits: self.bits) }

    /// Walks a set upward.
    package struct Iterator: IteratorProtocol {
        fileprivate var bits: UInt16

        /// The next place.
        package mutating func next() -> Int? {
            if self.bits == 0 { return nil }
            let slot = self.bits.trailingZeroBitCount
            self.bits &= self.bits &- 1
            return slot
        }
    }
}
