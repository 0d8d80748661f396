import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreRing
import GyreStorage
import NIOCore

/// What the operators of a simulated cluster want, and how far it is.
enum OperatorWish: Hashable {
    /// The machine hands over what it has and goes.
    case leave(Int)
    /// The identity is dead and banned for good.
    case remove(NodeID)
    /// The machine takes the place of an identity, which is dead, or leaves.
    case takePlace(Int, of: NodeID, isDead: Bool)
}

/// Nodes join, leave, are removed and replaced while clients go on.
extension SimWorld {
    /// How often operators say again what they want.
    static let operatorPause = TimeSpan.milliseconds(700)
    /// The connection that answers to operators go to; no client has it.
    static let operatorConnection = UInt64.max

    /// Machines that are in the cluster or on their way into or out of it.
    var members: [SimNode] { self.nodes.filter { $0.role == .member } }

    /// The first member that is up, whose view stands for that of all once they agree.
    var witness: SimNode? { self.nodes.first { $0.role == .member && $0.life != nil } }

    private var leaving: [Int] {
        self.wishes.compactMap { wish in
            switch wish {
            case .leave(let index): index
            case .remove: nil
            case .takePlace(_, let old, _): self.nodes.firstIndex { $0.id == old }
            }
        }
    }

    /// Something about the members changes.
    func changeMembership() throws(Violation) {
        let leaving = self.leaving
        let staying = self.members.filter { !leaving.contains($0.index) }
        let least = max(2, self.plan.reads, self.plan.writes)
        let mayShrink = staying.count > least
        let victim = staying.isEmpty ? nil : staying[Int(self.faultRandom.below(UInt64(staying.count)))]
        switch self.faultRandom.below(self.plan.isGentle ? 3 : 5) {
        case 0, 1:
            try self.join()
            // Two that start together meet each other as soon as the cluster.
            if self.plan.isGentle, self.faultRandom.chance(1, in: 2) { try self.join() }
        case 2: if mayShrink, let victim { self.wish(.leave(victim.index)) }
        case 3: if mayShrink, let victim, self.mayLose(victim) { try self.remove(victim) }
        default: if staying.count >= least, let victim { try self.replace(victim) }
        }
    }

    /// One disk a run, as with disks that are lost otherwise.
    private func mayLose(_ machine: SimNode) -> Bool {
        self.plan.replicas > 1 && !self.hasLostDisk && (self.victim == nil || self.victim == machine.index)
    }

    /// A machine that was never started joins; nil when none is left.
    @discardableResult
    func join(isHeld: Bool = false) throws(Violation) -> SimNode? {
        guard let spare = self.nodes.first(where: { $0.role == .spare }) else { return nil }
        spare.role = .member
        spare.isHeld = isHeld
        self.mark(.joined)
        try self.start(spare.index)
        return spare
    }

    /// A node dies with its disk, and an operator bans it.
    func remove(_ machine: SimNode) throws(Violation) {
        let old = machine.id
        try self.bury(machine)
        self.mark(.removedDead)
        self.wish(.remove(old))
    }

    private func bury(_ machine: SimNode) throws(Violation) {
        try self.loseDisk(of: machine.index)
        machine.role = .gone
    }

    /// A new node takes the place of one that is dead or alive.
    func replace(_ machine: SimNode) throws(Violation) {
        let isDead = self.mayLose(machine) && self.faultRandom.chance(1, in: 2)
        let old = machine.id
        guard let newcomer = try self.join(isHeld: true) else { return }
        if isDead { try self.bury(machine) }
        self.mark(.replaced)
        self.wish(.takePlace(newcomer.index, of: old, isDead: isDead))
    }

    /// An operator begins to ask for something.
    func wish(_ wish: OperatorWish) {
        guard !self.wishes.contains(wish) else { return }
        self.wishes.append(wish)
        self.queue.schedule(.operatorSpeaks(wish), after: .milliseconds(self.faultRandom.within(1...200)))
    }

    /// An operator asks, and asks again until it is so.
    func onOperator(_ wish: OperatorWish) throws(Violation) {
        guard self.wishes.contains(wish) else { return }
        guard !self.isDone(wish) else {
            self.wishes.removeAll { $0 == wish }
            return
        }
        self.queue.schedule(.operatorSpeaks(wish), after: Self.operatorPause)
        let up = self.members.filter { $0.life != nil }
        guard !up.isEmpty else { return }
        let asked = up[Int(self.random.below(UInt64(up.count)))].index
        for request in self.requests(of: wish) {
            let address = ReplyAddress(connection: Self.operatorConnection, request: 0)
            try self.feed(asked, .client(address, .ring(request), timeout: Self.requestTimeout))
        }
    }

    private func requests(of wish: OperatorWish) -> [RingRequest] {
        switch wish {
        case .leave(let index): return [.leave(self.nodes[index].id, isForced: true)]
        case .remove(let node): return [.remove(node, isForced: true)]
        case .takePlace(let index, let old, let isDead):
            let newcomer = self.nodes[index]
            let farewell: RingRequest = isDead ? .remove(old, isForced: true) : .leave(old, isForced: true)
            // The newcomer may be gone itself; a dead node is banned nevertheless.
            if newcomer.role == .gone { return isDead ? [farewell] : [] }
            guard let life = newcomer.life, life.node.ringState.version > 0 else { return [] }
            if life.node.ringOwners.contains(where: { $0.node == newcomer.id }) { return [farewell] }
            guard life.node.ringOwners.contains(where: { $0.node == old }) else {
                // Where the place is gone, or somebody else's by now, the newcomer gets one of its own.
                return isDead ? [.join(newcomer.id), farewell] : [.join(newcomer.id)]
            }
            return [life.node.membership.me.placeTaken == nil ? .takePlace(newcomer.id, of: old) : farewell]
        }
    }

    private func isDone(_ wish: OperatorWish) -> Bool {
        switch wish {
        case .leave(let index): self.nodes[index].role == .gone
        case .remove(let node): self.isBannedEverywhere(node)
        case .takePlace(let index, let old, let isDead):
            if self.nodes[index].role == .gone {
                !isDead || self.isBannedEverywhere(old)
            } else {
                self.isOwner(self.nodes[index].id)
                    && (isDead
                        ? self.isBannedEverywhere(old) : !self.nodes.contains { $0.id == old && $0.role != .gone })
            }
        }
    }

    /// Whether a ring that was founded gives the node a share.
    private func isOwner(_ node: NodeID) -> Bool {
        guard let life = self.witness?.life, life.node.ringState.version > 0 else { return false }
        return life.node.ringOwners.contains { $0.node == node }
    }

    /// Whether nobody counts on the node any more; one that went before anybody heard of it need not be banned, and cannot be.
    private func isBannedEverywhere(_ node: NodeID) -> Bool {
        self.members.allSatisfy { machine in
            guard let life = machine.life else { return false }
            return life.node.membership.record(of: node).map { $0.state == .removed } ?? true
        }
    }

    /// A node says that it has left: everything that it was told to keep must be with others, because its disk goes with it.
    func onLeft(_ index: Int) throws(Violation) {
        let machine = self.nodes[index]
        guard machine.role == .member else { return }
        machine.role = .gone
        self.mark(.left)
        try self.stop(index, losingPower: false)
        try self.loseBuckets(of: index, hasLeft: true)
        for key in self.workload.names.indices {
            let name = self.workload.names[key]
            let known = machine.disk.knowledge(name)
            let others = self.nodes.filter { $0.index != index }.flatMap { $0.disk.knowledge(name) }
            let lost = try self.oracle.onRecordLost(key: key, at: index, lost: known, others: others)
            if let write = lost.first {
                throw Violation("INV 1", "node \(index) left and took acknowledged write \(write) along")
            }
        }
        self.oracle.onDiskLost(node: index)
        self.wishes.removeAll { $0 == .leave(index) }
    }

    /// A node passes a point of a change; true when it ends there.
    func onStep(_ step: RingStep, at index: Int) throws(Violation) -> Bool {
        self.steps[step, default: 0] += 1
        guard self.isServing, self.plan.armedSteps.contains(step), !self.stepsCrashed.contains(step),
            self.nodes[index].role == .member, self.faultRandom.chance(1, in: 2)
        else { return false }
        self.stepsCrashed.append(step)
        self.mark(.crashedInChange)
        try self.stop(index, losingPower: self.faultRandom.chance(1, in: 2))
        self.queue.schedule(.start(node: index), after: .milliseconds(self.faultRandom.within(1...3_000)))
        return true
    }

    /// INV 9: what a node removes because it owns it no longer is on the disk of every owner.
    func checkRemoval(_ request: StorageRequest, _ outcome: StorageOutcome, at index: Int) throws(Violation) {
        guard case .remove(_, let objects) = request, case .removed(let gone) = outcome else { return }
        for (object, isGone) in zip(objects, gone) where isGone {
            self.mark(.rangeRemoved)
            let receivers = self.owners(of: object.name, at: index).filter { $0 != index }
            guard !receivers.isEmpty else {
                throw Violation("INV 9", "node \(index) removes what nobody else owns")
            }
            try self.oracle.checkRemoval(
                at: index, name: object.name,
                // What rots behind the comparison is the disk's doing: the other owners have it, too.
                receivers: receivers.map { ($0, self.nodes[$0].disk.madeSafe(object.name)) })
        }
    }
}
