package import GyreBase
import NIOCore

/// What one replica knows of one key: a dotted version vector set (Almeida et al., "Scalable and accurate causality
/// tracking for eventually consistent stores", DAIS 2014; architecture D3).
///
/// `context` covers every write ever seen for the key, `versions` are those among them that no other seen write supersedes.
/// Invariants: versions are sorted by dot, one a dot, and covered by the context. Equal knowledge is an equal value and has
/// equal bytes. Deviation from the paper: dots are explicit and counters are node-wide, so the context is a plain vector
/// and a version needs no position in a list. Pure value; safe from any thread.
package struct Siblings: Hashable, Sendable {
    /// The causal past, live versions included. What a client gets with an answer and gives back with its next put.
    package private(set) var context: VersionVector
    /// The concurrent values, sorted by dot; empty with a context is a tombstone.
    package private(set) var versions: [Version]

    /// From this many siblings on, a person should look: clients put without reading.
    package static let siblingsWarned = 25
    /// Above this many siblings, new client data is refused; merge and repair never are.
    package static let siblingsMax = 100
    /// Above this many context entries, new client data is refused; merge and repair never are.
    package static let contextActorsMax = 64

    /// A key that was never written.
    package init() {
        self.context = VersionVector()
        self.versions = []
    }

    /// Puts together what the caller has checked: versions sorted by dot and covered by `context`.
    package init(context: VersionVector, sorted versions: [Version]) {
        self.context = context
        self.versions = versions
        self.assertInvariants()
    }

    /// Puts together what a checker or a test made up; nil when it breaks an invariant of the type.
    package init?(context: VersionVector, versions: [Version]) {
        guard versions.allSatisfy({ context.covers($0.dot) }),
            zip(versions, versions.dropFirst()).allSatisfy({ $0.dot < $1.dot })
        else { return nil }
        self.init(context: context, sorted: versions)
    }

    /// True when the key was never written.
    package var isEmpty: Bool { self.context.isEmpty && self.versions.isEmpty }

    /// True when the key was written and every value of it was deleted.
    package var isTombstone: Bool { !self.context.isEmpty && self.versions.isEmpty }

    /// True when `dot` is newer than all that is known of its node, as `put` demands.
    ///
    /// False for a dot that was just issued means that the key's context was forged or the node's disk was rolled back; the
    /// coordinator must refuse the put.
    package func isFresh(_ dot: Dot) -> Bool { dot.counter > self.context.counter(of: dot.node) }

    /// Adds `version`, which the coordinator has just named, and removes what its writer had seen.
    ///
    /// The version's dot must be fresh (`isFresh`). A given context that claims to have seen this or a later dot of the
    /// coordinator is forged, since it did not exist; the claim is cut back so that it cannot hide later puts.
    package mutating func put(_ version: Version, seen: Seen) {
        precondition(self.isFresh(version.dot), "dot \(version.dot) put again")
        self.remove(seen: seen)
        self.context.reset(to: version.dot)
        var index = self.versions.count
        while index > 0, self.versions[index - 1].dot > version.dot { index -= 1 }
        self.versions.insert(version, at: index)
        self.assertInvariants()
    }

    /// Removes what the writer had seen. Needs no dot: a concurrent put is not covered and stays.
    package mutating func delete(seen: Seen) {
        self.remove(seen: seen)
        self.assertInvariants()
    }

    /// What a reader sees at `wall`: without the values that expired, under the same context.
    package func hidingExpired(at wall: WallTime) -> Siblings {
        guard self.versions.contains(where: { $0.isExpired(at: wall) }) else { return self }
        var copy = self
        copy.versions.removeAll { $0.isExpired(at: wall) }
        return copy
    }

    /// What a reader of a bucket with `conflicts=lww` sees: the version with the latest hybrid time, of equal ones that with the
    /// greater dot, under the context of all, so that the reader's next put supersedes all.
    package func showingLatest() -> Siblings {
        guard self.versions.count > 1, let latest = self.versions.max(by: { ($0.time, $0.dot) < ($1.time, $1.dot) })
        else { return self }
        var copy = self
        copy.versions = [latest]
        return copy
    }

    /// The same with every value empty: contexts, dots, times and metadata only.
    package func withoutValues() -> Siblings {
        var shown = self
        shown.versions = self.versions.map {
            Version(dot: $0.dot, time: $0.time, expiry: $0.expiry, metadata: $0.metadata, value: ByteBuffer())
        }
        return shown
    }

    /// Only what a merge and a look at the clock need: contexts, dots, times and expiries.
    package func heads() -> Siblings {
        var shown = self
        shown.versions = self.versions.map {
            Version(dot: $0.dot, time: $0.time, expiry: $0.expiry, metadata: .none, value: ByteBuffer())
        }
        return shown
    }

    /// What the writer of `dot` may be told to have seen when the answer carries no values.
    ///
    /// The whole context would cover siblings that the writer was never shown, and its next put would silently remove
    /// them (INV 4). This one covers no version but `dot`, and always what the writer had given. It leaves out `dot` itself
    /// when the same coordinator issued an older sibling, as one counter cannot cover the later of two without the
    /// earlier; the writer's next put then leaves a sibling more, which loses nothing.
    package func contextAfterPut(of dot: Dot) -> VersionVector {
        var result = self.context
        for version in self.versions where version.dot != dot { result.lower(below: version.dot) }
        return result
    }

    /// What the writer of a delete may be told to have seen: all but the siblings that are left, which it was never shown.
    package func contextAfterDelete() -> VersionVector {
        var result = self.context
        for version in self.versions { result.lower(below: version.dot) }
        return result
    }

    private mutating func remove(seen: Seen) {
        switch seen {
        case .given(let context):
            self.versions.removeAll { context.covers($0.dot) }
            self.context.merge(context)
        case .overwrite:
            self.versions.removeAll(keepingCapacity: true)
        case .blind:
            break
        }
    }

    private func assertInvariants() {
        assert(self.versions.allSatisfy { self.context.covers($0.dot) }, "a live version is outside the context")
        assert(zip(self.versions, self.versions.dropFirst()).allSatisfy { $0.dot < $1.dot }, "versions unsorted")
    }
}

// MARK: - Merge

/// What a merge did.
package struct MergeOutcome: Hashable, Sendable {
    /// The value differs from before: a replica has something to write.
    package var changed = false
    /// The two sides held different values under one dot, which breaks INV 3 and must be reported.
    package var clashed = false

    /// Neither changed nor clashed.
    package static let unchanged = MergeOutcome()

    /// Joins the two.
    package init(changed: Bool = false, clashed: Bool = false) {
        self.changed = changed
        self.clashed = clashed
    }
}

extension Siblings {
    /// Takes in what another replica knows: keeps a version that both have, or that one has and the other's context does
    /// not cover; joins the contexts. Commutative, associative, idempotent.
    ///
    /// Should one dot name two values, which INV 3 forbids, the one with the greater bytes is kept, so that all replicas
    /// still agree. Allocates nothing when `other` knows nothing new.
    @discardableResult
    package mutating func merge(_ other: Siblings) -> MergeOutcome {
        if other.context.isEmpty { return .unchanged }
        if self.context.isEmpty {
            self = other
            return MergeOutcome(changed: true)
        }
        if self.context.descends(from: other.context) { return self.dropSuperseded(by: other) }
        if other.context.descends(from: self.context) {
            var result = other
            let outcome = result.dropSuperseded(by: self)
            self = result
            return MergeOutcome(changed: true, clashed: outcome.clashed)
        }
        // Each side first forgets what the other has superseded; what is left on both sides belongs to the result.
        var news = other
        let outcome = self.dropSuperseded(by: other)
        news.dropSuperseded(by: self)
        self.context.merge(other.context)
        self.versions = Self.united(self.versions, news.versions)
        self.assertInvariants()
        return MergeOutcome(changed: true, clashed: outcome.clashed)
    }

    /// Whether a merge into siblings with the context `known` leaves exactly these: they know all of it, and none of their versions
    /// was known there, so that none can have been superseded or have other content.
    package func replacesAll(of known: VersionVector) -> Bool {
        self.context.descends(from: known) && self.versions.allSatisfy { !known.covers($0.dot) }
    }

    /// Removes the versions that `other` has seen and no longer holds; settles clashes. Both are sorted, so one pass does.
    @discardableResult
    private mutating func dropSuperseded(by other: Siblings) -> MergeOutcome {
        var outcome = MergeOutcome()
        var kept = 0
        var cursor = 0
        for index in self.versions.indices {
            let dot = self.versions[index].dot
            while cursor < other.versions.count, other.versions[cursor].dot < dot { cursor += 1 }
            if cursor < other.versions.count, other.versions[cursor].dot == dot {
                if self.versions[index] != other.versions[cursor] {
                    outcome.clashed = true
                    if self.versions[index].contentPrecedes(other.versions[cursor]) {
                        self.versions[index] = other.versions[cursor]
                        outcome.changed = true
                    }
                }
            } else if other.context.covers(dot) {
                outcome.changed = true
                continue
            }
            if kept != index { self.versions.swapAt(kept, index) }
            kept += 1
        }
        if kept < self.versions.count { self.versions.removeLast(self.versions.count - kept) }
        return outcome
    }

    /// Both lists in one, sorted by dot; of a dot in both, the one in `a`.
    private static func united(_ a: [Version], _ b: [Version]) -> [Version] {
        if b.isEmpty { return a }
        if a.isEmpty { return b }
        var result: [Version] = []
        result.reserveCapacity(a.count + b.count)
        var i = 0
        var j = 0
        while i < a.count, j < b.count {
            if a[i].dot == b[j].dot {
                result.append(a[i])
                i += 1
                j += 1
            } else if a[i].dot < b[j].dot {
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
