package import GyreBase

/// Compares one partition with one other owner and says which objects differ (Dynamo §4.7): the initiator's side.
///
/// Root, inners and leaves are compared from the top. Then each run of leaves that differ, with nothing but empty ones
/// between them, is listed on both sides page by page, and the pages are joined: what is only there is pulled, what is only here is pushed, what
/// differs is reconciled. The caller does what a step says and tells the answer; an answer that nobody asked for, or
/// that is not what it should be, ends the exchange. An input after the end is answered with `wait`.
///
/// A side that holds next to nothing needs no comparison: if it may, it copies the partition from the peer (`CopyProgress`).
///
/// It ends whatever the peer says: every page but the last has a new name, and pages are counted. It holds one page
/// of each side, up to 1,024 indexes of leaves, and which leaves are empty. Trees and stores may change while it runs: the worst that comes of
/// it is an object settled for nothing, or left to the next exchange. Pure value; not shared between threads.
package struct ExchangeMachine: Sendable {
    /// What to do now.
    package enum Step: Equatable, Sendable {
        /// Nothing; answers are on their way, or the exchange has ended.
        case wait
        /// Ask the peer for its root, telling ours: `onRoot`.
        case askRoot(UInt64)
        /// Ask the peer for its leaves under these inners (bit 0 is inner 0): `onLeaves`.
        case askLeaves(mask: UInt32)
        /// List `own` in the own store (`onOwnKeys`), ask the peer to list `peer` (`onPeerKeys`); at least one is
        /// there.
        case list(own: Listing?, peer: Listing?)
        /// Fetch `pull`, send `push`, do both with `reconcile`; then `onSettled`. At least one is not empty.
        case settle(pull: [ObjectName], push: [ObjectName], reconcile: [ObjectName])
        /// Ask the peer for a page of objects with their records: `onCopy`.
        case copy(Listing)
        /// Merge what came with that page; then `onMerged`.
        case merge
        /// The end: everything was compared.
        case done(ExchangeSummary)
        /// The end: something went wrong.
        case failed(ExchangeFailure)
    }

    /// Entries of a page, unless told otherwise.
    package static let pageMaxDefault = 256
    /// Pages listed on one side in one exchange, unless told otherwise: 16 million objects.
    package static let pagesMaxDefault = 65_536
    /// Leaves listed in one go; a page holds about as many objects when there is one a leaf.
    package static let runLeavesMax = 256

    private enum Phase: Sendable {
        case idle
        case root
        case leaves(mask: UInt32)
        case copying(CopyProgress)
        case listing
        case settling
        case ended
    }

    /// What is known of one side's listing of the current run.
    private struct Side: Sendable {
        /// Listed and not joined yet.
        var entries: ArraySlice<KeyEntry> = []
        /// The last name listed.
        var last: ObjectName?
        /// Nothing comes behind `entries`.
        var isComplete = false
        /// A page is on its way.
        var isAsked = false
        /// A page is needed: all is joined, and more is to come.
        var isHungry: Bool { self.entries.isEmpty && !self.isComplete }

        mutating func take(_ page: KeyPage) {
            self.entries = page.entries[...]
            self.last = page.entries.last?.name ?? self.last
            self.isComplete = page.complete
            self.isAsked = false
        }
    }

    /// Who has the next name.
    private enum Head {
        case own(ObjectName)
        case peer(ObjectName)
        case both(ObjectName, isEqual: Bool)
    }

    /// Which partition is compared, 0 to Q − 1.
    package let partition: Int
    /// The most entries of a page, on both sides.
    package let pageMax: Int
    private let shape: MerkleShape
    private let pagesMax: Int
    private let copyLeavesMax: Int?
    private var phase = Phase.idle
    private var summary = ExchangeSummary()
    /// The leaves that differ, ascending.
    private var leaves: [Int] = []
    /// By leaf, whether both sides have nothing in it: a run may go on across such leaves, as listing them costs nothing.
    private var leavesEmpty: [Bool] = []
    /// How many of `leaves` are in the current run or in runs before it.
    private var leavesListed = 0
    /// The run that is being listed, and which of `leaves` are in it.
    private var run = 0..<0
    private var runLeaves = 0..<0
    /// By leaf of `run`, whether an object differed in it.
    private var leavesExplained: [Bool] = []
    private var pages = 0
    private var own = Side()
    private var peer = Side()

    /// An exchange about `partition`, with pages of `pageMax` entries and no more than `pagesMax` of them. It copies when at most
    /// `copyLeavesMax` leaves have something here; nil for one that only counts, only sends or looks at a part of the objects.
    package init(
        shape: MerkleShape, partition: Int, copyLeavesMax: Int? = nil, pageMax: Int = Self.pageMaxDefault,
        pagesMax: Int = Self.pagesMaxDefault
    ) {
        precondition((0..<shape.partitionCount).contains(partition), "partition \(partition)")
        precondition(pageMax >= 1, "pages of \(pageMax)")
        precondition(pagesMax >= 1, "\(pagesMax) pages")
        self.shape = shape
        self.partition = partition
        self.pageMax = pageMax
        self.pagesMax = pagesMax
        self.copyLeavesMax = copyLeavesMax
    }

    /// True once `done` or `failed` was returned.
    package var hasEnded: Bool {
        if case .ended = self.phase { return true }
        return false
    }

    // MARK: - Inputs

    /// Begins; `root` is our own.
    package mutating func start(root: UInt64) -> Step {
        guard case .idle = self.phase else { return self.refuse(.outOfPlace) }
        self.phase = .root
        return .askRoot(root)
    }

    /// The peer answered `askRoot`; `own` is our tree as it is now.
    package mutating func onRoot(_ answer: RootAnswer, own: MerkleTree) -> Step {
        guard case .root = self.phase else { return self.refuse(.outOfPlace) }
        switch answer {
        case .notReady: return self.refuse(.notReady)
        case .same: return self.finish()
        case .inners(let theirs):
            guard theirs.count == MerkleShape.fanOut else {
                return self.refuse(.wrongCount(count: theirs.count, wanted: MerkleShape.fanOut))
            }
            var mask: UInt32 = 0
            for (inner, pair) in zip(own.inners, theirs).enumerated() where pair.0 != pair.1 {
                mask |= 1 << UInt32(inner)
            }
            // The trees can have become equal since the roots were compared.
            guard mask != 0 else { return self.finish() }
            if let most = self.copyLeavesMax, own.filledLeafCount <= most {
                return self.copy(on: CopyProgress(tokens: self.shape.tokens(of: self.partition), mask: mask))
            }
            self.phase = .leaves(mask: mask)
            return .askLeaves(mask: mask)
        }
    }

    /// The peer answered `askLeaves`; `own` is our tree as it is now.
    package mutating func onLeaves(_ groups: [LeafGroup], own: MerkleTree) -> Step {
        guard case .leaves(let mask) = self.phase else { return self.refuse(.outOfPlace) }
        let wanted = mask.inners
        guard groups.count == wanted.count else {
            return self.refuse(.wrongCount(count: groups.count, wanted: wanted.count))
        }
        self.leavesEmpty = own.inners.flatMap { [Bool](repeating: $0 == 0, count: MerkleShape.fanOut) }
        for (group, inner) in zip(groups, wanted) {
            guard group.inner == inner else { return self.refuse(.wrongInner(group.inner, wanted: inner)) }
            guard group.leaves.count == MerkleShape.fanOut else {
                return self.refuse(.wrongCount(count: group.leaves.count, wanted: MerkleShape.fanOut))
            }
            for (index, pair) in zip(own.leaves(under: inner), group.leaves).enumerated() {
                let leaf = inner * MerkleShape.fanOut + index
                if pair.0 != pair.1 { self.leaves.append(leaf) }
                self.leavesEmpty[leaf] = pair.0 == 0 && pair.1 == 0
            }
        }
        self.summary.leavesDiffering = self.leaves.count
        return self.nextRun()
    }

    /// The own store answered the `own` of `list`.
    package mutating func onOwnKeys(_ page: KeyPage) -> Step {
        guard case .listing = self.phase, self.own.isAsked else { return self.refuse(.outOfPlace) }
        if let fault = page.fault(for: self.listing(self.own), entriesMax: self.pageMax) {
            return self.refuse(.ownPage(fault))
        }
        self.own.take(page)
        return self.join()
    }

    /// The peer answered the `peer` of `list`.
    package mutating func onPeerKeys(_ page: KeyPage) -> Step {
        guard case .listing = self.phase, self.peer.isAsked else { return self.refuse(.outOfPlace) }
        if let fault = page.fault(for: self.listing(self.peer), entriesMax: self.pageMax) {
            return self.refuse(.peerPage(fault))
        }
        self.peer.take(page)
        return self.join()
    }

    /// What `settle` named is dealt with, or was left alone on purpose.
    package mutating func onSettled() -> Step {
        guard case .settling = self.phase else { return self.refuse(.outOfPlace) }
        return self.nextPages()
    }

    /// The peer answered `copy`; the names and digests of what it sent.
    package mutating func onCopy(_ page: KeyPage) -> Step {
        guard case .copying(var copy) = self.phase, copy.isAsked else { return self.refuse(.outOfPlace) }
        if let fault = copy.take(page, entriesMax: self.pageMax) { return self.refuse(.peerPage(fault)) }
        self.phase = .copying(copy)
        return page.entries.isEmpty ? self.onMerged(changed: 0) : .merge
    }

    /// What came with a page is merged, and `changed` of the objects were not here as they are now.
    package mutating func onMerged(changed: Int) -> Step {
        guard case .copying(var copy) = self.phase, !copy.isAsked else { return self.refuse(.outOfPlace) }
        copy.changed += changed
        self.summary.keysDiffering = copy.changed
        guard copy.isComplete else { return self.copy(on: copy) }
        guard copy.changed == 0 else { return self.finish() }
        // The roots differ and no object does: one of the trees is wrong, and the leaves say where.
        self.phase = .leaves(mask: copy.mask)
        return .askLeaves(mask: copy.mask)
    }

    /// An answer will not come: the peer is gone, said no, or the store cannot read. Ends the exchange.
    package mutating func onFailure(_ failure: ExchangeFailure = .noAnswer) -> Step { self.refuse(failure) }

    private mutating func copy(on progress: CopyProgress) -> Step {
        guard self.pages < self.pagesMax else { return self.refuse(.tooManyPages(pagesMax: self.pagesMax)) }
        self.pages += 1
        var progress = progress
        progress.isAsked = true
        self.phase = .copying(progress)
        return .copy(progress.listing)
    }

    // MARK: - Listing and joining

    private mutating func nextRun() -> Step {
        guard self.leavesListed < self.leaves.count else { return self.finish() }
        let first = self.leaves[self.leavesListed]
        let firstListed = self.leavesListed
        var end = first
        while self.leavesListed < self.leaves.count {
            let leaf = self.leaves[self.leavesListed]
            guard leaf - first < Self.runLeavesMax, self.leavesEmpty[end..<leaf].allSatisfy({ $0 }) else { break }
            end = leaf + 1
            self.leavesListed += 1
        }
        self.run = first..<end
        self.runLeaves = firstListed..<self.leavesListed
        self.leavesExplained = [Bool](repeating: false, count: end - first)
        self.own = Side()
        self.peer = Side()
        return self.nextPages()
    }

    private mutating func nextPages() -> Step {
        let own = self.own.isHungry ? self.listing(self.own) : nil
        let peer = self.peer.isHungry ? self.listing(self.peer) : nil
        guard own != nil || peer != nil else {
            // Whatever is left when both sides are complete has been joined.
            assert(self.own.entries.isEmpty && self.peer.entries.isEmpty, "entries left over")
            self.noteSuspects()
            return self.nextRun()
        }
        guard self.pages < self.pagesMax else { return self.refuse(.tooManyPages(pagesMax: self.pagesMax)) }
        self.pages += 1
        self.own.isAsked = own != nil
        self.peer.isAsked = peer != nil
        self.phase = .listing
        return .list(own: own, peer: peer)
    }

    private func listing(_ side: Side) -> Listing {
        Listing(tokens: self.shape.tokens(of: self.partition, leaves: self.run), after: side.last)
    }

    /// Joins both sides up to the horizon: the smaller of the last names of sides that have more to list.
    ///
    /// Behind it the other side may still list something between. What lies behind stays for the next join, so that no
    /// entry is sent twice; the side that set the horizon is used up and lists its next page.
    private mutating func join() -> Step {
        guard !self.own.isAsked, !self.peer.isAsked else { return .wait }
        var pull: [ObjectName] = []
        var push: [ObjectName] = []
        var reconcile: [ObjectName] = []
        while let head = self.nextHead() {
            switch head {
            case .both(let name, let isEqual): if !isEqual { reconcile.append(name) }
            case .own(let name): push.append(name)
            case .peer(let name): pull.append(name)
            }
        }
        for names in [pull, push, reconcile] {
            self.summary.keysDiffering += names.count
            for name in names {
                self.leavesExplained[self.shape.leaf(of: name.token) - self.run.lowerBound] = true
            }
        }
        if pull.isEmpty, push.isEmpty, reconcile.isEmpty { return self.nextPages() }
        self.phase = .settling
        return .settle(pull: pull, push: push, reconcile: reconcile)
    }

    /// Takes the first name that both sides have passed, and says who has it; nil at the horizon.
    private mutating func nextHead() -> Head? {
        switch (self.own.entries.first, self.peer.entries.first) {
        case (nil, nil): return nil
        case (let mine?, let theirs?):
            if mine.name < theirs.name { return self.takeOwn(mine) }
            if theirs.name < mine.name { return self.takePeer(theirs) }
            self.own.entries.removeFirst()
            self.peer.entries.removeFirst()
            return .both(mine.name, isEqual: mine.digest == theirs.digest)
        case (let mine?, nil): return self.peer.isComplete ? self.takeOwn(mine) : nil
        case (nil, let theirs?): return self.own.isComplete ? self.takePeer(theirs) : nil
        }
    }

    private mutating func takeOwn(_ entry: KeyEntry) -> Head {
        self.own.entries.removeFirst()
        return .own(entry.name)
    }

    private mutating func takePeer(_ entry: KeyEntry) -> Head {
        self.peer.entries.removeFirst()
        return .peer(entry.name)
    }

    private mutating func noteSuspects() {
        for leaf in self.leaves[self.runLeaves] where !self.leavesExplained[leaf - self.run.lowerBound] {
            self.summary.leavesSuspect.append(leaf)
        }
    }

    // MARK: - Ending

    private mutating func finish() -> Step {
        guard !self.hasEnded else { return .wait }
        self.summary.inSync = self.leaves.isEmpty && self.summary.keysDiffering == 0
        return self.end(.done(self.summary))
    }

    private mutating func refuse(_ failure: ExchangeFailure) -> Step {
        guard !self.hasEnded else { return .wait }
        return self.end(.failed(failure))
    }

    private mutating func end(_ step: Step) -> Step {
        self.phase = .ended
        self.own = Side()
        self.peer = Side()
        self.leaves = []
        self.leavesEmpty = []
        return step
    }
}
