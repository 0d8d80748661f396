package import GyreBase

/// How far a node has leased dots, as it tells the others: what its disk must remember when it starts again (architecture D4).
///
/// A disk that was restored from a copy remembers less, and its node would issue dots a second time. The others know better.
extension MemberRecord {
    /// The name of the label that says how far.
    package static let leaseLabel = "leased"

    /// The counter below which dots may have been issued; nil when the node never said.
    package var leased: UInt64? {
        self.labels.first { $0.name == MemberRecord.leaseLabel }.flatMap { UInt64($0.value, radix: 16) }
    }

    /// Says how far, in place of what was said before.
    package mutating func note(leased ceiling: UInt64) {
        self.labels.removeAll { $0.name == MemberRecord.leaseLabel }
        guard self.labels.count < MemberRecord.labelsMax else { return }
        self.labels.append(MemberLabel(name: MemberRecord.leaseLabel, value: String(ceiling, radix: 16)))
        self.labels.sort()
    }
}

extension Membership {
    /// How often the others are told at most. A copy of the disk that is younger than that is not noticed by it.
    private static let leaseNewsInterval = TimeSpan.seconds(10)

    /// Notes that the disk remembers `ceiling`. The others are told at once, or when `leaseNewsInterval` has passed.
    package mutating func noteLease(
        _ ceiling: UInt64, at now: Instant, into effects: inout [MembershipEffect]
    ) {
        guard ceiling > self.leaseCeiling else { return }
        self.leaseCeiling = ceiling
        self.tellLease(at: now)
        self.finish(into: &effects)
    }

    /// Tells the others how far dots are leased, if they do not know and the time has come. A lease that came too soon after
    /// the one before must be told later: the node may lease no more for years, and its disk may be restored meanwhile.
    mutating func tellLease(at now: Instant) {
        guard self.leaseCeiling > self.leaseTold, now >= self.leaseNewsAt else { return }
        guard !self.isStopped, self.me.state != .removed else { return }
        self.leaseNewsAt = now.advanced(by: Membership.leaseNewsInterval)
        self.leaseTold = self.leaseCeiling
        self.me.note(leased: self.leaseCeiling)
        self.me.recordVersion = Membership.raised(self.me.recordVersion)
        self.myNewsLeft = self.newsTransmissions
    }
}
