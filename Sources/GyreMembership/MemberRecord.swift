package import GyreBase

/// What part a node has in the cluster. Only the node itself or an operator changes it (architecture D8).
///
/// On the wire and on disk: never renumber.
package enum MemberState: UInt8, Hashable, Sendable, CaseIterable {
    /// Has started and has not met the cluster yet; owns nothing.
    case joining = 1
    /// Owns its share of the ring.
    case normal = 2
    /// Hands its ranges over; still owns them.
    case leaving = 3
    /// Banned for good (architecture D11).
    case removed = 4

    /// Whether a member in this state has a share of the ring.
    package var ownsRanges: Bool { self == .normal || self == .leaving }
}

/// What the cluster believes about the reachability of a node: an opinion, which never moves ranges (architecture D8).
///
/// On the wire and on disk: never renumber. The order is that of SWIM §4.2: at one incarnation the worse opinion wins.
package enum Liveness: UInt8, Hashable, Comparable, Sendable, CaseIterable {
    /// Answers.
    case alive = 1
    /// Did not answer somebody; has `suspicionTimeout` to refute.
    case suspect = 2
    /// Did not refute, or said itself that it stops.
    case dead = 3

    /// Better first.
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A name and a value that an operator attaches to a node. Pure value.
package struct MemberLabel: Hashable, Comparable, Sendable {
    /// Unique within one record.
    package let name: String
    /// Free text.
    package let value: String

    /// Wraps a name and its value.
    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// By name, then by value.
    package static func < (a: Self, b: Self) -> Bool { (a.name, a.value) < (b.name, b.value) }
}

/// All that one node knows about another: what spreads by gossip, is exchanged in full and is kept on disk.
///
/// Two halves that merge apart from each other: the *description* (everything under `recordVersion`) is written by its
/// owner alone; the *opinion* (`incarnation`, `liveness`) is anybody's. `merged(with:)` is commutative, associative
/// and idempotent, so records may arrive in any order and any number of times. Pure value; safe from any thread.
package struct MemberRecord: Hashable, Sendable {
    /// The longest name in bytes.
    package static let nameBytesMax = 64
    /// The longest zone in UTF-8 bytes.
    package static let zoneBytesMax = 64
    /// The longest software version in UTF-8 bytes.
    package static let softwareVersionBytesMax = 64
    /// The highest weight.
    package static let weightMax = 1_000
    /// The most labels.
    package static let labelsMax = 16
    /// The longest label in UTF-8 bytes, name and value together.
    package static let labelBytesMax = 128
    /// The highest record version and incarnation: out of reach when they rise by one, far from overflow when forged.
    package static let counterMax: UInt64 = 1 << 62

    /// Whom the record is about; never changes.
    package let node: NodeID
    /// What people call the node.
    package var name: String
    /// Where its peers dial it.
    package var address: PeerAddress
    /// Its failure domain; empty when there is only one.
    package var zone: String
    /// Its share of the ring in proportion to others, 1 to 1,000.
    package var weight: Int
    /// Its part in the cluster; `removed` wins over every record version.
    package var state: MemberState
    /// Raised by the owner with every change of the fields above and of `softwareVersion` and `labels`.
    package var recordVersion: UInt64
    /// Raised by the owner to refute an opinion about it (SWIM §4.2), and with every new life.
    package var incarnation: UInt64
    /// The opinion that goes with `incarnation`.
    package var liveness: Liveness
    /// The version of Gyre that the node runs.
    package var softwareVersion: String
    /// What its operator attached, sorted by name.
    package var labels: [MemberLabel]

    /// A record as it is; `validated()` is the check for those from outside.
    package init(
        node: NodeID,
        name: String,
        address: PeerAddress,
        zone: String = "",
        weight: Int = 1,
        state: MemberState = .joining,
        recordVersion: UInt64 = 1,
        incarnation: UInt64 = 1,
        liveness: Liveness = .alive,
        softwareVersion: String = "",
        labels: [MemberLabel] = []
    ) {
        self.node = node
        self.name = name
        self.address = address
        self.zone = zone
        self.weight = weight
        self.state = state
        self.recordVersion = recordVersion
        self.incarnation = incarnation
        self.liveness = liveness
        self.softwareVersion = softwareVersion
        self.labels = labels.sorted()
    }

    /// Itself, when every field is within its limits.
    package func validated() throws(MembershipError) -> MemberRecord {
        guard self.node.rawValue != 0 else { throw .zeroNode }
        guard MemberRecord.isName(self.name) else {
            throw .invalidName(self.name, bytesMax: MemberRecord.nameBytesMax)
        }
        guard PeerAddress.isHost(self.address.host) else {
            throw .invalidHost(self.address.host, bytesMax: PeerAddress.hostBytesMax)
        }
        guard self.address.port != 0 else { throw .zeroPort }
        try MemberRecord.limit(self.zone.utf8.count, of: .zone, to: MemberRecord.zoneBytesMax)
        try MemberRecord.limit(
            self.softwareVersion.utf8.count,
            of: .softwareVersion,
            to: MemberRecord.softwareVersionBytesMax
        )
        guard (1...MemberRecord.weightMax).contains(self.weight) else {
            throw .invalidWeight(self.weight, weightMax: MemberRecord.weightMax)
        }
        guard self.recordVersion <= MemberRecord.counterMax else {
            throw .tooHigh(field: .recordVersion, value: self.recordVersion, valueMax: MemberRecord.counterMax)
        }
        guard self.incarnation <= MemberRecord.counterMax else {
            throw .tooHigh(field: .incarnation, value: self.incarnation, valueMax: MemberRecord.counterMax)
        }
        guard self.labels.count <= MemberRecord.labelsMax else {
            throw .tooManyLabels(count: self.labels.count, countMax: MemberRecord.labelsMax)
        }
        for label in self.labels {
            try MemberRecord.limit(
                label.name.utf8.count + label.value.utf8.count,
                of: .label,
                to: MemberRecord.labelBytesMax
            )
        }
        guard zip(self.labels, self.labels.dropFirst()).allSatisfy({ $0.name < $1.name }) else {
            throw .unsortedLabels
        }
        return self
    }

    /// Whether `text` can be the name of a node: 1 to 64 bytes of `A–Z a–z 0–9 . _ -`.
    package static func isName(_ text: String) -> Bool {
        (1...MemberRecord.nameBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
                default: false
                }
            }
    }

    private static func limit(_ bytes: Int, of field: MembershipError.Field, to bytesMax: Int) throws(MembershipError) {
        guard bytes <= bytesMax else { throw .tooLong(field: field, bytes: bytes, bytesMax: bytesMax) }
    }
}
