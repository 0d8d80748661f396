package import GyreMembership

/// Why one node refuses the handshake of another: they belong to different clusters, or divide the ring differently. Both logs show the
/// words, and whoever is refused knows by their beginning that there is a cluster which it is not part of. Pure value.
package struct SettingsRefusal: Hashable, Sendable {
    private static let beginning = "settings differ: "

    /// The words on the wire.
    package let reason: String

    /// What differs between the one who refuses, at `address`, and the one who is refused; nil when nothing does.
    package init?(
        address: PeerAddress, mine: (cluster: String, partitions: UInt32, replicas: UInt8),
        yours: (cluster: String, partitions: UInt32, replicas: UInt8)
    ) {
        let me = "the node at \(address)"
        let difference: String
        if mine.cluster != yours.cluster {
            difference = "you belong to cluster '\(yours.cluster)', \(me) to '\(mine.cluster)'"
        } else if mine.partitions != yours.partitions {
            difference = "you have \(yours.partitions) partitions, \(me) has \(mine.partitions)"
        } else if mine.replicas != yours.replicas {
            difference = "you keep \(yours.replicas) replicas, \(me) keeps \(mine.replicas)"
        } else {
            return nil
        }
        self.reason = Self.beginning + difference
    }

    /// Whether a node that gave this reason refuses for its settings.
    package static func isOne(_ reason: String) -> Bool { reason.hasPrefix(Self.beginning) }
}
