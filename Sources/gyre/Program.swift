import ArgumentParser
import Glibc
import GyreReports

/// Where the process begins: what ArgumentParser's own beginning does, and what it leaves out. Arguments that are no text are refused,
/// and wrong usage is a JSON document too where JSON was asked for.
@main
enum Program {
    static func main() async {
        if let place = Self.firstThatIsNoText {
            let message = """
                argument \(place) is not UTF-8, and would be stored as something else; a value that is not text goes through \
                '-' or --file, a key that is not text through HTTP or the Redis protocol
                """
            StandardStreams.writeError("gyre: \(message)")
            Self.writeJSON(message)
            Glibc.exit(ExitCode.usage.rawValue)
        }
        do {
            var command = try Gyre.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            // A failure of the command itself has said what it is, and is nothing but its exit code.
            if !(error is ExitCode), Gyre.exitCode(for: error) == .usage { Self.writeJSON(Gyre.message(for: error)) }
            Gyre.exit(withError: error)
        }
    }

    private static func writeJSON(_ message: String) {
        guard CommandLine.arguments.contains("--json") else { return }
        StandardStreams.writeLine(JSONText.failure("badRequest", message).line)
    }

    /// The place of the first argument whose bytes `CommandLine.arguments` cannot keep; the command's name is 0.
    private static var firstThatIsNoText: Int? {
        (0..<Int(CommandLine.argc)).first { index in
            guard let argument = CommandLine.unsafeArgv[index] else { return false }
            return String(validatingCString: argument) == nil
        }
    }
}
