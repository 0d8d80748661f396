import Foundation
import Glibc
import GyreClient
import NIOCore

/// Three nodes or more on loopback, N=3 R=2 W=2, each with all of them as its seeds. Used by one task.
final class TestCluster {
    /// The executable under test.
    let binary: String
    /// Data, output and logs of all nodes.
    let directory: String
    /// Where each node listens.
    let addresses: [String]
    /// Further words for `gyre serve`, from the next start on.
    var options: [String] = []
    private var processes: [ChildProcess?]
    private var commands = 0

    init(name: String, count: Int = 3) throws {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        self.binary = ProcessInfo.processInfo.environment["GYRE_BINARY"] ?? own.appendingPathComponent("gyre").path
        self.directory = NSTemporaryDirectory() + "gyre-torture-\(name)-\(getpid())"
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        self.addresses = try Self.freePorts(count).map { "127.0.0.1:\($0)" }
        self.processes = Array(repeating: nil, count: count)
    }

    /// What people call node `index`.
    func name(_ index: Int) -> String { "n\(index + 1)" }

    /// The node's own directory.
    func data(_ index: Int) -> String { "\(self.directory)/\(self.name(index))" }

    /// Starts a node and does not wait for it.
    func start(_ index: Int, seeds: [Int]? = nil) throws {
        var arguments = ["serve", "--name", self.name(index), "--data", self.data(index)]
        arguments += ["--listen", self.addresses[index], "--durability", "always"] + self.options
        for seed in seeds ?? Array(self.addresses.indices) { arguments += ["--seed", self.addresses[seed]] }
        self.processes[index] = try ChildProcess(
            self.binary, arguments, out: self.data(index) + ".out", error: self.data(index) + ".log")
    }

    /// Waits for the node's `ready` line; says how long after its start that came.
    @discardableResult
    func ready(_ index: Int, within limit: Duration = .seconds(15)) async throws -> Duration {
        guard let process = self.processes[index] else { throw Broken("\(self.name(index)) was not started") }
        while true {
            let out = try? String(contentsOfFile: self.data(index) + ".out", encoding: .utf8)
            if let out, out.hasPrefix("ready "), out.hasSuffix("\n") { return .now - process.startedAt }
            try demand(process.isRunning, "\(self.name(index)) ended before it was ready")
            let passed = ContinuousClock.now - process.startedAt
            try demand(passed < limit, "\(self.name(index)) was not ready within \(milliseconds(limit)) ms")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Starts all nodes and waits until each of them says that all are normal.
    func startAll() async throws {
        for index in self.addresses.indices { try self.start(index) }
        for index in self.addresses.indices { try await self.ready(index) }
        try await self.waitUntilNormal(within: .seconds(15))
    }

    /// Whether the node was started and not ended by this program since.
    func isStarted(_ index: Int) -> Bool { self.processes[index] != nil }

    /// Sends the node a signal that does not end it.
    func signal(_ index: Int, _ signal: Int32) { self.processes[index]?.send(signal) }

    /// Ends the node with a signal and waits for its end: the exit code, or the negative signal.
    @discardableResult
    func stop(_ index: Int, _ signal: Int32) async throws -> Int32 {
        guard let process = self.processes[index] else { return 0 }
        if signal != SIGKILL {
            try demand(process.isRunning, "\(self.name(index)) had ended by itself")
        }
        process.send(signal)
        let code = try await process.ended()
        self.processes[index] = nil
        return code
    }

    /// Waits for the end of a node that ends by itself; the exit code, or the negative signal.
    func waitForEnd(_ index: Int) async throws -> Int32 {
        guard let process = self.processes[index] else { return 0 }
        let code = try await process.ended()
        self.processes[index] = nil
        return code
    }

    /// Kills the nodes at the same moment, as far as one process can.
    func killTogether(_ indices: [Int]) async throws {
        for index in indices { self.processes[index]?.send(SIGKILL) }
        for index in indices { try await self.stop(index, SIGKILL) }
    }

    /// Ends all nodes with SIGTERM, so that each finishes what it is doing.
    func stopAll() async throws {
        for index in self.addresses.indices {
            let code = try await self.stop(index, SIGTERM)
            try demand(code == 0, "asked to stop, \(self.name(index)) ended with \(code)")
        }
    }

    /// Throws when a node that nobody ended is gone.
    func expectRunning() throws {
        for (index, process) in self.processes.enumerated() {
            if let process { try demand(process.isRunning, "\(self.name(index)) ended by itself") }
        }
    }

    /// Waits until every node says that all three are normal and alive, and reads with the help of all of them: a node
    /// that was here before knows the members from its disk before it is connected. Says how long that took.
    @discardableResult
    func waitUntilNormal(within limit: Duration) async throws -> Duration {
        let names = self.addresses.indices.map(self.name)
        var seen: [String] = []
        let clients = try self.addresses.map { try PinnedClient($0) }
        let result = await Result<Duration, any Error>.catching {
            try await wait(limit, until: "all nodes see \(names) normal; seen \(seen)") {
                seen = []
                for client in clients { seen.append(await client.normalMembers().sorted().joined(separator: "+")) }
                guard seen.allSatisfy({ $0 == names.joined(separator: "+") }) else { return false }
                seen.append("but not all reach all")
                for client in clients { guard await client.reachesAllReplicas() else { return false } }
                return true
            }
        }
        for client in clients { await client.close() }
        return try result.get()
    }

    /// What a command left.
    struct Outcome {
        let code: Int32
        let out: String
        let error: String
        let took: Duration
    }

    /// Runs `gyre` with the words given; throws when it takes longer than `limit`.
    func gyre(_ words: [String], within limit: Duration = .seconds(20)) async throws -> Outcome {
        try await self.outcome(of: try self.launch(words), within: limit)
    }

    /// A command under way.
    struct Command {
        fileprivate let process: ChildProcess
        fileprivate let file: String
    }

    /// Starts `gyre` and does not wait for it.
    func launch(_ words: [String]) throws -> Command {
        self.commands += 1
        let file = "\(self.directory)/command-\(self.commands)"
        return Command(
            process: try ChildProcess(self.binary, words, out: file + ".out", error: file + ".err"), file: file)
    }

    /// Waits for a command's end.
    func outcome(of command: Command, within limit: Duration = .seconds(20)) async throws -> Outcome {
        let code = try await command.process.ended(within: limit)
        let took = ContinuousClock.now - command.process.startedAt
        let out = try String(contentsOfFile: command.file + ".out", encoding: .utf8)
        let error = try String(contentsOfFile: command.file + ".err", encoding: .utf8)
        return Outcome(code: code, out: out, error: error, took: took)
    }

    /// Starts one `gyre` for each list of words and then waits for all.
    func gyreAtOnce(_ commands: [[String]]) async throws -> [Outcome] {
        let running = try commands.map(self.launch)
        var outcomes: [Outcome] = []
        for command in running { outcomes.append(try await self.outcome(of: command)) }
        return outcomes
    }

    /// A client that knows all nodes; its loop is one of `group`, or of those that the process shares.
    func makeClient(
        timeout: Duration = .seconds(1), name: String = "torture", group: (any EventLoopGroup)? = nil
    ) throws -> GyreClient {
        var options = ClientOptions()
        options.timeout = timeout
        options.name = name
        return try GyreClient(nodes: self.addresses, options: options, group: group)
    }

    /// The last lines of each log.
    func printLogs() {
        for index in self.addresses.indices {
            guard let log = try? String(contentsOfFile: self.data(index) + ".log", encoding: .utf8) else { continue }
            say("--- the end of \(self.data(index)).log")
            for line in log.split(separator: "\n").suffix(12) { say(String(line)) }
        }
    }

    /// Ends every node and, unless `keeping`, removes what they left.
    func end(keeping: Bool) async {
        try? await self.killTogether(Array(self.addresses.indices))
        if keeping {
            say("data and logs are in \(self.directory)")
        } else {
            try? FileManager.default.removeItem(atPath: self.directory)
        }
    }

    /// Ports that nobody listens on, below those that the system gives to outgoing connections: a node that is down for
    /// a moment must find its port free again.
    private static func freePorts(_ count: Int) throws -> [UInt16] {
        var ports: [UInt16] = []
        for _ in 0..<1_000 where ports.count < count {
            let port = UInt16.random(in: 20_000...32_000)
            if !ports.contains(port), self.isFree(port) { ports.append(port) }
        }
        try demand(ports.count == count, "no free ports on 127.0.0.1")
        return ports
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

extension Result where Failure == any Error {
    /// The outcome of `body`.
    static func catching(_ body: () async throws -> Success) async -> Self {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
