package import GyreBase
import GyreMembership
import GyreMerkle
import GyreMessages
import GyreQuorum
import GyreRing
import NIOCore

/// What operators ask of the ring.
extension Node {
    /// Does what is asked here, hands it to the node that it is about, or says why it cannot be done.
    mutating func onRingRequest(
        _ request: RingRequest, _ target: ReplyTarget, timeout: TimeSpan, at now: Now, into effects: inout [NodeEffect]
    ) {
        if let subject = request.subject, subject != self.me {
            return self.pass(request, to: subject, target, timeout: timeout, at: now, into: &effects)
        }
        if let reason = self.objection(to: request) {
            return self.answer(target, .failed(.badRequest(reason)), into: &effects)
        }
        switch request {
        case .report: break
        case .join:
            // A node that has the place of another keeps it.
            if !self.baseOwners.contains(where: { $0.node == self.me }) {
                self.withMembership(into: &effects) { membership, out in membership.stopWaiting(into: &out) }
            }
        case .leave:
            self.visit(.leaveAsked, into: &effects)
            self.withMembership(into: &effects) { membership, out in membership.leave(into: &out) }
        case .remove(let node, _):
            self.visit(.memberRemoved, into: &effects)
            self.withMembership(into: &effects) { membership, out in
                _ = membership.remove(node, at: now.instant, into: &out)
            }
        case .takePlace(_, let old):
            self.visit(.placeAsked, into: &effects)
            let place = self.place(of: old) ?? old
            self.withMembership(into: &effects) { membership, out in membership.takePlace(place, into: &out) }
            // Whoever is asked next to leave, or proposes a ring without the old node, must know who waits for its place.
            for node in self.connected { effects.append(.send(node, .membership(.state([self.membership.me])))) }
        }
        self.answer(target, .ring(self.ringReport(at: now)), into: &effects)
    }

    private mutating func pass(
        _ request: RingRequest, to subject: NodeID, _ target: ReplyTarget, timeout: TimeSpan, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        guard self.isReachable(subject), target.mayForward else {
            let reason =
                self.membership.record(of: subject) == nil
                ? "\(subject) is no member" : "\(self.nameOf(subject)) cannot be reached: start it, or gyre remove it"
            return self.answer(target, .failed(.badRequest(reason)), into: &effects)
        }
        let span = min(max(timeout, .milliseconds(1)), self.options.timeoutMost)
        let deadline = now.instant.advanced(by: span)
        let tag = self.forwards.insert(
            ForwardOperation(
                target: target, request: .ring(request), to: subject, isSecond: true, started: now.instant,
                deadline: deadline, resendAt: now.halfWay(to: deadline), isWrite: false, needed: 1))
        effects.append(
            .send(
                subject,
                .forward(
                    tag: tag, timeoutMilliseconds: UInt32(clamping: span.wholeMilliseconds), .ring(request))))
    }

    private func place(of owner: NodeID) -> NodeID? { self.baseOwners.first { $0.node == owner }?.place }

    /// Whether a node that can be reached waits for the place of this one.
    private var hasSuccessor: Bool {
        guard let place = self.place(of: self.me) else { return false }
        return self.membership.members.contains {
            $0.node != self.me && $0.state == .normal && $0.placeTaken == place && self.isReachable($0.node)
        }
    }

    private func nameOf(_ node: NodeID) -> String { self.membership.record(of: node)?.name ?? node.description }

    private func objection(to request: RingRequest) -> String? {
        let owners = self.baseOwners.filter { !self.ringKeeper.isBanned($0.node) }
        func tooFew(_ node: NodeID) -> String? {
            let left = owners.count { owner in
                owner.node != node && self.membership.record(of: owner.node)?.state != .leaving
            }
            guard owners.contains(where: { $0.node == node }), left < self.options.quorum.replicas else { return nil }
            return "\(left) nodes would be left for \(self.options.quorum.replicas) replicas of every key; "
                + "start another node first, or say --force"
        }
        switch request {
        case .report: return nil
        case .join:
            if self.isBanned {
                return "\(self.nameOf(self.me)) was removed and cannot come back: start it with a new data directory"
            }
            if self.membership.me.state == .leaving {
                return "\(self.nameOf(self.me)) is leaving, which cannot be taken back: let it go, and start it with a "
                    + "new data directory"
            }
            return nil
        case .leave(let node, let isForced):
            switch self.membership.me.state {
            case .leaving: return nil
            case .removed: return "\(self.nameOf(node)) was removed already"
            case .joining, .normal: break
            }
            let isAlone = owners.allSatisfy { owner in
                owner.node == node || self.membership.record(of: owner.node)?.state == .leaving
            }
            if owners.contains(where: { $0.node == node }), isAlone, !self.hasSuccessor {
                return "\(self.nameOf(node)) is the last node that stays and has nobody to hand over to"
            }
            return isForced ? nil : tooFew(node)
        case .remove(let node, let isForced):
            if node == self.me { return "\(self.nameOf(node)) cannot remove itself: ask another node, or let it leave" }
            guard let record = self.membership.record(of: node) else { return "\(node) is no member" }
            if record.state == .removed || isForced { return nil }
            if self.isReachable(node) {
                return "\(record.name) is alive: gyre leave \(record.name) hands over what it has; --force removes it "
                    + "with all that only it holds"
            }
            return tooFew(node)
        case .takePlace(_, let old):
            if self.isBanned { return "\(self.nameOf(self.me)) was removed and can take no place" }
            if self.baseOwners.contains(where: { $0.node == self.me }) {
                return "\(self.nameOf(self.me)) owns a share of the ring already; start the new node with --hold"
            }
            guard let place = self.place(of: old) else {
                return "\(self.nameOf(old)) owns nothing whose place could be taken"
            }
            let rival = self.membership.members.first {
                $0.node != self.me && $0.state != .removed && $0.node != old && $0.placeTaken == place
                    && self.ringKeeper.whoActs(for: $0.node) == $0.node
            }
            return rival.map { "\($0.name) was told to take the place of \(self.nameOf(old)) already" }
        }
    }

    /// Whom the change that goes on waits for at its present stage.
    package var ringWaitsFor: [NodeID] {
        for stage in RingStage.allCases {
            let late = self.ringKeeper.laggards(stage, self.ringKeeper.state)
            if !late.isEmpty { return late }
        }
        return []
    }

    /// The ring as this node knows it, and what moves.
    func ringReport(at now: Now) -> RingReport {
        var report = RingReport(state: self.ringKeeper.state, waitsFor: self.ringWaitsFor)
        if let sync = self.ringKeeper.sync {
            report.partitionsGained = UInt64(sync.gained)
            report.partitionsMissing = UInt64(sync.waiting.count)
            let underWay = self.repairParts.first { $0.request.id == sync.id }?.counts
            report.bytesFetched = max(sync.bytes, underWay?.bytesSent ?? 0)
            report.keysFetched = max(sync.keys, underWay?.keysRepaired ?? 0)
            report.elapsedMilliseconds = UInt64(max(0, now.instant.since(sync.began).wholeMilliseconds))
        }
        report.partitionsForeign = UInt64(self.foreignPartitions)
        return report
    }

    /// A member as status shows it: one that wants a share of the ring and has none yet is joining.
    func shown(_ record: MemberRecord) -> MemberRecord {
        guard record.state == .normal,
            !self.isFounded || !self.baseOwners.contains(where: { $0.node == record.node })
        else { return record }
        var shown = record
        shown.state = .joining
        return shown
    }

    /// What moves to and from this node, for status.
    func transferFigures(at now: Now) -> [(name: String, value: UInt64)] {
        let report = self.ringReport(at: now)
        return [
            (StatusReport.ringChanging, report.state.next == nil ? 0 : 1), ("transfer_bytes", report.bytesFetched),
            ("transfer_keys", report.keysFetched), ("transfer_milliseconds", report.elapsedMilliseconds),
            ("transfer_partitions_foreign", report.partitionsForeign),
            ("transfer_partitions_gained", report.partitionsGained),
            ("transfer_partitions_missing", report.partitionsMissing),
        ]
    }

    /// Partitions that this node holds something of and does not own; looks at all of them.
    private var foreignPartitions: Int {
        guard self.ringKeeper.state.version > 0, !self.ring.members.isEmpty else { return 0 }
        return (0..<self.options.partitionCount).count { index in
            !self.ring.owners(of: PartitionID(index: index)).contains(self.me)
                && !(self.otherRing?.owners(of: PartitionID(index: index)).contains(self.me) ?? false)
                && (self.trees.forest.root(of: index) ?? 0) != 0
        }
    }
}
