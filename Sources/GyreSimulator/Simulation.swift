import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreRing
import GyreStorage
import NIOCore

/// Runs worlds: one seed, one world, one thread. Runs share nothing, so that a caller may run several at once.
package enum Simulation {
    /// How long nodes may take to find each other, at the start and after all faults.
    static let agreementMost = TimeSpan.seconds(30)
    /// How long changes of the ring that go on may take to end after all faults.
    static let changesMost = TimeSpan.seconds(120)
    /// How long hints may take to go home after all faults.
    static let handoffMost = TimeSpan.seconds(30)
    /// How long exchanges may take to make all owners equal after all faults.
    static let equalityMost = TimeSpan.seconds(110)

    /// Runs one seed to its end, or to the first broken promise.
    package static func run(_ options: SimulationOptions) -> SimulationResult {
        let world = SimWorld(options: options)
        var violation: Violation?
        do throws(Violation) {
            try world.boot()
            try world.serve()
            try world.converge()
        } catch {
            violation = error
        }
        world.hash.record(world.events)
        return SimulationResult(
            seed: options.seed, traceHash: world.hash, events: world.events,
            virtualSeconds: Int(world.queue.now.nanoseconds / 1_000_000_000), plan: world.plan.summary,
            violation: violation, marks: world.marks, steps: world.steps, stepsCrashed: world.stepsCrashed)
    }
}

/// The phases of a run: start, safety under faults, healing and convergence.
extension SimWorld {
    /// Starts all nodes and waits until they agree on the ring.
    func boot() throws(Violation) {
        for index in self.members.map(\.index) {
            // Nodes without a seed that answers take themselves for the cluster, and what they acknowledged is hidden when they meet.
            let isSeed = index == 0 || index == self.plan.nodeCount - 1
            let most = self.plan.opensEarly && isSeed ? 300 : self.plan.startSpread.wholeMilliseconds
            self.queue.schedule(.start(node: index), after: .milliseconds(self.random.within(0...most)))
        }
        if self.plan.opensEarly { try self.openEarly() }
        try self.awaitAgreement("after the start")
    }

    /// Lets clients in at once; half of the time a node ends within the next two seconds, and is away for some.
    private func openEarly() throws(Violation) {
        self.letClientsIn()
        guard self.faultRandom.chance(1, in: 2) else { return }
        try self.run(until: self.queue.now.advanced(by: .milliseconds(self.faultRandom.within(0...2_000))))
        let victim = Int(self.faultRandom.below(UInt64(self.plan.nodeCount)))
        try self.stop(victim, losingPower: false)
        self.queue.schedule(.start(node: victim), after: .milliseconds(self.faultRandom.within(1...15_000)))
    }

    private func letClientsIn() {
        self.isServing = true
        for client in self.workload.clients.indices {
            self.queue.schedule(.clientWakes(client), after: self.workload.drawPause(client))
        }
    }

    /// Lets clients work while faults strike.
    func serve() throws(Violation) {
        if !self.isServing { self.letClientsIn() }
        self.links.rates = self.plan.links
        self.scheduleFaults()
        let span = TimeSpan.seconds(Int64(self.options.virtualSeconds))
        try self.run(until: self.queue.now.advanced(by: span))
    }

    /// Heals everything and demands that all owners become equal and hold every acknowledged write.
    func converge() throws(Violation) {
        try self.heal()
        try self.run(until: self.queue.now.advanced(by: .seconds(8)))
        try self.awaitAgreement("after all faults")
        if self.plan.setsBuckets { try self.convergeBuckets() }
        try self.awaitHandoff()
        try self.awaitEquality()
        try self.readEverything()
        if let difference = self.firstDifference() { throw difference }
        for name in self.workload.names {
            try self.checkOwners(of: name)
            let owners = self.owners(of: name)
            guard let first = owners.first else { throw Violation("INV 8", "nobody owns \(name)") }
            let siblings = self.nodes[first].disk.siblings(name)
            try self.oracle.checkFinal(siblings, of: name)
            if let bytes = self.nodes[first].disk.held(name) { self.hash.record(bytes) }
        }
    }

    /// INV 8: every live node places every partition alike, within bounded time.
    private func awaitAgreement(_ when: String) throws(Violation) {
        let most = self.plan.faults.contains(.membership) ? Simulation.changesMost : Simulation.agreementMost
        let limit = self.queue.now.advanced(by: most)
        try self.run(until: limit, isDone: { self.isAgreed })
        if self.isAgreed { return }
        let rings = self.nodes.map { machine in
            "\(machine.index) \(machine.role): "
                + (machine.life.map {
                    "\(hexadecimal($0.node.ring.hash)) \($0.node.membership.me.state) version \($0.node.ringState.version)"
                        + " of \($0.node.ringState.base.count) next \($0.node.ringState.next?.count ?? 0)"
                        + " marks \($0.node.ringState.marks.map(\.stage.rawValue)) labels \($0.node.membership.me.labels.map(\.name))"
                        + " members \($0.node.membership.members.map { "\($0.name) \($0.state) \($0.liveness)" })"
                } ?? "down")
        }
        throw Violation("INV 8", "no agreement \(when): \(rings), wishes \(self.wishes)")
    }

    /// INV 10: every hint goes home within bounded time.
    private func awaitHandoff() throws(Violation) {
        let limit = self.queue.now.advanced(by: Simulation.handoffMost)
        let isDone = { self.nodes.allSatisfy { $0.disk.engine.hintBacklogs.isEmpty } }
        try self.run(until: limit, isDone: isDone)
        guard !isDone() else { return }
        let left = self.nodes.map { "\($0.index): \($0.disk.engine.hintBacklogs.map(\.count))" }
        throw Violation("INV 10", "hints are left 30 s after all faults: \(left)")
    }

    /// INV 7: without a single read, hints and exchanges make all owners equal within bounded time.
    private func awaitEquality() throws(Violation) {
        let limit = self.queue.now.advanced(by: Simulation.equalityMost)
        while self.firstDifference() != nil, self.queue.now < limit {
            let next = min(limit, self.queue.now.advanced(by: .seconds(1)))
            try self.run(until: next)
        }
        if let difference = self.firstDifference() { throw difference }
    }

    private var isAgreed: Bool {
        guard self.wishes.isEmpty, let hash = self.witness?.life?.node.ring.hash else { return false }
        let members = self.members
        return members.allSatisfy { machine in
            guard let life = machine.life else { return false }
            return life.node.isServing && life.node.ring.members.count == members.count
                && life.node.ring.hash == hash && life.node.ringState.version > 0 && life.node.ringState.next == nil
                && life.node.membership.members.count { $0.state.ownsRanges } == members.count
                && members.allSatisfy { other in
                    other.index == machine.index
                        || life.node.membership.isAlive(other.id)
                            && self.connections.isWhole(machine.index, other.index)
                }
        } && members.allSatisfy { $0.life?.node.isRingSettled ?? false }
    }

    /// Reads every key from all its replicas through every node, so that read repair has its turn everywhere.
    private func readEverything() throws(Violation) {
        let reads = UInt8(min(self.plan.replicas, self.members.count))
        self.finalReads = (0, 0)
        for key in self.workload.names.indices {
            for node in self.members.map(\.index) {
                let request = GetRequest(name: self.workload.names[key], reads: .count(reads))
                var operation = ClientOperation(
                    client: nil, kind: .get, key: key, request: .get(request), node: node)
                operation.before = self.acknowledgedWrites(key)
                self.operations.append(operation)
                self.finalReads.pending += 1
                self.ask(self.operations.count - 1)
            }
        }
        try self.run(until: self.queue.now.advanced(by: .seconds(5)), isDone: { self.finalReads.pending == 0 })
        try self.run(until: self.queue.now.advanced(by: .seconds(1)))
    }

    /// The owners of an object in both rings, as a node sees them while they change.
    func allOwners(of name: ObjectName, at index: Int) -> [Int] {
        var owners = self.owners(of: name, at: index)
        guard let other = self.nodes[index].life?.node.otherRing else { return owners }
        for node in other.owners(of: other.partition(of: name.token)) {
            if let place = self.nodes.firstIndex(where: { $0.id == node }), !owners.contains(place) {
                owners.append(place)
            }
        }
        return owners
    }

    /// The owners of an object as one node sees them; without one, as all do once they agree.
    func owners(of name: ObjectName, at index: Int? = nil) -> [Int] {
        let machine = index.map { self.nodes[$0] } ?? self.witness
        guard let ring = machine?.life?.node.ring, !ring.members.isEmpty else { return [] }
        return ring.owners(of: ring.partition(of: name.token)).compactMap { owner in
            self.nodes.firstIndex { $0.id == owner }
        }
    }

    /// INV 7: all owners are byte-equal. INV 9: nobody else holds anything.
    private func firstDifference() -> Violation? {
        for name in self.workload.names {
            let owners = self.owners(of: name)
            guard let first = owners.first else { continue }
            for machine in self.members where !owners.contains(machine.index) && machine.disk.held(name) != nil {
                return Violation("INV 9", "node \(machine.index) holds \(String(buffer: name.key)) and does not own it")
            }
            let expected = self.nodes[first].disk.held(name)
            for owner in owners.dropFirst() where self.nodes[owner].disk.held(name) != expected {
                let a = self.nodes[first].disk.siblings(name)
                let b = self.nodes[owner].disk.siblings(name)
                return Violation(
                    "INV 7",
                    "\(String(buffer: name.key)) differs after healing (\(self.finalReads.refused) reads "
                        + "refused): node \(first) holds \(a.versions.map(\.dot)) under \(a.context.entries), node "
                        + "\(owner) \(b.versions.map(\.dot)) under \(b.context.entries)")
            }
        }
        return nil
    }

    private func checkOwners(of name: ObjectName) throws(Violation) {
        let owners = self.owners(of: name)
        guard Set(owners).count == min(self.plan.replicas, self.members.count) else {
            throw Violation("INV 8", "the owners of \(String(buffer: name.key)) are \(owners)")
        }
        for machine in self.members where !owners.contains(machine.index) && machine.disk.held(name) != nil {
            throw Violation("INV 9", "node \(machine.index) holds \(String(buffer: name.key)) and does not own it")
        }
    }
}
