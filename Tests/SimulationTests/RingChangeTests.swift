import GyreNode
import GyreSimulator
import Testing

/// Clusters whose members change while clients go on.
@Suite struct RingChanges {
    @Test(arguments: UInt64(1_000)..<1_006)
    func keepEveryPromiseWhereNothingElseGoesWrong(seed: UInt64) throws {
        let result = Simulation.run(try SimulationOptions(seed: seed, virtualSeconds: 20, faults: [.membership]))
        #expect(result.violation == nil, "seed \(seed): \(result.plan)")
    }

    @Test func haveAtLeastFiftyPointsAtWhichANodeCanEnd() {
        #expect(RingStep.allCases.count >= 50)
    }

    /// The longer run in Tests/steps/65-ring passes all of them.
    @Test func passMostPointsWithinAFewSeedsAndEndNodesThere() throws {
        var batch = SimulationBatch()
        for seed in UInt64(0)..<12 {
            batch.add(
                Simulation.run(
                    try SimulationOptions(seed: seed, virtualSeconds: 20, faults: Set(FaultClass.allCases))))
        }
        #expect(batch.failed.isEmpty)
        #expect(RingStep.allCases.count - batch.unmetSteps.count >= 50, "not passed: \(batch.unmetSteps)")
        #expect(RingStep.allCases.count - batch.uncrashedSteps.count >= 10, "no end at: \(batch.uncrashedSteps)")
    }
}
