import ArgumentParser
import FoundationEssentials
import Glibc
import GyreSimulator

/// `gyre simulate --scenario`: plays one story and compares what came out with what is written in it.
extension SimulateCommand {
    /// Plays the scenario in the file at `path`, and with `rewriting` writes what came out back into it.
    ///
    /// - Throws: `ExitCode` 1 when a line came out otherwise or a promise was broken, `CommandFailure` otherwise.
    static func play(_ path: String, rewriting: Bool) throws {
        let outcome = ScenarioRunner.run(try self.read(path))
        if let violation = outcome.violation { print("\(path): broke a promise: \(violation)") }
        if rewriting {
            do {
                try outcome.text.write(toFile: path, atomically: true, encoding: .utf8)
            } catch {
                let cause = (error as? CocoaError)?.underlying as? POSIXError
                let reason = cause.map { String(cString: strerror($0.code.rawValue)) } ?? "\(error)"
                throw CommandFailure(.inputOutput, "cannot write \(path): \(reason)")
            }
            print(outcome.difference == nil ? "\(path): as it was" : "\(path): rewritten; review the difference")
        } else if let difference = outcome.difference {
            print("\(path), \(difference)")
            print("  gyre simulate --scenario \(path) --rewrite takes it over")
        } else {
            print("\(path): came out as written")
        }
        if outcome.violation != nil || (outcome.difference != nil && !rewriting) { throw ExitCode(1) }
    }

    /// Ends the node called `name` at each of its steps in the last run of the scenario at `path`; exit code 1 when a promise was
    /// broken after one of them.
    static func sweep(_ path: String, crashing name: String, losingPower: Bool) throws {
        let scenario = try self.read(path)
        let found: CrashSweep?
        do throws(Violation) {
            found = try CrashSweep(scenario, crashing: name, losingPower: losingPower)
        } catch {
            print("\(path): broke a promise before any crash: \(error)")
            throw ExitCode(1)
        }
        guard let sweep = found else {
            throw CommandFailure(.usage, "\(path) has no node \(name), or nothing happens to it in its last run")
        }
        for failure in sweep.failures {
            print("\(path): \(name) was ended at step \(failure.step), and a promise was broken: \(failure.violation)")
        }
        let how = losingPower ? "without power" : "killed"
        print("\(path): \(name) \(how) at each of \(sweep.steps) steps, \(sweep.failures.count) broke a promise")
        if !sweep.failures.isEmpty { throw ExitCode(1) }
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
