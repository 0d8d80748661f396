import ArgumentParser
import GyreReports
import GyreSimulator

/// `gyre simulate`: runs whole clusters in virtual time under faults and checks that they keep every promise.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run simulated clusters under faults and check every promise.",
        discussion: """
            Each seed draws a cluster, a workload and faults, and always runs the same way. Exit code 1 means that a \
            promise was broken; the output names the seed and how to run it again.
            """)

    @Option(help: "The first seed.")
    var seed: UInt64 = 0

    @Option(help: "How many seeds to run, one after the other from --seed.")
    var seeds: UInt64 = 1

    @Option(help: "How many nodes, 1 to 7; drawn from the seed when left out.")
    var nodes: Int?

    @Option(help: "How much virtual time clients and faults get, such as 60s, 5m or 1h.")
    var time = "60s"

    @Option(help: "all, none, or a list of network, crash, power, clock, disk, membership.")
    var faults = "all"

    @Option(help: "Play one scenario from a text file instead of drawing runs from seeds.", completion: .file())
    var scenario: String?

    @Flag(help: "With --scenario: write what came out into the file.")
    var rewrite = false

    @Option(help: "With --scenario: end this node at each of its steps in the last run line, one run for each.")
    var crash: String?

    @Flag(help: "With --crash: the disk loses what was not synced.")
    var power = false

    @Option(help: .hidden)
    var plant: String?

    @Flag(help: "Print one JSON document.")
    var json = false

    func validate() throws {
        guard self.scenario != nil || !self.rewrite else { throw ValidationError("--rewrite needs --scenario") }
        guard self.scenario != nil || self.crash == nil else { throw ValidationError("--crash needs --scenario") }
        guard !self.rewrite || self.crash == nil else {
            throw ValidationError("--crash and --rewrite exclude each other")
        }
        guard self.crash != nil || !self.power else { throw ValidationError("--power needs --crash") }
        guard self.seeds > 0, self.seed <= .max - self.seeds else {
            throw ValidationError("--seeds must be at least 1 and the last seed below 2^64")
        }
        _ = try self.options(for: self.seed)
    }

    func run() async throws {
        if let path = self.scenario {
            return try await reportingFailures(json: self.json) {
                guard let node = self.crash else { return try self.play(path) }
                try self.sweep(path, crashing: node)
            }
        }
        let clock = ContinuousClock()
        let start = clock.now
        let first = try self.options(for: self.seed)
        let batch = await Self.run(first, seeds: self.seeds)
        let elapsed = clock.now - start
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        if self.json {
            print(self.document(batch, seconds: seconds).line)
        } else {
            self.report(batch, seconds: seconds)
        }
        if !batch.total.failed.isEmpty { throw ExitCode(1) }
    }

    // MARK: - Running

    /// The sum of all runs, and the only run when there is one.
    private struct Outcome: Sendable {
        var total = SimulationBatch()
        var last: SimulationResult?
    }

    /// Two threads take every other seed; runs share nothing.
    private static func run(_ first: SimulationOptions, seeds: UInt64) async -> Outcome {
        await withTaskGroup(of: Outcome.self) { group in
            for lane in 0..<min(2, seeds) {
                group.addTask {
                    var outcome = Outcome()
                    for offset in stride(from: lane, to: seeds, by: 2) {
                        var options = first
                        options.seed += offset
                        let result = Simulation.run(options)
                        outcome.total.add(result)
                        outcome.last = result
                    }
                    return outcome
                }
            }
            var all = Outcome()
            for await outcome in group {
                all.total.add(outcome.total)
                all.last = outcome.last
            }
            return all
        }
    }

    private func options(for seed: UInt64) throws -> SimulationOptions {
        let plantedBug = try self.plant.map { name in
            guard let bug = PlantedBug(rawValue: name) else {
                throw ValidationError("--plant must be one of \(PlantedBug.allCases.map(\.rawValue))")
            }
            return bug
        }
        do {
            return try SimulationOptions(
                seed: seed, nodes: self.nodes, virtualSeconds: try self.virtualSeconds(), faults: try self.families(),
                plantedBug: plantedBug)
        } catch let error as SimulationError {
            switch error {
            case .nodes(let value, let least, let most):
                throw ValidationError("--nodes \(value) must be \(least) to \(most)")
            case .virtualSeconds(let value, let least, let most):
                throw ValidationError("--time \(value)s must be \(least)s to \(most)s")
            }
        }
    }

    private func virtualSeconds() throws -> Int {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600]
        guard let last = self.time.last, let unit = units[last], let count = Int(self.time.dropLast()), count > 0,
            count <= SimulationOptions.virtualSecondsRange.upperBound
        else { throw ValidationError("--time \(self.time) must be a number with s, m or h, such as 60s") }
        return count * unit
    }

    private func families() throws -> Set<FaultClass> {
        switch self.faults {
        case "all": return Set(FaultClass.allCases)
        case "none": return []
        default:
            return Set(
                try self.faults.split(separator: ",").map { name in
                    guard let family = FaultClass(rawValue: String(name)) else {
                        let known = FaultClass.allCases.map(\.rawValue).joined(separator: ", ")
                        throw ValidationError("--faults \(name) must be all, none or some of \(known)")
                    }
                    return family
                })
        }
    }

    // MARK: - Reporting

    private func replay(_ result: SimulationResult) -> String {
        var words = ["gyre simulate --seed \(result.seed) --time \(self.time) --faults \(self.faults)"]
        if let nodes = self.nodes { words.append("--nodes \(nodes)") }
        if let plant = self.plant { words.append("--plant \(plant)") }
        return words.joined(separator: " ")
    }

    private func report(_ outcome: Outcome, seconds: Double) {
        let batch = outcome.total
        for result in batch.failed {
            print("seed \(result.seed) broke a promise: \(result.violation?.description ?? "")")
            print("  \(result.plan), trace hash \(result.traceHash)")
            print("  replay: \(self.replay(result))")
        }
        if self.seeds == 1, let result = outcome.last {
            print(result.plan)
            print("trace hash \(result.traceHash)")
        }
        let tenths = Int(seconds * 10)
        print(
            "\(self.seeds) seeds: \(batch.passed) passed, \(batch.failed.count) failed; \(batch.virtualSeconds) virtual "
                + "seconds, \(batch.events) events in \(tenths / 10).\(tenths % 10) s")
        if self.seeds >= 100, !batch.unmetMarks.isEmpty {
            print("never met: \(batch.unmetMarks.map(\.rawValue).joined(separator: ", "))")
        }
        if self.seeds >= 100, self.faults == "all" || self.faults.contains("membership") {
            let (unmet, uncrashed) = (batch.unmetSteps, batch.uncrashedSteps)
            print("steps of a change not passed: \(unmet.isEmpty ? "none" : unmet.joined(separator: ", "))")
            print("steps at which no node ended: \(uncrashed.isEmpty ? "none" : uncrashed.joined(separator: ", "))")
        }
    }

    private func document(_ outcome: Outcome, seconds: Double) -> JSONText {
        let batch = outcome.total
        let failed = batch.failed.map { result in
            JSONText.object([
                ("seed", .unsigned(result.seed)), ("invariant", .text(result.violation?.invariant ?? "")),
                ("message", .text(result.violation?.message ?? "")), ("trace_hash", .text("\(result.traceHash)")),
                ("replay", .text(self.replay(result))),
            ])
        }
        let marks = batch.marks.sorted { $0.key < $1.key }
            .map { ($0.key.rawValue, JSONText.unsigned(UInt64($0.value))) }
        var fields: [(String, JSONText)] = [
            ("seeds", .unsigned(self.seeds)), ("passed", .unsigned(UInt64(batch.passed))), ("failed", .list(failed)),
            ("virtual_seconds", .unsigned(UInt64(batch.virtualSeconds))), ("events", .unsigned(UInt64(batch.events))),
            ("seconds", .number(seconds)), ("marks", .object(marks)),
        ]
        if self.seeds == 1, let result = outcome.last { fields.append(("trace_hash", .text("\(result.traceHash)"))) }
        return .object(fields)
    }
}
