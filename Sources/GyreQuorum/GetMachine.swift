package import NIOCore

/// Decides whom to read, how deeply, and when enough is known (Dynamo §4.5 and §5, read repair).
///
/// One replica is read in full and R − 1 others for a digest of their causal state. Equal digests end the read. Otherwise
/// one record for each distinct digest is fetched; whoever merges them owes the merge to the replicas that lacked it.
/// A replica that fails or is slow is replaced by one not asked yet, as long as there is one.
///
/// An absent object has digest 0 and an empty record. Pure value; not shared between threads.
package struct GetMachine: Sendable {
    /// What to do now.
    package enum Step: Equatable, Sendable {
        /// Nothing; answers are on their way.
        case wait
        /// Ask these replicas for a digest.
        case askDigest(SlotSet)
        /// Ask these replicas for the whole record.
        case askRecord(SlotSet)
        /// R replicas agree; `record` is the answer (empty when absent).
        case agreed(ByteBuffer)
        /// R replicas answered and differ; merge `records`.
        case differ
        /// Fewer than R replicas can answer.
        case short(got: Int)
    }

    /// R.
    package let needed: Int
    /// PR: how many of R must be primaries.
    package let primariesNeeded: Int
    /// Places whose own owner is asked; the others have a stand-in, which knows hints only.
    package let primaries: SlotSet
    /// Replicas not asked so far that can be reached.
    package private(set) var idle: SlotSet
    /// Replicas asked for a digest that have not answered.
    package private(set) var digestAsked = SlotSet()
    /// Replicas asked for the record that have not answered.
    package private(set) var recordAsked = SlotSet()
    /// Replicas whose digest is known.
    package private(set) var answered = SlotSet()
    /// Whole records received, by replica; at most one a replica.
    package private(set) var records: [(slot: Int, record: ByteBuffer)] = []
    private var digests: InlineArray<7, UInt64> = InlineArray(repeating: 0)

    /// Reads with R = `needed` from the `reachable` replicas, `primariesNeeded` of them among the `primaries`.
    package init(reachable: SlotSet, needed: Int, primaries: SlotSet? = nil, primariesNeeded: Int = 0) {
        precondition(needed >= 1, "R of \(needed)")
        self.idle = reachable
        self.needed = needed
        self.primaries = primaries ?? reachable
        self.primariesNeeded = primariesNeeded
    }

    /// Replicas that still owe an answer.
    package var waiting: SlotSet { self.digestAsked.union(self.recordAsked) }

    /// Starts with the whole record of `own` (the coordinator's slot) and digests of others; `own` is read by the caller.
    package mutating func start(own: Int) -> Step {
        assert(self.idle.contains(own), "the coordinator's slot \(own) is not reachable")
        self.idle.remove(own)
        self.recordAsked.insert(own)
        return self.next()
    }

    /// The replica at `slot` holds a record with `digest`; 0 when it holds none.
    package mutating func onDigest(_ slot: Int, _ digest: UInt64) -> Step {
        guard self.digestAsked.contains(slot) else { return self.next() }
        self.digestAsked.remove(slot)
        self.answered.insert(slot)
        self.digests[slot] = digest
        return self.next()
    }

    /// The replica at `slot` holds `record`, which has `digest`; empty and 0 when it holds none.
    package mutating func onRecord(_ slot: Int, _ record: ByteBuffer, _ digest: UInt64) -> Step {
        guard self.recordAsked.contains(slot) || self.digestAsked.contains(slot) else { return self.next() }
        self.recordAsked.remove(slot)
        self.digestAsked.remove(slot)
        self.answered.insert(slot)
        self.digests[slot] = digest
        self.records.append((slot, record))
        return self.next()
    }

    /// The replica at `slot` cannot answer; another takes its place.
    package mutating func onFailure(_ slot: Int) -> Step {
        self.idle.remove(slot)
        self.digestAsked.remove(slot)
        self.recordAsked.remove(slot)
        if !self.records.contains(where: { $0.slot == slot }) { self.answered.remove(slot) }
        return self.next()
    }

    /// An answer is late: one more replica is asked, if there is one (hedging).
    package mutating func onSlow() -> Step {
        guard let slot = self.next(from: self.idle) else { return .wait }
        self.idle.remove(slot)
        var asked = SlotSet()
        asked.insert(slot)
        if self.recordAsked.isEmpty {
            self.digestAsked.insert(slot)
            return .askDigest(asked)
        }
        self.recordAsked.insert(slot)
        return .askRecord(asked)
    }

    /// Replicas that answered with something else than `digest`: each is stale and owed the merged record.
    package func stale(against digest: UInt64) -> SlotSet {
        var slots = SlotSet()
        for slot in self.answered where self.digests[slot] != digest { slots.insert(slot) }
        return slots
    }

    /// What follows from what is known.
    package mutating func next() -> Step {
        let promised = self.answered.union(self.waiting)
        if !self.isEnough(promised) {
            var asked = SlotSet()
            while let slot = self.missing(from: promised.union(asked), idle: self.idle.subtracting(asked)) {
                asked.insert(slot)
            }
            self.idle = self.idle.subtracting(asked)
            if !self.isEnough(promised.union(asked)) {
                // Those already asked are heard first, so that `got` says how many really answered.
                return self.waiting.isEmpty ? .short(got: self.answered.count) : .wait
            }
            self.digestAsked = self.digestAsked.union(asked)
            return .askDigest(asked)
        }
        guard self.isEnough(self.answered) else { return .wait }
        return self.conclusion()
    }

    private func isEnough(_ slots: SlotSet) -> Bool {
        slots.count >= self.needed && slots.intersection(self.primaries).count >= self.primariesNeeded
    }

    /// A place to ask besides `slots` so that they come nearer to enough; nil when they are, or when there is none.
    private func missing(from slots: SlotSet, idle: SlotSet) -> Int? {
        if slots.intersection(self.primaries).count < self.primariesNeeded {
            return idle.intersection(self.primaries).first
        }
        return slots.count < self.needed ? self.next(from: idle) : nil
    }

    /// Owners know more than their stand-ins, so they are asked first.
    private func next(from idle: SlotSet) -> Int? { idle.intersection(self.primaries).first ?? idle.first }

    private mutating func conclusion() -> Step {
        var missing = SlotSet()
        var distinct: [UInt64] = []
        for slot in self.answered where !distinct.contains(self.digests[slot]) {
            let digest = self.digests[slot]
            distinct.append(digest)
            if digest != 0, !self.records.contains(where: { self.digests[$0.slot] == digest }) { missing.insert(slot) }
        }
        if missing.isEmpty {
            guard distinct.count == 1 else { return .differ }
            return .agreed(self.records.first { self.digests[$0.slot] == distinct[0] }?.record ?? ByteBuffer())
        }
        if !self.recordAsked.isEmpty { return .wait }
        self.recordAsked = missing
        return .askRecord(missing)
    }
}
