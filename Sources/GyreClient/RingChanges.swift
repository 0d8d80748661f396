import GyreBase
package import GyreMembership
package import GyreMessages
import GyreRing
import NIOCore

/// What an operator changes about the members of a cluster.
package enum RingAction: Hashable, Sendable {
    /// A node that was started to wait joins.
    case join(String)
    /// A node hands over what it has and stops.
    case leave(String)
    /// A dead node is banned for good.
    case remove(String)

    /// The verb and the name, as a plan's hash begins.
    package var text: String {
        switch self {
        case .join(let name): "join.\(name)"
        case .leave(let name): "leave.\(name)"
        case .remove(let name): "remove.\(name)"
        }
    }

    /// Reads what `text` says; nil for anything else.
    package init?(text: Substring) {
        let parts = text.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2, MemberRecord.isName(parts[1]) else { return nil }
        switch parts[0] {
        case "join": self = .join(parts[1])
        case "leave": self = .leave(parts[1])
        case "remove": self = .remove(parts[1])
        default: return nil
        }
    }

    /// The node meant.
    package var name: String {
        switch self {
        case .join(let name), .leave(let name), .remove(let name): name
        }
    }
}

/// What a change would move, and what it would put at risk; nothing is done yet.
package struct RingPlan: Sendable {
    /// Data that goes from one node to another.
    package struct Link: Sendable {
        /// Names.
        package let from: String
        /// See `from`.
        package let to: String
        /// Replicas of partitions.
        package var partitions: Int
        /// About as many bytes as they have.
        package var bytes: UInt64
    }

    /// What is planned.
    package let actions: [RingAction]
    /// The version of the ring that the plan starts from.
    package let version: UInt64
    /// Sorted by names.
    package let links: [Link]
    /// About as long as it takes when clients leave the nodes alone.
    package let seconds: Double
    /// Partitions that have fewer than N living owners until the change is over, and afterwards.
    package let belowDuring: Int
    /// See `belowDuring`.
    package let belowAfter: Int
    /// Partitions whose owners share a zone afterwards although there are zones enough.
    package let zonesShared: Int
    /// Owners afterwards, and replicas of every key.
    package let owners: Int
    /// See `owners`.
    package let replicas: Int
    /// What `gyre commit` takes; says what is planned, and for which ring.
    package let hash: String

    /// Bytes that move in all.
    package var bytes: UInt64 { self.links.reduce(0) { $0 &+ $1.bytes } }
    /// Replicas of partitions that move.
    package var partitions: Int { self.links.reduce(0) { $0 + $1.partitions } }
}

/// Changes of the ring, as operators ask for them.
extension GyreClient {
    /// The ring as any node knows it.
    package func ringReport() async throws(GyreError) -> RingReport {
        guard case .ring(let report) = try await self.call(.ring(.report)) else { throw Self.nonsense }
        return report
    }

    /// The one member with a name or NodeID; removed ones only with their NodeID.
    /// - Throws: `badRequest` when there is none, or several.
    package func member(_ wanted: String) async throws(GyreError) -> MemberRecord {
        guard case .status(let report) = try await self.call(.status) else { throw Self.nonsense }
        let found = report.members.map(\.record).filter {
            $0.node.description == wanted || ($0.name == wanted && $0.state != .removed)
        }
        guard found.count == 1, let member = found.first else {
            throw GyreError(
                .badRequest, found.isEmpty ? "no node is named \(wanted)" : "several nodes are named \(wanted)",
                try: "'gyre status' shows names, 'gyre ring' NodeIDs, and either will do")
        }
        return member
    }

    /// Does one thing to the members, and answers with the ring as the node knows it that did it.
    @discardableResult
    package func change(_ action: RingAction, isForced: Bool = false) async throws(GyreError) -> RingReport {
        let node = try await self.member(action.name).node
        let request: RingRequest =
            switch action {
            case .join: .join(node)
            case .leave: .leave(node, isForced: isForced)
            case .remove: .remove(node, isForced: isForced)
            }
        return try await self.asked(request)
    }

    /// A node that owns nothing yet takes the place of another, which is banned if it is dead, and otherwise hands over and goes.
    @discardableResult
    package func replace(_ old: String, with new: String) async throws(GyreError) -> RingReport {
        let oldRecord = try await self.member(old)
        let newRecord = try await self.member(new)
        try await self.asked(.takePlace(newRecord.node, of: oldRecord.node))
        if oldRecord.liveness == .dead { return try await self.asked(.remove(oldRecord.node, isForced: true)) }
        return try await self.asked(.leave(oldRecord.node, isForced: true))
    }

    @discardableResult
    private func asked(_ request: RingRequest) async throws(GyreError) -> RingReport {
        guard case .ring(let report) = try await self.call(.ring(request)) else { throw Self.nonsense }
        return report
    }

    /// What `actions` together would move and risk.
    /// - Throws: `badRequest` when a change goes on, a node cannot do it, or fewer than N owners would be left.
    package func plan(_ actions: [RingAction]) async throws(GyreError) -> RingPlan {
        let status = try await self.gatherStatus()
        let ring = try await self.ringReport()
        guard let first = status.reports.first, ring.state.version > 0 else {
            throw GyreError(.badRequest, "the cluster is still forming", try: "ask again in a moment")
        }
        guard ring.state.next == nil else {
            throw GyreError(
                .badRequest, "the ring is changing already",
                try: "'gyre status' says how far it is; plan again afterwards")
        }
        var changed: [(action: RingAction, record: MemberRecord)] = []
        for action in actions { changed.append((action, try await self.member(action.name))) }
        do {
            return try RingPlanner(status: status, report: first, state: ring.state, changed: changed).plan
        } catch let error as GyreError {
            throw error
        } catch { throw GyreError(.badRequest, "the ring cannot be computed: \(error)") }
    }

    /// Carries out the plan with that hash, if the ring has not changed since.
    /// - Throws: `badRequest` when the hash is none, or is that of another ring.
    package func commit(_ hash: String) async throws(GyreError) {
        let parts = hash.split(separator: "+")
        let actions = parts.dropLast().compactMap { RingAction(text: $0) }
        guard !actions.isEmpty, actions.count == parts.count - 1 else {
            throw GyreError(.badRequest, "'\(hash)' is no hash of a plan", try: "gyre plan prints one")
        }
        let plan = try await self.plan(actions)
        guard plan.hash == hash else {
            throw GyreError(
                .badRequest, "the ring has changed since that plan", try: "plan again, and look at it again")
        }
        for action in actions { try await self.change(action) }
    }
}

/// Computes a plan from what nodes report.
private struct RingPlanner {
    let status: ClusterStatus
    let report: StatusReport
    let state: RingState
    let changed: [(action: RingAction, record: MemberRecord)]

    private func name(_ node: NodeID) -> String { nodeName(node, among: self.report.members.map(\.record)) }

    /// The owners afterwards.
    private var after: [RingMember] {
        var owners = self.state.base
        for (action, record) in self.changed {
            switch action {
            case .join:
                owners.removeAll { $0.node == record.node }
                owners.append(RingMember(node: record.node, weight: record.weight, zone: record.zone))
            case .leave, .remove: owners.removeAll { $0.node == record.node }
            }
        }
        return owners
    }

    var plan: RingPlan {
        get throws {
            let replicas = Int(self.report.replicas)
            let options = try RingOptions(partitionCount: Int(self.report.partitionCount), replicas: replicas)
            let owners = self.after
            guard owners.count >= replicas else {
                throw GyreError(
                    .badRequest, "\(owners.count) nodes would be left for \(replicas) replicas of every key",
                    try: "start another node first")
            }
            let before = try Ring(members: self.state.base, options: options)
            let next = try Ring(members: owners, options: options)
            let gone = self.changed.filter { if case .remove = $0.action { true } else { false } }.map(\.record.node)
            var links: [RingPlan.Link] = []
            var (during, below, shared) = (0, 0, 0)
            let zones = Set(owners.map(\.zone)).count
            for index in 0..<options.partitionCount {
                let old = before.owners(of: PartitionID(index: index))
                let new = next.owners(of: PartitionID(index: index))
                if old.contains(where: { gone.contains($0) }) { during += 1 }
                if new.count < replicas { below += 1 }
                let used = Set(new.compactMap { node in owners.first { $0.node == node }?.zone })
                if used.count < min(zones, new.count) { shared += 1 }
                let sources = old.filter { !new.contains($0) && !gone.contains($0) } + old.filter { !gone.contains($0) }
                for (place, node) in new.filter({ !old.contains($0) }).enumerated() where !sources.isEmpty {
                    self.add(from: sources[min(place, sources.count - 1)], to: node, &links)
                }
            }
            links.sort { ($0.from, $0.to) < ($1.from, $1.to) }
            var busiest: [String: UInt64] = [:]
            for link in links { busiest[link.to, default: 0] += link.bytes }
            // A node fetches 64 MiB a second at most (docs/internals/ring-changes.md).
            let seconds = Double(busiest.values.max() ?? 0) / Double(64 << 20) + 1
            let actions = self.changed.map(\.action)
            let seed = StableHash.xxh3(before.hash, seed: next.hash &+ self.state.version)
            let hash = actions.map(\.text).joined(separator: "+") + "+" + hexadecimal(seed)
            return RingPlan(
                actions: actions, version: self.state.version, links: links, seconds: seconds, belowDuring: during,
                belowAfter: below, zonesShared: shared, owners: owners.count, replicas: replicas, hash: hash)
        }
    }

    /// What one replica of one partition takes on average on the nodes that answered.
    private var bytesOfPartition: UInt64 {
        var bytes: UInt64 = 0
        var slots: UInt64 = 0
        for report in self.status.reports {
            bytes &+= report.diskBytes
            slots &+= self.report.members.first { $0.record.node == report.me }?.ownedSlots ?? 0
        }
        return slots == 0 ? 0 : bytes / slots
    }

    private func add(from: NodeID, to: NodeID, _ links: inout [RingPlan.Link]) {
        let (source, target) = (self.name(from), self.name(to))
        let bytes = self.bytesOfPartition
        if let index = links.firstIndex(where: { $0.from == source && $0.to == target }) {
            links[index].partitions += 1
            links[index].bytes &+= bytes
        } else {
            links.append(RingPlan.Link(from: source, to: target, partitions: 1, bytes: bytes))
        }
    }
}
