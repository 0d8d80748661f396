package import GyreBase

/// When one entry of a key's context was last raised.
///
/// The canonical vector carries no such thing, since two replicas that learned the same at different times must stay
/// byte-equal. Whoever wants to prune keeps it beside the record and passes it in.
package struct EntryActivity: Hashable, Sendable {
    /// The node of the entry.
    package let node: NodeID
    /// The wall clock at the node's newest covered write.
    package let lastUpdate: WallTime
    /// The ring epoch at the node's newest covered write.
    package let epoch: UInt64

    /// Dates the entry of `node`.
    package init(node: NodeID, lastUpdate: WallTime, epoch: UInt64) {
        self.node = node
        self.lastUpdate = lastUpdate
        self.epoch = epoch
    }
}

/// How a context is kept short by forgetting part of it. Off (`none`) unless an operator chooses otherwise.
///
/// Every strategy but `none` **gives up a promise**: a replica or a client that still holds a value whose covering entry
/// was forgotten brings that value back, as a false sibling of what had superseded it, or out of a tombstone. Replicas
/// that prune at different moments also differ byte for byte until they merge again. Gyre does not need it, because dots
/// belong to nodes and not to clients, so that a context has one entry for each node that ever coordinated the key.
/// Entries without a known activity count as the newest: what is not known to be old is not forgotten first.
package enum VersionVectorPruning: Hashable, Sendable {
    /// Forgets nothing.
    case none
    /// Forgets the entries that were last raised more than `span` before `now` (Riak's `old_vclock`).
    case age(over: TimeSpan, now: WallTime)
    /// Forgets the entries longest not raised until at most `countMax` are left (Dynamo §4.4; Riak's `big_vclock`).
    case entryCount(countMax: Int)
    /// Forgets the entries that were last raised in a ring epoch before `oldestKept`.
    case epoch(oldestKept: UInt64)
}

extension VersionVector {
    /// What is left of this causal past under `pruning`; exactly itself under `.none`.
    ///
    /// - Parameters:
    ///   - activity: when the entries were last raised, sorted by node, one a node; it may lack entries and have others.
    ///   - live: dots whose nodes keep their entries whatever their age, since a stored version must stay covered.
    ///     They count, too: with more of their nodes than an `entryCount` allows, more entries are left.
    package func pruned(
        by pruning: VersionVectorPruning, activity: [EntryActivity], keeping live: [Dot] = []
    ) -> VersionVector {
        assert(zip(activity, activity.dropFirst()).allSatisfy { $0.node < $1.node }, "activity unsorted")
        switch pruning {
        case .none:
            return self
        case .age(let span, let now):
            return self.dropping(keeping: live, activity: activity) { entry in
                // A wall clock that jumped back makes an entry look young, and nothing is forgotten too early.
                guard entry.lastUpdate < now else { return false }
                let age = now.milliseconds - entry.lastUpdate.milliseconds
                return span.nanoseconds < 0 || age > UInt64(span.wholeMilliseconds)
            }
        case .epoch(let oldestKept):
            return self.dropping(keeping: live, activity: activity) { $0.epoch < oldestKept }
        case .entryCount(let countMax):
            return self.keepingNewest(max(countMax, 0), activity: activity, live: live)
        }
    }

    private func dropping(
        keeping live: [Dot], activity: [EntryActivity], where isForgotten: (EntryActivity) -> Bool
    ) -> VersionVector {
        VersionVector(
            sorted: self.entries.filter { entry in
                if live.contains(where: { $0.node == entry.node }) { return true }
                guard let known = activity.first(where: { $0.node == entry.node }) else { return true }
                return !isForgotten(known)
            }
        )
    }

    private func keepingNewest(_ countMax: Int, activity: [EntryActivity], live: [Dot]) -> VersionVector {
        guard self.entries.count > countMax else { return self }
        var candidates: [(updated: UInt64, node: NodeID)] = []
        for entry in self.entries where !live.contains(where: { $0.node == entry.node }) {
            let known = activity.first { $0.node == entry.node }
            candidates.append((known?.lastUpdate.milliseconds ?? .max, entry.node))
        }
        candidates.sort { $0 < $1 }
        let forgotten = candidates.prefix(self.entries.count - countMax).map(\.node)
        return VersionVector(sorted: self.entries.filter { !forgotten.contains($0.node) })
    }
}

extension Siblings {
    /// The same versions under a context pruned by `pruning`; entries of live versions stay. See `VersionVectorPruning`
    /// for what it costs.
    package func pruned(by pruning: VersionVectorPruning, activity: [EntryActivity]) -> Siblings {
        if pruning == .none { return self }
        let context = self.context.pruned(by: pruning, activity: activity, keeping: self.versions.map(\.dot))
        return Siblings(context: context, sorted: self.versions)
    }
}
