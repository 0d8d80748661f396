import GyreBase
import NIOCore

/// Notices that the other side of a connection does not do its part any more: takes no answers, or does not end its command.
///
/// It looks only while there is something to wait for, so whoever goes on pays nothing, and it counts its own looks instead of
/// reading a clock, so that a loop that was held up judges nobody. Confined to the loop of its connection.
final class StallWatch {
    /// Looks without progress after which the other side counts as gone.
    private static let looksMax = 4

    /// Whether it looks at the moment.
    private(set) var isLooking = false
    private var last: Int?
    private var looksInVain = 0

    /// Looks until `progress` says nil, which means that nothing is waited for. Calls `onStall` when it says the same for about `span`.
    func begin(
        on loop: any EventLoop, span: TimeSpan, progress: @escaping () -> Int?, onStall: @escaping () -> Void
    ) {
        guard !self.isLooking else { return }
        self.isLooking = true
        self.looksInVain = 0
        self.last = progress()
        let interval = TimeAmount.nanoseconds(span.nanoseconds / Int64(Self.looksMax))
        self.lookLater(loop, interval, progress, onStall)
    }

    private func lookLater(
        _ loop: any EventLoop, _ interval: TimeAmount, _ progress: @escaping () -> Int?, _ onStall: @escaping () -> Void
    ) {
        loop.assumeIsolated().scheduleTask(in: interval) { [weak self] in
            guard let self else { return }
            guard let now = progress() else {
                self.isLooking = false
                return
            }
            self.looksInVain = now == self.last ? self.looksInVain + 1 : 0
            self.last = now
            guard self.looksInVain < Self.looksMax else {
                self.isLooking = false
                return onStall()
            }
            self.lookLater(loop, interval, progress, onStall)
        }
    }
}

extension ChannelHandlerContext {
    /// Bytes that were written and that the socket did not take yet.
    var pendingBytes: Int { (try? self.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }
}
