package import GyreNode

/// What came of several runs, whatever order they ended in. Pure value; not shared between threads.
///
/// Runs share nothing, so a caller spreads seeds over as many threads as it has cores and adds the results up here.
package struct SimulationBatch: Sendable {
    /// How many runs kept every promise.
    package private(set) var passed = 0
    /// Runs that broke one, by seed.
    package private(set) var failed: [SimulationResult] = []
    /// How many events all runs took.
    package private(set) var events: UInt64 = 0
    /// How far the clocks of all runs came, added up.
    package private(set) var virtualSeconds = 0
    /// How often each mark was met.
    package private(set) var marks: [CoverageMark: UInt64] = [:]

    /// How often each point of a change of the ring was passed, and in how many runs a node ended there.
    package private(set) var steps: [RingStep: UInt64] = [:]
    /// See `steps`.
    package private(set) var stepsCrashed: [RingStep: UInt64] = [:]

    /// Of no runs.
    package init() {}

    /// Adds one run.
    package mutating func add(_ result: SimulationResult) {
        if result.violation == nil {
            self.passed += 1
        } else {
            let index = self.failed.firstIndex { $0.seed > result.seed } ?? self.failed.count
            self.failed.insert(result, at: index)
        }
        self.events += result.events
        self.virtualSeconds += result.virtualSeconds
        for (mark, count) in result.marks { self.marks[mark, default: 0] += count }
        for (step, count) in result.steps { self.steps[step, default: 0] += count }
        for step in result.stepsCrashed { self.stepsCrashed[step, default: 0] += 1 }
    }

    /// Adds another batch.
    package mutating func add(_ other: SimulationBatch) {
        self.passed += other.passed
        self.failed = (self.failed + other.failed).sorted { $0.seed < $1.seed }
        self.events += other.events
        self.virtualSeconds += other.virtualSeconds
        for (mark, count) in other.marks { self.marks[mark, default: 0] += count }
        for (step, count) in other.steps { self.steps[step, default: 0] += count }
        for (step, count) in other.stepsCrashed { self.stepsCrashed[step, default: 0] += count }
    }

    /// Points of a change of the ring that no run passed, and points at which no node ended.
    package var unmetSteps: [String] { RingStep.allCases.filter { self.steps[$0] == nil }.map(\.rawValue) }
    /// See `unmetSteps`.
    package var uncrashedSteps: [String] {
        RingStep.allCases.filter { self.stepsCrashed[$0] == nil }.map(\.rawValue)
    }

    /// Rare things that no run met, in the order of their names: holes in what was tested.
    package var unmetMarks: [CoverageMark] { CoverageMark.allCases.filter { self.marks[$0] == nil }.sorted() }
}
