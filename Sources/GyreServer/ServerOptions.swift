package import GyreBase
package import GyreMembership
package import GyreNode
import GyreQuorum
import GyreRing
import NIOCore

/// The version of Gyre that this process runs; peers see it in its member record.
package let gyreVersion = "0.1.0"

/// When a write counts as durable on this node (architecture D6).
package enum DurabilityOption: String, Sendable, CaseIterable {
    /// Synced to disk before it is acknowledged.
    case always
    /// Written, and synced a little later: a power cut may take what was acknowledged.
    case interval
    /// Written, and synced when the system likes.
    case none
}

/// Everything an operator says about a node before it starts.
package struct ServerOptions: Sendable {
    /// What people call the node.
    package var name: String
    /// The directory that belongs to this node alone.
    package var dataDirectory: String
    /// Where it listens; port 0 takes a free port.
    package var listen = PeerAddress(host: "127.0.0.1", port: 7400)
    /// Where peers and clients reach it, when that is not where it listens.
    package var advertise: PeerAddress?
    /// Where Redis clients are served; nil for nowhere, port 0 for a free port.
    package var resp: PeerAddress?
    /// Addresses to find the cluster by.
    package var seeds: [PeerAddress] = []
    /// The cluster's name; nodes of different names refuse each other.
    package var cluster = "gyre"
    /// The failure domain.
    package var zone = ""
    /// The share of the ring, relative to the others.
    package var weight = 1
    /// Q, a power of two.
    package var partitionCount = 1_024
    /// N.
    package var replicas = 3
    /// R.
    package var reads = 2
    /// W.
    package var writes = 2
    /// When a write counts as durable.
    package var durability = DurabilityOption.always
    /// About how often each partition is compared with each other owner; nil for none but those that a
    /// change of the ring or an operator wants.
    package var antiEntropyInterval: TimeSpan? = .seconds(600)
    /// From this long on a request is worth a line in the log; nil for never.
    package var slowThreshold: TimeSpan? = .milliseconds(500)
    /// How long one pass of reading everything through takes.
    package var scrubPeriod = TimeSpan.seconds(24 * 3_600)
    /// Hints kept for other nodes, in bytes, at most.
    package var hintBytesMax: UInt64 = 1 << 30
    /// Whether a healthy node stands in for an owner that cannot be reached.
    package var isSloppy = true
    /// The longest time that a node may have been away from a cluster that went on without it; nil for any.
    package var awayMax: TimeSpan? = .seconds(30 * 24 * 3_600)
    /// Whether it waits for an operator before it takes a share of the ring of a cluster that is there.
    package var isHeld = false
    /// Largest value a client may put, in bytes.
    package var valueBytesMax = 8 << 20

    /// Defaults for a node of that name in that directory.
    package init(name: String, dataDirectory: String) {
        self.name = name
        self.dataDirectory = dataDirectory
    }

    /// Refuses what no node can be started with, naming the setting, its value and what would do.
    package func validate() throws(ServerError) {
        guard MemberRecord.isName(self.name) else {
            throw .invalidOption(
                "name '\(self.name)' is not a node's name; use 1 to \(MemberRecord.nameBytesMax) of A-Z a-z 0-9 . _ -")
        }
        guard !self.dataDirectory.isEmpty else { throw .invalidOption("data must name a directory") }
        guard (1...64).contains(self.cluster.utf8.count) else {
            throw .invalidOption("cluster must have 1 to 64 bytes, not \(self.cluster.utf8.count)")
        }
        guard self.zone.utf8.count <= MemberRecord.zoneBytesMax else {
            throw .invalidOption("zone must have at most \(MemberRecord.zoneBytesMax) bytes")
        }
        guard (1...MemberRecord.weightMax).contains(self.weight) else {
            throw .invalidOption("weight \(self.weight) is not in 1 to \(MemberRecord.weightMax)")
        }
        if self.advertise == nil, ["0.0.0.0", "::"].contains(self.listen.host) {
            throw .invalidOption(
                "listen \(self.listen) is no address that others can dial; add --advertise HOST:PORT")
        }
        if let port = self.advertise?.port, port == 0 { throw .invalidOption("advertise needs a port other than 0") }
        if let seed = self.seeds.first(where: { $0.port == 0 }) {
            throw .invalidOption("seed \(seed) needs a port other than 0")
        }
        _ = try self.makeNodeOptions()
    }

    /// The part of the settings that the node itself works with.
    package func makeNodeOptions() throws(ServerError) -> NodeOptions {
        let quorum: Quorum
        do throws(QuorumError) {
            quorum = try Quorum(replicas: self.replicas, reads: self.reads, writes: self.writes)
        } catch {
            switch error {
            case .replicas(let n, let most): throw .invalidOption("replicas (N) must be 1 to \(most), not \(n)")
            case .size(let size, let n):
                throw .invalidOption("reads (R) and writes (W) must be 1 to replicas (N = \(n)), not \(size)")
            }
        }
        do {
            _ = try RingOptions(partitionCount: self.partitionCount, replicas: self.replicas)
        } catch {
            let range = RingOptions.partitionCountRange
            throw .invalidOption(
                "partitions must be a power of two in \(range.lowerBound) to \(range.upperBound),"
                    + " not \(self.partitionCount)")
        }
        var options = NodeOptions(quorum: quorum, cluster: self.cluster)
        options.partitionCount = self.partitionCount
        options.valueBytesMax = self.valueBytesMax
        options.isSloppy = self.isSloppy
        options.slowThreshold = self.slowThreshold
        options.exchange.hasRounds = self.antiEntropyInterval != nil
        options.ringChange.suit(processors: System.coreCount)
        options.membership.formsCluster = !self.isHeld
        options.trees.scrubPeriod = self.scrubPeriod
        if let interval = self.antiEntropyInterval { options.exchange.interval = interval }
        do { try options.validate() } catch { throw .invalidOption("invalid settings: \(error)") }
        return options
    }
}
