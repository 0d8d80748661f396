import GyreBase
import GyreSimulator
import Testing

private let everyFault = Set(FaultClass.ofMachines)

@Suite struct Runs {
    @Test(arguments: UInt64(0)..<4)
    func ofOneSeedAreEqual(seed: UInt64) throws {
        let options = try SimulationOptions(seed: seed, virtualSeconds: 5, faults: everyFault)
        let first = Simulation.run(options)
        let second = Simulation.run(options)
        #expect(first.traceHash == second.traceHash, "seed \(seed)")
        #expect(first.events == second.events, "seed \(seed)")
    }

    @Test func ofDifferentSeedsDiffer() throws {
        let hashes = try (UInt64(0)..<10).map { seed in
            Simulation.run(try SimulationOptions(seed: seed, virtualSeconds: 2, faults: everyFault)).traceHash
        }
        #expect(Set(hashes).count == hashes.count)
    }

    @Test(arguments: UInt64(0)..<8)
    func keepEveryPromiseUnderEveryFault(seed: UInt64) throws {
        let result = Simulation.run(try SimulationOptions(seed: seed, virtualSeconds: 15, faults: everyFault))
        #expect(result.violation == nil, "seed \(seed): \(result.plan)")
    }

    @Test(arguments: FaultClass.allCases, UInt64(100)..<102)
    func keepEveryPromiseUnderOneFault(fault: FaultClass, seed: UInt64) throws {
        let result = Simulation.run(try SimulationOptions(seed: seed, virtualSeconds: 10, faults: [fault]))
        #expect(result.violation == nil, "seed \(seed), \(fault.rawValue): \(result.plan)")
    }

    @Test func meetWhatIsCommonWithinAFewSeeds() throws {
        var batch = SimulationBatch()
        for seed in UInt64(200)..<212 {
            batch.add(Simulation.run(try SimulationOptions(seed: seed, virtualSeconds: 20, faults: everyFault)))
        }
        let common: [CoverageMark] = [
            .writeStored, .writeUnknown, .unavailable, .siblingsRead, .tombstoneRead, .staleContextUsed, .retried,
            .readRepaired, .forwarded, .declaredDead,
        ]
        #expect(batch.unmetMarks.filter { common.contains($0) } == [])
    }

    @Test func areRefusedWithAReasonWhenTheyCannotBeStarted() {
        #expect(throws: SimulationError.nodes(8, least: 1, most: 7)) {
            try SimulationOptions(seed: 0, nodes: 8, faults: [])
        }
        #expect(throws: SimulationError.virtualSeconds(0, least: 1, most: 86_400)) {
            try SimulationOptions(seed: 0, virtualSeconds: 0, faults: [])
        }
    }
}

@Suite struct PlantedBugs {
    /// How many seeds the checkers get to see a mistake.
    private static let seedsMax: UInt64 = 500
    /// Where to begin, because the seeds before take the time of a debug build and show nothing: a mistake that needs a rare
    /// coincidence, and the first seed that has it.
    private static let firstSeeds: [PlantedBug: UInt64] = [
        .readRepairWritesLoser: 7, .twoReplicasOnOneNode: 2, .skipWrapAround: 6, .sendBeforeOwnDisk: 245,
        .readBeforeSync: 138, .countHintInMemory: 2, .dropHintAtCap: 11,
    ]

    @Test(arguments: PlantedBug.allCases)
    func areCaught(_ bug: PlantedBug) throws {
        for seed in (Self.firstSeeds[bug] ?? 0)..<Self.seedsMax {
            let options = try SimulationOptions(seed: seed, faults: everyFault, plantedBug: bug)
            guard let violation = Simulation.run(options).violation else { continue }
            print("\(bug.rawValue): \(seed + 1) seeds, caught as \(violation.invariant)")
            return
        }
        Issue.record("\(bug.rawValue) was not caught within \(Self.seedsMax) seeds")
    }
}
