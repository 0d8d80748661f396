import CoreMetrics
import Foundation
import Testing

@testable import GyreMetrics

@Suite("The Prometheus exporter")
struct ExporterTests {
    @Test("writes counters, gauges and histograms with help and type, sorted")
    func text() {
        let exporter = PrometheusExporter(families: [
            MetricFamily("b_total", .counter, unit: "things", "What \"b\" counts\nand more."),
            MetricFamily("h_seconds", .histogram, unit: "seconds", bounds: [0.5, 2], "How long."),
        ])
        exporter.makeCounter(label: "b_total", dimensions: [("kind", "a\"b\\c\nd")]).increment(by: 3)
        exporter.makeRecorder(label: "a gauge", dimensions: [], aggregate: false).record(1.5)
        let histogram = exporter.makeRecorder(label: "h_seconds", dimensions: [("op", "x")], aggregate: true)
        for value in [0.5, 0.6, 2.0, 9.0] { histogram.record(value) }
        (histogram as? any BulkRecorder)?.add(counts: [1, 0, 2], sum: 20)
        #expect(
            exporter.text == """
                # TYPE a_gauge gauge
                a_gauge 1.5
                # HELP b_total What "b" counts\\nand more.
                # TYPE b_total counter
                b_total{kind="a\\"b\\\\c\\nd"} 3
                # HELP h_seconds How long.
                # TYPE h_seconds histogram
                h_seconds_bucket{op="x",le="0.5"} 2
                h_seconds_bucket{op="x",le="2"} 4
                h_seconds_bucket{op="x",le="+Inf"} 7
                h_seconds_sum{op="x"} 32.1
                h_seconds_count{op="x"} 7
                # TYPE gyre_metrics_series_refused_total counter
                gyre_metrics_series_refused_total 0

                """)
    }

    @Test("keeps a bounded number of series, counts what it refuses, and gives equal names one series")
    func bounded() {
        let exporter = PrometheusExporter(families: [], seriesMax: 10)
        for index in 0..<100 { exporter.makeCounter(label: "c", dimensions: [("i", "\(index)")]).increment(by: 1) }
        #expect(exporter.text.contains("gyre_metrics_series_refused_total 90\n"))
        exporter.makeCounter(label: "c", dimensions: [("i", "0")]).increment(by: 5)
        #expect(exporter.text.contains("c{i=\"0\"} 6\n"))
        let gone = exporter.makeCounter(label: "c", dimensions: [("i", "1")])
        exporter.destroyCounter(gone)
        #expect(!exporter.text.contains("c{i=\"1\"}"))
        // A name keeps the kind it was made with.
        exporter.makeMeter(label: "c", dimensions: [("i", "0")]).set(9.0)
        #expect(exporter.text.contains("c{i=\"0\"} 6\n"))
    }

    @Test("has a family for every row of docs/metrics.md, with the same kind, unit and labels, and no other")
    func table() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("docs/metrics.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `gyre_") }.map { row in
            row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let documented = rows.map { ($0.first ?? "") + " " + $0.dropFirst().prefix(2).joined(separator: " ") }.sorted()
        let exported = MetricCatalogue.families.map { family in
            let labels = family.labels.isEmpty ? "" : "{\(family.labels.joined(separator: ","))}"
            return "`\(family.name)\(labels)` \(family.kind.rawValue) \(family.unit)"
        }.sorted()
        #expect(
            documented.map { $0.trimmingCharacters(in: .whitespaces) }
                == exported.map { $0.trimmingCharacters(in: .whitespaces) })
    }

    @Test("shows nothing for a served node that the catalogue does not explain, and everything that it promises")
    func served() async throws {
        let exporter = SharedExporter.exporter
        try await DoorFixture.with { door in
            _ = try await door.ask("PUT", "/buckets/b/keys/k", body: "v".utf8)
            _ = try await door.ask("GET", "/buckets/b/keys/k")
            var text = ""
            for _ in 0..<100 where !text.contains("gyre_request_duration_seconds_count") {
                try await Task.sleep(for: .milliseconds(50))
                text = try await door.ask("GET", "/metrics").text
            }
            let shown = Set(exporter.familyNames)
            let known = Set(MetricCatalogue.families.map(\.name))
            #expect(shown.subtracting(known).isEmpty, "not explained: \(shown.subtracting(known).sorted())")
            // What has a series only once there is a hint.
            let later: Set = ["gyre_hints_pending", "gyre_hint_bytes", "gyre_replication_lag_seconds"]
            #expect(known.subtracting(shown).isSubset(of: later), "missing: \(known.subtracting(shown).sorted())")
        }
    }
}

/// The exporter of this process, bootstrapped once.
enum SharedExporter {
    static let exporter: PrometheusExporter = {
        let exporter = PrometheusExporter()
        MetricsSystem.bootstrap(exporter)
        return exporter
    }()
}
