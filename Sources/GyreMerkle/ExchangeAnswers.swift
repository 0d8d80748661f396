package import GyreBase

/// The 32 leaves under one inner.
package struct LeafGroup: Hashable, Sendable {
    /// Which inner, 0 to 31.
    package let inner: Int
    /// Its leaves; 32 unless a peer erred, which `ExchangeMachine` refuses.
    package let leaves: [UInt64]

    /// Puts both together.
    package init(inner: Int, leaves: [UInt64]) {
        self.inner = inner
        self.leaves = leaves
    }
}

/// What the other side says to a root.
package enum RootAnswer: Hashable, Sendable {
    /// It has the same root: nothing differs.
    case same
    /// It has another root above these 32 inners.
    case inners([UInt64])
    /// Its tree is not built.
    case notReady
}

/// The other side's half of an exchange: two questions answered from the forest. Listing keys is the store's.
extension MerkleForest {
    /// Compares `root`, which a peer has for `partition`.
    package func answer(root: UInt64, of partition: Int) -> RootAnswer {
        guard let tree = self.tree(of: partition) else { return .notReady }
        return tree.root == root ? .same : .inners(tree.inners)
    }

    /// The leaves under the inners whose bits are set in `mask` (bit 0 is inner 0), ascending; nil unless ready.
    package func leaves(of partition: Int, mask: UInt32) -> [LeafGroup]? {
        guard let tree = self.tree(of: partition) else { return nil }
        return mask.inners.map { LeafGroup(inner: $0, leaves: tree.leaves(under: $0)) }
    }
}

extension UInt32 {
    /// The indexes of the bits that are set, ascending.
    var inners: [Int] { (0..<MerkleShape.fanOut).filter { self & (1 << UInt32($0)) != 0 } }
}

/// An object as a listing shows it.
package struct KeyEntry: Hashable, Sendable {
    /// The object.
    package let name: ObjectName
    /// The digest of its record.
    package let digest: UInt64

    /// Puts both together.
    package init(name: ObjectName, digest: UInt64) {
        self.name = name
        self.digest = digest
    }
}

/// What to list: the objects with a token in `tokens` and a name behind `after`, in storage order, up to a page.
package struct Listing: Hashable, Sendable {
    /// Where to look; both ends included.
    package let tokens: ClosedRange<Token>
    /// The last name of the page before; nil for the first page.
    package let after: ObjectName?

    /// Puts both together.
    package init(tokens: ClosedRange<Token>, after: ObjectName?) {
        self.tokens = tokens
        self.after = after
    }
}

/// What a listing gave.
package struct KeyPage: Hashable, Sendable {
    /// In storage order, no name twice, `pageMax` at most.
    package let entries: [KeyEntry]
    /// True if there is nothing behind the last entry. A page that is not complete has an entry at least.
    package let complete: Bool

    /// Puts both together.
    package init(entries: [KeyEntry], complete: Bool) {
        self.entries = entries
        self.complete = complete
    }

    /// What is wrong with this page as an answer to `listing`; nil for nothing.
    func fault(for listing: Listing, entriesMax: Int) -> PageFault? {
        guard self.entries.count <= entriesMax else {
            return .tooManyEntries(count: self.entries.count, countMax: entriesMax)
        }
        if self.entries.isEmpty, !self.complete { return .noProgress }
        var previous = listing.after
        for entry in self.entries {
            guard listing.tokens.contains(entry.name.token) else { return .outOfRange }
            if let previous, !(previous < entry.name) { return .unsorted }
            previous = entry.name
        }
        return nil
    }
}

/// What can be wrong with a page.
package enum PageFault: Error, Equatable, Sendable {
    /// More entries than a page has.
    case tooManyEntries(count: Int, countMax: Int)
    /// A name that does not come behind the one before it, or not behind the page before.
    case unsorted
    /// A name outside the tokens that were asked for.
    case outOfRange
    /// A page without an entry that claims to have a successor.
    case noProgress
}

/// Why an exchange ended early. What was settled before stays settled, and the next exchange finds it in sync.
package enum ExchangeFailure: Error, Equatable, Sendable {
    /// One side's tree is not built.
    case notReady
    /// The peer, or the own store, gave no answer.
    case noAnswer
    /// An answer to a question that was not asked.
    case outOfPlace
    /// Not 32 hashes, or not the inners that were asked for.
    case wrongCount(count: Int, wanted: Int)
    /// The peer's leaves are not those of `inner`, which was asked for.
    case wrongInner(Int, wanted: Int)
    /// The peer's listing is no listing.
    case peerPage(PageFault)
    /// The own listing is no listing.
    case ownPage(PageFault)
    /// So many pages were listed that the rest is left to the next exchange.
    case tooManyPages(pagesMax: Int)
}

/// How an exchange ended.
package struct ExchangeSummary: Equatable, Sendable {
    /// True if the trees agreed and no key was listed.
    package var inSync = false
    /// Objects that were missing on one side or had different digests.
    package var keysDiffering = 0
    /// Leaves whose hashes differed.
    package var leavesDiffering = 0
    /// Of these, the leaves in which no object differed, ascending, 1,024 at most: a change overtook the comparison, or
    /// one of the trees is wrong. Rebuilding them on both sides is right in either case.
    package var leavesSuspect: [Int] = []

    /// Nothing so far.
    package init() {}
}
