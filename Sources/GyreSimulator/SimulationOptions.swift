package import GyreNode

/// A family of faults that a run may draw from; the names are those of `gyre simulate --faults`.
package enum FaultClass: String, Hashable, Sendable, CaseIterable, Comparable {
    /// Loss, duplication, reordering, delay, resets and partitions of every shape.
    case network
    /// Processes are killed; what they wrote to the operating system stays.
    case crash
    /// Nodes lose power; what was not synced is gone, wholly or in part.
    case power
    /// Records rot on the disk of one node, or it loses its disk as a whole.
    case disk
    /// Wall clocks jump.
    case clock
    /// Nodes join, leave and are replaced.
    case membership

    /// What goes wrong with links and machines while the cluster stays the same, in a fixed order.
    package static let ofMachines: [FaultClass] = [.network, .crash, .power, .clock, .disk]

    /// In the order of their names.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Why a run cannot be started.
package enum SimulationError: Error, Equatable, Sendable {
    /// The cluster is too small or too large.
    case nodes(Int, least: Int, most: Int)
    /// The run is too short or too long.
    case virtualSeconds(Int, least: Int, most: Int)
}

/// What is fixed about a run; all else is drawn from the seed.
package struct SimulationOptions: Hashable, Sendable {
    /// The smallest and the largest cluster.
    package static let nodesRange = 1...7
    /// The shortest and the longest run.
    package static let virtualSecondsRange = 1...86_400

    /// Decides everything that is drawn.
    package var seed: UInt64
    /// How many nodes; drawn when nil.
    package var nodes: Int?
    /// How long faults and clients go on.
    package var virtualSeconds: Int
    /// The families of faults that the seed may draw from.
    package var faults: Set<FaultClass>
    /// A mistake to make on purpose, to prove that the checkers see it.
    package var plantedBug: PlantedBug?

    /// Checks every number.
    package init(
        seed: UInt64, nodes: Int? = nil, virtualSeconds: Int = 60, faults: Set<FaultClass>,
        plantedBug: PlantedBug? = nil
    ) throws(SimulationError) {
        if let nodes, !Self.nodesRange.contains(nodes) {
            throw .nodes(nodes, least: Self.nodesRange.lowerBound, most: Self.nodesRange.upperBound)
        }
        guard Self.virtualSecondsRange.contains(virtualSeconds) else {
            let range = Self.virtualSecondsRange
            throw .virtualSeconds(virtualSeconds, least: range.lowerBound, most: range.upperBound)
        }
        self.seed = seed
        self.nodes = nodes
        self.virtualSeconds = virtualSeconds
        self.faults = faults
        self.plantedBug = plantedBug
    }
}

/// A mistake made on purpose at the border between the node and its world. A value, never global.
///
/// `docs/testing.md` says for each what it stands for and which invariant it breaks.
package enum PlantedBug: String, Hashable, Sendable, CaseIterable {
    /// The disk answers when bytes are written, not when they are synced.
    case acknowledgeBeforeSync
    /// The disk forgets the counter lease over a restart, while the node keeps its identity.
    case reissueDot
    /// A merge keeps the record with the later wall time.
    case mergeByTime
    /// A read shows fewer siblings than its context covers.
    case contextTooWide
    /// A put does not supersede all that its context covers.
    case contextTooNarrow
    /// Read repair replaces what the replica has got since.
    case readRepairWritesLoser
    /// What is meant for the last owner goes to the one before it, which answers for both.
    case twoReplicasOnOneNode
    /// One node takes the wrong owner for the partitions at the end of the ring.
    case skipWrapAround
    /// A fully deleted record is removed at once, with its context.
    case removeTombstoneEarly
    /// A merge keeps one sibling of several.
    case forgetSiblingsOnMerge
    /// A coordinator sends its record to the other replicas before its own disk has it.
    case sendBeforeOwnDisk
    /// A read shows what is written but not synced.
    case readBeforeSync
    /// A hint is acknowledged when it is written, not when it is synced.
    case countHintInMemory
    /// A full hint store answers as if it had kept the hint.
    case dropHintAtCap
    /// Hints are removed when they are sent, not when they are acknowledged.
    case dropHintBeforeAck
}

/// A promise that a run broke.
package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The invariant's number in `docs/testing.md`, such as `INV 1b`.
    package let invariant: String
    /// What was seen, with the key, the dots and the nodes concerned.
    package let message: String

    /// Joins the two.
    package init(_ invariant: String, _ message: String) {
        self.invariant = invariant
        self.message = message
    }

    /// Number and message.
    package var description: String { "\(self.invariant): \(self.message)" }
}

/// Something rare that a batch of runs should have met; a mark that no seed of a nightly batch reaches is a hole.
package enum CoverageMark: String, Hashable, Sendable, CaseIterable, Comparable {
    /// A write was stored.
    case writeStored
    /// A listing was read to its end.
    case listedWhole
    /// A write missed its quorum after it had begun.
    case writeUnknown
    /// An operation was refused because too few replicas could be reached.
    case unavailable
    /// A read returned more than one sibling.
    case siblingsRead
    /// A read returned a tombstone.
    case tombstoneRead
    /// A put used a context that was not the newest its client had.
    case staleContextUsed
    /// A client sent one operation again.
    case retried
    /// A node sent a record to a stale replica.
    case readRepaired
    /// A node handed an operation to an owner.
    case forwarded
    /// A process was killed with written, unsynced bytes, which stayed.
    case killKeptStaged
    /// A power cut lost written bytes.
    case powerCutLostStaged
    /// A power cut lost some batches of written bytes and kept others.
    case powerCutTornQueue
    /// A message arrived on a connection that was already replaced.
    case staleConnection
    /// A member was declared dead.
    case declaredDead
    /// A dot was lost before anyone but its coordinator saw it.
    case dotLost
    /// A wall clock jumped back.
    case clockJumpedBack
    /// A record rotted on its disk.
    case recordRotted
    /// A node found a record that rotted.
    case corruptFound
    /// A record that rotted was written again.
    case corruptHealed
    /// A node lost its disk.
    case diskLost
    /// A node made up for a disk that it lost.
    case diskRefilled
    /// A hint was made durable.
    case hintKept
    /// A hint was dropped after its owner had it.
    case hintDelivered
    /// A hint was refused because the store of hints was full.
    case hintsFull
    /// An exchange fetched records that were missing or different.
    case exchangeFetched
    /// An exchange copied a partition of which its node held nothing.
    case exchangeCopied
    /// An exchange sent records that were missing or different.
    case exchangeSent
    /// A node that owns nothing of the key coordinated a write.
    case standInCoordinated
    /// A client changed a bucket and was told so.
    case bucketSet
    /// A node joined.
    case joined
    /// A node handed over everything and left.
    case left
    /// A node that was dead was removed.
    case removedDead
    /// A node took the place of another.
    case replaced
    /// A node ended at a marked point of a change of the ring.
    case crashedInChange
    /// A node removed an object that it owned no longer.
    case rangeRemoved

    /// In the order of their names.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What came of one run.
package struct SimulationResult: Sendable {
    /// The seed of the run.
    package let seed: UInt64
    /// The hash of everything that happened.
    package let traceHash: TraceHash
    /// How many events were taken.
    package let events: UInt64
    /// How far the virtual clock came, in whole seconds.
    package let virtualSeconds: Int
    /// The cluster and the faults that the seed drew, for people.
    package let plan: String
    /// The first promise broken, if any.
    package let violation: Violation?
    /// How often each mark was met.
    package let marks: [CoverageMark: UInt64]
    /// How often each point of a change of the ring was passed.
    package let steps: [RingStep: UInt64]
    /// The points at which a node ended.
    package let stepsCrashed: [RingStep]
}
