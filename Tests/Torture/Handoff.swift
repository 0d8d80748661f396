import Glibc
import GyreClient

/// A node that was away gets every write that it missed from those who kept hints, and clients hardly notice.
///
/// Five nodes are the least that show it: with N = 3 there is always somebody to stand in.
struct Handoff {
    private static let victim = 2
    private static let drainMax = Duration.seconds(60)
    /// Beside the drain the 99th percentile may double at full size; a small machine that is shared gets twice that.
    private static let slowerMax = 4
    /// Below this a percentile says more about the machine than about the nodes.
    private static let leastP99 = Duration.milliseconds(25)
    /// How long it is calm first: long enough that stores write tables, as they go on to do.
    private let calmSeconds: Int
    private let seconds: Int
    private let rate: Int
    private let signal: Int32
    private let cluster: TestCluster

    init(_ words: Words, _ cluster: TestCluster) {
        self.seconds = words.number("seconds", or: 60)
        self.calmSeconds = words.number("calm", or: 60)
        self.rate = words.number("rate", or: 2_000)
        self.signal = words.number("signal", or: 15) == 9 ? SIGKILL : SIGTERM
        self.cluster = cluster
    }

    func run() async throws {
        let how = self.signal == SIGKILL ? "kill -9" : "SIGTERM"
        let count = self.cluster.addresses.count
        say("handoff: \(count) nodes, \(self.rate) puts/s, one away for \(self.seconds) s after \(how), N=3 R=2 W=2")
        self.cluster.options = TestCluster.rareRounds
        try await self.cluster.startAll()
        let client = try self.cluster.makeClient()
        let writer = PacedWriter(client, rate: self.rate)
        async let writing: Void = writer.run()
        let result = await Result.catching { try await self.goAndComeBack(writer) }
        writer.stop()
        await writing
        do {
            try result.get()
            try await self.settle(writer)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        try await self.cluster.stopAll()
        try self.judge(writer)
    }

    private func goAndComeBack(_ writer: PacedWriter) async throws {
        let began = ContinuousClock.now
        try await Task.sleep(for: .seconds(self.calmSeconds))
        let left = ContinuousClock.now
        try await self.cluster.stop(Self.victim, self.signal)
        try await Task.sleep(for: .seconds(self.seconds))
        var kept = 0
        try await wait(.seconds(5), until: "all say what they keep") {
            guard let pending = try await self.cluster.hintsPending() else { return false }
            kept = pending
            return true
        }
        try self.cluster.start(Self.victim)
        try await self.cluster.ready(Self.victim)
        let back = ContinuousClock.now
        var most = kept
        // Each look starts a process, which takes its part of a small machine from what is measured here.
        try await wait(Self.drainMax, every: .seconds(2), until: "all hints are handed over; most \(most)") {
            guard let pending = try await self.cluster.hintsPending() else { return false }
            most = max(most, pending)
            return pending == 0
        }
        let drained = ContinuousClock.now
        // A drain may be shorter than what a percentile needs.
        try await Task.sleep(for: max(.zero, .seconds(2) - (drained - back)))
        let calmAgain = ContinuousClock.now
        try await Task.sleep(for: .seconds(self.calmSeconds))
        try self.report(
            writer, kept: kept, drain: drained - back, before: writer.within(began + .seconds(1), left),
            away: writer.within(left, back), during: writer.within(back, calmAgain),
            after: writer.within(calmAgain, .now))
    }

    private func report(
        _ writer: PacedWriter, kept: Int, drain: Duration, before: [PacedWriter.Sample], away: [PacedWriter.Sample],
        during: [PacedWriter.Sample], after: [PacedWriter.Sample]
    ) throws {
        // Both sides of it: the longer all this goes on, the more the stores have to merge.
        let (calm, draining) = (PacedWriter.p99(before + after), PacedWriter.p99(during))
        let missed = PacedWriter.p99(away)
        let rate = kept * 1_000 / max(1, milliseconds(drain))
        say(
            "  \(kept) hints were kept, and handed over within \(milliseconds(drain)) ms of its return: \(rate)/s"
        )
        say(
            "  put p99: \(tenths(calm)) ms when calm (\(before.count + after.count)), \(tenths(missed)) ms while "
                + "it was away (\(away.count)), \(tenths(draining)) ms while hints came home (\(during.count))"
        )
        say(
            "  by 5 s: \(PacedWriter.timeline(before)) before, \(PacedWriter.timeline(away)) while it was away, "
                + "\(PacedWriter.timeline(during)) while hints came home, \(PacedWriter.timeline(after)) after")
        try demand(before.count > self.rate && !during.isEmpty, "next to nothing was written")
        try demand(kept > self.rate * self.seconds / 4, "only \(kept) hints were kept")
        try demand(
            draining <= max(calm, Self.leastP99) * Self.slowerMax,
            "puts became more than \(Self.slowerMax) times as slow: p99 \(tenths(draining)) ms")
    }

    /// Waits until nothing is under way any more; a kill leaves something that only a comparison finds.
    private func settle(_ writer: PacedWriter) async throws {
        try await self.cluster.waitUntilNormal(within: .seconds(15))
        try await Task.sleep(for: .seconds(1))
        try await wait(Self.drainMax, until: "the last hints are handed over") {
            try await self.cluster.hintsPending() == 0
        }
        try await writer.mendUnacknowledged()
        // A coordinator that is killed takes with it what it was about to tell the last replica of a write that was
        // acknowledged; no hint can know of that.
        guard self.signal == SIGKILL else { return }
        let receipt = try await self.cluster.repair()
        say("  a repair of what the kill interrupted: \(receipt.line)")
        try demand(receipt.differing < self.rate, "hints left \(receipt.differing) keys to the repair")
    }

    private func judge(_ writer: PacedWriter) throws {
        let scan = try StoreScan.run(self.cluster)
        say(
            "handoff: acked \(writer.count(.acked)), unknown \(writer.count(.unknown)), failed \(writer.count(.failed));"
                + " on disk \(scan.line)")
        try scan.demandEqual()
        try StoppedStore.openAll(self.cluster.addresses.indices.map(self.cluster.data)) { stores in
            try writer.demandAllThere(scan, stores)
        }
        try demand(scan.keys >= writer.count(.acked), "fewer keys on disk than were acknowledged")
    }
}
