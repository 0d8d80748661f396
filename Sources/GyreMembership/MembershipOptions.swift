package import GyreBase

/// The timing and the sizes of the membership protocol.
///
/// With the defaults, in clusters of up to `probesPerPeriodMax + 1` nodes, a silent peer is suspected at most
/// `probeInterval + 2 × probeTimeout` after its last sign of life and dead `suspicionTimeout` later: 3 s in all.
package struct MembershipOptions: Hashable, Sendable {
    /// The most members, removed ones included, that a cluster may have.
    package static let membersMax = 1_024
    /// The most records that ride on one ping, ack or ping request.
    package static let gossipRecordsMax = 16

    /// The protocol period: how often a batch of members is probed (SWIM §3.1).
    package var probeInterval = TimeSpan.milliseconds(500)
    /// How long a ping may take before others are asked to help, and then how long these may take.
    package var probeTimeout = TimeSpan.milliseconds(500)
    /// How long a suspect may take to refute.
    package var suspicionTimeout = TimeSpan.milliseconds(1_500)
    /// How long a starting node waits for any seed to answer before it becomes normal alone.
    package var joinGrace = TimeSpan.seconds(1)
    /// Whether this node may begin a cluster of its own, alone or with others that have none; not if it is to join one that is there.
    package var formsCluster = true
    /// How often the full state is exchanged with a random peer.
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
    /// How many members are probed in one protocol period.
    package var probesPerPeriodMax = 8

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
        try MembershipOptions.check(Int64(self.probesPerPeriodMax), .probesPerPeriod, 1...64)
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
