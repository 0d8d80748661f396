import CoreMetrics
import GyreBase
import GyreMetrics

/// A histogram of swift-metrics that is filled with what was counted for a second. Confined to its shell.
struct HistogramFeed {
    /// Which powers of two are bounds, and what one counted unit is worth in the metric's unit.
    struct Scale {
        let bounds: [Double]
        let firstExponent: Int
        let step: Int
        let unit: Double

        /// Microseconds, exported as seconds.
        static let latencies = Scale(bounds: MetricCatalogue.latencyBounds, firstExponent: 6, step: 1, unit: 1e-6)
        /// Bytes.
        static let sizes = Scale(bounds: MetricCatalogue.sizeBounds, firstExponent: 4, step: 2, unit: 1)
        /// Plain counts.
        static let counts = Scale(bounds: MetricCatalogue.countBounds, firstExponent: 0, step: 1, unit: 1)

        /// The counts in the metric's buckets, the last one above all bounds.
        func counts(_ powers: PowerHistogram) -> [UInt64] {
            var counts = [UInt64](repeating: 0, count: self.bounds.count + 1)
            for (exponent, count) in powers.counts.enumerated() where count > 0 {
                let bucket = max(0, exponent - self.firstExponent + self.step - 1) / self.step
                counts[min(bucket, self.bounds.count)] &+= count
            }
            return counts
        }
    }

    /// Observations a second that are handed one by one to a backend that takes them no other way; the rest is left out.
    private static let singlesMax: UInt64 = 1_000

    private let handler: any RecorderHandler
    private let scale: Scale

    init(_ name: String, _ labels: [(String, String)], _ scale: Scale) {
        self.handler = MetricsSystem.factory.makeRecorder(label: name, dimensions: labels, aggregate: true)
        self.scale = scale
    }

    /// Adds what was counted.
    func add(_ powers: PowerHistogram) {
        if powers.isEmpty { return }
        let counts = self.scale.counts(powers)
        if let bulk = self.handler as? any BulkRecorder {
            bulk.add(counts: counts, sum: Double(powers.sum) * self.scale.unit)
            return
        }
        var left = Self.singlesMax
        for (index, count) in counts.enumerated() {
            let bound = index < self.scale.bounds.count ? self.scale.bounds[index] : (self.scale.bounds.last ?? 0) * 2
            for _ in 0..<min(count, left) { self.handler.record(bound) }
            left -= min(count, left)
        }
    }
}
