import ArgumentParser
import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreReports

/// Waits for the end of a change and says how far it is.
struct ChangeWaiter {
    private static let pollInterval = Duration.milliseconds(250)

    let client: GyreClient
    let isQuiet: Bool

    /// Polls until the node named is what it shall be and no change goes on; fails when nothing moves for `patience`.
    func wait(
        _ what: String, patience: Duration = .seconds(120), until isDone: (ClusterStatus) -> Bool
    ) async throws {
        let clock = ContinuousClock()
        var moved = clock.now
        var last = ""
        while true {
            // A node that stops, or a moment without an answer, says little.
            if let status = try? await self.client.gatherStatus(), let ring = try? await self.client.ringReport() {
                if ring.isFounded, !ring.isChanging, isDone(status) { return }
                let line = ChangeProgress(status, ring).line
                if line != last {
                    last = line
                    moved = clock.now
                    if !self.isQuiet { StandardStreams.writeError("\(what): \(line)") }
                }
            }
            guard clock.now - moved < patience else {
                throw CommandFailure(
                    .quorumMissed,
                    "\(what) has not moved for \(patience.components.seconds) s (\(last)); it goes on by itself: gyre status"
                )
            }
            try await Task.sleep(for: Self.pollInterval)
        }
    }
}

/// How far a change of the ring is, in one line.
struct ChangeProgress {
    let line: String

    init(_ status: ClusterStatus, _ ring: RingReport) {
        let left = status.reports.map(Transfer.init).reduce(0) { $0 + $1.partitionsLeft }
        let names = ring.waitsFor.map { node in
            status.members.first { $0.node == node }?.name ?? node.description
        }
        if !ring.isFounded {
            self.line = "the cluster is still forming"
        } else if ring.isChanging {
            self.line = "\(left) partitions to move, waits for \(names.joined(separator: " "))"
        } else if left > 0 {
            self.line = "\(left) partitions to hand over"
        } else {
            let leaving = status.members.filter { $0.state == .leaving }.map(\.name).sorted()
            let rest = "all others must have the ring without \(leaving.joined(separator: " "))"
            self.line = leaving.isEmpty ? "nothing moves" : "handed over; \(rest)"
        }
    }
}

/// Prints what became of a wish, or waits for it.
private func announce(_ text: String, json: Bool, _ fields: [(String, JSONText)]) {
    if json { StandardStreams.writeLine(JSONText.object(fields).line) } else { StandardStreams.writeLine(text) }
}

/// Shows how nodes join, and lets one join that waits.
struct JoinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join",
        abstract:
            "Show how a node joins, and which ones are joining; with NAME, let one join that was started to wait.",
        discussion: """
            A node joins by itself: start it with 'gyre serve --name NAME --data DIR --seed HOST:PORT'. With --hold it \
            waits until 'gyre join NAME' or 'gyre replace OLD --with NAME'. One that waits for the place of a node that \
            is gone meanwhile gets a place of its own by 'gyre join NAME'.
            """)

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "A node that waits.") var name: String?
    @Flag(help: "Wait until it owns its share.") var wait = false

    func run() async throws {
        try await self.cluster.withClient { client in
            if let name = self.name {
                if try await Self.hasJoined(name, client) {
                    return announce(
                        "\(name) has joined already", json: self.cluster.json,
                        [("node", .text(name)), ("done", .bool(true))])
                }
                try await client.change(.join(name))
                if self.wait {
                    try await ChangeWaiter(client: client, isQuiet: self.cluster.json).wait("join \(name)") { status in
                        status.members.contains { $0.name == name && $0.state == .normal }
                    }
                }
                return announce(
                    self.wait ? "\(name) has joined" : "\(name) joins", json: self.cluster.json,
                    [("node", .text(name)), ("done", .bool(self.wait))])
            }
            let status = try await client.gatherStatus()
            let joining = status.members.filter { $0.state == .joining }.map(\.name).sorted()
            if self.cluster.json {
                return announce("", json: true, [("joining", .list(joining.map(JSONText.text)))])
            }
            StandardStreams.writeLine(
                joining.isEmpty ? "no node is joining" : "joining: \(joining.joined(separator: " "))")
            StandardStreams.writeLine(
                "a node joins by itself: gyre serve --name NAME --data DIR --seed \(self.cluster.addresses[0])")
        }
    }

    /// Whether the node owns its share, and nothing is left to do.
    private static func hasJoined(_ name: String, _ client: GyreClient) async throws -> Bool {
        let member = try await client.member(name)
        guard member.state == .normal, !(try await client.ringReport().isChanging) else { return false }
        return try await client.gatherStatus().reports.contains { report in
            report.members.contains { $0.record.node == member.node && $0.ownedSlots > 0 }
        }
    }
}

/// Lets a node hand over all it has and stop.
struct LeaveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leave", abstract: "Let a node hand over all it has; its process then ends.")

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The node's name or NodeID.") var name: String
    @Flag(help: "Wait until it is gone, and say how far it is.") var wait = false
    @Flag(help: "Even when fewer nodes are left than replicas are wanted.") var force = false

    func run() async throws {
        try await self.cluster.withClient { client in
            let node = try await client.member(self.name).node
            try await client.change(.leave(self.name), isForced: self.force)
            if self.wait {
                try await ChangeWaiter(client: client, isQuiet: self.cluster.json).wait("leave \(self.name)") {
                    status in
                    status.members.first { $0.node == node }?.state == .removed
                }
            }
            announce(
                self.wait ? "\(self.name) has left" : "\(self.name) leaves; watch it with: gyre status",
                json: self.cluster.json, [("node", .text(self.name)), ("done", .bool(self.wait))])
        }
    }
}

/// Bans a dead node for good.
struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Ban a dead node for good; its replicas are made anew from the others.",
        discussion: """
            What only its disk had is lost. A node that is alive hands over first: gyre leave. A node that was removed \
            cannot come back; start it with a new data directory.
            """)

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The node's name or NodeID.") var name: String
    @Flag(help: "Wait until its replicas are restored.") var wait = false
    @Flag(help: "Even when it is alive, or fewer nodes are left than replicas are wanted.") var force = false

    func run() async throws {
        try await self.cluster.withClient { client in
            let node = try await client.member(self.name).node
            try await client.change(.remove(self.name), isForced: self.force)
            if self.wait {
                try await ChangeWaiter(client: client, isQuiet: self.cluster.json).wait("remove \(self.name)") {
                    status in
                    status.reports.allSatisfy { report in
                        report.members.first { $0.record.node == node }?.ownedSlots ?? 0 == 0
                    }
                }
            }
            announce(
                self.wait ? "\(self.name) is removed, and its replicas are restored" : "\(self.name) is removed",
                json: self.cluster.json, [("node", .text(self.name)), ("done", .bool(self.wait))])
        }
    }
}

/// Puts a new node in the place of another one.
struct ReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace",
        abstract: "Let a new node take the place of another; nothing else moves.",
        discussion: """
            Start the new node with --hold, so that it does not join by itself. A node that is dead is banned and its \
            data comes from the others; one that is alive hands over and stops.
            """)

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The node to be replaced: name or NodeID.") var old: String
    @Option(name: .customLong("with"), help: "The new node: name or NodeID.") var new: String
    @Flag(help: "Wait until it is done.") var wait = false

    func run() async throws {
        try await self.cluster.withClient { client in
            let (old, new) = (try await client.member(self.old).node, try await client.member(self.new).node)
            try await client.replace(self.old, with: self.new)
            if self.wait {
                try await ChangeWaiter(client: client, isQuiet: self.cluster.json).wait("replace \(self.old)") {
                    status in
                    status.members.first { $0.node == old }?.state == .removed
                        && status.members.first { $0.node == new }?.state == .normal
                }
            }
            announce(
                self.wait
                    ? "\(self.new) has taken the place of \(self.old)" : "\(self.new) takes the place of \(self.old)",
                json: self.cluster.json,
                [("old", .text(self.old)), ("new", .text(self.new)), ("done", .bool(self.wait))])
        }
    }
}
