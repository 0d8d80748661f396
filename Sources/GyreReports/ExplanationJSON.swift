import GyreBase
package import GyreClient

extension Explanation {
    /// The document of `gyre explain --json`.
    package func json(bucket: String, key: String) -> JSONText {
        .object([
            ("bucket", .text(bucket)), ("key", .text(key)),
            ("token", .text(self.token)), ("partition", .integer(Int64(self.partition))),
            ("leaf", .integer(Int64(self.leaf))), ("owners", .list(self.nodes.map(Self.json))),
            ("readers", .list(self.readers.map(JSONText.text))), ("in_sync", .bool(self.isInSync)),
        ])
    }

    private static func json(_ node: ExplainedNode) -> JSONText {
        .object([
            ("name", .text(node.name)), ("node", .text(node.node)), ("reachable", .bool(node.isReachable)),
            ("role", .text(node.role.rawValue)),
            ("digest", node.digest.map { .text(hexadecimal($0)) } ?? .null),
            ("context", node.context.map { .text($0.text) } ?? .null),
            ("siblings", .integer(Int64(node.siblings.count))), ("bytes", .unsigned(node.bytes)),
            ("hints_waiting", .integer(Int64(node.hintsWaiting))), ("corrupt", .bool(node.isCorrupt)),
            ("dots", .list(node.siblings.map { .text($0.dot) })),
            ("leaf_sum", node.leafSum.map { .text(hexadecimal($0)) } ?? .null),
        ])
    }
}
