import ArgumentParser
import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreReports

/// Shows the members of the cluster and what is wrong with it.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the nodes of the cluster; the last line says healthy, or what is wrong."
    )

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Show it again and again until ^C; with --json one line each time.") var watch = false
    @Option(help: "With --watch: the time between two looks, at least 100ms.") var interval = TimeText(seconds: 1)

    func validate() throws {
        guard self.interval.milliseconds >= 100 else { throw ValidationError("--interval is at least 100ms") }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            if self.watch { return try await self.keepWatching(client) }
            let summary = try await self.look(client)
            if self.cluster.json {
                StandardStreams.writeLine(summary.json.line)
            } else {
                for line in summary.lines { StandardStreams.writeLine(line) }
            }
        }
    }

    private func look(_ client: GyreClient) async throws -> StatusSummary {
        let status = try await client.gatherStatus(timeout: self.cluster.timeout.duration / 2)
        guard status.isRingChanging else { return StatusSummary(status) }
        // Whom it waits for is one more question; when nobody answers that, the rest is worth showing all the same.
        return StatusSummary(status, try? await client.ringReport())
    }

    /// Looks at the beginning of every interval until somebody asks it to stop. A cluster that does not answer is shown as such and
    /// looked at again, because an outage is when people watch.
    private func keepWatching(_ client: GyreClient) async throws {
        let work = Task {
            var screen = WatchScreen(isTerminal: StandardStreams.isTerminal)
            var next = ContinuousClock.now
            while !Task.isCancelled {
                let text: String
                do {
                    let summary = try await self.look(client)
                    text = self.cluster.json ? summary.json.line : summary.lines.joined(separator: "\n")
                } catch let error as GyreError {
                    text = self.cluster.json ? error.json.line : "gyre: \(error)"
                }
                if Task.isCancelled { break }
                // One write each: a reader sees whole pictures, and one that went away ends the process quietly.
                StandardStreams.write((self.cluster.json ? text + "\n" : screen.picture(text)).utf8)
                // A look that took longer than the interval leaves the next ones where they were, instead of in a heap.
                while next <= .now { next += self.interval.duration }
                try? await Task.sleep(until: next)
            }
        }
        let signals = await StopSignals { work.cancel() }
        defer { signals.cancel() }
        try await work.value
    }
}

/// What is written so that the next picture takes the place of the one before it. Pure value.
struct WatchScreen {
    private let isTerminal: Bool
    private var isFirst = true

    /// Elsewhere than on a terminal pictures follow each other, with an empty line between them.
    init(isTerminal: Bool) { self.isTerminal = isTerminal }

    /// The bytes for one picture of lines without an end.
    mutating func picture(_ text: String) -> String {
        defer { self.isFirst = false }
        guard self.isTerminal else { return (self.isFirst ? "" : "\n") + text + "\n" }
        // The screen is cleared once; after that each line is overwritten, and what is left of older ones cleared: no flicker.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0 + "\u{1B}[K\n" }
        return (self.isFirst ? "\u{1B}[2J" : "") + "\u{1B}[H" + lines.joined() + "\u{1B}[J"
    }
}

extension StatusSummary {
    /// Partitions left, rate and estimate.
    private static func text(of transfer: Transfer?) -> String {
        guard let transfer else { return "-" }
        if transfer.bytesPerSecond == 0 { return "\(transfer.partitionsLeft)" }
        let left = transfer.estimateSeconds.map { ", \($0)s left" } ?? ""
        return "\(transfer.partitionsLeft) (\(byteText(transfer.bytesPerSecond))/s\(left))"
    }

    /// For people.
    var lines: [String] {
        var table = TextTable([
            .init("NAME"), .init("STATE"), .init("ADDRESS"), .init("ZONE"), .init("SHARE", isNumber: true),
            .init("KEYS", isNumber: true), .init("DISK", isNumber: true), .init("HINTS", isNumber: true),
            .init("LAG", isNumber: true), .init("TRANSFERS", isNumber: true), .init("VERSION"),
        ])
        for row in self.rows {
            table.add([
                row.record.name, row.state, row.record.address.description,
                row.record.zone.isEmpty ? "-" : row.record.zone,
                "\((row.share * 1_000).rounded() / 10)%", row.report.map { String($0.keys) } ?? "-",
                row.report.map { byteText($0.diskBytes) } ?? "-", String(row.backlog.count),
                "\(row.backlog.lagSeconds)s", Self.text(of: row.transfer), row.record.softwareVersion,
            ])
        }
        return table.lines + [self.problems.isEmpty ? "healthy" : self.problems.joined(separator: "; ")]
    }
}
