import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import GyreStorage
import NIOCore

/// How a scenario came out.
package struct ScenarioOutcome: Hashable, Sendable {
    /// A line that did not come out as written.
    package struct Difference: Hashable, Sendable, CustomStringConvertible {
        /// The line, counted from 1.
        package let line: Int
        /// The line as the text has it.
        package let expected: String
        /// The line as it came out.
        package let actual: String

        /// Three lines for people.
        package var description: String {
            "line \(self.line)\n  expected: \(self.expected)\n  came out: \(self.actual)"
        }
    }

    /// The whole text, with what came out behind each arrow.
    package let text: String
    /// The first line that differs from what was written; nil when none does.
    package let difference: Difference?
    /// The promise that was broken on the way, which ends the scenario; nil when all were kept.
    package let violation: Violation?
}

/// What a world tells a scenario.
struct Told {
    /// By operation: what the client was answered.
    var answers: [Int: ClientResponse] = [:]
    /// What nodes reported about their disks, each once, in order.
    var events: [(node: Int, event: NodeEvent)] = []

    /// A node reports something.
    mutating func onEvent(_ event: NodeEvent, of index: Int) {
        switch event {
        case .corruptRecord, .healed, .refilled:
            guard !self.events.contains(where: { $0.node == index && $0.event == event }) else { return }
            self.events.append((index, event))
        case .normal, .member, .ring, .dotClash, .duplicateIdentity, .left, .drained, .slow: break
        }
    }
}

/// Plays a scenario in a world of its own, in virtual time. Equal texts come out equal, always.
package enum ScenarioRunner {
    /// Where arrows stand that the text does not have yet.
    private static let column = 44

    /// Plays all lines, or those up to the first broken promise.
    package static func run(_ scenario: Scenario) -> ScenarioOutcome {
        var stage = ScenarioStage(scenario)
        var violation: Violation?
        var actual: [String] = []
        do throws(Violation) { try stage.world.boot() } catch { violation = error }
        for line in scenario.lines {
            guard let step = line.step else {
                actual.append(line.text)
                continue
            }
            var shown: String?
            if violation == nil {
                do throws(Violation) { shown = try stage.play(step) } catch {
                    violation = error
                    shown = "BROKEN PROMISE \(error)"
                }
            } else {
                shown = "not reached"
            }
            actual.append(Self.row(line, shown))
        }
        let expected = scenario.lines.map { line in line.text + (line.expected.map { "-> " + $0 } ?? "") }
        let index = actual.indices.first { actual[$0] != expected[$0] }
        let difference = index.map {
            ScenarioOutcome.Difference(line: $0 + 1, expected: expected[$0], actual: actual[$0])
        }
        return ScenarioOutcome(
            text: actual.map { $0 + "\n" }.joined(), difference: difference, violation: violation)
    }

    private static func row(_ line: Scenario.Line, _ shown: String?) -> String {
        let bare = String(line.text.reversed().drop { $0 == " " }.reversed())
        guard let shown else { return line.expected == nil ? line.text : bare }
        if line.expected != nil { return line.text + "-> " + shown }
        return bare + String(repeating: " ", count: max(1, Self.column - bare.count)) + "-> " + shown
    }
}

/// The world of one scenario, and what its readers and writers remember.
struct ScenarioStage {
    /// The cluster.
    let world: SimWorld
    let scenario: Scenario
    private let keys: [String: Int]
    /// By reader or writer, and by key: the context of the last answer.
    private var contexts: [String: [Int: VersionVector]] = [:]
    private var writes: UInt64 = 0
    private var repairID: UInt64 = 0

    init(_ scenario: Scenario) {
        self.scenario = scenario
        guard let options = try? SimulationOptions(seed: scenario.seed, nodes: scenario.plan.nodeCount, faults: [])
        else {
            preconditionFailure("a scenario of \(scenario.nodes.count) nodes was let in")
        }
        self.world = SimWorld(
            options: options, plan: scenario.plan, keys: scenario.keys,
            bucketRandom: SeededRandom(seed: scenario.seed))
        self.world.told = Told()
        self.keys = Dictionary(uniqueKeysWithValues: zip(scenario.keys, scenario.keys.indices))
    }

    /// Does one step; returns what it prints, nil for nothing.
    mutating func play(_ step: ScenarioStep) throws(Violation) -> String? {
        switch step {
        case .write(let write): return try self.write(write)
        case .get(let key, let node, let reads, let isStrict, let reader):
            var request = GetRequest(name: self.name(key), reads: reads.map { .count($0) } ?? .standard)
            if isStrict { request.primaryReads = .matching }
            let answer = try self.answer(.get(request), kind: .get, key: self.index(key), node: node)
            self.remember(answer, key: self.index(key), by: reader)
            return ScenarioText.answer(answer, isWrite: false)
        case .kill(let nodes, let losingPower):
            for node in nodes { try self.world.stop(node, losingPower: losingPower) }
        case .start(let nodes): for node in nodes { try self.world.start(node) }
        case .cut(let nodes): self.cut(nodes)
        case .mend: self.world.links.mendAll()
        case .wipe(let node):
            guard self.mayLose(node), !self.world.hasLostDisk else { return ScenarioText.oneDisk }
            try self.world.loseDisk(of: node)
        case .rot(let key, let node):
            guard self.mayLose(node) else { return ScenarioText.oneDisk }
            guard self.world.nodes[node].disk.held(self.name(key)) != nil else { return "nothing is there" }
            try self.world.rot(self.index(key), at: node, bit: 77)
        case .lose(let key, let node):
            guard self.mayLose(node) else { return ScenarioText.oneDisk }
            self.world.victim = node
            try self.world.loseRecord(of: self.index(key), at: node, withHints: false)
            self.world.nodes[node].disk.lose(self.name(key))
        case .run(let span): try self.world.run(until: self.world.queue.now.advanced(by: span))
        case .repair(let node):
            self.repairID += 1
            return try self.answer(.repair(RepairRequest(id: self.repairID)), at: node)
        case .progress(let node): return try self.answer(.repairCounts(id: self.repairID), at: node)
        case .converge:
            try self.world.converge()
            return "all owners are equal, nothing acknowledged is lost"
        case .join(let node, let isHeld): return try self.join(node, isHeld: isHeld)
        case .leave(let node, let asked):
            return try self.operate(.leave(self.world.nodes[node].id, isForced: false), at: asked)
        case .remove(let node, let asked): return try self.remove(node, at: asked)
        case .replace(let old, let new): return try self.replace(old, with: new)
        case .hints, .held, .equal, .trees, .counter, .events, .ring: return self.look(step)
        }
        return nil
    }

    private func answer(_ request: ClientRequest, at node: Int) throws(Violation) -> String {
        let answer = try self.answer(request, kind: .get, key: 0, node: node)
        return ScenarioText.answer(answer, isWrite: false)
    }

    /// One disk a scenario, because two lost copies are more than W = 2 promises to bear.
    private func mayLose(_ node: Int) -> Bool { self.world.victim == nil || self.world.victim == node }

    /// The index of a key in the world.
    func index(_ key: String) -> Int { self.keys[key] ?? 0 }
    /// The object of a key.
    func name(_ key: String) -> ObjectName { self.world.workload.names[self.index(key)] }

    private func cut(_ group: [Int]) {
        for inside in group {
            for outside in self.world.nodes.indices where !group.contains(outside) {
                self.world.links.setCut(true, from: inside, to: outside)
                self.world.links.setCut(true, from: outside, to: inside)
                self.world.breakConnection(inside, outside, after: .seconds(1))
            }
        }
    }

    // MARK: - Clients

    /// Asks once and waits for the answer; nil when none comes.
    func answer(
        _ request: ClientRequest, kind: ClientOperation.Kind, key: Int, node: Int
    ) throws(Violation) -> ClientResponse? {
        let world = self.world
        var operation = ClientOperation(client: 0, kind: kind, key: key, request: request, node: node)
        operation.before = world.acknowledgedWrites(key)
        if case .delete(let delete) = request {
            operation.declared = world.oracle.declared(delete.seen, name: delete.name)
        }
        world.operations.append(operation)
        let index = world.operations.count - 1
        world.ask(index)
        let limit = world.queue.now.advanced(by: SimWorld.clientPatience).advanced(by: .seconds(1))
        try world.run(until: limit, isDone: { world.operations[index].isOver })
        return world.told?.answers.removeValue(forKey: index)
    }

    private mutating func remember(_ answer: ClientResponse?, key: Int, by name: String) {
        switch answer {
        case .stored(let context, _, _), .notFound(let context): self.contexts[name, default: [:]][key] = context
        case .found(let record):
            guard let siblings = try? Siblings(encoded: record) else { return }
            self.contexts[name, default: [:]][key] = siblings.context
        case .status, .location, .explained, .repairing, .buckets, .ring, .listed, .failed, nil: break
        }
    }

    private mutating func write(_ write: ScenarioWrite) throws(Violation) -> String {
        var outcomes: [(text: String, count: Int)] = []
        for time in 1...write.times {
            let writer = write.writers[(time - 1) % write.writers.count]
            let key = self.index(write.key(time))
            if write.isReading, (time - 1) % write.writers.count == 0 {
                for reader in write.writers { try self.read(key, at: write.node, by: reader) }
            }
            let answer = try self.writeOnce(write, key: key, writer: writer)
            self.remember(answer, key: key, by: writer)
            let text = ScenarioText.answer(answer, isWrite: true)
            if let index = outcomes.firstIndex(where: { $0.text == text }) {
                outcomes[index].count += 1
            } else {
                outcomes.append((text, 1))
            }
        }
        if write.times == 1 { return outcomes[0].text }
        return outcomes.map { "\($0.count)x \($0.text)" }.joined(separator: "; ")
    }

    private mutating func read(_ key: Int, at node: Int, by reader: String) throws(Violation) {
        let request = GetRequest(name: self.world.workload.names[key])
        self.remember(try self.answer(.get(request), kind: .get, key: key, node: node), key: key, by: reader)
    }

    private mutating func writeOnce(
        _ write: ScenarioWrite, key: Int, writer: String
    ) throws(Violation) -> ClientResponse? {
        self.writes += 1
        let id = RequestID(client: 1, sequence: self.writes)
        let name = self.world.workload.names[key]
        let seen: Seen =
            switch write.stance {
            case .remembered: .given(self.contexts[writer]?[key] ?? VersionVector())
            case .overwrite: .overwrite
            case .blind: .blind
            }
        let writes: QuorumSize = write.writes.map { .count($0) } ?? .standard
        let primaries: QuorumSize = write.isStrict ? .matching : .standard
        guard let text = write.value else {
            let request = DeleteRequest(id: id, name: name, seen: seen, writes: writes, primaryWrites: primaries)
            return try self.answer(.delete(request), kind: .delete, key: key, node: write.node)
        }
        // The checkers know a write by the number that its value begins with.
        var value = ByteBuffer(integer: self.writes)
        value.writeString(text)
        let request = PutRequest(
            id: id, name: name, seen: seen, value: value, writes: writes, primaryWrites: primaries)
        return try self.answer(.put(request), kind: .put(write: self.writes), key: key, node: write.node)
    }
}
