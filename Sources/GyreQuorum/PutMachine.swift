/// Counts who has a write on disk (Dynamo §4.5; decision D10: W counts distinct nodes, the coordinator's disk as one).
///
/// Each replica is a slot of the preference list, so one replica that answers twice counts once.
/// Answers once: after a verdict other than `pending`, every further input yields `pending`.
/// Pure value; not shared between threads.
package struct PutMachine: Sendable {
    /// What the coordinator knows so far.
    package enum Verdict: Equatable, Sendable {
        /// Neither W acknowledgements yet, nor the certainty that they cannot come.
        case pending
        /// At least W distinct replicas have it durable.
        case stored(acks: Int)
        /// W can no longer be reached, or not in time. `acks` replicas have it, so it may yet take effect.
        case unknown(acks: Int)
    }

    /// W.
    package let needed: Int
    /// PW: how many of W must be primaries.
    package let primariesNeeded: Int
    /// Places whose own owner is asked; the others have a stand-in.
    private var primaries: SlotSet
    /// While the ring changes: the places of either list of owners, each of which needs W for itself (architecture D9).
    private let lists: (SlotSet, SlotSet)?
    /// Replicas that have it durable.
    package private(set) var acked = SlotSet()
    /// Replicas that may still answer.
    package private(set) var waiting: SlotSet
    private var answered = false

    /// Waits for `needed` of the `replicas` of a key, `primariesNeeded` of them among the `primaries`.
    ///
    /// With `lists`, each of the two wants as many for itself.
    package init(
        replicas: SlotSet, needed: Int, primaries: SlotSet? = nil, primariesNeeded: Int = 0,
        lists: (SlotSet, SlotSet)? = nil
    ) {
        precondition(needed >= 1, "W of \(needed)")
        self.waiting = replicas
        self.needed = needed
        self.primaries = primaries ?? replicas
        self.primariesNeeded = primariesNeeded
        self.lists = lists
    }

    /// Whether the client has its answer.
    package var isAnswered: Bool { self.answered }

    /// The owner at `slot` cannot be reached any more and another node is asked in its place.
    package mutating func onStandIn(_ slot: Int) {
        self.primaries.remove(slot)
        self.waiting.insert(slot)
    }

    /// The replica at `slot` has the write on its disk.
    package mutating func onAck(_ slot: Int) -> Verdict {
        self.waiting.remove(slot)
        self.acked.insert(slot)
        return self.verdict(expired: false)
    }

    /// The replica at `slot` refused the write or can no longer be reached.
    package mutating func onFailure(_ slot: Int) -> Verdict {
        self.waiting.remove(slot)
        return self.verdict(expired: false)
    }

    /// The deadline has passed.
    package mutating func onDeadline() -> Verdict { self.verdict(expired: true) }

    private mutating func verdict(expired: Bool) -> Verdict {
        assert(self.acked.subtracting(self.waiting) == self.acked, "an acknowledged replica is waited for")
        if self.answered { return .pending }
        let acks = self.count(self.acked)
        if self.isEnough(self.acked) {
            self.answered = true
            return .stored(acks: acks)
        }
        if expired || !self.isEnough(self.acked.union(self.waiting)) {
            self.answered = true
            return .unknown(acks: acks)
        }
        return .pending
    }

    private func isEnough(_ slots: SlotSet) -> Bool {
        self.count(slots) >= self.needed && self.count(slots.intersection(self.primaries)) >= self.primariesNeeded
    }

    /// How many of `slots` there are in the list of owners that has fewest.
    private func count(_ slots: SlotSet) -> Int {
        guard let lists = self.lists else { return slots.count }
        return min(slots.intersection(lists.0).count, slots.intersection(lists.1).count)
    }
}
