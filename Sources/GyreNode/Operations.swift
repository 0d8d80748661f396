import GyreBase
import GyreCausality
import GyreMessages
import GyreQuorum
import NIOCore

/// Whom the answer to an operation goes to.
enum ReplyTarget: Sendable {
    /// A client of this node.
    case client(ReplyAddress)
    /// A peer that forwarded a client's operation under its own tag.
    case peer(NodeID, tag: UInt64)

    /// Whether the operation may still be forwarded; once is enough (architecture §3).
    var mayForward: Bool {
        switch self {
        case .client: true
        case .peer: false
        }
    }
}

/// A put or delete coordinated here.
struct PutOperation {
    let target: ReplyTarget
    /// Further callers that sent the same request while it was under way.
    var followers: [ReplyTarget] = []
    let request: ClientRequest
    let id: RequestID
    let name: ObjectName
    let owners: ArraySlice<NodeID>
    let ownSlot: Int
    let deadline: Instant
    /// When replicas that have not answered are sent the record once more.
    var resendAt: Instant
    var machine: PutMachine
    /// The record that stands on the own disk, and its context, once it does.
    var stored: (record: ByteBuffer, context: VersionVector)?
}

/// A get coordinated here.
struct GetOperation {
    let target: ReplyTarget
    let name: ObjectName
    let headOnly: Bool
    let owners: ArraySlice<NodeID>
    let ownSlot: Int
    let started: Instant
    let deadline: Instant
    var hedged = false
    var machine: GetMachine
}

/// A client's operation handed to an owner.
struct ForwardOperation {
    let target: ReplyTarget
    let to: NodeID
    let deadline: Instant
    let isWrite: Bool
    let needed: UInt8
}

/// Disk work done for somebody else, or for the node itself.
enum ReplicaOperation {
    case merge(from: NodeID, tag: UInt64, name: ObjectName)
    case fetch(from: NodeID, tag: UInt64, name: ObjectName)
    case figures(ReplyTarget)
    case lease
    case heal(ObjectName)
    /// A client's change of a bucket on its way to the disk.
    case bucketSet(ReplyTarget, BucketRecord)
    /// What peers told about buckets, on its way to the disk.
    case bucketsLearned
}

/// A corrupt record being fetched from every other owner.
struct HealOperation {
    let name: ObjectName
    let owners: ArraySlice<NodeID>
    let deadline: Instant
    var waiting: SlotSet
    var merged: Siblings
}

extension ArraySlice<NodeID> {
    /// The place of `node` in a preference list, 0 to N − 1.
    func slot(of node: NodeID) -> Int? { self.firstIndex(of: node).map { $0 - self.startIndex } }

    /// The node at a place of a preference list.
    func node(at slot: Int) -> NodeID { self[self.startIndex + slot] }
}
