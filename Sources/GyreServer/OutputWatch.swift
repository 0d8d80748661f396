import GyreBase
import NIOCore

/// Notices that the other side of a connection takes nothing any more. Confined to the loop of its channel.
///
/// It looks only while more waits to be sent than should, so whoever reads pays nothing.
final class OutputWatch {
    /// Looks without a change after which the other side counts as gone; several, so that a loop that was held up judges nobody.
    private static let looksMax = 4

    private var isLooking = false
    private var isUntilEmpty = false
    private var takenBytes = 0
    private var looksInVain = 0
    /// Bytes that the channel was given since this was made.
    var handedBytes = 0

    /// Looks until `channel` may be written to again, or with `untilEmpty` until all is sent. Calls `onStall` with the number of
    /// bytes that wait when none was taken for about `span`.
    func begin(_ channel: any Channel, span: TimeSpan, untilEmpty: Bool, onStall: @escaping (Int) -> Void) {
        if untilEmpty { self.isUntilEmpty = true }
        guard !self.isLooking else { return }
        self.isLooking = true
        self.looksInVain = 0
        self.takenBytes = self.handedBytes - Self.pendingBytes(of: channel)
        let interval = TimeAmount.nanoseconds(span.nanoseconds / Int64(Self.looksMax))
        self.lookLater(channel, interval, onStall)
    }

    private func lookLater(_ channel: any Channel, _ interval: TimeAmount, _ onStall: @escaping (Int) -> Void) {
        channel.eventLoop.assumeIsolated().scheduleTask(in: interval) { [weak self] in
            self?.look(channel, interval, onStall)
        }
    }

    private func look(_ channel: any Channel, _ interval: TimeAmount, _ onStall: @escaping (Int) -> Void) {
        let pending = Self.pendingBytes(of: channel)
        guard channel.isActive, pending > 0, self.isUntilEmpty || !channel.isWritable else {
            self.isLooking = false
            return
        }
        let taken = self.handedBytes - pending
        self.looksInVain = taken == self.takenBytes ? self.looksInVain + 1 : 0
        self.takenBytes = taken
        guard self.looksInVain < Self.looksMax else {
            self.isLooking = false
            return onStall(pending)
        }
        self.lookLater(channel, interval, onStall)
    }

    private static func pendingBytes(of channel: any Channel) -> Int {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }
}
