package import GyreBase
package import GyreMembership
package import GyreQuorum

/// Why settings cannot be those of a node; the message names value and limit.
package enum NodeOptionsError: Error, Equatable, Sendable {
    /// A setting is outside its range.
    case outOfRange(setting: StaticString, value: Int, least: Int, most: Int)

    /// Equal when setting and numbers are.
    package static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.outOfRange(let s, let v, let l, let m), .outOfRange(let t, let w, let k, let n)):
            s.description == t.description && v == w && l == k && m == n
        }
    }
}

/// What tunes a node; every limit of architecture §6 that the core enforces is here.
package struct NodeOptions: Sendable {
    /// N, R and W.
    package var quorum: Quorum
    /// The cluster's name, 1 to 64 bytes.
    package var cluster: String
    /// Q, a power of two.
    package var partitionCount = 1_024
    /// Largest value a client may put.
    package var valueBytesMax = 8 << 20
    /// Most actors in a context that comes from a client.
    package var contextActorsMax = 64
    /// Operations in flight, of clients and of peers; more are refused as overloaded.
    package var inFlightMax = 16_384
    /// Bytes of records of other coordinators, and of own puts whose clients gave up, that wait for the disk, each; with more, what
    /// comes is refused as overloaded, so that an outage of a disk does not become one of memory.
    package var recordBytesMax = 256 << 20
    /// Longest deadline a request may ask for.
    package var timeoutMost = TimeSpan.seconds(60)
    /// From this long on a coordinated request is told of by an event; nil for never.
    package var slowThreshold: TimeSpan?
    /// How often the node wants the time.
    package var tickInterval = TimeSpan.milliseconds(10)
    /// How often membership gets the time.
    package var membershipTickInterval = TimeSpan.milliseconds(50)
    /// Dots are leased on disk in blocks of this many (architecture D4).
    package var leaseBlock: UInt64 = 1 << 17
    /// No read is hedged before this.
    package var hedgeDelayLeast = TimeSpan.milliseconds(10)
    /// Finished writes remembered for deduplication, and for how long.
    package var requestLogMax = 16_384
    /// How long a finished write is remembered.
    package var requestLogAge = TimeSpan.seconds(10)
    /// What was handed on is sent once more after half of its time, a write not later than this: its coordinator must still know that it
    /// did it, with `requestLogMax` others since.
    package var resendMost = TimeSpan.milliseconds(500)
    /// Corrupt records being healed at once.
    package var healsMax = 64
    /// How long one attempt to heal waits for all other replicas.
    package var healTimeout = TimeSpan.seconds(2)
    /// Whether a healthy node stands in for an owner that cannot be reached (sloppy quorum, Dynamo §4.6).
    package var isSloppy = true
    /// Writes that were answered and still wait for replicas, at most; more leave a hint at once.
    package var answeredMax = 4_096
    /// Bytes of the records of such writes, at most.
    package var answeredBytesMax = 64 << 20
    /// How long a write whose client gave up before the own disk had it waits for the other replicas.
    package var lateWriteTimeout = TimeSpan.seconds(1)
    /// How hints are delivered.
    package var handoff = HandoffOptions()
    /// How the hash trees are kept.
    package var trees = TreeOptions()
    /// How partitions are compared with other owners.
    package var exchange = ExchangeOptions()
    /// How often one random peer is told the hash of the bucket properties.
    package var bucketGossipInterval = TimeSpan.seconds(10)
    /// How the ring is changed.
    package var ringChange = RingChangeOptions()
    /// How members find each other and notice failures.
    package var membership = MembershipOptions()

    /// Defaults for a quorum.
    package init(quorum: Quorum, cluster: String) {
        self.quorum = quorum
        self.cluster = cluster
    }

    /// Checks what the types do not.
    package func validate() throws(NodeOptionsError) {
        try Self.check("value bytes", self.valueBytesMax, 1, 64 << 20)
        try Self.check("in flight", self.inFlightMax, 16, 1 << 20)
        try Self.check("request log", self.requestLogMax, 1, 1 << 20)
        try Self.check("lease block", Int(clamping: self.leaseBlock), 16, 1 << 32)
        try Self.check("cluster name bytes", self.cluster.utf8.count, 1, 64)
    }

    private static func check(
        _ setting: StaticString, _ value: Int, _ least: Int, _ most: Int
    ) throws(NodeOptionsError) {
        if value < least || value > most {
            throw .outOfRange(setting: setting, value: value, least: least, most: most)
        }
    }
}

/// What a node counts about itself since it started; plain numbers, read by status and metrics.
package struct NodeCounters: Sendable, Equatable {
    /// Puts and deletes coordinated here that were stored.
    package var writesStored: UInt64 = 0
    /// Puts and deletes coordinated here that missed W.
    package var writesUnknown: UInt64 = 0
    /// Gets coordinated here that were answered.
    package var readsAnswered: UInt64 = 0
    /// Operations refused because too few replicas could be reached.
    package var unavailable: UInt64 = 0
    /// Operations refused because a limit was reached.
    package var overloaded: UInt64 = 0
    /// Operations that ran out of time.
    package var timeouts: UInt64 = 0
    /// Operations handed to an owner.
    package var forwards: UInt64 = 0
    /// Records sent to stale replicas after a get.
    package var readRepairs: UInt64 = 0
    /// Extra replicas asked because one was slow.
    package var hedges: UInt64 = 0
    /// Writes answered from memory because the request had been seen.
    package var deduplicated: UInt64 = 0
    /// Corrupt records found on the own disk.
    package var corruptRecords: UInt64 = 0
    /// Corrupt records rewritten from other replicas.
    package var healed: UInt64 = 0
    /// Messages from peers that made no sense.
    package var malformedMessages: UInt64 = 0
    /// Writes of other coordinators made durable here.
    package var replicaWrites: UInt64 = 0
    /// Reads of other coordinators answered here.
    package var replicaReads: UInt64 = 0
    /// Nodes asked to stand in for an owner that failed while a write was under way.
    package var standIns: UInt64 = 0
    /// Hints made durable here.
    package var hintsKept: UInt64 = 0
    /// Hints refused because the limit of bytes was reached.
    package var hintsRefused: UInt64 = 0
    /// Leaves of hash trees that were found wrong and built anew.
    package var leavesCorrected: UInt64 = 0
    /// Kept trees that could not be read.
    package var checkpointsRefused: UInt64 = 0
    /// Objects read by scans of the store.
    package var objectsScanned: UInt64 = 0
    /// Objects whose expired versions were removed.
    package var versionsCollected: UInt64 = 0
    /// Exchanges led by this node that came to their end.
    package var exchangesDone: UInt64 = 0
    /// Those among them in which nothing differed.
    package var exchangesInSync: UInt64 = 0
    /// Exchanges led by this node that failed.
    package var exchangesFailed: UInt64 = 0
    /// Bytes of exchanges led by this node, both directions.
    package var exchangeBytes: UInt64 = 0
    /// Objects made equal by exchanges led by this node.
    package var keysRepaired: UInt64 = 0
    /// Objects removed here after their new owners had them.
    package var objectsRemoved: UInt64 = 0
    /// Hints that their owner has on its own disk and that are gone here.
    package var hintsDelivered: UInt64 = 0

    /// All zero.
    package init() {}

    /// Names and values, in a fixed order.
    package var named: [(name: String, value: UInt64)] {
        [
            ("checkpoints_refused", self.checkpointsRefused), ("corrupt_records", self.corruptRecords),
            ("deduplicated", self.deduplicated), ("exchange_bytes", self.exchangeBytes),
            ("exchanges_done", self.exchangesDone), ("exchanges_failed", self.exchangesFailed),
            ("exchanges_in_sync", self.exchangesInSync),
            ("forwards", self.forwards), ("healed", self.healed), ("hedges", self.hedges),
            ("hints_delivered", self.hintsDelivered), ("hints_kept", self.hintsKept),
            ("hints_refused", self.hintsRefused), ("keys_repaired", self.keysRepaired),
            ("leaves_corrected", self.leavesCorrected), ("objects_scanned", self.objectsScanned),
            ("malformed_messages", self.malformedMessages), ("objects_removed", self.objectsRemoved),
            ("overloaded", self.overloaded),
            ("read_repairs", self.readRepairs), ("reads_answered", self.readsAnswered),
            ("replica_reads", self.replicaReads), ("replica_writes", self.replicaWrites),
            ("stand_ins", self.standIns),
            ("timeouts", self.timeouts), ("unavailable", self.unavailable),
            ("versions_collected", self.versionsCollected), ("writes_stored", self.writesStored),
            ("writes_unknown", self.writesUnknown),
        ]
    }
}
