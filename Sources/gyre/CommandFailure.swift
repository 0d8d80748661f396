import ArgumentParser
import GyreClient
import GyreReports

/// Why a command ends without success: its exit code, and the line for a person.
struct CommandFailure: Error {
    let code: ExitCode
    let message: String

    init(_ code: ExitCode, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// Runs the body of a command; turns every failure into one line on standard error and the promised exit code.
///
/// - Parameter json: also prints the failure as one JSON document on standard output.
func reportingFailures(json: Bool, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let failure as CommandFailure {
        StandardStreams.writeError("gyre: \(failure.message)")
        if json {
            let word = failure.code == .usage ? "badRequest" : failure.code == .inputOutput ? "inputOutput" : "failed"
            StandardStreams.writeLine(JSONText.failure(word, failure.message).line)
        }
        throw failure.code
    } catch let error as GyreError {
        StandardStreams.writeError("gyre: \(error)")
        if json { StandardStreams.writeLine(error.json.line) }
        throw error.exitCode
    } catch let error as InputError {
        StandardStreams.writeError("gyre: \(error)")
        if json { StandardStreams.writeLine(JSONText.failure("inputOutput", "\(error)").line) }
        throw ExitCode.inputOutput
    }
}

extension GyreError {
    /// What the process ends with.
    var exitCode: ExitCode {
        switch self.code {
        case .unavailable, .unknown, .overloaded, .timeout, .connectionLost: .quorumMissed
        case .exists: .notFound
        case .corrupt: .inputOutput
        case .tooLarge, .badRequest, .closed: .usage
        case .noNodeReachable, .notMember: .unreachable
        }
    }
}
