import CoreMetrics
import Synchronization

/// One name with one set of labels: a number, or the numbers of a histogram.
protocol MetricSeries: AnyObject, Sendable {
    /// The kind of its family.
    var kind: MetricFamily.Kind { get }
    /// Appends its lines.
    func write(_ name: String, labels: String, into out: inout String)
}

/// A counter of whole numbers. Sendable: atomic.
final class CounterSeries: MetricSeries, CounterHandler {
    private let value = Atomic<Int64>(0)

    var kind: MetricFamily.Kind { .counter }

    func increment(by amount: Int64) { self.value.wrappingAdd(amount, ordering: .relaxed) }

    func reset() { self.value.store(0, ordering: .relaxed) }

    func write(_ name: String, labels: String, into out: inout String) {
        PrometheusText.write(name, labels, String(self.value.load(ordering: .relaxed)), into: &out)
    }
}

/// A counter of fractions. Sendable: locked.
final class FractionSeries: MetricSeries, FloatingPointCounterHandler {
    private let value = Mutex(0.0)

    var kind: MetricFamily.Kind { .counter }

    func increment(by amount: Double) { self.value.withLock { $0 += max(0, amount) } }

    func reset() { self.value.withLock { $0 = 0 } }

    func write(_ name: String, labels: String, into out: inout String) {
        PrometheusText.write(name, labels, PrometheusText.number(self.value.withLock { $0 }), into: &out)
    }
}

/// A number that goes up and down. Sendable: locked.
final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)

    var kind: MetricFamily.Kind { .gauge }

    func set(_ value: Int64) { self.set(Double(value)) }

    func set(_ value: Double) { self.value.withLock { $0 = value } }

    func increment(by amount: Double) { self.value.withLock { $0 += amount } }

    func decrement(by amount: Double) { self.value.withLock { $0 -= amount } }

    func record(_ value: Int64) { self.set(Double(value)) }

    func record(_ value: Double) { self.set(value) }

    func write(_ name: String, labels: String, into out: inout String) {
        PrometheusText.write(name, labels, PrometheusText.number(self.value.withLock { $0 }), into: &out)
    }
}

/// Counts in fixed buckets, and a sum. Sendable: locked.
final class HistogramSeries: MetricSeries, RecorderHandler, TimerHandler, BulkRecorder {
    private let bounds: [Double]
    private let numbers: Mutex<Numbers>

    private struct Numbers {
        var counts: [UInt64]
        var sum = 0.0
    }

    init(bounds: [Double]) {
        self.bounds = bounds
        self.numbers = Mutex(Numbers(counts: [UInt64](repeating: 0, count: bounds.count + 1)))
    }

    var kind: MetricFamily.Kind { .histogram }

    func record(_ value: Int64) { self.record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = self.bounds.firstIndex { value <= $0 } ?? self.bounds.count
        self.numbers.withLock { numbers in
            numbers.counts[bucket] &+= 1
            numbers.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { self.record(Double(duration) / 1e9) }

    func add(counts: [UInt64], sum: Double) {
        precondition(counts.count == self.bounds.count + 1, "\(counts.count) counts for \(self.bounds.count) bounds")
        self.numbers.withLock { numbers in
            for (index, count) in counts.enumerated() { numbers.counts[index] &+= count }
            numbers.sum += sum
        }
    }

    func write(_ name: String, labels: String, into out: inout String) {
        let numbers = self.numbers.withLock { $0 }
        let separator = labels.isEmpty ? "" : ","
        var total: UInt64 = 0
        for (index, count) in numbers.counts.enumerated() {
            total &+= count
            let bound = index < self.bounds.count ? PrometheusText.number(self.bounds[index]) : "+Inf"
            PrometheusText.write("\(name)_bucket", "\(labels)\(separator)le=\"\(bound)\"", String(total), into: &out)
        }
        PrometheusText.write("\(name)_sum", labels, PrometheusText.number(numbers.sum), into: &out)
        PrometheusText.write("\(name)_count", labels, String(total), into: &out)
    }
}
