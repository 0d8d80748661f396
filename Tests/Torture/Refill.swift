import Foundation
import Glibc
import GyreBase
import GyreMembership
import GyreMessages

/// A node whose disk is lost comes back under a new identity in the place of the old one, and fills itself at once; with `--repair 1`
/// while `gyre repair --wait` looks on and helps.
struct Refill {
    private static let victim = 2
    /// On two processors, keys a second.
    private static let bar = 50_000
    private let keys: Int
    private let cluster: TestCluster
    private let isHelped: Bool

    init(_ words: Words, _ cluster: TestCluster) {
        self.keys = max(100, words.number("keys", or: 1_000_000))
        self.cluster = cluster
        self.isHelped = words.number("repair", or: 0) == 1
    }

    func run() async throws {
        say("refill: \(self.keys) keys of 100 bytes, three nodes, N=3")
        self.cluster.options = TestCluster.rareRounds
        try await self.cluster.startAll()
        let took = try await self.cluster.load(keys: self.keys)
        try await self.cluster.waitUntilHeld(keys: self.keys, by: [0, 1, 2])
        say("  loaded within \(milliseconds(took)) ms")
        let old = try self.cluster.identity(Self.victim)
        try await self.cluster.stop(Self.victim, SIGTERM)
        try FileManager.default.removeItem(atPath: self.cluster.data(Self.victim) + "/store")
        try self.cluster.start(Self.victim)
        try await self.cluster.ready(Self.victim)
        let started = ContinuousClock.now
        let new = try self.cluster.identity(Self.victim)
        try demand(new != old, "a node that lost its disk kept the identity \(old)")
        if self.isHelped {
            let receipt = try await self.cluster.repair()
            say("  gyre repair --wait: \(receipt.line), within \(milliseconds(.now - started)) ms")
            // The node fills itself meanwhile, and the receipt tells of both; what both find differing only one of them changes.
            try demand(
                receipt.compared == receipt.planned && receipt.failed == 0 && receipt.differing >= receipt.repaired,
                "the repair left something out: \(receipt.line)")
            try demand(receipt.repaired == self.keys, "\(self.keys) keys were lacking: \(receipt.line)")
        }
        let repaired = try await self.waitUntilFilled(instead: old)
        let seconds = max(1, milliseconds(.now - started))
        say("  filled: \(self.keys) keys within \(seconds) ms: \(self.keys * 1_000 / seconds) keys/s, bar \(Self.bar)")
        try demand(
            repaired == self.keys || self.isHelped,
            "\(self.keys) keys were lacking, and \(repaired) were counted as repaired on the node")

        let receipt = try await self.cluster.repair()
        say("  repair: \(receipt.line)")
        try demand(
            receipt.inSync == 3_072 && receipt.planned == 3_072 && receipt.differing == 0,
            "the node is in its place and yet something differs: \(receipt.line)")
        try await self.cluster.stopAll()
        let scan = try StoreScan.run(self.cluster)
        say("refill: on disk \(scan.line)")
        try scan.demandEqual()
        try demand(scan.keys == self.keys, "not \(self.keys) keys but \(scan.keys)")
    }
    /// Waits until the node has made up for its disk, which is when it bans the identity whose place it took; returns how many
    /// keys it counts as repaired.
    private func waitUntilFilled(instead old: NodeID) async throws -> Int {
        let node = try PinnedClient(self.cluster.addresses[Self.victim], timeout: .seconds(5))
        let result = await Result<Int, any Error>.catching {
            var repaired = 0
            try await wait(.seconds(600), until: "the lost disk is made up for; \(repaired) keys so far") {
                // While it is busy it may answer late.
                guard let report = try? await node.status() else { return false }
                repaired = report.counters.first { $0.name == "keys_repaired" }.map { Int($0.value) } ?? 0
                let members = report.members.map(\.record).filter { $0.state != .removed }
                return members.count == 3 && !members.contains { $0.node == old }
            }
            return repaired
        }
        await node.close()
        return try result.get()
    }
}
