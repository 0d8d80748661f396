package import GyreBase
import GyreMerkle
import GyreMessages
import NIOCore

/// How partitions are compared with other owners.
package struct ExchangeOptions: Sendable {
    /// Whether partitions are compared all the time, besides when somebody asks.
    package var hasRounds = true
    /// Each partition is compared with each other owner about this often.
    package var interval = TimeSpan.seconds(600)
    /// Exchanges that this node leads at once by itself.
    package var backgroundMax = 2
    /// Exchanges that this node leads at once for a repair.
    package var repairMax = 8
    /// Exchanges of other nodes answered at once; more are told to come later.
    package var servedMax = 64
    /// Merges of other nodes' exchanges that the disk has not done yet; more are told to come later. They count among the requests
    /// in flight, of which clients are to have most.
    package var servedWorkMax = 4_096
    /// How long an answer may take.
    package var timeout = TimeSpan.seconds(5)
    /// How long the answer to the first question may take, which is given from memory: one that does not come as a rule
    /// means that the other node is not connected to this one yet.
    package var rootTimeout = TimeSpan.seconds(1)
    /// Bytes sent and received for exchanges in a second.
    package var bytesPerSecond: Int64 = 64 << 20
    /// Records of one message, and their bytes; one record always fits.
    package var batchMax = 256
    /// See `batchMax`.
    package var batchBytesMax = 1 << 20
    /// Exchanges pause for nine tenths of each second while clients wait longer than this on average.
    package var yieldAbove = TimeSpan.milliseconds(20)
    /// How long a repair waits for trees that are still being built.
    package var buildPatience = TimeSpan.seconds(120)

    /// The defaults.
    package init() {}

    /// Records that are read at once while nothing is known of how long they are.
    static let firstReads = 16

    /// How many more records seem to fit into `room` bytes, where `count` had `bytes` together; 1 at least.
    static func fitting(_ room: Int, count: Int, bytes: Int) -> Int {
        guard count > 0 else { return Self.firstReads }
        return max(1, max(0, room) / max(1, bytes / count))
    }
}

/// A comparison of one partition with one other owner, led by this node.
struct ExchangeOperation {
    let peer: NodeID
    let partition: Int
    /// The repair that wants it; nil for the rounds that nobody asks for.
    let repair: UInt64?
    /// Count and change nothing.
    let isDry: Bool
    /// Only send, as what is held here is on its way out: the generation of owners that it is for.
    var handover: UInt64?
    /// Whether something that was fetched could not be merged here.
    var hasLeftOut = false
    /// Only objects of this bucket are dealt with.
    let bucket: ByteBuffer?
    var machine: ExchangeMachine
    let began: Instant
    /// The number of the question that is not answered yet.
    var step: UInt32 = 0
    var isAsking = false
    /// The inners whose leaves were asked for.
    var leavesAsked: UInt32 = 0
    var deadline: Instant
    /// A step that waits until clients are served well again or bytes may be sent again.
    var held: ExchangeMachine.Step?

    /// See `handover`.
    var isHandover: Bool { self.handover != nil }

    /// Objects that differ, of the page being dealt with: to be fetched, and to be sent.
    var pull: [ObjectName] = []
    var push: [ObjectName] = []
    /// Of those fetched, the ones that both sides have.
    var reconcile: Set<ObjectName> = []
    /// What was asked for by the question under way.
    var asked: [ObjectName] = []
    /// While a page of a copy is merged: how many of its objects changed something here.
    var copied: Int?
    /// Records read and not sent yet, and how many of how many bytes there were the last time.
    var batch: [NamedRecord] = []
    var read: (count: Int, bytes: Int) = (0, 0)
    /// Storage requests not answered yet.
    var pending = 0

    var keysDiffering: UInt64 = 0
    var keysRepaired: UInt64 = 0
    var bytes: UInt64 = 0
}

extension RepairCounts {
    /// Adds what one comparison has done so far.
    mutating func add(_ operation: ExchangeOperation) {
        self.add(
            differing: operation.keysDiffering, repaired: operation.keysRepaired, bytes: operation.bytes)
    }
}

/// A question of another node's exchange that takes several looks at the disk.
struct ServedExchange {
    let from: NodeID
    let tag: UInt64
    let step: UInt32
    var pending: Int
    /// Names that were asked for and not read yet.
    var rest: ArraySlice<ObjectName>
    /// By place in the question, as far as they were read, and their bytes.
    var records: [NamedRecord]
    var bytes = 0
    var merged: UInt32 = 0
    /// Whether a record could not be merged.
    var hasLeftOut = false
    let isMerge: Bool
}

extension ExchangeQuestion {
    /// About as many bytes as the question takes on the wire.
    var bytes: Int {
        switch self {
        case .root, .leaves, .suspect: 45
        case .keys(_, _, let after), .objects(_, _, let after): 55 + (after?.wireBytes ?? 0)
        case .records(let names): names.reduce(40) { $0 + $1.wireBytes }
        case .merge(let records): records.reduce(40) { $0 + $1.name.wireBytes + $1.record.readableBytes + 3 }
        }
    }
}

extension ExchangeAnswer {
    /// About as many bytes as the answer takes on the wire.
    var bytes: Int {
        switch self {
        case .same, .notReady, .overloaded, .merged, .mergedInPart: 33
        case .inners(let words), .leaves(let words): 34 + 8 * words.count
        case .keys(let entries, _): entries.reduce(35) { $0 + $1.name.wireBytes + 8 }
        case .records(let records), .objects(let records, _):
            records.reduce(34) { $0 + $1.name.wireBytes + $1.record.readableBytes + 3 }
        }
    }
}

extension ObjectName {
    fileprivate var wireBytes: Int { 3 + self.bucket.readableBytes + self.key.readableBytes }
}
