import GyreBase
import GyreMessages

/// One node's part of a repair: the comparisons that it leads.
struct RepairPart {
    let request: RepairRequest
    /// Who wants to hear how far it is.
    let coordinator: NodeID
    /// Comparisons not begun yet, last first.
    var pairs: [(partition: Int, peer: NodeID)]
    /// Comparisons under way.
    var active = 0
    var counts = RepairCounts()
    /// Whether what the node's refill brings back counts as this repair's too.
    var takesRefill = false
    /// Trees that are still being built are waited for until then.
    let patientUntil: Instant
    /// Nodes that cannot be reached are waited for until then.
    var absenceUntil = Instant.start
    /// Nothing is begun before this, after a tree was found unbuilt.
    var retryAt = Instant.start
    /// When the coordinator is told next.
    var reportAt = Instant.start

    /// Whether no client may use `id`: refills and changes of the ring run under it.
    static func isReserved(_ id: UInt64) -> Bool { id == Refill.repairID || id > UInt64.max - RingSync.idsMax }

    /// Whether nothing is left to do.
    var isOver: Bool { self.pairs.isEmpty && self.active == 0 }
}

/// A repair as the node knows it that it was started on.
struct RepairRun {
    /// The most repairs remembered.
    static let runsMax = 16
    /// A node that says nothing for so long is asked again: it may have been restarted, or its last words were lost.
    static let patience = TimeSpan.seconds(2)
    /// A node that cannot be reached is waited for as long as it takes to notice that one is back: people start a repair right
    /// after they have started the node that needs it.
    static let absence = TimeSpan.seconds(3)

    let request: RepairRequest
    /// One node's part as it was last heard of.
    struct Part {
        let node: NodeID
        var counts = RepairCounts()
        var isOver = false
        /// When the node last said something about it, or was asked to begin.
        var heardAt: Instant
    }

    /// All parts.
    var parts: [Part]
    /// When it was started.
    let began: Instant

    /// All parts together.
    var counts: RepairCounts {
        self.parts.reduce(into: RepairCounts()) { $0.add($1.counts) }
    }
}
