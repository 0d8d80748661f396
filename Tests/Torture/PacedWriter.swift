import Foundation
import GyreBase
import GyreClient
import NIOCore
import Synchronization

/// Puts new keys at a steady rate, whether or not earlier ones were answered, and remembers what became of each.
final class PacedWriter: Sendable {
    /// One put that has ended.
    struct Sample: Sendable {
        let index: Int
        let began: ContinuousClock.Instant
        let took: Duration
        let outcome: Durability.Outcome
    }

    /// Puts under way at once; beyond that the pace is not held.
    private static let inFlightMax = 1_024
    private let client: GyreClient
    private let rate: Int
    private let samples = Mutex<[Sample]>([])
    private let acked = Mutex<[Int]>([])
    private let failed = Mutex<[String]>([])
    private let inFlight = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)

    /// - Parameter rate: puts a second.
    init(_ client: GyreClient, rate: Int) {
        self.client = client
        self.rate = max(1, rate)
    }

    /// Writes until `stop` is called; returns when every put has ended.
    func run() async {
        let began = ContinuousClock.now
        var next = 0
        await withDiscardingTaskGroup { group in
            while !self.isOver.load(ordering: .relaxed) {
                let due = milliseconds(.now - began) * self.rate / 1_000
                while next < due, self.inFlight.load(ordering: .relaxed) < Self.inFlightMax {
                    self.inFlight.add(1, ordering: .relaxed)
                    let index = next
                    group.addTask { await self.put(index) }
                    next += 1
                }
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
    }

    /// No further put begins.
    func stop() { self.isOver.store(true, ordering: .relaxed) }

    private func put(_ index: Int) async {
        var options = PutOptions()
        options.mode = .blind
        let value = ByteBuffer(string: Self.value(index))
        let began = ContinuousClock.now
        let outcome: Durability.Outcome
        do throws(GyreError) {
            try await self.client.put(bucket: "torture", key: Self.key(index), value: value, options: options)
            outcome = .acked
            self.acked.withLock { $0.append(index) }
        } catch {
            let at = Date.now.formatted(.iso8601.time(includingFractionalSeconds: true))
            let what = "\(Self.key(index)), begun \(milliseconds(.now - began)) ms before \(at): \(error)"
            self.failed.withLock { $0.append(what) }
            outcome = error.mayHaveHappened ? .unknown : .failed
        }
        let sample = Sample(index: index, began: began, took: .now - began, outcome: outcome)
        self.inFlight.subtract(1, ordering: .relaxed)
        self.samples.withLock { $0.append(sample) }
    }

    /// A put that was acknowledged, of the last ones as many as said; nil while there is none.
    func someAcked(amongLast count: Int) -> Int? { self.acked.withLock { $0.suffix(count).randomElement() } }

    /// What went wrong.
    var failures: [String] { self.failed.withLock { $0 } }

    /// Everything that has ended.
    var all: [Sample] { self.samples.withLock { $0 } }

    /// What was begun in that time.
    func within(_ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant) -> [Sample] {
        self.samples.withLock { $0.filter { $0.began >= start && $0.began < end } }
    }

    /// The time within which 99 of 100 of them ended; zero when there are none.
    static func p99(_ samples: [Sample]) -> Duration {
        let sorted = samples.map(\.took).sorted()
        return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
    }

    /// The 99th percentile of each span of time in milliseconds, by when they began.
    static func timeline(_ samples: [Sample], every span: Duration = .seconds(5)) -> String {
        guard let first = samples.map(\.began).min() else { return "" }
        let spans = Dictionary(grouping: samples) { Int(($0.began - first) / span) }
        return spans.sorted { $0.key < $1.key }.map { tenths(Self.p99($0.value)) }.joined(separator: " ")
    }

    /// Reads what was not acknowledged with all replicas, which makes them equal, whatever became of it.
    func mendUnacknowledged() async throws {
        var options = GetOptions()
        options.reads = .all
        options.timeout = .seconds(5)
        for sample in self.all where sample.outcome != .acked {
            _ = try await self.client.get(bucket: "torture", key: Self.key(sample.index), options: options)
        }
    }

    /// Throws unless every acknowledged put is in the store of one of its owners, with what was put and nothing else.
    func demandAllThere(_ scan: StoreScan, _ stores: [StoppedStore]) throws {
        var lost: [String] = []
        for sample in self.all where sample.outcome == .acked {
            let name = try objectName(Self.key(sample.index))
            guard let owner = scan.owners(of: name.token).first else { throw Broken("\(name) has no owner") }
            if stores[owner].values(of: name) != [Self.value(sample.index)] { lost.append(Self.key(sample.index)) }
        }
        try demand(lost.isEmpty, "\(lost.count) acknowledged writes are lost: \(lost.prefix(5))")
    }

    /// How many ended in that way.
    func count(_ outcome: Durability.Outcome) -> Int { self.samples.withLock { $0.count { $0.outcome == outcome } } }

    static func key(_ index: Int) -> String { "paced-\(index)" }

    /// About 100 bytes that follow from the key.
    static func value(_ index: Int) -> String {
        "value of \(index) " + String(repeating: "abcdefghij", count: 8)
    }
}
