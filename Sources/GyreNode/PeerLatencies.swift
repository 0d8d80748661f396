import GyreBase

/// How long each peer usually takes to answer a read, for hedging.
///
/// A running mean and mean deviation as in TCP's retransmission timer (Jacobson 1988): mean + 4 deviations is rarely
/// exceeded, and needs no window of samples.
struct PeerLatencies {
    private struct Estimate {
        var mean: Int64
        var deviation: Int64
    }

    private var estimates: [NodeID: Estimate] = [:]

    /// `node` answered after `span`.
    mutating func record(_ node: NodeID, _ span: TimeSpan) {
        let sample = max(0, span.nanoseconds)
        guard var estimate = self.estimates[node] else {
            self.estimates[node] = Estimate(mean: sample, deviation: sample / 2)
            return
        }
        let error = sample - estimate.mean
        estimate.mean += error / 8
        estimate.deviation += (abs(error) - estimate.deviation) / 4
        self.estimates[node] = estimate
    }

    /// A span that `node` rarely exceeds; nil when it never answered.
    func bound(_ node: NodeID) -> TimeSpan? {
        self.estimates[node].map { TimeSpan(nanoseconds: $0.mean + 4 * $0.deviation) }
    }

    /// `node` left or died: its past says nothing about its future.
    mutating func forget(_ node: NodeID) { self.estimates[node] = nil }
}
