import GyreBase
import GyreCausality
import GyreMessages
import GyreQuorum
import GyreRing
import GyreStorage
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

/// What was settled about an operation when it was let in.
struct Admission {
    let target: ReplyTarget
    let replicas: ReplicaSet
    /// This node's place.
    let ownPlace: Int
    /// Whether stand-ins count.
    let isSloppy: Bool
    /// R or W.
    let needed: Int
    /// PR or PW.
    let primariesNeeded: Int
    let deadline: Instant
}

/// A put or delete coordinated here.
struct PutOperation {
    let target: ReplyTarget
    /// Further callers that sent the same request while it was under way.
    var followers: [ReplyTarget] = []
    let request: ClientRequest
    let id: RequestID
    let name: ObjectName
    var replicas: ReplicaSet
    let ownPlace: Int
    /// Whether a stand-in may take the place of an owner that fails meanwhile, and how many have.
    let isSloppy: Bool
    var standIns = 0
    let started: Instant
    var deadline: Instant
    /// When replicas that have not answered are sent the record once more.
    var resendAt: Instant
    var machine: PutMachine
    /// The state of the ring that it was begun under.
    let generation: UInt64
    /// The record that stands on the own disk, and its context, once it does.
    var stored: (record: ByteBuffer, context: VersionVector)?
    /// How long the own disk took, once it has answered.
    var ownDisk: TimeSpan?
}

/// A get coordinated here.
struct GetOperation {
    let target: ReplyTarget
    let name: ObjectName
    let headOnly: Bool
    let replicas: ReplicaSet
    let ownPlace: Int
    let generation: UInt64
    let started: Instant
    let deadline: Instant
    var hedged = false
    /// How long the own disk took, once it has answered.
    var ownDisk: TimeSpan?
    var machine: GetMachine
}

/// A client's operation handed to an owner.
struct ForwardOperation {
    let target: ReplyTarget
    let request: ClientRequest
    let to: NodeID
    /// Whether another owner was asked before.
    let isSecond: Bool
    let started: Instant
    let deadline: Instant
    /// When an owner that has not answered is sent it once more, and whether it was.
    var resendAt: Instant
    var wasSentAgain = false
    let isWrite: Bool
    let needed: UInt8
}

/// Disk work done for somebody else, or for the node itself.
enum ReplicaOperation {
    case merge(from: NodeID, tag: UInt64, name: ObjectName, bytes: Int)
    case fetch(from: NodeID, tag: UInt64, name: ObjectName)
    /// The disk's figures, for all who asked for the node's status before the look began.
    case figures([ReplyTarget])
    case lease
    case heal(ObjectName)
    case repair(ObjectName)
    /// Keeping a hint of this node's own, about a write that an owner missed.
    case ownHint(target: NodeID)
    /// Keeping a hint for another coordinator.
    case hint(from: NodeID, tag: UInt64, target: NodeID, bytes: Int)
    /// Reading a hint for another coordinator.
    case fetchHint(from: NodeID, tag: UInt64)
    /// Listing the hints for a node that can take them.
    case hintList(target: NodeID)
    /// Dropping a hint that was delivered.
    case hintDrop(target: NodeID)
    /// A scan for the hash trees.
    case scan
    /// Collecting expired versions.
    case collect(ObjectName)
    /// Writing down what the next life wants to know; nobody waits for it.
    case note
    /// For the exchange with that tag: a listing, a record to send, a record that was fetched.
    case exchangeList(UInt64)
    case exchangeRead(UInt64, ObjectName)
    case exchangeMerge(UInt64, ObjectName, sent: RecordDigest)
    /// For the exchange of another node: a listing, and parts of a `ServedExchange`.
    case servedList(from: NodeID, tag: UInt64, step: UInt32, isWhole: Bool)
    case servedRead(UInt64, place: Int)
    case servedMerge(UInt64, ObjectName)
    /// Part of an `InspectOperation`; the object, or the hint for a target.
    case inspectRead(UInt64, target: NodeID?)
    /// A page of objects for the coordinator of a listing.
    case list(from: NodeID, tag: UInt64, ListQuestion, countMax: Int)
    /// A client's change of a bucket on its way to the disk.
    case bucketSet(ReplyTarget, BucketRecord)
    /// What peers told about buckets, on its way to the disk.
    case bucketsLearned
    /// What is known of the ring, on its way to the disk.
    case ringKept(RingState)
    /// A page of a partition that is being removed here, and its removal.
    case handoverList(partition: Int)
    case handoverRemove(partition: Int, [(name: ObjectName, digest: RecordDigest?)])
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
    func slot(of node: NodeID) -> Int? {
        // Numbers are compared in place; comparing nodes is a call into another module.
        for index in self.indices where self[index].rawValue == node.rawValue { return index - self.startIndex }
        return nil
    }

    /// The node at a place of a preference list.
    func node(at slot: Int) -> NodeID { self[self.startIndex + slot] }
}
