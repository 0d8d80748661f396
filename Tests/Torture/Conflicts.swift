import Foundation
import GyreBase
import GyreCausality
import Synchronization

/// Concurrent writes through different nodes become siblings, exactly those, and a merged context ends them.
struct Conflicts {
    private static let rounds = 50
    private let writes: Int
    private let seed: UInt64
    private let cluster: TestCluster

    init(_ words: Words, _ cluster: TestCluster) {
        self.writes = words.number("writes", or: 10_000)
        self.seed = words.seed
        self.cluster = cluster
    }

    func run() async throws {
        say("conflicts: seed \(self.seed)")
        try await self.cluster.startAll()
        try await self.throughCommands()
        let first = try PinnedClient(self.cluster.addresses[0], timeout: .seconds(5))
        let second = try PinnedClient(self.cluster.addresses[1], timeout: .seconds(5))
        for round in 0..<Self.rounds {
            try await self.putAndPut(try objectName("put-put-\(round)"), first, second)
            try await self.deleteAndPut(try objectName("delete-put-\(round)"), first, second)
        }
        say("  \(Self.rounds) times two puts at once: two siblings, one after the merged put")
        say("  \(Self.rounds) times a delete and a put at once: the put stays")
        let began = ContinuousClock.now
        let most = try await self.staleWrites(try objectName("stale"), first, second)
        await first.close()
        await second.close()
        say("conflicts: \(self.writes) stale writes in \(milliseconds(.now - began)) ms, at most \(most) siblings")
    }

    // MARK: - As a person does it

    private func throughCommands() async throws {
        try await self.gyre(["put", "cart", "apples"], at: 0)
        let seen = try await self.read("cart")
        try demand(seen.values == ["apples"], "one put left \(seen.values)")
        try await self.gyre(
            ["put", "cart", "pears", "--context", seen.context], at: 0,
            beside: ["put", "cart", "plums", "--context", seen.context], at: 1)
        let both = try await self.read("cart")
        try demand(both.values == ["pears", "plums"], "two puts with one context left \(both.values)")
        let nodes = Set(both.dots.map { $0.split(separator: ":").first.map(String.init) ?? $0 })
        try demand(nodes.count == 2, "both puts went through one node: \(both.dots)")
        try await self.gyre(["put", "cart", "fruit", "--context", both.context], at: 1)
        let merged = try await self.read("cart")
        try demand(merged.values == ["fruit"], "a put with the merged context left \(merged.values)")
        try await self.gyre(
            ["delete", "cart", "--context", merged.context], at: 1,
            beside: ["put", "cart", "kiwis", "--context", merged.context], at: 0)
        let left = try await self.read("cart")
        try demand(left.values == ["kiwis"], "a delete and a put at once left \(left.values)")
        say("  with gyre: apples; pears + plums; fruit; kiwis after a delete at the same time")
    }

    private func gyre(_ words: [String], at index: Int, beside others: [String] = [], at other: Int = 0) async throws {
        let commands = [(words, index), (others, other)].filter { !$0.0.isEmpty }.map { words, index in
            words + ["--timeout", "5s", "--node", self.cluster.addresses[index]]
        }
        for (words, outcome) in zip(commands, try await self.cluster.gyreAtOnce(commands)) {
            try demand(outcome.code == 0, "gyre \(words.joined(separator: " ")): \(outcome.error)")
        }
    }

    private func read(_ key: String) async throws -> (values: [String], dots: [String], context: String) {
        let address = self.cluster.addresses[2]
        let outcome = try await self.cluster.gyre(["get", key, "--json", "--timeout", "5s", "--node", address])
        let object = try JSONSerialization.jsonObject(with: Data(outcome.out.utf8)) as? [String: Any]
        guard let siblings = object?["siblings"] as? [[String: Any]], let context = object?["context"] as? String
        else { throw Broken("gyre get \(key) --json said: \(outcome.out)\(outcome.error)") }
        let values = siblings.map { sibling in
            String(decoding: Data(base64Encoded: sibling["value_base64"] as? String ?? "") ?? Data(), as: UTF8.self)
        }
        return (values.sorted(), siblings.compactMap { $0["dot"] as? String }, context)
    }

    // MARK: - Through two chosen nodes

    private func putAndPut(_ name: ObjectName, _ first: PinnedClient, _ second: PinnedClient) async throws {
        try await first.put(name, "base", .blind)
        let seen = try await second.get(name)
        async let one = first.put(name, "one", .given(seen.context))
        async let two = second.put(name, "two", .given(seen.context))
        _ = try await (one, two)
        let both = try await first.get(name)
        try demand(both.values == ["one", "two"], "two puts with one context left \(both.values)")
        try demand(Set(both.dots.map(\.node)).count == 2, "both puts went through one node")
        try await second.put(name, "merged", .given(both.context))
        let merged = try await first.get(name)
        try demand(merged.values == ["merged"], "a put with the merged context left \(merged.values)")
    }

    private func deleteAndPut(_ name: ObjectName, _ first: PinnedClient, _ second: PinnedClient) async throws {
        try await first.put(name, "base", .blind)
        let seen = try await second.get(name)
        async let gone = first.delete(name, .given(seen.context))
        async let kept = second.put(name, "kept", .given(seen.context))
        _ = try await (gone, kept)
        let left = try await first.get(name)
        try demand(left.values == ["kept"], "a delete and a put at once left \(left.values)")
        try await second.delete(name, .given(left.context))
        let none = try await first.get(name)
        try demand(none.values.isEmpty, "a delete of all that was seen left \(none.values)")
    }

    /// What both clients saw.
    private final class Tally: Sendable {
        let most = Atomic<Int>(0)
        let pairs = Atomic<Int>(0)

        func count(_ siblings: Int) throws {
            try demand(siblings <= 2, "\(siblings) siblings")
            self.most.max(siblings, ordering: .relaxed)
            if siblings == 2 { self.pairs.add(1, ordering: .relaxed) }
        }
    }

    /// Two clients, each reading and then writing with what it read while the other does the same, so that most
    /// writes come with a stale context. Each supersedes its own last value: never more than one value a client.
    private func staleWrites(_ name: ObjectName, _ first: PinnedClient, _ second: PinnedClient) async throws -> Int {
        let tally = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, client) in [first, second].enumerated() {
                group.addTask { [writes = self.writes, seed = self.seed] in
                    var random = SeededRandom(seed: seed).split("stale", index: UInt64(number))
                    for turn in 0..<writes / 2 {
                        let seen = try await client.get(name)
                        try tally.count(seen.values.count)
                        // Now and then long enough for several writes of the other.
                        if random.chance(1, in: 50) { try await Task.sleep(for: .milliseconds(5)) }
                        try await client.put(name, "\(number)/\(turn)", .given(seen.context))
                    }
                }
            }
            try await group.waitForAll()
        }
        let end = try await first.get(name)
        try tally.count(end.values.count)
        let last = ["0/\(self.writes / 2 - 1)", "1/\(self.writes / 2 - 1)"]
        try demand(end.values.allSatisfy(last.contains), "the end holds \(end.values)")
        say("  reads that met two siblings: \(tally.pairs.load(ordering: .relaxed)) of \(self.writes)")
        return tally.most.load(ordering: .relaxed)
    }
}
