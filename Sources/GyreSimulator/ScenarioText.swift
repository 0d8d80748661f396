import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import GyreRing
import GyreStorage
import NIOCore

/// What happened, in words.
enum ScenarioText {
    /// The most values that are written out.
    static let valuesShownMax = 6
    /// Why a second disk may not be damaged.
    static let oneDisk = "refused: only one disk of a scenario may be damaged"

    /// An answer to a client; nil when none came.
    static func answer(_ response: ClientResponse?, isWrite: Bool) -> String {
        switch response {
        case .stored(_, let acks, let needed): return "stored on \(acks), needed \(needed)"
        case .found(let record):
            guard let siblings = try? Siblings(encoded: record) else { return "found something unreadable" }
            return "found " + Self.values(siblings)
        case .notFound(let context): return context.isEmpty ? "not found" : "not found, deleted"
        case .failed(let failure): return Self.failure(failure, isWrite: isWrite)
        case .repairing(let counts, let isOver, let silent):
            let missing = silent.isEmpty ? "" : ", \(silent.count) silent"
            return "compared \(counts.compared) of \(counts.planned), differed \(counts.keysDiffering), "
                + "repaired \(counts.keysRepaired), failed \(counts.failed)\(missing)\(isOver ? ", over" : "")"
        case .ring(let report): return "under way since version \(report.state.version)"
        case .status, .location, .explained, .buckets, .listed: return "an answer of another kind"
        case nil: return "no answer" + (isWrite ? "; it may have happened" : "")
        }
    }

    /// The values of a record, sorted, or how many there are.
    static func values(_ siblings: Siblings) -> String {
        guard siblings.versions.count <= Self.valuesShownMax else { return "\(siblings.versions.count) siblings" }
        let texts = siblings.versions.map { version in
            // The number of the write comes before the text.
            String(
                buffer: version.value.getSlice(
                    at: version.value.readerIndex + 8, length: version.value.readableBytes - 8) ?? ByteBuffer())
        }
        return texts.sorted().joined(separator: " | ")
    }

    private static func failure(_ failure: Failure, isWrite: Bool) -> String {
        let never = isWrite ? "; it did not happen" : ""
        let perhaps = isWrite ? "; it may have happened" : ""
        return switch failure {
        case .unavailable(let needed, let got): "unavailable: needed \(needed), got \(got)\(never)"
        case .unknown(let needed, let got): "unknown: needed \(needed), got \(got)\(perhaps)"
        case .timeout: "timed out\(perhaps)"
        case .tooLarge(let limit): "refused: over the limit of \(limit)\(never)"
        case .overloaded: "overloaded\(never)"
        case .badRequest(let reason): "refused: \(reason)"
        case .notMember: "refused: not yet a member\(never)"
        case .corrupt: "corrupt: no sound copy answered\(never)"
        case .exists: "refused: it exists\(never)"
        }
    }
}

/// Looking at the world from outside, which changes nothing.
extension ScenarioStage {
    /// What a step that only looks prints.
    func look(_ step: ScenarioStep) -> String? {
        let machines = self.world.nodes
        switch step {
        case .hints: return self.hints
        case .held(let key):
            return self.owners(of: key).map { owner in
                let disk = machines[owner].disk
                let isUnreadable = disk.isUnreadable(self.name(key))
                let siblings = disk.siblings(self.name(key))
                let what =
                    siblings.isEmpty ? "nothing" : siblings.isTombstone ? "deleted" : ScenarioText.values(siblings)
                return "\(self.scenario.nodes[owner]): \(isUnreadable ? "rotten" : what)"
            }.joined(separator: ", ")
        case .equal(let key):
            guard let key else {
                let equal = self.scenario.keys.count { self.isEqual($0) }
                return "\(equal) of \(self.scenario.keys.count) keys"
            }
            return self.isEqual(key) ? "yes" : "no"
        case .trees(let node):
            guard let life = machines[node].life else { return "down" }
            return "\(life.node.treesBuilt) of \(self.scenario.plan.partitionCount) built"
        case .counter(let name, let node):
            guard let life = machines[node].life else { return "down" }
            return life.node.counters.named.first { $0.name == name }.map { "\($0.value)" } ?? "no such counter"
        case .events: return self.events()
        case .ring(let node): return self.ring(at: node)
        case .write, .get, .kill, .start, .cut, .mend, .wipe, .rot, .lose, .run, .repair, .progress, .converge, .join,
            .leave, .remove, .replace:
            return nil
        }
    }

    private var hints: String {
        var texts: [String] = []
        for machine in self.world.nodes {
            for backlog in machine.disk.engine.hintBacklogs where backlog.count > 0 {
                let target = self.world.nodes.first { $0.id == backlog.target }
                let whom = target.map { self.scenario.nodes[$0.index] } ?? "a node that is gone"
                texts.append("\(self.scenario.nodes[machine.index]) keeps \(backlog.count) for \(whom)")
            }
        }
        return texts.isEmpty ? "none" : texts.joined(separator: ", ")
    }

    /// The owners of a key in preference order, as the first node sees them that is up.
    private func owners(of key: String) -> [Int] {
        guard let observer = self.world.nodes.first(where: { $0.life != nil }) else { return [] }
        return self.world.owners(of: self.name(key), at: observer.index)
    }

    private func isEqual(_ key: String) -> Bool {
        let held = self.owners(of: key).map { self.world.nodes[$0].disk.held(self.name(key)) }
        return held.allSatisfy { $0 == held.first }
    }

    private func events() -> String {
        let told = self.world.told?.events ?? []
        self.world.told?.events.removeAll()
        let texts = told.map { node, event in
            let what =
                switch event {
                case .corruptRecord(let token): "found \(self.key(of: token)) rotten"
                case .healed(let token): "healed \(self.key(of: token))"
                case .refilled: "made up for its lost disk"
                case .normal, .member, .ring, .dotClash, .duplicateIdentity, .left, .drained, .slow: "\(event)"
                }
            return "\(self.scenario.nodes[node]) \(what)"
        }
        return texts.isEmpty ? "none" : texts.joined(separator: ", ")
    }

    private func key(of token: Token) -> String {
        let index = self.world.workload.names.firstIndex { $0.token == token }
        return index.map { self.scenario.keys[$0] } ?? "an unknown key"
    }
}
