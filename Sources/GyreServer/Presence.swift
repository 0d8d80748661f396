import GyreBase
import GyreMessages
import NIOCore

/// When a node last took part in its cluster, kept on its disk about once a minute: what shows, when it comes back, how long the
/// cluster has gone on without it.
///
/// A cluster that was down as a whole has not gone on, so the others' figures count as much as the own: each tells since when it
/// has been there. Times are by wall clocks, which need to agree as well as the limit is long.
struct Presence: Equatable, Sendable {
    /// The last moment noted.
    private(set) var last: WallTime
    /// Since when there was no long pause between two lives; not after `last`.
    private(set) var since: WallTime

    /// Noted for the first time.
    init(first: WallTime) {
        self.last = first
        self.since = first
    }

    /// Notes one more moment of a life; a clock that was set back changes nothing.
    mutating func note(_ now: WallTime) { self.last = max(self.last, now) }

    /// Begins another life: as if there had been no end, unless the pause was longer than `pauseMax`.
    mutating func resume(at now: WallTime, pauseMax: TimeSpan) {
        if self.absence(from: self.last, at: now) > pauseMax { self.since = now }
        self.note(now)
    }

    /// How long, at `now`, a cluster has gone on without this node, of which one member has been there since a moment.
    func absence(from member: WallTime, at now: WallTime) -> TimeSpan {
        let from = max(self.last, member)
        guard now > from else { return .zero }
        return .milliseconds(Int64(clamping: now.milliseconds - from.milliseconds))
    }

    // MARK: - Kept and told

    /// 16 bytes: `last`, then `since`, in milliseconds since the epoch, big-endian.
    var document: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(self.last.milliseconds)
        buffer.writeInteger(self.since.milliseconds)
        return buffer
    }

    /// Reads what `document` wrote; nil for anything else, which costs the check and no more.
    init?(document: ByteBuffer) {
        var rest = document
        guard let last = rest.readInteger(as: UInt64.self), let since = rest.readInteger(as: UInt64.self),
            rest.readableBytes == 0, since <= last
        else { return nil }
        self.last = WallTime(milliseconds: last)
        self.since = WallTime(milliseconds: since)
    }

    /// The counter of a status report that tells `since` in milliseconds since the epoch, or 0 while the node does not know itself
    /// whether it may take part.
    static let counterName = "present_since_milliseconds"

    /// Since when the node that gave `report` has been there; nil if it does not say.
    static func since(in report: StatusReport) -> WallTime? {
        guard let counter = report.counters.first(where: { $0.name == Self.counterName }), counter.value > 0 else {
            return nil
        }
        return WallTime(milliseconds: counter.value)
    }
}
