package import GyreBase

/// The timing and the sizes of the membership protocol.
///
/// With the defaults, in clusters of up to `probeAllMax + 1` nodes, a silent peer is suspected at most
/// `probeInterval + 2 × probeTimeout` after its last sign of life and dead `suspicionTimeout` later: 3 s in all.
/// What a node sends in a second has a bound that does not depend on the size of the cluster.
package struct MembershipOptions: Hashable, Sendable {
    /// The most members, removed ones included, that a cluster may have.
    package static let membersMax = 1_024
    /// The most records that ride on one ping, ack or ping request.
    package static let gossipRecordsMax = 16
    /// The most accusations in one message.
    package static let accusationsMax = 64
    /// The most accusers beside the first that shorten a suspicion (Lifeguard's K).
    package static let confirmationsMax = 3
    /// The most pings a tick to suspects and the dead.
    package static let watchedPerTickMax = 4
    /// The most dials of members a tick.
    package static let dialsPerTickMax = 8
    /// Full states that may be asked for in a row; more only at the pace of full states.
    package static let stateRequestsMax = 8

    /// The protocol period: how often a batch of members is probed (SWIM §3.1).
    package var probeInterval = TimeSpan.milliseconds(500)
    /// How long a ping may take before others are asked to help, and then how long these may take.
    package var probeTimeout = TimeSpan.milliseconds(500)
    /// How long a suspect may take to refute once enough members confirm, in a cluster of up to ten; more in larger ones.
    package var suspicionTimeout = TimeSpan.milliseconds(1_500)
    /// How many times longer it may take while nobody confirms (Lifeguard's β).
    package var suspicionFactorMax = 4
    /// The worst local health; probes are then so many times slower, plus one (Lifeguard's S).
    package var localHealthMax = 8
    /// Whether this node allows for its own slowness, waits for confirmations and tells a suspect first. Off only to be
    /// compared with.
    package var isLifeguardOn = true
    /// How long a starting node waits for any seed to answer before it becomes normal alone.
    package var joinGrace = TimeSpan.seconds(1)
    /// Whether this node may begin a cluster of its own, alone or with others that have none; not if it is to join one that is there.
    package var formsCluster = true
    /// How often the full state is exchanged with a random peer in a cluster of up to `stateMembersMin`; more seldom in
    /// larger ones, so that the bytes stay the same.
    package var stateInterval = TimeSpan.seconds(10)
    /// How often news is sent to random peers instead of waiting for the next ping.
    package var gossipInterval = TimeSpan.milliseconds(200)
    /// The first delay between two dials of one address; doubles with every dial.
    package var dialDelayLeast = TimeSpan.milliseconds(100)
    /// The longest delay between two dials of a member, and in its first minute of a seed.
    package var dialDelayMost = TimeSpan.seconds(1)
    /// The longest delay between two dials of a seed after the first minute.
    package var seedDelayMost = TimeSpan.seconds(5)
    /// How many peers one round of news goes to.
    package var gossipFanOut = 3
    /// How many members are asked to probe for us (SWIM's k).
    package var indirectProbes = 3
    /// The most others that are all probed in each protocol period.
    package var probeAllMax = 8
    /// How many members are probed in one protocol period when there are more.
    package var probesPerPeriod = 1
    /// Whether members are dialled. Without, only seeds are: for a transport that needs no connection to deliver.
    package var dialsMembers = true
    /// The size up to which full states are exchanged every `stateInterval`.
    package static let stateMembersMin = 16

    /// The defaults.
    package init() {}

    /// Refuses values with which the protocol cannot keep its promises.
    package func validate() throws(MembershipError) {
        try MembershipOptions.check(self.probeInterval, .probeInterval, 10...60_000)
        try MembershipOptions.check(self.probeTimeout, .probeTimeout, 10...60_000)
        try MembershipOptions.check(self.suspicionTimeout, .suspicionTimeout, 10...600_000)
        try MembershipOptions.check(self.joinGrace, .joinGrace, 0...600_000)
        try MembershipOptions.check(self.stateInterval, .stateInterval, 100...3_600_000)
        try MembershipOptions.check(self.gossipInterval, .gossipInterval, 10...60_000)
        try MembershipOptions.check(self.dialDelayLeast, .dialDelayLeast, 10...60_000)
        try MembershipOptions.check(
            self.dialDelayMost, .dialDelayMost, self.dialDelayLeast.wholeMilliseconds...60_000)
        try MembershipOptions.check(
            self.seedDelayMost, .seedDelayMost, self.dialDelayMost.wholeMilliseconds...60_000)
        try MembershipOptions.check(Int64(self.gossipFanOut), .gossipFanOut, 1...16)
        try MembershipOptions.check(Int64(self.indirectProbes), .indirectProbes, 0...16)
        try MembershipOptions.check(Int64(self.probeAllMax), .probeAllMax, 0...64)
        try MembershipOptions.check(Int64(self.probesPerPeriod), .probesPerPeriod, 1...64)
        try MembershipOptions.check(Int64(self.suspicionFactorMax), .suspicionFactor, 1...16)
        try MembershipOptions.check(Int64(self.localHealthMax), .localHealth, 0...32)
    }

    private static func check(
        _ span: TimeSpan,
        _ field: MembershipError.Field,
        _ range: ClosedRange<Int64>
    ) throws(MembershipError) {
        try MembershipOptions.check(span.wholeMilliseconds, field, range)
    }

    private static func check(
        _ value: Int64,
        _ field: MembershipError.Field,
        _ range: ClosedRange<Int64>
    ) throws(MembershipError) {
        guard range.contains(value) else {
            throw .invalidOption(field, value: value, least: range.lowerBound, most: range.upperBound)
        }
    }
}
