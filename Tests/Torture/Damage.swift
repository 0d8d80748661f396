import Foundation
import Glibc

/// A repair finds exactly what differs, mends it, and sends in proportion to it.
///
/// What differs is known from the disks: the stores of the stopped nodes are compared record by record before and
/// after.
/// A key that one of three owners lacks differs in two comparisons, that of either of the other two with this one. So
/// with d such keys a dry run, which changes nothing between the two, counts exactly 2 d. A real run may find in the
/// second comparison what the first has just mended: it counts d to 2 d, and each record that
/// changed once, or twice when both sent it at the same time.
struct Damage {
    private static let victim = 2
    private let keys: Int
    private let sizes: [Int]
    private let cluster: TestCluster

    init(_ words: Words, _ cluster: TestCluster) {
        let keys = max(1_000, words.number("keys", or: 100_000))
        self.keys = keys
        let all = [10, 1_000, 100_000]
        self.sizes = all.prefix(words.number("full", or: 0) > 0 ? 3 : 2).filter { $0 <= keys }
        self.cluster = cluster
    }

    func run() async throws {
        say("damage: \(self.keys) keys of 100 bytes, three nodes, N=3, 3,072 pairs of owners")
        // What hints would heal is what is counted here.
        self.cluster.options = TestCluster.rareRounds + ["--hints", "0"]
        try await self.cluster.startAll()
        let took = try await self.cluster.load(keys: self.keys)
        try await self.cluster.waitUntilHeld(keys: self.keys, by: [0, 1, 2])
        say("  loaded within \(milliseconds(took)) ms")
        _ = try await self.cluster.repair()
        for size in self.sizes { try await self.damage(size) }
    }

    private func damage(_ size: Int) async throws {
        try await self.cluster.stop(Self.victim, SIGTERM)
        _ = try await self.cluster.load(keys: size, except: [Self.victim])
        let before = try await self.stopAndScan()
        try demand(before.differing == size, "\(size) keys were to differ: \(before.line)")
        try await self.cluster.startAll()

        // A node that starts compares one partition at once, which may have mended some.
        let mended = try await self.cluster.counterSum("keys_repaired")
        let expected = size - mended
        try await self.dryRun(expected)
        let receipt = try await self.cluster.repair()
        let bytesMax = receipt.bytesMax(objectBytes: before.bytes / max(1, before.keys))
        say(
            "  d=\(size) differing=\(receipt.differing) repaired=\(receipt.repaired) bytes=\(receipt.bytes) "
                + "bound=\(bytesMax) seconds=\(receipt.seconds)" + (mended > 0 ? " (\(mended) mended before)" : ""))
        try demand(
            (expected...2 * expected).contains(receipt.differing), "\(expected) keys differ: \(receipt.line)")
        try demand(
            (expected...receipt.differing).contains(receipt.repaired), "\(expected) are to be mended: \(receipt.line)")
        try demand(receipt.bytes <= bytesMax, "\(receipt.bytes) bytes are more than \(bytesMax)")
        try await self.demandInSync()
        let after = try await self.stopAndScan()
        try after.demandEqual()
        try demand(after.keys == self.keys, "after the repair: \(after.line)")
        try await self.cluster.startAll()
    }

    private func dryRun(_ expected: Int) async throws {
        for _ in 0..<2 {
            let dry = try await self.cluster.repair(["--dry-run"])
            try demand(
                dry.differing == 2 * expected && dry.repaired == 0,
                "a dry run is to count \(2 * expected): \(dry.line)")
            try demand(dry.rootsAfter == dry.rootsBefore, "a dry run changed trees: \(dry.line)")
        }
    }

    private func demandInSync() async throws {
        let receipt = try await self.cluster.repair()
        say("  in sync: \(receipt.compared) pairs \(receipt.bytes) bytes \(receipt.seconds) seconds")
        try demand(receipt.inSync == receipt.planned && receipt.differing == 0, "not in sync: \(receipt.line)")
        try demand(receipt.planned == 3_072, "not all pairs were compared: \(receipt.line)")
        try demand(receipt.bytes <= receipt.bytesMax(objectBytes: 0), "more than 1 KiB a pair: \(receipt.line)")
        try demand(receipt.rootsAfter == receipt.rootsBefore, "trees changed: \(receipt.line)")
    }

    private func stopAndScan() async throws -> StoreScan {
        for index in self.cluster.addresses.indices where self.cluster.isStarted(index) {
            let code = try await self.cluster.stop(index, SIGTERM)
            try demand(code == 0, "asked to stop, \(self.cluster.name(index)) ended with \(code)")
        }
        return try StoreScan.run(self.cluster)
    }
}
