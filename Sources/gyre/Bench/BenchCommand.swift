import ArgumentParser
import GyreBase
import GyreClient
import GyreMembership
import GyreReports
import NIOCore
import NIOPosix

extension BenchWorkload: ExpressibleByArgument {}
extension BenchDistribution: ExpressibleByArgument {}

/// How the clients of a bench reach the nodes.
enum BenchConnections: String, CaseIterable, ExpressibleByArgument {
    /// Every client has its own, one a node.
    case own
    /// All clients share one a node.
    case shared
}

/// `gyre bench`: how fast the cluster is, seen from a client.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure throughput and latency.",
        discussion: """
            Closed loop without --rate: each client waits for its answer before it asks again. With --rate, operations \
            have an intended start and their latency counts from there, so that stalls are not hidden. Puts overwrite. \
            With --resp, the same operations go as GET and SET to any server of the Redis protocol.
            """
    )

    @OptionGroup var cluster: ClusterOptions
    @Option(help: "put, get, mixed, or a YCSB letter: a, b, c, d, f.")
    var workload = BenchWorkload.mixed
    @Option(help: "Clients that ask at the same time.")
    var clients = 64
    @Option(help: "How long to run, such as 30s.")
    var duration: TimeText?
    @Option(help: "How many operations to run instead of --duration.")
    var ops: UInt64?
    @Option(help: "How many different keys.")
    var keys: UInt64 = 100_000
    @Option(help: "Bytes of a value.")
    var valueSize = 100
    @Option(help: "Operations per second to start, whether or not earlier ones have been answered.")
    var rate: UInt64?
    @Option(help: "How keys are chosen: uniform or zipfian.")
    var distribution = BenchDistribution.uniform
    @Option(help: "Seed of keys and values; equal seeds, equal requests.")
    var seed: UInt64 = 42
    @Option(help: "The bucket used.")
    var bucket = "bench"
    @Option(
        help: "Whether all clients share one connection a node, as callers of GyreClient do: shared or own.")
    var connections = BenchConnections.shared
    @Option(help: "HOST:PORT of a server of the Redis protocol to drive instead; repeatable.") var resp: [String] = []
    @Option(help: "How long to run before measuring, such as 5s.") var warmup: TimeText?
    @Flag(help: "Write every key once first; needed once before workloads that read.")
    var load = false
    @Option(help: "Also write the JSON result to this file.", completion: .file())
    var out: String?
    @Option(help: "Print the ratios to the JSON result in this file.", completion: .file())
    var compare: String?

    func run() async throws {
        try await reportingFailures(json: self.cluster.json) {
            let settings = try self.settings()
            let seeds = try self.cluster.peerAddresses()
            // What cannot be read or written is said before the run and not after it.
            let earlier = try self.compare.map {
                String(decoding: try StandardStreams.read($0, bytesMax: 1 << 20), as: UTF8.self)
            }
            if let out = self.out { try StandardStreams.mayWriteFile(out) }
            if self.load {
                var loading = settings
                loading.loads = true
                _ = try await self.execute(loading, seeds, live: false)
            }
            let (tallies, seconds) = try await self.execute(settings, seeds, live: !self.cluster.json)
            let document = self.document(tallies, seconds)
            if self.cluster.json {
                StandardStreams.writeLine(document.line)
            } else {
                self.printTable(tallies, seconds)
            }
            if let out = self.out { try StandardStreams.writeFile(out, document.line + "\n") }
            if let compare = self.compare, let earlier {
                try self.printRatios(tallies, seconds, against: earlier, in: compare)
            }
            // The result says how often and why; whoever only looks at the exit code must not take it for a success.
            let hasAnswers = tallies.values.contains { $0.count > 0 || $0.notFound > 0 }
            if !hasAnswers, tallies.values.contains(where: { $0.errorCount > 0 }) {
                StandardStreams.writeError("gyre: no operation succeeded")
                throw ExitCode.quorumMissed
            }
        }
    }

    private func settings() throws -> BenchSettings {
        let limits: [(String, Int, ClosedRange<Int>)] = [
            ("--clients", self.clients, 1...10_000), ("--value-size", self.valueSize, 0...(8 << 20)),
            ("--keys", Int(clamping: self.keys), 1...1_000_000_000),
            ("--rate", Int(clamping: self.rate ?? 1), 1...10_000_000),
            ("--ops", Int(clamping: self.ops ?? 1), 1...Int.max),
            ("--bucket", self.bucket.utf8.count, 1...ObjectName.bucketBytesMax),
        ]
        for (name, value, range) in limits where !range.contains(value) {
            throw CommandFailure(.usage, "\(name) must be \(range.lowerBound) to \(range.upperBound)")
        }
        if self.ops != nil, self.duration != nil {
            throw CommandFailure(.usage, "give --ops or --duration, not both")
        }
        var settings = BenchSettings()
        settings.workload = self.workload
        settings.distribution = self.distribution
        settings.clients = self.clients
        settings.operations = self.ops
        if self.ops == nil {
            settings.duration = .milliseconds(Int64(clamping: self.duration?.milliseconds ?? 30_000))
        }
        settings.keys = self.keys
        settings.valueBytes = self.valueSize
        settings.ratePerSecond = self.rate
        settings.seed = self.seed
        settings.bucket = self.bucket
        settings.timeout = .milliseconds(Int64(clamping: self.cluster.timeout.milliseconds))
        settings.ownConnections = self.connections == .own
        settings.warmUp = .milliseconds(Int64(clamping: self.warmup?.milliseconds ?? 0))
        settings.resp = try self.resp.map { text in
            guard let address = PeerAddress(parsing: text) else {
                throw CommandFailure(.usage, "--resp must be HOST:PORT, not '\(text)'")
            }
            return address
        }
        return settings
    }

    private func execute(
        _ settings: BenchSettings, _ seeds: [PeerAddress], live: Bool
    ) async throws -> ([BenchOperation: BenchTally], Double) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        var system = SystemRandomNumberGenerator()
        let clientID = system.next()
        do {
            let outcome = try await withCheckedThrowingContinuation {
                (continuation: CheckedContinuation<BenchOutcome, any Error>) in
                loop.execute {
                    let runner = BenchRunner(settings: settings, seeds: seeds, clientID: clientID, loop: loop)
                    let ticker = live ? LiveLine(runner: runner, loop: loop) : nil
                    runner.run { finished in
                        ticker?.stop()
                        finished.close()
                        let seconds = max(1e-9, Double(finished.elapsedNanoseconds) / 1e9)
                        continuation.resume(returning: BenchOutcome(tallies: finished.tallies, seconds: seconds))
                    } failed: { error in
                        ticker?.stop()
                        runner.close()
                        continuation.resume(throwing: error)
                    }
                }
            }
            try await group.shutdownGracefully()
            return (outcome.tallies, outcome.seconds)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func document(_ tallies: [BenchOperation: BenchTally], _ seconds: Double) -> JSONText {
        .object([
            ("workload", .text(self.workload.rawValue)), ("clients", .integer(Int64(self.clients))),
            ("connections", .text(self.connections.rawValue)),
            ("protocol", .text(self.resp.isEmpty ? "gyre" : "resp")), ("keys", .unsigned(self.keys)),
            ("value_size", .integer(Int64(self.valueSize))), ("distribution", .text(self.distribution.rawValue)),
            ("seed", .unsigned(self.seed)), ("seconds", .number((seconds * 1_000).rounded() / 1_000)),
            ("machine", machineFacts()),
            ("operations", .object(sorted(tallies).map { ($0.key.rawValue, $0.value.json(seconds: seconds)) })),
        ])
    }

    private func printTable(_ tallies: [BenchOperation: BenchTally], _ seconds: Double) {
        let columns = [
            "operation", "count", "per second", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "errors",
        ]
        StandardStreams.writeLine(columns.map { right($0) }.joined())
        for (operation, tally) in sorted(tallies) {
            let figures = [
                tally.count, UInt64(Double(tally.count) / seconds), tally.percentile(50), tally.percentile(90),
                tally.percentile(99), tally.percentile(99.9), tally.most, tally.errorCount,
            ]
            StandardStreams.writeLine(([operation.rawValue] + figures.map { String($0) }).map { right($0) }.joined())
            if tally.notFound > 0 {
                StandardStreams.writeLine("  \(tally.notFound) gets found nothing; --load writes every key first")
            }
            for (code, count) in tally.errors.sorted(by: { $0.key < $1.key }) where count > 0 {
                StandardStreams.writeLine("  \(code): \(count)")
            }
        }
    }

    private func printRatios(
        _ tallies: [BenchOperation: BenchTally], _ seconds: Double, against text: String, in path: String
    ) throws {
        for (operation, tally) in sorted(tallies) {
            guard let before = earlierRate(of: operation, in: text), before > 0 else {
                throw CommandFailure(
                    .usage, "\(path) is not a result of gyre bench with the operation \(operation.rawValue)")
            }
            let ratio = Double(tally.count) / seconds / before
            StandardStreams.writeLine("\(operation.rawValue): \((ratio * 100).rounded() / 100) x the rate in \(path)")
        }
    }
}

/// What a run brought home across the threads.
private struct BenchOutcome: Sendable {
    let tallies: [BenchOperation: BenchTally]
    let seconds: Double
}

private func sorted(_ tallies: [BenchOperation: BenchTally]) -> [(key: BenchOperation, value: BenchTally)] {
    tallies.sorted { $0.key.rawValue < $1.key.rawValue }
}

private func right(_ text: String) -> String { String(repeating: " ", count: max(1, 12 - text.count)) + text }

/// The `per_second` of an operation in a document that this command wrote.
private func earlierRate(of operation: BenchOperation, in text: String) -> Double? {
    guard let place = firstRange(of: "\"\(operation.rawValue)\":{", in: text[...]),
        let rate = firstRange(of: "\"per_second\":", in: text[place.upperBound...])
    else { return nil }
    return Double(text[rate.upperBound...].prefix { $0.isNumber || $0 == "." })
}

private func firstRange(of wanted: String, in text: Substring) -> Range<Substring.Index>? {
    var rest = text
    while !rest.isEmpty {
        if rest.hasPrefix(wanted) { return rest.startIndex..<rest.index(rest.startIndex, offsetBy: wanted.count) }
        rest = rest.dropFirst()
    }
    return nil
}

/// One line a second about a run that is under way. Confined to the runner's loop.
private final class LiveLine {
    private var task: RepeatedTask?
    private var last: UInt64 = 0

    init(runner: BenchRunner, loop: any EventLoop) {
        let bound = NIOLoopBound((self, runner), eventLoop: loop)
        self.task = loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            let (line, runner) = bound.value
            line.print(runner.finished)
        }
    }

    func stop() { self.task?.cancel() }

    private func print(_ finished: UInt64) {
        StandardStreams.writeError("\(finished - self.last) operations/s, \(finished) in all")
        self.last = finished
    }
}
