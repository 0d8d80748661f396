import Foundation
import Glibc

/// A node whose disk is lost comes back under a new identity, takes the place of the old one, and is made whole.
struct Refill {
    private static let victim = 2
    /// On two processors, keys a second.
    private static let bar = 50_000
    private let keys: Int
    private let cluster: TestCluster

    init(_ words: Words, _ cluster: TestCluster) {
        self.keys = max(100, words.number("keys", or: 1_000_000))
        self.cluster = cluster
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
        try await self.cluster.waitUntilNormal(within: .seconds(20))
        let new = try self.cluster.identity(Self.victim)
        try demand(new != old, "a node that lost its disk kept the identity \(old)")
        let rows = try await self.cluster.statusRows()
        try demand(rows.count == 3, "not three members but \(rows.map { $0["name"] ?? "?" })")

        let receipt = try await self.cluster.repair()
        let rate = Int(Double(receipt.repaired) / max(0.001, receipt.seconds))
        say("  refilled: \(receipt.line): \(rate) keys/s, the bar is \(Self.bar)")
        try demand(
            receipt.repaired >= self.keys && receipt.repaired <= receipt.differing,
            "\(self.keys) keys were lacking: \(receipt.line)")
        let again = try await self.cluster.repair()
        say("  in sync: \(again.compared) pairs \(again.bytes) bytes \(again.seconds) seconds")
        try demand(again.inSync == again.planned && again.planned == 3_072, "not in sync afterwards: \(again.line)")
        try await self.cluster.stopAll()
        let scan = try StoreScan.run(self.cluster)
        say("refill: on disk \(scan.line)")
        try scan.demandEqual()
        try demand(scan.keys == self.keys, "not \(self.keys) keys but \(scan.keys)")
    }
}
