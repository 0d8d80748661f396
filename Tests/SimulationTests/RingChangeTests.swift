import GyreNode
import GyreSimulator
import Testing

/// Clusters whose members change while clients go on.
@Suite struct RingChanges {
    @Test(arguments: UInt64(0)..<12)
    func keepEveryPromise(seed: UInt64) throws {
        let options = try SimulationOptions(seed: seed, virtualSeconds: 20, faults: Set(FaultClass.allCases))
        let result = Simulation.run(options)
        #expect(result.violation == nil, "seed \(seed): \(result.plan)")
    }

    @Test(arguments: UInt64(1_000)..<1_006)
    func keepEveryPromiseWhereNothingElseGoesWrong(seed: UInt64) throws {
        let result = Simulation.run(try SimulationOptions(seed: seed, virtualSeconds: 20, faults: [.membership]))
        #expect(result.violation == nil, "seed \(seed): \(result.plan)")
    }

    @Test func haveAtLeastFiftyPointsAtWhichANodeCanEnd() {
        #expect(RingStep.allCases.count >= 50)
    }

    /// Seeds that together pass every point, and in which nodes end at nearly all of them.
    @Test func passEveryPointAndEndNodesThere() throws {
        var batch = SimulationBatch()
        for seed in Self.seedsThatPassEverything {
            batch.add(
                Simulation.run(
                    try SimulationOptions(seed: seed, virtualSeconds: 30, faults: Set(FaultClass.allCases))))
        }
        #expect(batch.failed.isEmpty)
        #expect(batch.unmetSteps == [])
        #expect(batch.uncrashedSteps == [])
    }

    private static let seedsThatPassEverything: [UInt64] = []
}
