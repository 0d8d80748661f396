package import GyreBase

/// Whether the wall clock goes as the monotonic one does. What has expired is removed from all replicas for good, so a clock that
/// jumped must not say what that is. A value inside the node.
package struct ClockWatch: Sendable {
    /// The clocks differ by more than this after a jump; below it, a clock is being adjusted.
    package static let jumpLeast = TimeSpan.seconds(60)
    /// How long the clocks must go alike before the wall clock is believed, since the start or a jump.
    package static let steadyLeast = TimeSpan.seconds(3_600)

    private var anchor: Now

    /// Nothing is believed at first: a machine may start with a wrong clock that is set right soon.
    package init(at now: Now) { self.anchor = now }

    /// Compares the clocks; wanted with every tick.
    package mutating func look(at now: Now) {
        let elapsed = now.instant.since(self.anchor.instant).wholeMilliseconds
        let shown = Int64(clamping: now.wall.milliseconds) - Int64(clamping: self.anchor.wall.milliseconds)
        if abs(shown - elapsed) > Self.jumpLeast.wholeMilliseconds { self.anchor = now }
    }

    /// Whether the wall clock is to be believed.
    package func isSteady(at now: Now) -> Bool { now.instant.since(self.anchor.instant) >= Self.steadyLeast }
}
