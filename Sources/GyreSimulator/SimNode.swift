import GyreBase
import GyreMembership
import GyreMessages
import GyreNode
import GyreStorage
import NIOCore

/// One simulated machine: a disk, clocks, and while it runs the very `Node` that the server runs.
///
/// A class only because `Node` cannot be copied; confined to its world.
final class SimNode {
    /// What a machine is to the cluster.
    enum Role {
        /// It is in the cluster, or on its way into or out of it.
        case member
        /// It was never started.
        case spare
        /// It left, or is dead for good.
        case gone
    }

    /// The node's place in the world.
    let index: Int
    /// What it is to the cluster.
    var role: Role
    /// Whether it was started to wait for an operator.
    var isHeld = false
    /// Whether it joins a cluster that is there, and must not begin one.
    let isLate: Bool
    /// Who it is, over all its lives until it loses its disk.
    private(set) var id: NodeID
    /// Whose place it has taken: its own of before.
    private(set) var replaces: NodeID?
    /// Where its peers dial it.
    let address: PeerAddress
    /// What survives its lives.
    var disk: SimDisk
    /// The life under way; nil when the node is down.
    var life: Life?
    /// Counts the lives, so that what was meant for an earlier one is not given to a later one.
    var lives: UInt64 = 0
    /// Counts what happens to the node in all its lives, ticks aside: messages, answers and syncs of its disk.
    var steps: UInt64 = 0
    /// How far the wall clock is off, in milliseconds.
    var wallOffset: Int64
    /// Draws for the node itself, one stream a life.
    let randomRoot: SeededRandom
    /// When it last came up.
    var startedAt = Instant.start

    /// What a process holds in memory.
    final class Life {
        /// The machine under test.
        var node: Node
        /// The node's own generator.
        var random: SeededRandom

        init(node: consuming Node, random: SeededRandom) {
            self.node = node
            self.random = random
        }
    }

    init(index: Int, id: NodeID, disk: SimDisk, wallOffset: Int64, isSpare: Bool, random: SeededRandom) {
        self.index = index
        self.role = isSpare ? .spare : .member
        self.isLate = isSpare
        self.id = id
        self.address = PeerAddress(host: "10.0.0.\(index + 1)", port: 7_400)
        self.disk = disk
        self.wallOffset = wallOffset
        self.randomRoot = random
    }

    /// The disk is gone for good: the machine comes back under a new identity, in the place of the old one (architecture D4).
    func loseDisk(_ disk: SimDisk, newID: NodeID) {
        self.disk = disk
        self.replaces = self.id
        self.id = newID
    }

    /// The clocks of the node when the world's clock shows `time`. The monotonic one starts anew with every life.
    func clocks(at time: Instant) -> Now {
        let wall = 1_700_000_000_000 + time.nanoseconds / 1_000_000 + self.wallOffset
        return Now(
            instant: Instant(nanoseconds: time.since(self.startedAt).nanoseconds),
            wall: WallTime(milliseconds: UInt64(max(0, wall))))
    }
}
