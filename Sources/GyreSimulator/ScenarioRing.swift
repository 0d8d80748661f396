import GyreBase
import GyreMembership
import GyreMessages
import GyreNode
import GyreRing

/// Steps of a scenario that change the members.
extension ScenarioStage {
    /// A machine is started for the first time.
    func join(_ node: Int, isHeld: Bool) throws(Violation) -> String? {
        let machine = self.world.nodes[node]
        guard machine.role == .spare else { return "it was started before" }
        machine.role = .member
        machine.isHeld = isHeld
        try self.world.start(node)
        return nil
    }

    /// A dead node is banned. Its disk goes with it, and one disk a scenario may.
    func remove(_ node: Int, at asked: Int) throws(Violation) -> String? {
        let machine = self.world.nodes[node]
        guard machine.life == nil else { return try self.operate(.remove(machine.id, isForced: false), at: asked) }
        guard !self.world.hasLostDisk else { return ScenarioText.oneDisk }
        let id = machine.id
        try self.world.loseDisk(of: node)
        machine.role = .gone
        return try self.operate(.remove(id, isForced: false), at: asked)
    }

    /// A new node takes the place of one that is dead, or that hands over and goes.
    func replace(_ old: Int, with new: Int) throws(Violation) -> String? {
        let machine = self.world.nodes[old]
        let id = machine.id
        let isDead = machine.life == nil
        if isDead {
            guard !self.world.hasLostDisk else { return ScenarioText.oneDisk }
            try self.world.loseDisk(of: old)
            machine.role = .gone
        }
        let taken = try self.operate(.takePlace(self.world.nodes[new].id, of: id), at: new)
        let gone: RingRequest = isDead ? .remove(id, isForced: true) : .leave(id, isForced: true)
        let second = try self.operate(gone, at: new)
        return taken == second ? taken : "\(taken ?? "no answer"); \(second ?? "no answer")"
    }

    /// Asks a node as an operator would.
    func operate(_ request: RingRequest, at node: Int) throws(Violation) -> String? {
        ScenarioText.answer(try self.answer(.ring(request), kind: .get, key: 0, node: node), isWrite: false)
    }

    /// Who owns ranges, and whom a change waits for.
    func ring(at node: Int) -> String {
        guard let life = self.world.nodes[node].life else { return "down" }
        let state = life.node.ringState
        func names(_ members: [RingMember]) -> String {
            members.map { member in
                self.world.nodes.first { $0.id == member.node }.map { self.scenario.nodes[$0.index] }
                    ?? "a node that is gone"
            }.sorted().joined(separator: " ")
        }
        let base = "version \(state.version): \(names(state.base))"
        guard let next = state.next else { return base }
        let late = life.node.ringWaitsFor.map { late in
            self.world.nodes.first { $0.id == late }.map { self.scenario.nodes[$0.index] } ?? "a node that is gone"
        }
        return "\(base); becomes \(names(next)), waits for \(late.sorted().joined(separator: " "))"
    }
}
