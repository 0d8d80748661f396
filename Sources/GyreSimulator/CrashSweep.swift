import GyreBase
import GyreStorage

/// Plays a scenario again and again, and ends one node at each of its steps: for every message that it gets and every
/// answer and sync of its disk in the time of the last `run` line, one run in which the node stops right after it.
///
/// The node comes back after half a second. What is demanded then is that nothing acknowledged is lost, that all owners
/// become equal, and that no hint is left 15 s later: time for the nodes to find each other, and for one retry of a delivery.
package struct CrashSweep: Sendable {
    /// What went wrong after one of the steps.
    package struct Failure: Hashable, Sendable {
        /// After which step of the node, counted from 1, it was ended.
        package let step: Int
        /// The promise that was broken.
        package let violation: Violation
    }

    /// How many steps the node had, and so how many runs there were.
    package let steps: Int
    /// The runs that broke a promise, in order.
    package private(set) var failures: [Failure] = []

    /// How long the node is away.
    static let away = TimeSpan.milliseconds(500)
    /// How long its return and what was interrupted may take.
    static let patience = TimeSpan.seconds(15)

    /// Plays `scenario` up to its last `run`, and that one once for every step of the node called `name`; with `losingPower` the
    /// disk loses what was not synced. Nil when the scenario has no such node, no `run`, or nothing happens to the node in it.
    /// - Throws: the promise that the scenario breaks without any crash.
    package init?(_ scenario: Scenario, crashing name: String, losingPower: Bool) throws(Violation) {
        guard let node = scenario.nodes.firstIndex(of: name), let last = Self.lastRun(scenario) else { return nil }
        let whole = try Self.stage(scenario, before: last.line)
        let before = whole.world.nodes[node].steps
        try whole.world.run(until: whole.world.queue.now.advanced(by: last.span))
        self.steps = Int(whole.world.nodes[node].steps - before)
        guard self.steps > 0 else { return nil }
        for step in 1...self.steps {
            do throws(Violation) {
                let stage = try Self.stage(scenario, before: last.line)
                try Self.crash(stage.world, node, afterSteps: UInt64(step), within: last.span, losingPower)
            } catch {
                self.failures.append(Failure(step: step, violation: error))
            }
        }
    }

    private static func lastRun(_ scenario: Scenario) -> (line: Int, span: TimeSpan)? {
        for (index, line) in scenario.lines.enumerated().reversed() {
            if case .run(let span) = line.step { return (index, span) }
        }
        return nil
    }

    /// The world as it is before the line at `index`.
    private static func stage(_ scenario: Scenario, before index: Int) throws(Violation) -> ScenarioStage {
        var stage = ScenarioStage(scenario)
        try stage.world.boot()
        for line in scenario.lines[..<index] {
            guard let step = line.step else { continue }
            _ = try stage.play(step)
        }
        return stage
    }

    private static func crash(
        _ world: SimWorld, _ node: Int, afterSteps steps: UInt64, within span: TimeSpan, _ losingPower: Bool
    ) throws(Violation) {
        let machine = world.nodes[node]
        let last = machine.steps + steps
        try world.run(until: world.queue.now.advanced(by: span), isDone: { machine.steps >= last })
        try world.stop(node, losingPower: losingPower)
        try world.run(until: world.queue.now.advanced(by: Self.away))
        try world.start(node)
        try world.run(until: world.queue.now.advanced(by: Self.patience))
        let left = world.nodes.filter { !$0.disk.engine.hintBacklogs.isEmpty }.map(\.index)
        guard left.isEmpty else {
            throw Violation("INV 10", "nodes \(left) still keep hints 15 s after the node came back")
        }
        try world.converge()
    }
}
