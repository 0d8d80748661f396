internal import GyreBase

/// How far a node distrusts its own view of others: zero when it keeps up, more when it seems to be slow itself
/// (Lifeguard §IV-A, "local health multiplier"). Probes take that many times longer, plus one.
///
/// Raised by a probe that no helper reported on, a helper that sent no nack, a suspicion about the node itself and a
/// tick that came late; lowered by each probe that is answered. Pure value.
struct LocalHealth: Hashable, Sendable {
    /// The highest score; zero turns it off.
    let scoreMax: Int
    /// From zero, healthy, to `scoreMax`.
    private(set) var score = 0

    init(scoreMax: Int) { self.scoreMax = scoreMax }

    /// Takes `points` off, or puts them on; the score stays in its range.
    mutating func note(_ points: Int) { self.score = max(0, min(self.scoreMax, self.score + points)) }

    /// `span`, stretched by the score.
    func stretched(_ span: TimeSpan) -> TimeSpan {
        TimeSpan(nanoseconds: span.nanoseconds &* Int64(self.score + 1))
    }
}

/// How long a suspect may take to refute (Lifeguard §IV-B). Pure functions.
enum SuspicionTime {
    /// log(C + 1) / log(K + 1) in thousandths, by K and then by C.
    private static let shares: [[Int64]] = [[1_000], [0, 1_000], [0, 631, 1_000], [0, 500, 792, 1_000]]

    /// The time with all confirmations: `base` × max(1, log₁₀ n), with the logarithm rounded up to whole bits of n.
    static func least(_ base: TimeSpan, members: Int) -> TimeSpan {
        let bits = Int64(Int.bitWidth - max(1, members).leadingZeroBitCount)
        // Below ten members log₁₀ is below one; from there on a bit is worth 0.301.
        let thousandths = members < 10 ? 1_000 : max(1_000, bits * 301)
        return TimeSpan(nanoseconds: base.nanoseconds / 1_000 &* thousandths)
    }

    /// The time after `confirmations` of `wanted`: from `least` × `factor` down to `least`, each counting less than the
    /// one before. With nobody to wait for it is `least`.
    static func after(_ confirmations: Int, of wanted: Int, least: TimeSpan, factor: Int) -> TimeSpan {
        let row = Self.shares[min(wanted, Self.shares.count - 1)]
        let share = row[min(confirmations, row.count - 1)]
        let extra = least.nanoseconds &* Int64(factor - 1)
        return TimeSpan(nanoseconds: least.nanoseconds &+ extra / 1_000 &* (1_000 - share))
    }
}
