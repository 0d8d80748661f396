import ArgumentParser
import FoundationEssentials
import Glibc
import GyreReports
import GyreSimulator

/// `gyre simulate --scenario`: plays one story and compares what came out with what is written in it.
extension SimulateCommand {
    /// Plays the scenario in the file at `path`, and with `--rewrite` writes what came out back into it.
    ///
    /// - Throws: `ExitCode` 1 when a line came out otherwise or a promise was broken, `CommandFailure` otherwise.
    func play(_ path: String) throws {
        let outcome = ScenarioRunner.run(try Self.read(path))
        if self.rewrite { try Self.write(outcome.text, to: path) }
        if self.json {
            print(Self.document(path, outcome, isRewritten: self.rewrite).line)
        } else {
            if let violation = outcome.violation { print("\(path): broke a promise: \(violation)") }
            if self.rewrite {
                print(outcome.difference == nil ? "\(path): as it was" : "\(path): rewritten; review the difference")
            } else if let difference = outcome.difference {
                print("\(path), \(difference)")
                print("  gyre simulate --scenario \(path) --rewrite takes it over")
            } else {
                print("\(path): came out as written")
            }
        }
        if outcome.violation != nil || (outcome.difference != nil && !self.rewrite) { throw ExitCode(1) }
    }

    /// Ends the node called `name` at each of its steps in the last run of the scenario at `path`; exit code 1 when a promise was
    /// broken after one of them.
    func sweep(_ path: String, crashing name: String) throws {
        let scenario = try Self.read(path)
        let found: CrashSweep?
        do throws(Violation) {
            found = try CrashSweep(scenario, crashing: name, losingPower: self.power)
        } catch {
            if self.json {
                print(self.document(path, name, nil, brokenBefore: error).line)
            } else {
                print("\(path): broke a promise before any crash: \(error)")
            }
            throw ExitCode(1)
        }
        guard let sweep = found else {
            throw CommandFailure(.usage, "\(path) has no node \(name), or nothing happens to it in its last run")
        }
        if self.json {
            print(self.document(path, name, sweep).line)
        } else {
            for failure in sweep.failures {
                print(
                    "\(path): \(name) was ended at step \(failure.step), and a promise was broken: \(failure.violation)"
                )
            }
            let how = self.power ? "without power" : "killed"
            print("\(path): \(name) \(how) at each of \(sweep.steps) steps, \(sweep.failures.count) broke a promise")
        }
        if !sweep.failures.isEmpty { throw ExitCode(1) }
    }

    /// A sweep as JSON; nil when a promise was broken before any crash, and no step was counted.
    private func document(
        _ path: String, _ name: String, _ sweep: CrashSweep?, brokenBefore violation: Violation? = nil
    ) -> JSONText {
        let failed = (sweep?.failures ?? []).map { failure in
            JSONText.object([("step", .integer(Int64(failure.step))), ("violation", Self.document(failure.violation))])
        }
        return .object([
            ("scenario", .text(path)), ("violation", violation.map(Self.document) ?? .null), ("node", .text(name)),
            ("losing_power", .bool(self.power)), ("steps", sweep.map { .integer(Int64($0.steps)) } ?? .null),
            ("failed", .list(failed)),
        ])
    }

    private static func document(_ path: String, _ outcome: ScenarioOutcome, isRewritten: Bool) -> JSONText {
        let difference = outcome.difference.map { difference in
            JSONText.object([
                ("line", .integer(Int64(difference.line))), ("expected", .text(difference.expected)),
                ("came_out", .text(difference.actual)),
            ])
        }
        return .object([
            ("scenario", .text(path)), ("as_written", .bool(outcome.difference == nil)),
            ("rewritten", .bool(isRewritten && outcome.difference != nil)), ("difference", difference ?? .null),
            ("violation", outcome.violation.map(Self.document) ?? .null),
        ])
    }

    private static func document(_ violation: Violation) -> JSONText {
        .object([("invariant", .text(violation.invariant)), ("message", .text(violation.message))])
    }

    private static func write(_ text: String, to path: String) throws {
        do {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            let cause = (error as? CocoaError)?.underlying as? POSIXError
            let reason = cause.map { String(cString: strerror($0.code.rawValue)) } ?? "\(error)"
            throw CommandFailure(.inputOutput, "cannot write \(path): \(reason)")
        }
    }

    private static func read(_ path: String) throws -> Scenario {
        let bytes: [UInt8]
        do { bytes = try StandardStreams.read(path, bytesMax: Scenario.bytesMax) } catch {
            throw CommandFailure(.inputOutput, "\(error)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.usage, "\(path) is not UTF-8 text")
        }
        do { return try Scenario(parsing: text) } catch { throw CommandFailure(.usage, "\(path), \(error)") }
    }
}
