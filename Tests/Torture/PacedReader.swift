import GyreBase
import GyreClient
import GyreMessages
import NIOCore
import Synchronization

/// Gets at a steady rate what a writer was told is stored; each get must show it.
final class PacedReader: Sendable {
    private static let inFlightMax = 1_024
    private let client: GyreClient
    private let rate: Int
    private let writer: PacedWriter
    private let samples = Mutex<[PacedWriter.Sample]>([])
    private let failed = Mutex<[String]>([])
    private let staleKeys = Mutex<[String]>([])
    private let inFlight = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)

    /// - Parameter rate: gets a second.
    init(_ client: GyreClient, rate: Int, of writer: PacedWriter) {
        self.client = client
        self.rate = max(1, rate)
        self.writer = writer
    }

    /// Reads until `stop` is called; returns when every get has ended.
    func run() async {
        let began = ContinuousClock.now
        var next = 0
        await withDiscardingTaskGroup { group in
            while !self.isOver.load(ordering: .relaxed) {
                let due = milliseconds(.now - began) * self.rate / 1_000
                while next < due, self.inFlight.load(ordering: .relaxed) < Self.inFlightMax {
                    next += 1
                    guard let index = self.writer.someAcked(amongLast: next.isMultiple(of: 2) ? 20 : .max) else {
                        continue
                    }
                    self.inFlight.add(1, ordering: .relaxed)
                    group.addTask { await self.get(index) }
                }
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
    }

    /// No further get begins.
    func stop() { self.isOver.store(true, ordering: .relaxed) }

    private func get(_ index: Int) async {
        let began = ContinuousClock.now
        var outcome = Durability.Outcome.acked
        do throws(GyreError) {
            let result = try await self.client.get(bucket: "torture", key: PacedWriter.key(index))
            if result.siblings.map({ String(buffer: $0.value) }) != [PacedWriter.value(index)] {
                self.staleKeys.withLock { $0.append(PacedWriter.key(index)) }
            }
        } catch {
            outcome = .failed
            self.failed.withLock { $0.append("\(error)") }
        }
        let sample = PacedWriter.Sample(index: index, began: began, took: .now - began, outcome: outcome)
        self.inFlight.subtract(1, ordering: .relaxed)
        self.samples.withLock { $0.append(sample) }
    }

    /// What was begun in that time.
    func within(_ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant) -> [PacedWriter.Sample] {
        self.samples.withLock { $0.filter { $0.began >= start && $0.began < end } }
    }

    /// How many gets have ended.
    var count: Int { self.samples.withLock { $0.count } }
    /// What went wrong with gets.
    var failures: [String] { self.failed.withLock { $0 } }
    /// Keys that were read without what had been stored.
    var stale: [String] { self.staleKeys.withLock { $0 } }
}

/// Looks at what moves, several times a second.
final class TransferWatch: Sendable {
    private let addresses: [String]
    private let isOver = Atomic<Bool>(false)
    private let fastest = Atomic<Int>(0)
    private let most = Atomic<Int>(0)

    /// At the nodes that listen there; those that do not answer are left out.
    init(_ addresses: [String]) { self.addresses = addresses }

    /// Looks until `stop` is called.
    func run() async {
        var clients: [PinnedClient] = []
        var sent = Array(repeating: 0, count: self.addresses.count)
        for address in self.addresses {
            if let client = try? PinnedClient(address, timeout: .milliseconds(500)) { clients.append(client) }
        }
        while !self.isOver.load(ordering: .relaxed) {
            for (index, client) in clients.enumerated() {
                guard let report = try? await client.status() else { continue }
                func figure(_ name: String) -> Int {
                    report.counters.first { $0.name == name }.map { Int($0.value) } ?? 0
                }
                sent[index] = max(sent[index], figure("exchange_bytes"))
                let rate = figure("transfer_keys") * 1_000 / max(1, figure("transfer_milliseconds"))
                self.fastest.max(rate, ordering: .relaxed)
            }
            self.most.max(sent.reduce(0, +), ordering: .relaxed)
            try? await Task.sleep(for: .milliseconds(50))
        }
        for client in clients { await client.close() }
    }

    /// Looks no more.
    func stop() { self.isOver.store(true, ordering: .relaxed) }

    /// The highest average since a node began to fetch that was seen.
    var keysPerSecond: Int { self.fastest.load(ordering: .relaxed) }
    /// The most bytes of comparisons, of all nodes that ever answered.
    var sentMost: Int { self.most.load(ordering: .relaxed) }
}
