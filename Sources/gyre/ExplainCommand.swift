import ArgumentParser
import GyreBase
import GyreCausality
import GyreClient
import GyreReports

/// Shows what every node knows of one key.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Show a key on every node that has something to do with it.",
        discussion: "The last line says in sync, or what differs and what to do about it."
    )

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var target: KeyOptions

    func run() async throws {
        try await self.cluster.withClient { client in
            let explanation = try await client.explain(bucket: self.target.bucket, key: self.target.key)
            if self.cluster.json {
                StandardStreams.writeLine(explanation.json(bucket: self.target.bucket, key: self.target.key).line)
            } else {
                for line in self.lines(explanation) { StandardStreams.writeLine(line) }
            }
        }
    }

    // MARK: - For people

    private func lines(_ explanation: Explanation) -> [String] {
        var table = TextTable([
            .init("NAME"), .init("ROLE"), .init("HOLDS"), .init("SIBLINGS", isNumber: true),
            .init("BYTES", isNumber: true), .init("HINTS", isNumber: true), .init("DIGEST"), .init("LEAF SUM"),
        ])
        for node in explanation.nodes {
            table.add([
                node.name, node.role.rawValue, Self.word(node, explanation.isInSync), String(node.siblings.count),
                String(node.bytes), String(node.hintsWaiting), node.digest.map(hexadecimal) ?? "-",
                node.leafSum.map(hexadecimal) ?? "-",
            ])
        }
        return [
            "token      \(explanation.token)",
            "partition  \(explanation.partition)",
            "leaf       \(explanation.leaf)",
            "readers    \(explanation.readers.joined(separator: ", "))",
        ] + table.lines + Self.causes(explanation) + [self.verdict(explanation)]
    }

    /// The one word for what a node holds.
    private static func word(_ node: ExplainedNode, _ isInSync: Bool) -> String {
        if !node.isReachable { return "unreachable" }
        if node.isCorrupt { return "corrupt" }
        if node.context == nil { return "nothing" }
        if node.isBehind, !isInSync { return "behind" }
        return node.siblings.isEmpty ? "tombstone" : "record"
    }

    /// Dots and context of each distinct record, with the names of those who hold it.
    private static func causes(_ explanation: Explanation) -> [String] {
        var names: [String: String] = [:]
        for node in explanation.nodes { names[node.node] = node.name }
        func named(_ dot: String) -> String {
            let parts = dot.split(separator: ":")
            guard parts.count == 2, let name = names[String(parts[0])] else { return dot }
            return "\(name):\(parts[1])"
        }
        var holders: [(digest: UInt64, names: [String], cause: String)] = []
        for node in explanation.nodes {
            guard let digest = node.digest, let vector = node.vector else { continue }
            if let index = holders.firstIndex(where: { $0.digest == digest }) {
                holders[index].names.append(node.name)
                continue
            }
            let dots = node.siblings.map { named($0.dot) }.joined(separator: " ")
            let seen = vector.entries.map { named($0.description) }.joined(separator: " ")
            holders.append((digest, [node.name], "dots \(dots.isEmpty ? "-" : dots)   seen \(seen)"))
        }
        return holders.map { "\($0.names.joined(separator: ", ")): \($0.cause)" }
    }

    /// `in sync`, or what differs and what to do.
    private func verdict(_ explanation: Explanation) -> String {
        guard !explanation.isInSync else { return "in sync" }
        let again = "'gyre repair --partition \(explanation.partition)'"
        let primaries = explanation.nodes.filter { $0.role == .primary }
        var findings: [String] = []
        let behind = primaries.filter { $0.isReachable && !$0.isCorrupt && $0.isBehind }.map(\.name)
        for node in primaries where !node.isReachable {
            findings.append("\(node.name) cannot be reached: see 'gyre status'")
        }
        for node in primaries where node.isCorrupt {
            findings.append("the record on \(node.name) is corrupt: a get with --r all rewrites it from the others")
        }
        for node in explanation.nodes where node.hintsWaiting > 0 {
            findings.append(
                "\(node.hintsWaiting == 1 ? "1 node keeps a hint" : "\(node.hintsWaiting) nodes keep hints")"
                    + " for \(node.name): handed over once it can be reached")
        }
        if !behind.isEmpty {
            let verb = behind.count == 1 ? "is" : "are"
            findings.append(
                "\(behind.joined(separator: ", ")) \(verb) behind: a get with --r all, or \(again), makes it even")
        }
        if findings.isEmpty { findings.append("the records differ under equal dots: keep the data and report it") }
        return findings.joined(separator: "; ")
    }
}
