/// Why a record, a message or a configuration is refused; the payload holds the value and its limit.
package enum MembershipError: Error, Hashable, Sendable {
    /// A NodeID of zero, which no node has.
    case zeroNode
    /// A name that is empty, longer than `bytesMax`, or has a byte other than `A–Z a–z 0–9 . _ -`.
    case invalidName(String, bytesMax: Int)
    /// A host that is empty, longer than `bytesMax`, or not written as a host.
    case invalidHost(String, bytesMax: Int)
    /// Port zero, which nobody can dial.
    case zeroPort
    /// A text field longer than its limit, in UTF-8 bytes.
    case tooLong(field: Field, bytes: Int, bytesMax: Int)
    /// A weight outside 1 to `weightMax`.
    case invalidWeight(Int, weightMax: Int)
    /// A record version or an incarnation above its limit.
    case tooHigh(field: Field, value: UInt64, valueMax: UInt64)
    /// More labels than a record may have.
    case tooManyLabels(count: Int, countMax: Int)
    /// Labels that are not sorted by name, or a name that occurs twice.
    case unsortedLabels
    /// More members than a cluster may have.
    case tooManyMembers(count: Int, countMax: Int)
    /// An option outside its range; spans are in milliseconds.
    case invalidOption(Field, value: Int64, least: Int64, most: Int64)

    /// Which field or option was refused.
    package enum Field: Hashable, Sendable {
        case zone, softwareVersion, label, recordVersion, incarnation
        case probeInterval, probeTimeout, suspicionTimeout, joinGrace, stateInterval, gossipInterval
        case dialDelayLeast, dialDelayMost, seedDelayMost, gossipFanOut, indirectProbes, probesPerPeriod, probeAllMax
        case suspicionFactor, localHealth
    }
}
