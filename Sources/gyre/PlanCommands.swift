import ArgumentParser
import GyreClient
import GyreReports

/// Shows what a change would move and risk, without doing it.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a change of the members would move and put at risk; 'gyre commit' carries it out.",
        discussion: "For example: gyre plan leave n3, or gyre plan leave n3 leave n4, or gyre plan remove n2.")

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "Pairs of join, leave or remove and a node's name; none shows the change that goes on.")
    var words: [String] = []

    private func actions() throws -> [RingAction] {
        guard self.words.count.isMultiple(of: 2) else {
            throw CommandFailure(.usage, "a plan is pairs of join, leave or remove and a node's name")
        }
        return try stride(from: 0, to: self.words.count, by: 2).map { index in
            let text = "\(self.words[index]).\(self.words[index + 1])"
            guard let action = RingAction(text: text[...]) else {
                throw CommandFailure(.usage, "'\(self.words[index])' is none of join, leave and remove")
            }
            return action
        }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            let actions = try self.actions()
            if actions.isEmpty {
                let line = ChangeProgress(try await client.gatherStatus(), try await client.ringReport()).line
                return StandardStreams.writeLine(
                    self.cluster.json ? JSONText.object([("progress", .text(line))]).line : line)
            }
            let plan = try await client.plan(actions)
            if self.cluster.json { return StandardStreams.writeLine(Self.json(plan).line) }
            for line in Self.lines(plan) { StandardStreams.writeLine(line) }
        }
    }

    private static func lines(_ plan: RingPlan) -> [String] {
        var table = TextTable([
            .init("FROM"), .init("TO"), .init("PARTITIONS", isNumber: true), .init("BYTES", isNumber: true),
        ])
        for link in plan.links { table.add([link.from, link.to, String(link.partitions), byteText(link.bytes)]) }
        return table.lines + [
            "\(byteText(plan.bytes)) move, about \(Int(plan.seconds.rounded(.up))) s",
            "\(plan.belowDuring) partitions below \(plan.replicas) replicas until then, \(plan.belowAfter) afterwards",
            "\(plan.zonesShared) partitions with two replicas in one zone afterwards",
            "carry it out with: gyre commit \(plan.hash)",
        ]
    }

    private static func json(_ plan: RingPlan) -> JSONText {
        .object([
            ("hash", .text(plan.hash)), ("version", .unsigned(plan.version)), ("bytes", .unsigned(plan.bytes)),
            ("partitions", .integer(Int64(plan.partitions))), ("seconds", .number(plan.seconds)),
            ("below_n_during", .integer(Int64(plan.belowDuring))), ("below_n_after", .integer(Int64(plan.belowAfter))),
            ("zones_shared_after", .integer(Int64(plan.zonesShared))),
            (
                "links",
                .list(
                    plan.links.map { link in
                        .object([
                            ("from", .text(link.from)), ("to", .text(link.to)),
                            ("partitions", .integer(Int64(link.partitions))), ("bytes", .unsigned(link.bytes)),
                        ])
                    })
            ),
        ])
    }
}

/// Carries out a plan.
struct CommitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit", abstract: "Carry out a plan, if the ring has not changed since it was made.")

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "What 'gyre plan' printed last.") var hash: String

    func run() async throws {
        try await self.cluster.withClient { client in
            try await client.commit(self.hash)
            StandardStreams.writeLine(
                self.cluster.json
                    ? JSONText.object([("hash", .text(self.hash)), ("done", .bool(false))]).line
                    : "under way; watch it with: gyre status")
        }
    }
}
