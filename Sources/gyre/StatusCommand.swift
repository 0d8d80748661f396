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

    func run() async throws {
        try await self.cluster.withClient { client in
            let half = self.cluster.timeout.duration / 2
            let summary = StatusSummary(try await client.gatherStatus(timeout: half))
            if self.cluster.json {
                StandardStreams.writeLine(summary.json.line)
            } else {
                for line in summary.lines { StandardStreams.writeLine(line) }
            }
        }
    }
}

extension StatusSummary {
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
                "\(row.backlog.lagSeconds)s", "0", row.record.softwareVersion,
            ])
        }
        return table.lines + [self.problems.isEmpty ? "healthy" : self.problems.joined(separator: "; ")]
    }
}
