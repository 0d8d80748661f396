package import GyreBase
import GyreMembership
import GyreMessages
import GyreRing
import NIOCore

/// The kept ring cannot be read although its checksum is right.
package struct RingDocumentError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with the bytes.
    package let reason: DecodeError

    /// For a person.
    package var description: String {
        "the kept ring cannot be read (\(self.reason)); a newer version of Gyre wrote it, or it is a bug"
    }
}

/// How the ring is changed.
package struct RingChangeOptions: Hashable, Sendable {
    /// How long a wish must stand before the owner with the lowest identity proposes it, so that several go into one change.
    package var settleDelay = TimeSpan.milliseconds(200)
    /// How long other owners leave it to that one.
    package var patience = TimeSpan.seconds(3)
    /// How long the members of a new cluster must be the same before it is founded.
    package var foundingDelay = TimeSpan.seconds(1)
    /// How often one random peer is told the hash of what is known of the ring.
    package var gossipInterval = TimeSpan.seconds(1)
    /// How often a node looks whether the owners are whom the members want.
    package var lookInterval = TimeSpan.milliseconds(50)
    /// How often a node that does not know the ring asks for it.
    package var askInterval = TimeSpan.milliseconds(200)
    /// Comparisons at once of all nodes together that gain something.
    package var fetchMax = 4
    /// Partitions that are handed over at once.
    package var handoversMax = 2
    /// Objects removed by one request to the disk.
    package var removeMax = 128

    /// Each removal of a page is followed by a rest so many times as long, on a node that clients come to.
    package var removeRest = 3
    /// Keys a second that a node fetches, where it alone gains what changes hands: with more, clients wait longer. For two processors.
    package var fetchRate = 2 * Self.fetchRatePerProcessor
    /// Keys a second that all nodes fetch together, where several gain: each has its log and its tables to write.
    package var fetchRateOfSeveral = 2 * Self.fetchRateOfSeveralPerProcessor
    private static let fetchRatePerProcessor = 28_500
    private static let fetchRateOfSeveralPerProcessor = 10_000

    /// Sets the two rates for a node with so many processors, 1 or more.
    package mutating func suit(processors: Int) {
        self.fetchRate = Self.fetchRatePerProcessor * max(1, processors)
        self.fetchRateOfSeveral = Self.fetchRateOfSeveralPerProcessor * max(1, processors)
    }

    /// The defaults.
    package init() {}
}

/// What a node gains in a change, and of whom it does not have it yet.
struct RingSync {
    /// So many identities at the upper end are kept from clients: each plan has its own, so that a comparison that was begun for an
    /// earlier one is not taken for a later one.
    static let idsMax: UInt64 = 1 << 20

    /// What the comparisons were planned for: when it is no longer so, they are planned anew.
    struct Plan: Equatable {
        let version: UInt64
        let from: UInt64
        let to: UInt64
        let banned: [NodeID]
        let substitutes: [RingKeeper.Substitute]
    }

    let plan: Plan
    /// The repair under which the comparisons run.
    let id: UInt64
    /// By partition: the owners it was not compared with yet; nil once it is whole.
    var waiting: [Int: [NodeID]]
    /// Partitions that were compared with one owner at least.
    var begun: Set<Int> = []
    /// Comparisons at once.
    private(set) var activeMax = 1
    /// Keys a second that may come.
    private(set) var rate = 1
    /// No page is asked for before this.
    private(set) var nextPage = Instant.start
    /// Partitions gained.
    var gained = 0
    /// Comparisons that there are in all.
    var planned = 0
    /// What came so far, in comparisons that are over.
    var bytes: UInt64 = 0
    var keys: UInt64 = 0
    let began: Instant

    /// Chooses the pace of a node that gains `share` of all that changes hands, 0 to 1. All gainers together make `fetchMax`
    /// comparisons at once: with more clients wait longer, and nothing comes sooner.
    mutating func pace(share: Double, options: RingChangeOptions) {
        self.activeMax = max(1, Int((share * Double(options.fetchMax)).rounded()))
        let rate = share < 0.5 ? share * Double(options.fetchRateOfSeveral) : Double(options.fetchRate)
        self.rate = max(1, Int(rate))
    }

    /// A page of `keys` is asked for; fewer than none when it brought less than was thought. Who was late may make up for a moment.
    mutating func charge(keys: Int, at now: Instant) {
        let second = TimeSpan.seconds(1).nanoseconds
        let from = max(self.nextPage, now.advanced(by: .milliseconds(-50)))
        self.nextPage = from.advanced(by: TimeSpan(nanoseconds: second * Int64(keys) / Int64(self.rate)))
    }
}

extension Now {
    /// The middle between now and `deadline`.
    func halfWay(to deadline: Instant) -> Instant {
        self.instant.advanced(by: TimeSpan(nanoseconds: deadline.since(self.instant).nanoseconds / 2))
    }

    /// The end of a rest `times` as long as what began at `began` took until now, a second at most: what took long was held up
    /// by something else.
    func rest(_ times: Int, since began: Instant) -> Instant {
        let most = TimeSpan.seconds(1).nanoseconds
        let worked = min(self.instant.since(began).nanoseconds, most)
        return self.instant.advanced(by: TimeSpan(nanoseconds: min(worked * Int64(times), most)))
    }
}

/// A partition that this node holds something of and does not own.
struct Handover {
    let partition: Int
    /// The owners that are not known to hold all of it.
    var waiting: [NodeID]
    /// Whether a comparison goes on.
    var isComparing = false
    /// Whether something here changed since the comparisons began; then they begin again.
    var isSpoilt = false
    /// Whether the disk is listing or removing objects.
    var isRemoving = false
    /// When the disk was asked for the page that is being removed.
    var pageAt = Instant.start
    /// Removal goes on behind this object; what was removed leaves marks on the disk, which a listing would have to step over.
    var removedUpTo: ObjectName?
    /// The owners that it is about: those of this generation.
    let generation: UInt64
    /// After a comparison failed, or while removal rests: not before this.
    var retryAt = Instant.start
}

/// All that a node keeps about the ring and its changes. A value inside the node.
struct RingKeeper {
    /// Who acts for an identity that is gone.
    struct Substitute: Equatable {
        let old: NodeID
        let new: NodeID
    }

    /// In force, and on the disk.
    var state: RingState
    /// What the disk will hold when it has done all it was asked.
    var staged: RingState
    /// States on their way to the disk.
    var keepsInFlight = 0
    /// While the version is 0: whether the owners may be taken from the member records. A node that comes to a cluster must not,
    /// because that cluster has a ring.
    var isConfirmed = false
    /// Counts the changes of whom reads and writes ask.
    var generation: UInt64 = 1
    /// Whether everybody connected is to be told.
    var isNews = false
    var gossipAt = Instant.start
    var askAt = Instant.start
    /// No look before this; who was wanted when last looked, and since when.
    var lookAt = Instant.start
    var wish: [RingMember] = []
    var wishSince = Instant.start
    /// The rings of `state`, substitutes included.
    var baseRing: Ring
    var nextRing: Ring?
    /// Members that are banned, sorted, and identities that another one acts for, sorted by the old one.
    var banned: [NodeID] = []
    var substitutes: [Substitute] = []
    var sync: RingSync?
    var syncNumber: UInt64 = 0
    /// Partitions on their way out, sorted.
    var handovers: [Handover] = []
    /// Where the next partition to hand over is looked for, and how many in a row held nothing foreign.
    var handoverCursor = 0
    var cleanCount = 0
    /// When a node that has handed over everything says so again, and when one that is banned ends.
    var farewellAt = Instant.start
    /// Whether this node, which is about to say that it is gone, begins nothing for clients any more.
    var isClosed = false
    var endAt: Instant?
    /// By peer, since it was connected: the newest version that it said is in force with it.
    var versions: [NodeID: UInt64] = [:]
    /// Once banned: who said that it knows of the ban, and when first, without a break of the connection since.
    var witnesses: [NodeID: Instant] = [:]
    /// Whether one of them still knew a while later, so that it has had time to keep it on its disk.
    var isWitnessed = false

    /// What the disk remembers.
    init(document: ByteBuffer?, ring: Ring) throws(RingDocumentError) {
        self.baseRing = ring
        var state = RingState()
        if let document {
            var rest = ByteReader(document)
            do throws(DecodeError) {
                state = try RingState(decoding: &rest)
                try rest.requireEnd()
            } catch { throw RingDocumentError(reason: error) }
        }
        self.state = state
        self.staged = state
    }

    /// Whether `node` is banned; costs nothing as long as nobody is.
    func isBanned(_ node: NodeID) -> Bool { !self.banned.isEmpty && self.banned.contains(node) }

    /// Who acts for `node` today: itself, or at the end of the chain the node that took its place.
    func whoActs(for node: NodeID) -> NodeID {
        if self.substitutes.isEmpty { return node }
        var acting = node
        for _ in 0..<64 {
            guard let substitute = self.substitutes.first(where: { $0.old == acting }) else { break }
            acting = substitute.new
        }
        return acting
    }

    /// `members` with whoever acts for each today.
    func acting(_ members: [RingMember]) -> [RingMember] {
        if self.substitutes.isEmpty { return members }
        return members.map { member in
            RingMember(
                node: self.whoActs(for: member.node), place: member.place, weight: member.weight, zone: member.zone)
        }
    }

    /// Whether everybody has come as far as `stage` with the change of `state`: the word of an identity stands for whoever acts for it,
    /// and nobody waits for one that is banned.
    func hasReached(_ stage: RingStage, _ state: RingState) -> Bool {
        guard state.next != nil else { return false }
        return self.laggards(stage, state).isEmpty
    }

    /// Whom a change still waits for.
    func laggards(_ stage: RingStage, _ state: RingState) -> [NodeID] {
        guard state.next != nil else { return [] }
        var late: [NodeID] = []
        for node in state.participants {
            var acting = node
            var reached = state.stage(of: acting)
            for _ in 0..<64 {
                guard let substitute = self.substitutes.first(where: { $0.old == acting }) else { break }
                acting = substitute.new
                reached = [reached, state.stage(of: acting)].compactMap { $0 }.max()
            }
            if let reached, reached >= stage { continue }
            if self.isBanned(acting) { continue }
            late.append(acting)
        }
        return late
    }

    /// Notes that something of a partition on its way out changed.
    mutating func spoilHandover(of partition: Int) {
        guard let index = self.handovers.firstIndex(where: { $0.partition == partition }) else { return }
        self.handovers[index].isSpoilt = true
    }
}
