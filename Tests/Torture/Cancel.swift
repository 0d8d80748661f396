import Foundation
import Glibc
import GyreBase
import GyreClient

/// A repair that is stopped, or whose node dies, says so, and whatever is killed while a cluster heals, nothing is lost.
struct Cancel {
    private static let healing = Duration.seconds(60)
    private let kills: Int
    private let rate: Int
    private let seed: UInt64
    private let cluster: TestCluster

    init(_ words: Words, _ cluster: TestCluster) {
        self.kills = words.number("kills", or: 10)
        self.rate = words.number("rate", or: 500)
        self.seed = words.seed
        self.cluster = cluster
    }

    func run() async throws {
        say("cancel: seed \(self.seed)")
        self.cluster.options = TestCluster.rareRounds
        try await self.cluster.startAll()
        _ = try await self.cluster.load(keys: 2_000)
        try await self.stopOne()
        try await self.killCoordinator()
        let client = try self.cluster.makeClient()
        let writer = PacedWriter(client, rate: self.rate)
        async let writing: Void = writer.run()
        var result = await Result.catching { try await self.killAtRandom() }
        writer.stop()
        await writing
        if case .success = result { result = await Result.catching { try await self.heal() } }
        await client.close()
        try result.get()
        try self.judge(writer)
    }

    // MARK: - One repair

    /// Starts a repair that cannot end: one of its nodes is frozen.
    private func startStuck() async throws -> (id: String, watch: TestCluster.Command) {
        self.cluster.signal(2, SIGSTOP)
        let started = try RepairReceipt(
            try await self.cluster.gyre(["repair", "--json", "--node", self.cluster.addresses[0]]))
        try demand(started.state == "running", "a repair with a frozen node: \(started.line)")
        let watch = try self.cluster.launch(["repair", "--watch", started.id, "--node", self.cluster.addresses[1]])
        // Long enough for it to see the repair once.
        try await Task.sleep(for: .milliseconds(600))
        return (started.id, watch)
    }

    private func stopOne() async throws {
        let (id, watch) = try await self.startStuck()
        let stopped = try RepairReceipt(
            try await self.cluster.gyre(["repair", "--cancel", id, "--json", "--node", self.cluster.addresses[1]]))
        try demand(stopped.state == "cancelled", "gyre repair --cancel: \(stopped.line)")
        self.cluster.signal(2, SIGCONT)
        let seen = try await self.cluster.outcome(of: watch, within: .seconds(30))
        let last = seen.out.split(separator: "\n").last.map(String.init) ?? ""
        say("  cancelled: --watch ended with \(seen.code) and '\(last)'")
        try demand(seen.code == 2 && last == "cancelled", "--watch of a cancelled repair: \(seen.out)\(seen.error)")
        // The other nodes have told of their parts by now, and it is still not done.
        try await self.cluster.waitUntilNormal(within: .seconds(20))
        let later = try RepairReceipt(
            try await self.cluster.gyre(["repair", "--watch", id, "--json", "--node", self.cluster.addresses[1]]))
        try demand(later.state == "cancelled", "--watch after a repair was cancelled: \(later.line)")
        let again = try await self.cluster.repair()
        try demand(again.inSync == again.planned, "nothing was to differ: \(again.line)")
    }

    private func killCoordinator() async throws {
        let (_, watch) = try await self.startStuck()
        try await self.cluster.stop(0, SIGKILL)
        self.cluster.signal(2, SIGCONT)
        let seen = try await self.cluster.outcome(of: watch, within: .seconds(30))
        let said = seen.error.split(separator: "\n").last.map(String.init) ?? ""
        say("  its node killed: --watch ended with \(seen.code) after \(milliseconds(seen.took)) ms and '\(said)'")
        try demand(seen.code == 2 && !said.isEmpty, "--watch of a repair whose node died: \(seen.out)\(seen.error)")
        try self.cluster.expectRunning()
        let put = try await self.cluster.gyre(
            ["put", "alive", "yes", "--timeout", "5s", "--node", self.cluster.addresses[1]])
        try demand(put.code == 0, "the others do not take writes: \(put.error)")
        try self.cluster.start(0)
        try await self.cluster.ready(0)
        try await self.cluster.waitUntilNormal(within: .seconds(20))
    }

    // MARK: - Many kills

    /// Kills nodes while a repair and the delivery of hints are under way.
    private func killAtRandom() async throws {
        var random = SeededRandom(seed: self.seed)
        for turn in 1...max(1, self.kills) {
            let victim = Int(random.below(3))
            try self.cluster.expectRunning()
            try await self.cluster.stop(victim, SIGKILL)
            // While it is away, hints are kept for it.
            try await Task.sleep(for: .milliseconds(200 + Int(random.below(800))))
            try self.cluster.start(victim)
            try await self.cluster.ready(victim)
            let node = self.cluster.addresses[Int(random.below(3))]
            let repair = try await self.cluster.gyre(["repair", "--json", "--timeout", "2s", "--node", node])
            say(
                "  kill \(turn): \(self.cluster.name(victim)), then a repair "
                    + (repair.code == 0 ? "under way" : "was refused with \(repair.code)"))
            // The next kill meets the repair and the hints at any point.
            try await Task.sleep(for: .milliseconds(Int(random.below(600))))
        }
    }

    private func heal() async throws {
        let began = ContinuousClock.now
        try await self.cluster.waitUntilNormal(within: .seconds(20))
        try await wait(Self.healing, until: "all hints are handed over") {
            try await self.cluster.hintsPending() == 0
        }
        let drained = ContinuousClock.now - began
        let receipt = try await self.cluster.repair(within: Self.healing)
        say("  after the last restart: hints gone in \(milliseconds(drained)) ms, then \(receipt.line)")
        let took = ContinuousClock.now - began
        try demand(took <= Self.healing, "healing took \(milliseconds(took)) ms")
        try await self.cluster.stopAll()
    }

    private func judge(_ writer: PacedWriter) throws {
        let scan = try StoreScan.run(self.cluster)
        say(
            "cancel: kills \(self.kills), acked \(writer.count(.acked)), unknown \(writer.count(.unknown)), failed "
                + "\(writer.count(.failed)); on disk \(scan.line), seed \(self.seed)")
        try scan.demandEqual()
        try demand(writer.count(.acked) > self.rate, "next to nothing was acknowledged")
        try StoppedStore.openAll(self.cluster.addresses.indices.map(self.cluster.data)) { stores in
            try writer.demandAllThere(scan, stores)
        }
    }
}
