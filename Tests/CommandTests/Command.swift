import Foundation

/// Runs the built `gyre`, which lies beside the test bundle.
enum Command {
    /// What a finished process left.
    struct Outcome: Sendable {
        let code: Int32
        let out: String
        let error: String

        /// Standard output as a JSON object.
        var json: [String: Any] {
            get throws {
                guard let object = try JSONSerialization.jsonObject(with: Data(self.out.utf8)) as? [String: Any] else {
                    throw CocoaError(.propertyListReadCorrupt)
                }
                return object
            }
        }
    }

    /// The executable.
    static let path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("gyre").path

    /// Runs a command to its end.
    static func run(
        _ arguments: [String], input: Data = Data(), environment: [String: String] = [:]
    ) async throws -> Outcome {
        try await self.waiting {
            try self.runBlocking(self.makeProcess(arguments, environment: environment), input: input)
        }
    }

    /// Runs a script of `sh` to its end, with the executable as `$GYRE`: for arguments that are no text.
    static func script(_ text: String) async throws -> Outcome {
        try await self.waiting {
            let process = self.makeProcess(["-c", text], environment: ["GYRE": self.path])
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            return try self.runBlocking(process, input: Data())
        }
    }

    /// Waits for a process on a thread of its own: the few threads that tests share must not be used up.
    static func waiting<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }

    private static func runBlocking(_ process: Process, input: Data) throws -> Outcome {
        let out = Pipe()
        let error = Pipe()
        let stdin = Pipe()
        process.standardOutput = out
        process.standardError = error
        process.standardInput = stdin
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: input)
        try stdin.fileHandleForWriting.close()
        let outBytes = out.fileHandleForReading.readDataToEndOfFile()
        let errorBytes = error.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            code: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
            out: String(decoding: outBytes, as: UTF8.self), error: String(decoding: errorBytes, as: UTF8.self))
    }

    /// A process that was not started yet, without the `GYRE_…` of whoever runs the tests.
    static func makeProcess(_ arguments: [String], environment: [String: String] = [:]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.path)
        process.arguments = arguments
        var all = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("GYRE_") }
        all["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = all.merging(environment) { $1 }
        return process
    }

    /// A fresh path under the temporary directory.
    static func makePath() -> String { NSTemporaryDirectory() + "gyre-command-test-\(UInt64.random(in: 0 ... .max))" }
}

/// `gyre serve` in a process of its own: one node, N = R = W = 1, on a free port.
///
/// `@unchecked Sendable`: nothing changes after `init`, and `Process` locks its own state.
final class ServedNode: @unchecked Sendable {
    let directory: String
    let address: String
    private let process: Process

    /// Starts a node and waits for its `ready` line.
    static func start(_ arguments: [String] = []) async throws -> ServedNode {
        try await Command.waiting { try ServedNode(arguments) }
    }

    private init(_ arguments: [String]) throws {
        let directory = Command.makePath()
        self.directory = directory
        self.process = Command.makeProcess(
            [
                "serve", "--name", "n1", "--data", directory, "--listen", "127.0.0.1:0", "--replicas", "1",
                "--partitions", "8", "--log-level", "error",
            ] + arguments)
        let out = Pipe()
        self.process.standardOutput = out
        try self.process.run()
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            let more = out.fileHandleForReading.readData(ofLength: 1)
            guard !more.isEmpty else { throw CocoaError(.fileReadUnknown) }
            line.append(more)
        }
        self.readyLine = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)
        self.address =
            self.readyLine.split(separator: " ").first { $0.hasPrefix("listen=") }.map { String($0.dropFirst(7)) } ?? ""
    }

    /// What it printed when it was ready.
    let readyLine: String

    /// The process's number.
    var pid: Int32 { self.process.processIdentifier }

    /// Asks the node to stop and returns its exit code.
    func stop(_ signal: Int32 = SIGTERM) async throws -> Int32 {
        try await Command.waiting { self.end(signal) }
    }

    /// Waits for a node that ends by itself and returns its exit code.
    func ended() async throws -> Int32 { try await Command.waiting { self.end(0) } }

    private func end(_ signal: Int32) -> Int32 {
        kill(self.process.processIdentifier, signal)
        self.process.waitUntilExit()
        let status = self.process.terminationStatus
        return self.process.terminationReason == .exit ? status : -status
    }

    deinit {
        if self.process.isRunning { _ = self.end(SIGKILL) }
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    /// Runs a command against this node.
    func gyre(_ arguments: [String], input: Data = Data()) async throws -> Command.Outcome {
        try await Command.run(arguments + ["--timeout", "5s"], input: input, environment: ["GYRE_NODES": self.address])
    }
}
