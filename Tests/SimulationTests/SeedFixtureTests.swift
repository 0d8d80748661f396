import Foundation
import GyreSimulator
import Testing

/// One line of `Seeds/failed-once.txt`.
struct SeedFixture: Sendable, CustomTestStringConvertible {
    let options: SimulationOptions
    let testDescription: String

    /// Every line of the file next to this one.
    static func all() throws -> [SeedFixture] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Seeds")
        let text = try String(contentsOf: folder.appendingPathComponent("failed-once.txt"), encoding: .utf8)
        return try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let words = line.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: true).map(String.init)
            let seed = try #require(words.first.flatMap { UInt64($0) }, "no seed in: \(line)")
            try #require(words.count == 5, "five columns expected in: \(line)")
            let all = FaultClass.allCases
            let faults = words[3] == "all" ? FaultClass.ofMachines : all.filter { words[3].contains($0.rawValue) }
            let options = try SimulationOptions(
                seed: seed, nodes: Int(words[2]), virtualSeconds: try #require(Int(words[1])), faults: Set(faults))
            return SeedFixture(options: options, testDescription: "seed \(seed): \(words[4])")
        }
    }
}

@Suite struct SeedsThatFailedOnce {
    @Test func holdNow() throws {
        for fixture in try SeedFixture.all() {
            let result = Simulation.run(fixture.options)
            #expect(result.violation == nil, "\(fixture.testDescription) (\(result.plan))")
        }
    }
}
