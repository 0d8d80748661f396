import ArgumentParser
import GyreClient
import GyreReports

/// Compares the owners of each partition now, and mends what differs.
struct RepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Compare replicas now, and make equal what differs.",
        discussion: """
            Without --wait it prints the id of the repair, which --watch and --cancel take, from any terminal. The repair \
            is coordinated by the node that was asked and goes on without this command. With --wait or --watch the exit \
            code is 2 when something could not be compared.
            """
    )

    /// How long the coordinating node may be silent before it counts as gone.
    private static let silenceMax = Duration.seconds(5)
    /// How long nothing may change: longer than nodes wait for a hash tree that is being built (two minutes).
    private static let stallMax = Duration.seconds(150)
    private static let pollInterval = Duration.milliseconds(200)

    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Only keys of this bucket.") var bucket: String?
    @Option(help: "Only this partition, from 0.") var partition: UInt32?
    @Option(help: "Only comparisons that this node takes part in: its name or its NodeID.") var nodeName: String?
    @Flag(help: "Compare and count, but change nothing.") var dryRun = false
    @Flag(help: "Show how far it has come until it is over, then a receipt.") var wait = false
    @Option(help: "Show how far the repair with this id has come until it is over.") var watch: String?
    @Option(help: "Stop the repair with this id; what it repaired stays repaired.") var cancel: String?

    func validate() throws {
        guard self.watch == nil || self.cancel == nil else {
            throw ValidationError("--watch and --cancel exclude each other")
        }
        guard let option = self.watch != nil ? "--watch" : self.cancel != nil ? "--cancel" : nil else { return }
        let others: [(String, Bool)] = [
            ("--bucket", self.bucket != nil), ("--partition", self.partition != nil),
            ("--node-name", self.nodeName != nil), ("--dry-run", self.dryRun), ("--wait", self.wait),
        ]
        if let other = others.first(where: \.1) {
            throw ValidationError("\(option) is about a repair that was started before and excludes \(other.0)")
        }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            if let text = self.cancel {
                let stopped = try await client.cancelRepair(try RepairID(text: text))
                return self.print(RepairReceipt(stopped, wasStopped: !stopped.isOver))
            }
            if let text = self.watch {
                let progress = try await client.repairProgress(try RepairID(text: text))
                return try await self.follow(progress, client)
            }
            let started = try await client.startRepair(self.options)
            if self.wait { return try await self.follow(started, client) }
            if self.cluster.json { return self.print(RepairReceipt(started)) }
            StandardStreams.writeLine("repair \(started.id)")
            StandardStreams.writeLine("watch it with: gyre repair --watch \(started.id)")
            StandardStreams.writeLine("stop it with:  gyre repair --cancel \(started.id)")
        }
    }

    private var options: RepairOptions {
        var options = RepairOptions()
        options.bucket = self.bucket
        options.partition = self.partition.map(Int.init)
        options.node = self.nodeName
        options.isDry = self.dryRun
        return options
    }

    /// Shows progress until the repair is over, then the receipt.
    private func follow(_ first: RepairProgress, _ client: GyreClient) async throws {
        let clock = ContinuousClock()
        let start = clock.now
        var meter = RepairMeter(first, at: start, isQuiet: self.cluster.json)
        var progress = first
        var heard = start
        var moved = start
        // The plan grows while nodes report their parts; one that is started anew reports nothing for a moment.
        var planned = first.planned
        while !progress.isOver {
            try await Task.sleep(for: Self.pollInterval)
            do throws(GyreError) {
                let news = try await client.repairProgress(first.id)
                heard = clock.now
                if news != progress { moved = heard }
                progress = news
                planned = max(planned, progress.planned)
            } catch {
                meter.end()
                switch error.code {
                case .unavailable, .overloaded, .notMember:
                    // One answer that is late says little about the node.
                    guard clock.now - heard >= Self.silenceMax else { continue }
                    throw error
                case .badRequest:
                    // It knew the repair a moment ago.
                    throw CommandFailure(
                        .quorumMissed,
                        "the node that coordinates the repair was restarted and knows nothing of it any more; what was "
                            + "repaired stays repaired; start it again: gyre repair")
                default: throw error
                }
            }
            meter.show(progress, at: clock.now)
            guard clock.now - moved < Self.stallMax else {
                meter.end()
                throw CommandFailure(
                    .quorumMissed,
                    "the repair has not moved for \(Self.stallMax.components.seconds) s: a node that took part may have been "
                        + "restarted; what was repaired stays repaired; start it again: gyre repair")
            }
        }
        meter.end()
        let receipt = RepairReceipt(progress, planned: planned, elapsed: clock.now - start)
        self.print(receipt)
        if !receipt.isComplete { throw ExitCode.quorumMissed }
    }

    private func print(_ receipt: RepairReceipt) {
        if self.cluster.json { return StandardStreams.writeLine(receipt.json.line) }
        for line in receipt.lines { StandardStreams.writeLine(line) }
    }
}
