import GyreSimulator
import Testing

/// `Tests/steps/30-simulate` sweeps whole deliveries and repairs in the release binary; here is shown that a sweep can fail.
@Suite struct ACrashAtEveryStep {
    /// What c keeps for d cannot go home, because nobody hears c.
    private static let stuck = """
        nodes a b c d n=3 r=2 w=2 seed=7
        put cart plums via a
        kill d
        run 10s
        put cart pears via a
        start d
        cut c
        run 80ms
        """

    @Test func showsWhatIsStuckAfterEachOfThem() throws {
        let sweep = try #require(
            try CrashSweep(try Scenario(parsing: Self.stuck), crashing: "d", losingPower: true))
        #expect(sweep.failures.map(\.step) == Array(1...sweep.steps))
        #expect(sweep.failures.allSatisfy { $0.violation.invariant == "INV 10" }, "\(sweep.failures)")
    }

    @Test func needsANodeAndARun() throws {
        #expect(try CrashSweep(try Scenario(parsing: Self.stuck), crashing: "z", losingPower: false) == nil)
        let short = try Scenario(parsing: "nodes a b c\nput cart plums via a")
        #expect(try CrashSweep(short, crashing: "a", losingPower: false) == nil)
    }
}
