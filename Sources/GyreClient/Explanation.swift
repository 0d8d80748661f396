import GyreBase
package import GyreCausality
import GyreMembership
import GyreMessages
import NIOCore

/// Where a key lies, and what each node that has something to do with it knows of it. Pure value.
public struct Explanation: Hashable, Sendable {
    /// The key's point on the ring, sixteen hexadecimal digits.
    public let token: String
    /// The partition that the token lies in.
    public let partition: Int
    /// The leaf of the partition's hash tree that the key belongs to, 0 to 1,023.
    public let leaf: Int
    /// Primaries in order of preference, then nodes that only keep hints.
    public let nodes: [ExplainedNode]
    /// Names of the nodes that a read with the default R would ask, in order.
    public let readers: [String]

    /// Whether all primaries answered with the same readable record, and no hint about the key waits anywhere.
    public var isInSync: Bool {
        let primaries = self.nodes.filter { $0.role == .primary }
        return self.nodes.allSatisfy { $0.hintsWaiting == 0 }
            && primaries.allSatisfy { $0.isReachable && !$0.isCorrupt && $0.digest == primaries.first?.digest }
    }
}

/// What one node knows of a key.
public struct ExplainedNode: Hashable, Sendable {
    /// What a node has to do with a key. Raw values are stable.
    public enum Role: String, Hashable, Sendable {
        /// Placement assigns the key's partition to it.
        case primary
        /// It only keeps hints about the key.
        case keeper
    }

    /// The node's name; its NodeID when nobody knows one.
    public let name: String
    /// Its NodeID, sixteen hexadecimal digits.
    public let node: String
    /// What it has to do with the key.
    public let role: Role
    /// Whether it answered. When not, what follows is empty, except for `hintsWaiting`.
    public let isReachable: Bool
    /// The digest of its record; nil when it holds none that can be read.
    public let digest: UInt64?
    /// The context of its record; nil when it holds none that can be read.
    public let context: CausalContext?
    /// The siblings that it holds, without their values; none with a context is a tombstone.
    public let siblings: [Sibling]
    /// Bytes of its record.
    public let bytes: UInt64
    /// Nodes that keep a hint about the key for it.
    public let hintsWaiting: Int
    /// Whether its record cannot be read.
    public let isCorrupt: Bool
    /// The sum of the key's leaf in its hash tree; nil while the tree is not built.
    public let leafSum: UInt64?
    /// Whether it answered, and lacks something that another node's record has.
    public let isBehind: Bool
    /// The same as `context`, for people.
    package let vector: VersionVector?
}

extension Explanation {
    /// What a node answered, in the words of users.
    /// - Throws: `badRequest` when a record in it cannot be read.
    init(_ report: ExplainReport, of name: ObjectName, members: [MemberRecord]) throws(GyreError) {
        var heads: [Siblings?] = []
        var all = Siblings()
        for entry in report.entries {
            let known = try Self.siblings(entry.inspection)
            if let known { _ = all.merge(known) }
            heads.append(known)
        }
        let targets = report.entries.flatMap { $0.inspection?.hintsFor ?? [] }
        self.token = report.token.description
        self.partition = Int(report.partition)
        self.leaf = Int(report.leaf)
        self.nodes = zip(report.entries, heads).map { entry, known in
            let inspection = entry.inspection
            let isPrimary = entry.place != nil
            return ExplainedNode(
                name: nodeName(entry.node, among: members), node: entry.node.description,
                role: isPrimary ? .primary : .keeper, isReachable: inspection != nil,
                digest: known == nil ? nil : inspection?.digest,
                context: known.map { CausalContext($0.context, of: name) },
                siblings: known.map { $0.versions.map(Sibling.init) } ?? [], bytes: inspection?.bytes ?? 0,
                hintsWaiting: targets.count { $0 == entry.node }, isCorrupt: inspection?.isCorrupt ?? false,
                leafSum: inspection?.leaf, isBehind: isPrimary && inspection != nil && (known ?? Siblings()) != all,
                vector: known?.context
            )
        }
        self.readers = report.readers.map { nodeName($0, among: members) }
    }

    /// The record of an inspection without its values; nil when there is none that can be read.
    private static func siblings(_ inspection: Inspection?) throws(GyreError) -> Siblings? {
        guard let heads = inspection?.heads, heads.readableBytes > 0 else { return nil }
        guard let siblings = try? Siblings(encoded: heads) else {
            throw GyreClient.nonsense
        }
        return siblings
    }
}

extension GyreClient {
    /// Asks every node that has something to do with a key what it knows of it.
    /// - Parameter timeout: how long it may take; nil for the client's default. Nodes that take longer are shown as not
    ///   reachable.
    public func explain(bucket: String, key: String, timeout: Duration? = nil) async throws(GyreError) -> Explanation {
        let deadline = NIODeadline.now() + self.amount(timeout)
        let name = try Self.name(bucket, key)
        guard case .explained(let report) = try await self.call(.explain(name), until: deadline) else {
            throw Self.nonsense
        }
        let nodes = report.entries.map(\.node) + report.readers
        // Names are for people: without them there is still something to show.
        let members = (try? await self.members(with: nodes, until: deadline)) ?? []
        return try Explanation(report, of: name, members: members)
    }
}
