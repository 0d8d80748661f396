package import GyreBase
import GyreMembership
package import GyreMessages

extension StatusReport {
    /// The members that own a part of the ring, by name.
    package var ringOwners: [MemberView] {
        self.members.filter { $0.ownedSlots > 0 }.sorted { $0.record.name < $1.record.name }
    }

    /// The document of `gyre ring --json`.
    package var ringJSON: JSONText {
        let slots = Double(max(1, UInt64(self.partitionCount) * UInt64(self.replicas)))
        let nodes = self.ringOwners.map { member in
            JSONText.object([
                ("name", .text(member.record.name)), ("node", .text(member.record.node.description)),
                ("partitions", .unsigned(member.ownedSlots)), ("share", .number(Double(member.ownedSlots) / slots)),
            ])
        }
        return .object([
            ("partitions", .unsigned(UInt64(self.partitionCount))), ("epoch", .unsigned(self.ringEpoch)),
            ("hash", .text(hexadecimal(self.ringHash))), ("replicas", .unsigned(UInt64(self.replicas))),
            ("nodes", .list(nodes)),
        ])
    }
}

extension LocationReport {
    /// The owners with the names that `report` knows for them, in preference order.
    package func namedOwners(_ report: StatusReport) -> [(name: String, node: NodeID)] {
        self.owners.map { node in
            (name: report.members.first { $0.record.node == node }?.record.name ?? "?", node: node)
        }
    }

    /// The document of `gyre ring KEY --json`.
    package func json(bucket: String, key: String, _ report: StatusReport) -> JSONText {
        let list = self.namedOwners(report).map { owner in
            JSONText.object([
                ("name", .text(owner.name)), ("node", .text(owner.node.description)), ("role", .text("primary")),
            ])
        }
        return .object([
            ("bucket", .text(bucket)), ("key", .text(key)), ("token", .text(self.token.description)),
            ("partition", .unsigned(UInt64(self.partition))), ("owners", .list(list)),
        ])
    }
}
