package import GyreBase
package import GyreMembership
package import GyreMessages
package import GyreRing

/// What clients on one event loop know of the cluster: its members, and who owns what.
///
/// Learned from status reports by the `RoutedClient` that keeps it; others on the same loop may share it. Not
/// `Sendable`; confined to that loop.
package final class ClusterView {
    /// The newest report; nil until the first.
    package private(set) var report: StatusReport?
    /// The placement, computed here from the members as the nodes do it; nil until the first report that allows it.
    package private(set) var ring: Ring?
    /// Members that are not removed, sorted by node.
    package private(set) var members: [MemberRecord] = []
    /// Counts the changes of the two above.
    package private(set) var generation: UInt64 = 0
    /// Asks the keeper for a new report soon.
    var onStale: (() -> Void)?

    private var ringMembers: [RingMember] = []

    /// Knows nothing.
    package init() {}

    /// Takes in what a node said. Without a change of members or ring it costs a comparison.
    package func learn(_ report: StatusReport) {
        self.report = report
        let members = report.members.map(\.record).filter { $0.state != .removed }.sorted { $0.node < $1.node }
        if members != self.members {
            self.members = members
            self.generation += 1
        }
        let all = report.members.map(\.record).sorted { $0.node < $1.node }
        let owners = RingPlaces.owners(of: all).map { member in
            RingMember(
                node: member.record.node, place: member.place, weight: member.record.weight, zone: member.record.zone)
        }
        let options = try? RingOptions(
            partitionCount: Int(report.partitionCount), replicas: Int(report.replicas)
        )
        guard let options, owners != self.ringMembers || options != self.ring?.options else { return }
        self.ringMembers = owners
        // A ring that cannot be computed costs a hop, no more: any node forwards what it does not own.
        self.ring = owners.isEmpty ? nil : try? Ring(members: owners, options: options)
        self.generation += 1
    }

    /// The hash of the placement computed here; equal to the `ringHash` of every node that agrees.
    package var ringHash: UInt64? { self.ring?.hash }

    /// The primaries of `name`, in preference order; empty while the ring is unknown.
    package func owners(of name: ObjectName) -> ArraySlice<NodeID> {
        guard let ring = self.ring else { return [] }
        return ring.owners(of: ring.partition(of: name.token))
    }
}
