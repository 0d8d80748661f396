/// What one metric is called, what it counts, and in which unit. Pure value; safe from any thread.
package struct MetricFamily: Hashable, Sendable {
    /// The kinds of the Prometheus text format that Gyre uses. Raw values are the words of its `# TYPE` lines.
    package enum Kind: String, Hashable, Sendable {
        /// Only grows; zero at the start of the process.
        case counter
        /// Goes up and down.
        case gauge
        /// Counts of observations in fixed buckets, with their sum.
        case histogram
    }

    /// The name in scrapes: `gyre_`, lower-case words, the unit, and `_total` for counters.
    package let name: String
    /// Its kind.
    package let kind: Kind
    /// The unit of the numbers, in the plural, such as `seconds` or `requests`.
    package let unit: String
    /// The names of its labels, in the order of `docs/metrics.md`.
    package let labels: [String]
    /// One sentence for people.
    package let help: String
    /// The upper bounds of a histogram's buckets, ascending; empty for the other kinds.
    package let bounds: [Double]

    /// Joins the parts.
    package init(
        _ name: String, _ kind: Kind, unit: String, labels: [String] = [], bounds: [Double] = [], _ help: String
    ) {
        assert(kind == .histogram || bounds.isEmpty, "\(name) has bounds and is no histogram")
        self.name = name
        self.kind = kind
        self.unit = unit
        self.labels = labels
        self.help = help
        self.bounds = bounds
    }
}

/// Takes many observations of a histogram at once, which the loop of a node has counted for a second.
///
/// A recorder of another backend is not one of these; whoever hands over then records bucket by bucket.
package protocol BulkRecorder: AnyObject, Sendable {
    /// Adds `counts[i]` observations to bucket `i` (the last one is above all bounds), which together are `sum`.
    func add(counts: [UInt64], sum: Double)
}
