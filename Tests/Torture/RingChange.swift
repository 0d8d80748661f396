import Foundation
import Glibc
import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import NIOPosix

/// Three nodes become six and then four while clients put and get: nothing is lost, nothing stale is read, no request fails, the
/// load is even after each step, and about as much moves as must.
struct RingChange {
    private static let first = 3
    static let most = 6
    /// Put on average per second, and got as often.
    private let rate: Int
    private let keys: Int
    private let valueBytes: Int
    /// Whether what depends on the machine's speed is demanded, and not only told.
    private let isTimed: Bool
    private let cluster: TestCluster
    /// How much more or less than the even share a node may have.
    private static let unevenMost = 0.06
    /// How much more may move than what a node that joins must get, and what a node that leaves must hand over.
    private static let movedMost = 1.25
    private static let streamedLeast = 50_000
    private static let slowerMost = 3
    /// Below this a percentile of one step says more about the machine than about the nodes.
    private static let leastP99 = Duration.milliseconds(25)
    /// The same of all steps together.
    private static let leastP99OfAll = Duration.milliseconds(2)

    /// Requests of the whole run. What was calm beside one step is ten seconds, whose percentile one slow moment of the disk decides.
    private struct Waits {
        var calm: [PacedWriter.Sample] = []
        var during: [PacedWriter.Sample] = []
    }

    init(_ words: Words, _ cluster: TestCluster) {
        self.keys = max(1_000, words.number("keys", or: 1_000_000))
        self.valueBytes = max(16, words.number("value", or: 1_000))
        self.rate = words.number("rate", or: 1_000)
        self.isTimed = words.number("timed", or: 1) == 1
        self.cluster = cluster
    }

    func run() async throws {
        say(
            "ring: \(self.keys) keys of \(self.valueBytes) bytes, \(self.rate) puts/s and gets/s, N=3 R=2 W=2, "
                + "\(Self.first) -> \(Self.most) -> \(Self.most - 2) nodes")
        self.cluster.options = TestCluster.rareRounds
        let founders = Array(0..<Self.first)
        for index in founders { try self.cluster.start(index, seeds: founders) }
        for index in founders { try await self.cluster.ready(index) }
        try await self.waitUntilSettled(founders)
        let took = try await self.cluster.load(
            keys: self.keys, valueBytes: self.valueBytes, except: Array(Self.first..<Self.most))
        say("  loaded within \(milliseconds(took)) ms")

        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let client = try self.cluster.makeClient(timeout: .seconds(5), name: "ring", group: loop)
        let writer = PacedWriter(client, rate: self.rate)
        let reader = PacedReader(client, rate: self.rate, of: writer)
        let executor = LoopExecutor(loop)
        async let writing: Void = withTaskExecutorPreference(executor) { await writer.run() }
        async let reading: Void = withTaskExecutorPreference(executor) { await reader.run() }
        var waits = Waits()
        let result = await Result.catching { try await self.changeAll(writer, reader, &waits) }
        writer.stop()
        reader.stop()
        await writing
        await reading
        await client.close()
        let nodes = try result.get()
        try self.judge(writer, reader)
        // What clients wrote last may still be on its way to the last replica.
        try await self.waitUntilSettled(nodes)
        try await Task.sleep(for: .seconds(1))
        for index in nodes { try await self.demandStop(index) }
        let scan = try StoreScan.run(self.cluster, of: nodes)
        say("ring: on disk \(scan.line)")
        try scan.demandEqual()
        try StoppedStore.openAll(nodes.map(self.cluster.data)) { try writer.demandAllThere(scan, $0) }
        try demand(
            scan.keys == self.keys + writer.count(.acked) + writer.count(.unknown),
            "\(scan.keys) keys are there, not \(self.keys) and \(writer.count(.acked))")
        // Last: that requests waited must not keep it from being seen whether something is lost.
        try self.judge(waits)
    }

    private func changeAll(
        _ writer: PacedWriter, _ reader: PacedReader, _ waits: inout Waits
    ) async throws -> [Int] {
        var nodes = Array(0..<Self.first)
        for index in Self.first..<Self.most {
            nodes.append(index)
            try await self.step("n\(index + 1) joins", nodes, writer, reader, &waits) {
                try self.cluster.start(index, seeds: Array(0..<Self.first))
                try await self.cluster.ready(index, within: .seconds(60))
            }
        }
        for index in [0, 1] {
            nodes.removeFirst()
            let asked = self.cluster.addresses[Self.most - 1]
            try await self.step("n\(index + 1) leaves", nodes, writer, reader, &waits, leaving: index) {
                let words = ["leave", self.cluster.name(index), "--wait", "--timeout", "10s", "--node", asked]
                let outcome = try await self.cluster.gyre(words, within: .seconds(600))
                try demand(outcome.code == 0, "gyre leave ended with \(outcome.code): \(outcome.error)")
                let code = try await self.cluster.waitForEnd(index)
                try demand(code == 0, "\(self.cluster.name(index)) left, and its process ended with \(code)")
            }
        }
        return nodes
    }

    // MARK: - A step

    private func step(
        _ what: String, _ nodes: [Int], _ writer: PacedWriter, _ reader: PacedReader, _ waits: inout Waits,
        leaving: Int? = nil, _ body: () async throws -> Void
    ) async throws {
        let calmBefore = try await self.calm(writer, reader)
        let before = try await self.figures(of: nodes + (leaving.map { [$0] } ?? []), atMost: nodes.count)
        let began = ContinuousClock.now
        let watch = TransferWatch(self.cluster.addresses)
        async let watching: Void = watch.run()
        let result = await Result.catching {
            try await body()
            try await self.waitUntilSettled(nodes)
        }
        let ended = ContinuousClock.now
        watch.stop()
        await watching
        try result.get()
        let after = try await self.figures(of: nodes, atMost: nodes.count)
        // A percentile needs more than a few hundred requests.
        try await Task.sleep(for: max(.zero, .seconds(2) - (ended - began)))
        let during = Self.samples(writer, reader, began, max(ended, began + .seconds(2)))
        let p99 = PacedWriter.p99(during)
        let calmAround = calmBefore + (try await self.calm(writer, reader))
        let calm = PacedWriter.p99(calmAround)
        waits.calm += calmAround
        waits.during += during
        // What was sent by a node that is gone now counts as well: its last figures were taken while it was there.
        let sent = max(after.sent, watch.sentMost) - before.sent
        let must = max(1, leaving.map { before.least[$0] ?? 0 } ?? (after.least[nodes.last ?? 0] ?? 0))
        let ratio = Double(sent) / Double(must)
        say(
            "  \(what): \(milliseconds(ended - began)) ms, \(sent >> 10) KiB moved, \(Self.text(ratio)) of the least, "
                + "up to \(watch.keysPerSecond) keys/s, shares \(after.shares.map(Self.text)), "
                + "p99 \(tenths(p99)) ms\(self.isTimed ? " (\(tenths(calm)) ms when calm)" : "")")
        say("    by second: \(PacedWriter.timeline(during, every: .seconds(1)))")
        for share in after.shares {
            try demand(
                abs(share - 1) <= Self.unevenMost,
                "the load is uneven: \(after.shares.map(Self.text))")
        }
        try demand(ratio <= Self.movedMost, "\(sent) bytes moved, and \(must) had to")
        guard self.isTimed else { return }
        try demand(
            p99 <= max(calm, Self.leastP99) * Self.slowerMost,
            "requests became more than \(Self.slowerMost) times as slow: p99 \(milliseconds(p99)) ms")
        try demand(
            leaving != nil || watch.keysPerSecond >= Self.streamedLeast,
            "\(watch.keysPerSecond) keys/s came, and not \(Self.streamedLeast)")
    }

    /// As many bytes as a key and its record take in a message: the name of 8 to 14 bytes, and a record that is 24 longer than its
    /// value (`gyre explain` shows both), with their lengths.
    private var keyBytes: Int { self.valueBytes + 44 }

    private static func text(_ number: Double) -> String { String(format: "%.3f", number) }

    private static func samples(
        _ writer: PacedWriter, _ reader: PacedReader, _ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant
    ) -> [PacedWriter.Sample] {
        writer.within(start, end) + reader.within(start, end)
    }

    /// Requests while nothing changes, once the tables of what was written before are merged.
    private func calm(_ writer: PacedWriter, _ reader: PacedReader) async throws -> [PacedWriter.Sample] {
        guard self.isTimed else { return [] }
        try await Task.sleep(for: .seconds(5))
        let began = ContinuousClock.now
        try await Task.sleep(for: .seconds(5))
        return Self.samples(writer, reader, began, .now)
    }

    private struct Figures {
        /// By node: about as many bytes as what it holds takes on its way.
        var least: [Int: Int] = [:]
        /// Of each node its share of all replicas, as parts of the even share.
        var shares: [Double] = []
        /// Bytes of all comparisons so far.
        var sent = 0
    }

    private func figures(of nodes: [Int], atMost owners: Int) async throws -> Figures {
        var figures = Figures()
        for index in nodes {
            guard let report = try? await self.report(index) else { continue }
            figures.sent += report.counters.first { $0.name == "exchange_bytes" }.map { Int($0.value) } ?? 0
            let all = Int(report.partitionCount) * Int(report.replicas)
            let own = report.members.first { $0.record.node == report.me }.map { Int($0.ownedSlots) } ?? 0
            // Keys of the writer are small, those that were loaded are not.
            let loaded = self.keys * own / Int(report.partitionCount)
            figures.least[index] = loaded * self.keyBytes + max(0, Int(report.keys) - loaded) * 144
            figures.shares.append(Double(own * owners) / Double(all))
        }
        return figures
    }

    private func report(_ index: Int) async throws -> StatusReport {
        let node = try PinnedClient(self.cluster.addresses[index], timeout: .seconds(5))
        let result = await Result<StatusReport, any Error>.catching { try await node.status() }
        await node.close()
        return try result.get()
    }

    /// Waits until exactly these nodes own ranges, nothing changes, and nobody holds what it does not own.
    private func waitUntilSettled(_ nodes: [Int]) async throws {
        var seen = ""
        try await wait(.seconds(600), every: .milliseconds(200), until: "the ring is that of \(nodes); \(seen)") {
            var texts: [String] = []
            var isSettled = true
            for index in nodes {
                guard let report = try? await self.report(index) else { return false }
                func figure(_ name: String) -> UInt64 { report.counters.first { $0.name == name }?.value ?? 0 }
                let owners = report.members.count { $0.ownedSlots > 0 }
                let left = figure("transfer_partitions_missing") + figure("transfer_partitions_foreign")
                texts.append("\(self.cluster.name(index)) \(owners) owners, \(left) left")
                isSettled =
                    isSettled && owners == nodes.count && left == 0 && figure("ring_changing") == 0
                    && report.ringEpoch > 0
            }
            seen = texts.joined(separator: "; ")
            return isSettled
        }
    }

    private func demandStop(_ index: Int) async throws {
        let code = try await self.cluster.stop(index, SIGTERM)
        try demand(code == 0, "asked to stop, \(self.cluster.name(index)) ended with \(code)")
    }

    private func judge(_ waits: Waits) throws {
        guard self.isTimed else { return }
        let (calm, during) = (PacedWriter.p99(waits.calm), PacedWriter.p99(waits.during))
        say(
            "ring: p99 of all \(waits.during.count) requests while the ring changed \(tenths(during)) ms, of the "
                + "\(waits.calm.count) when it was calm \(tenths(calm)) ms: \(Self.text(during / calm)) times as long")
        try demand(
            during <= max(calm, Self.leastP99OfAll) * Self.slowerMost,
            "requests became more than \(Self.slowerMost) times as slow")
    }

    private func judge(_ writer: PacedWriter, _ reader: PacedReader) throws {
        say(
            "ring: puts \(writer.count(.acked)) stored, \(writer.count(.unknown)) unknown, \(writer.count(.failed)) failed; "
                + "gets \(reader.count), \(reader.failures.count) failed, \(reader.stale.count) stale")
        try demand(writer.count(.acked) > self.rate && reader.count > self.rate, "next to nothing was asked")
        try demand(reader.stale.isEmpty, "stale reads of \(reader.stale.prefix(5))")
        try demand(
            writer.count(.failed) + writer.count(.unknown) == 0 && reader.failures.isEmpty,
            "requests failed although the client had tried once more: \(writer.failures.prefix(3)) \(reader.failures.prefix(3))"
        )
    }
}
