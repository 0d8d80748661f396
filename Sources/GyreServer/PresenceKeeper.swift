import GyreBase
import NIOCore

/// Knows whether this life of the node takes part in its cluster, and when to note it on disk.
///
/// A node that may have been away for too long, and started because nobody could be asked, notes nothing until somebody was:
/// otherwise its next start would find a fresh note and let it in unasked.
struct PresenceKeeper {
    /// The longest pause between two lives that is none for the others, unless half of what is allowed is less.
    private static let pauseMost = TimeSpan.seconds(3_600)

    private let check: IdentityCheck
    private var presence: Presence?
    private var notedAt: Instant?
    /// Whether the node may take part.
    var isConfirmed: Bool
    /// Whether somebody is being asked at the moment.
    var isAsking = false

    /// Goes on from what the disk says.
    init(_ check: IdentityCheck, isConfirmed: Bool) {
        self.check = check
        self.presence = check.presence
        self.isConfirmed = isConfirmed
    }

    /// Since when the node takes part; nil while that is in doubt.
    func since(at now: WallTime) -> WallTime? { self.isConfirmed ? self.noted(now).since : nil }

    /// What to keep now; nil when nothing is due.
    mutating func due(at now: Now, every interval: TimeSpan) -> ByteBuffer? {
        guard self.isConfirmed else { return nil }
        if let last = self.notedAt, now.instant.since(last) < interval { return nil }
        let presence = self.noted(now.wall)
        self.presence = presence
        self.notedAt = now.instant
        return presence.document
    }

    private func noted(_ now: WallTime) -> Presence {
        var presence = self.presence ?? Presence(first: now)
        if self.notedAt == nil {
            let half = self.check.awayMax.map { TimeSpan(nanoseconds: $0.nanoseconds / 2) } ?? Self.pauseMost
            presence.resume(at: now, pauseMax: min(half, Self.pauseMost))
        } else {
            presence.note(now)
        }
        return presence
    }

    /// What to ask others; nil when there is no need, or an answer is under way.
    func question() -> IdentityCheck? { self.isConfirmed || self.isAsking ? nil : self.check }
}
