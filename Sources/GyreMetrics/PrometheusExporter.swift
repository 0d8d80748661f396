package import CoreMetrics
import Synchronization

/// A backend of swift-metrics that keeps numbers in memory and writes them in the Prometheus text format, version 0.0.4.
///
/// Sendable. The series are kept in one locked table; a series itself is updated without that lock. At most `seriesMax`
/// series exist: what is made beyond counts into nothing, and `gyre_metrics_series_refused_total` says how often that was.
package final class PrometheusExporter: MetricsFactory, Sendable {
    /// Series that are kept at most; a histogram with its buckets counts as one.
    package static let seriesMax = 4_096

    private let families: [String: MetricFamily]
    private let seriesMax: Int
    private let table = Mutex(Table())

    private struct Key: Hashable {
        let name: String
        let labels: String
    }

    private struct Table {
        var series: [Key: any MetricSeries] = [:]
        var refused: UInt64 = 0
    }

    /// An exporter that explains `families` and accepts others without an explanation.
    package init(families: [MetricFamily] = MetricCatalogue.families, seriesMax: Int = PrometheusExporter.seriesMax) {
        self.families = Dictionary(families.map { ($0.name, $0) }) { first, _ in first }
        self.seriesMax = seriesMax
    }

    // MARK: - MetricsFactory

    /// A counter of whole numbers.
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.series(label, dimensions) { CounterSeries() } ?? NOOPMetricsHandler.instance
    }

    /// A counter of fractions.
    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        self.series(label, dimensions) { FractionSeries() } ?? NOOPMetricsHandler.instance
    }

    /// A number that goes up and down.
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.series(label, dimensions) { GaugeSeries() } ?? NOOPMetricsHandler.instance
    }

    /// A histogram when it aggregates, else a gauge, as `Gauge` wants it.
    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else {
            return self.series(label, dimensions) { GaugeSeries() } ?? NOOPMetricsHandler.instance
        }
        return self.series(label, dimensions) { HistogramSeries(bounds: self.bounds(of: label)) }
            ?? NOOPMetricsHandler.instance
    }

    /// A histogram in seconds.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.series(label, dimensions) { HistogramSeries(bounds: self.bounds(of: label)) }
            ?? NOOPMetricsHandler.instance
    }

    /// Takes the series out of the table; the handler goes on counting into nothing.
    package func destroyCounter(_ handler: any CounterHandler) { self.remove(handler) }
    /// As for counters.
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { self.remove(handler) }
    /// As for counters.
    package func destroyMeter(_ handler: any MeterHandler) { self.remove(handler) }
    /// As for counters.
    package func destroyRecorder(_ handler: any RecorderHandler) { self.remove(handler) }
    /// As for counters.
    package func destroyTimer(_ handler: any TimerHandler) { self.remove(handler) }

    // MARK: - Text

    /// All series, sorted by name and labels, each family under its `HELP` and `TYPE` lines.
    package var text: String {
        let (series, refused) = self.table.withLock { ($0.series, $0.refused) }
        let rows = series.map { (name: $0.key.name, labels: $0.key.labels, series: $0.value) }
            .sorted { ($0.name, $0.labels) < ($1.name, $1.labels) }
        var out = ""
        var previous: String?
        for row in rows {
            if row.name != previous { self.writeHead(row.name, row.series.kind, into: &out) }
            previous = row.name
            row.series.write(row.name, labels: row.labels, into: &out)
        }
        let name = MetricCatalogue.seriesRefused.name
        self.writeHead(name, .counter, into: &out)
        out += "\(name) \(refused)\n"
        return out
    }

    private func writeHead(_ name: String, _ kind: MetricFamily.Kind, into out: inout String) {
        if let family = self.families[name] {
            out += "# HELP \(name) \(PrometheusText.help(family.help))\n"
        }
        out += "# TYPE \(name) \(kind.rawValue)\n"
    }

    /// The names of all families that have a series now, sorted.
    package var familyNames: [String] {
        let names = self.table.withLock { Set($0.series.keys.map(\.name)) }
        return names.union([MetricCatalogue.seriesRefused.name]).sorted()
    }

    // MARK: - Table

    private func bounds(of label: String) -> [Double] {
        let known = self.families[PrometheusText.name(label)]?.bounds ?? []
        return known.isEmpty ? MetricCatalogue.defaultBounds : known
    }

    /// The series of that name and these labels; nil when the table is full, or when it is of another kind.
    private func series<Series: MetricSeries>(
        _ label: String, _ dimensions: [(String, String)], _ make: () -> Series
    ) -> Series? {
        let key = Key(name: PrometheusText.name(label), labels: PrometheusText.labels(dimensions))
        return self.table.withLock { table in
            if let known = table.series[key] {
                if let series = known as? Series { return series }
            } else if table.series.count < self.seriesMax {
                let made = make()
                table.series[key] = made
                return made
            }
            table.refused &+= 1
            return nil
        }
    }

    private func remove(_ handler: AnyObject) {
        self.table.withLock { table in
            guard let entry = table.series.first(where: { $0.value === handler }) else { return }
            table.series[entry.key] = nil
        }
    }
}
