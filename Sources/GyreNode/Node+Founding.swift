import GyreBase
import GyreMembership
import GyreMessages
import GyreRing
import NIOCore

/// A request that came before it was settled who owns what.
struct EarlyRequest {
    /// The most that wait. Their values count as those of other requests do: at the door of the node whose client asked.
    static let countMax = 1_024

    let target: ReplyTarget
    let request: ClientRequest
    let trace: TraceContext?
    /// When it is answered in any case, a little before its client gives up.
    let deadline: Instant
}

/// How a cluster begins (docs/internals/ring-changes.md).
///
/// Until the founders agree, ranges follow from the members as nodes meet, and nobody brings what is in them along: whoever took a
/// write then could not promise that a read finds it. So clients wait.
extension Node {
    /// Whether it is settled who owns what, so that from now on ranges move only by changes.
    package var isFounded: Bool {
        let (state, staged) = (self.ringKeeper.state, self.ringKeeper.staged)
        if state.version > 0 { return true }
        guard self.ringKeeper.isConfirmed, self.isFoundingAgreed else { return false }
        // A ring of others that is on its way to the disk will be in force in a moment, this one's own next version is no other.
        return staged.version == 0 || staged.version == 1 && staged.base == state.next
    }

    /// Whether all who found this cluster know who they are, so that nobody can be added.
    var isFoundingAgreed: Bool {
        self.ringKeeper.state.version == 0 && self.ringKeeper.hasReached(.knows, self.ringKeeper.state)
    }

    /// Who would own ranges if the cluster were founded now. A node that waits to be told is no founder.
    var formingOwners: [RingMember] {
        RingPlaces.owners(of: self.membership.members.filter { !$0.isHeld }).map { member in
            RingMember(
                node: member.record.node, place: member.place, weight: member.record.weight, zone: member.record.zone)
        }
    }

    /// Who founds the cluster: all that would own ranges, but not those that died meanwhile, if most are there. Of two parts that
    /// cannot see each other only one has most of them.
    var founders: [RingMember] {
        let all = self.formingOwners
        let living = all.filter { member in
            member.node == self.me || self.membership.record(of: member.node)?.liveness != .dead
        }
        return living.count * 2 > all.count ? living : all
    }

    /// A node without anybody else may take itself for the cluster.
    mutating func confirmAlone() {
        guard self.ringKeeper.state.version == 0, !self.ringKeeper.isConfirmed,
            self.options.membership.formsCluster, self.membership.me.replaces == nil,
            self.membership.me.state.ownsRanges,
            self.membership.members.allSatisfy({ $0.node == self.me || $0.state == .removed })
        else { return }
        self.ringKeeper.isConfirmed = true
    }

    /// Whether this node, which has no ring, may form one with another that has none either.
    ///
    /// A node that lost its disk has a ring already, unless it happened while that was being founded: a ring of newcomers would take
    /// it for whole. One that was started to wait begins none, but has its share in one whose founders let it in.
    func mayForm(with theirs: RingState) -> Bool {
        if !self.options.membership.formsCluster {
            return theirs.next?.contains { self.ringKeeper.whoActs(for: $0.node) == self.me } ?? false
        }
        return self.membership.me.replaces == nil || theirs.next != nil
    }

    /// A cluster is founded when its first members have stayed the same for a while.
    mutating func continueFounding(at now: Now, into effects: inout [NodeEffect]) {
        let state = self.ringKeeper.state
        let forming = self.founders.sorted { ($0.place, $0.node) < ($1.place, $1.node) }
        // The first node of a cluster, which was given no seeds, has nobody to wait for.
        let isFirst = forming.map(\.node) == [self.me] && !self.membership.hasSeeds
        let delay = isFirst ? TimeSpan.zero : self.options.ringChange.foundingDelay
        guard self.ringKeeper.isConfirmed, let rank = self.rank(among: forming),
            self.hasWaited(for: forming, rank, at: now, least: delay)
        else { return }
        if state.next != nil {
            if self.isFoundingAgreed { return }
            return self.learn(RingState(version: 0, base: [], next: forming), into: &effects)
        }
        var proposal = state
        proposal.propose(forming)
        self.visit(.foundingProposed, into: &effects)
        self.keepRing(proposal, into: &effects)
    }

    /// Whether this node founds its cluster alone and at once: it was given no seeds, and knows nobody.
    package var isFoundingAlone: Bool {
        self.ringKeeper.state.version == 0 && self.options.membership.formsCluster && !self.membership.hasSeeds
            && self.membership.me.replaces == nil && self.membership.members.count == 1
    }

    // MARK: - Clients that come early

    /// Whether this node takes part in founding a cluster that is not founded yet.
    private var isForming: Bool {
        self.ringKeeper.staged.version == 0 && self.ringKeeper.isConfirmed && !self.isFounded && !self.draining
            && !self.isBanned && !self.ringKeeper.isClosed
    }

    /// Lets a request wait until the cluster is founded; false when it can be looked at now. One that another node hands on waits as
    /// well: that one knows already that the cluster is founded, and this one is about to.
    mutating func waits(
        _ request: ClientRequest, _ target: ReplyTarget, timeout: TimeSpan, at now: Now
    ) -> Bool {
        guard self.isForming, self.early.count < EarlyRequest.countMax else { return false }
        let span = min(max(timeout, .milliseconds(1)), self.options.timeoutMost)
        let patience = TimeSpan(nanoseconds: span.nanoseconds / 10 * 9)
        self.early.append(
            EarlyRequest(
                target: target, request: request, trace: self.traces.incoming,
                deadline: now.instant.advanced(by: patience)))
        return true
    }

    /// Takes up what has waited for the founding, and refuses what waited too long.
    mutating func answerEarly(at now: Now, into effects: inout [NodeEffect]) {
        guard !self.early.isEmpty else { return }
        let waiting = self.early
        let isForming = self.isForming
        self.early = isForming ? waiting.filter { now.instant < $0.deadline } : []
        for one in waiting {
            if now.instant >= one.deadline {
                self.answer(one.target, .failed(.notMember), into: &effects)
            } else if !isForming {
                self.traces.incoming = one.trace
                self.onRequest(
                    one.request, one.target, timeout: one.deadline.since(now.instant), at: now, into: &effects)
                self.traces.incoming = nil
            }
        }
    }
}
