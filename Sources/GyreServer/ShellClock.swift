import Glibc
import GyreBase
import NIOCore

/// The two clocks of a shell, read once per event of its loop.
///
/// The wall clock is asked on `synchronize` only and carried forward by the monotonic one in between, which halves
/// the cost of a reading. Confined to the shell's loop.
struct ShellClock {
    private let origin: NIODeadline
    private var wallMilliseconds: UInt64 = 0
    private var wallReadAt = Instant.start
    /// The last reading.
    private(set) var now: Now

    /// Starts the monotonic clock at zero.
    init() {
        self.origin = NIODeadline.now()
        self.now = Now(instant: .start, wall: WallTime(milliseconds: 0))
        self.synchronize()
    }

    /// The clocks after a reading of the monotonic one.
    ///
    /// A new value instead of a change in place: the shell's property is then only ever loaded and stored, which needs no
    /// check for overlapping accesses at any of its many readers.
    func reading() -> ShellClock {
        var clock = self
        clock.read()
        return clock
    }

    /// The clocks after a reading of both.
    func synchronized() -> ShellClock {
        var clock = self
        clock.synchronize()
        return clock
    }

    private mutating func read() {
        let instant = Instant(nanoseconds: (NIODeadline.now() - self.origin).nanoseconds)
        let since = instant.since(self.wallReadAt).wholeMilliseconds
        self.now = Now(
            instant: instant, wall: WallTime(milliseconds: self.wallMilliseconds &+ UInt64(clamping: since)))
    }

    private mutating func synchronize() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        self.wallMilliseconds = UInt64(clamping: time.tv_sec) &* 1_000 &+ UInt64(clamping: time.tv_nsec / 1_000_000)
        self.wallReadAt = Instant(nanoseconds: (NIODeadline.now() - self.origin).nanoseconds)
        self.now = Now(instant: self.wallReadAt, wall: WallTime(milliseconds: self.wallMilliseconds))
    }
}
