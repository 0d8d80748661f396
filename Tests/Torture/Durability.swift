import Glibc
import GyreBase
import GyreClient
import NIOCore
import Synchronization

/// Every acknowledged write is there after nodes were killed one by one and all at once.
///
/// Each client writes keys that nobody else writes, once each, so that what may be found under a key is known: its one
/// value when the put was acknowledged, that or nothing when its outcome is unknown, nothing when it definitely failed.
struct Durability {
    private let seconds: Int
    private let clients: Int
    private let killEvery: Int
    private let allKills: Int
    /// So many acknowledged records are taken off all disks, which the check must find.
    private let lose: Int
    private let seed: UInt64
    private let cluster: TestCluster

    /// How a put ended.
    enum Outcome: UInt8 { case acked, unknown, failed }

    /// What the clients did: outcomes by client, in the order of their keys.
    private final class Ledger: Sendable {
        let outcomes: Mutex<[[Outcome]]>
        let isOver = Atomic<Bool>(false)
        init(clients: Int) { self.outcomes = Mutex(Array(repeating: [], count: clients)) }
        func count(_ outcome: Outcome) -> Int {
            self.outcomes.withLock { $0.reduce(0) { $0 + $1.count { $0 == outcome } } }
        }
    }

    init(_ words: Words, _ cluster: TestCluster) {
        self.seconds = words.number("seconds", or: 60)
        self.clients = words.number("clients", or: 64)
        self.killEvery = max(1, words.number("kill-every", or: 5))
        self.allKills = words.number("all-kills", or: 5)
        self.lose = words.number("lose", or: 0)
        self.seed = words.seed
        self.cluster = cluster
    }

    func run() async throws {
        say("durability: seed \(self.seed), \(self.clients) clients, \(self.seconds) s, N=3 W=2 R=2, sync always")
        try await self.cluster.startAll()
        let ledger = Ledger(clients: self.clients)
        var kills = 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<self.clients {
                let connection = try self.cluster.makeClient(name: "torture-\(client)")
                group.addTask { [seed = self.seed] in
                    await Self.write(connection, client, seed: seed, into: ledger)
                    await connection.close()
                }
            }
            // Whatever happens to the killing, the clients must end.
            defer { ledger.isOver.store(true, ordering: .relaxed) }
            kills = try await self.killOneByOne(ledger)
            try await self.killAll(ledger)
            ledger.isOver.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
        try await self.cluster.waitUntilNormal(within: .seconds(15))
        if self.lose > 0 { try await self.loseOnPurpose(ledger) }
        let found = try await self.readBack(ledger)
        try self.cluster.expectRunning()
        let figures = [
            "acked \(ledger.count(.acked))", "unknown \(ledger.count(.unknown)) (\(found.unknownSeen) took effect)",
            "failed \(ledger.count(.failed))", "kills \(kills)", "all-kills \(self.allKills)",
            "lost \(found.lost.count)",
            "wrong \(found.wrong.count)", "failed but there \(found.ghosts.count)",
        ]
        say("durability: \(figures.joined(separator: ", ")), seed \(self.seed)")
        let acked = ledger.count(.acked)
        try demand(acked >= self.clients, "the clients wrote next to nothing: \(acked) puts acknowledged")
        try demand(found.lost.isEmpty, "acknowledged writes are lost: \(found.lost.prefix(5))")
        try demand(found.wrong.isEmpty, "values that nobody wrote there: \(found.wrong.prefix(5))")
        try demand(found.ghosts.isEmpty, "puts that definitely failed took effect: \(found.ghosts.prefix(5))")
    }

    // MARK: - Writing and killing

    private static func write(_ client: GyreClient, _ number: Int, seed: UInt64, into ledger: Ledger) async {
        var options = PutOptions()
        options.mode = .blind
        var index = 0
        while !ledger.isOver.load(ordering: .relaxed) {
            let value = ByteBuffer(string: self.value(number, index, seed: seed))
            let outcome: Outcome
            do throws(GyreError) {
                try await client.put(bucket: "torture", key: self.key(number, index), value: value, options: options)
                outcome = .acked
            } catch {
                outcome = error.mayHaveHappened ? .unknown : .failed
            }
            ledger.outcomes.withLock { $0[number].append(outcome) }
            index += 1
            // A refusal may come at once; without a pause the loop would only count refusals.
            if outcome == .failed { try? await Task.sleep(for: .milliseconds(20)) }
        }
    }

    private func killOneByOne(_ ledger: Ledger) async throws -> Int {
        var random = SeededRandom(seed: self.seed)
        let began = ContinuousClock.now
        var kills = 0
        while (kills + 1) * self.killEvery <= self.seconds {
            try await Task.sleep(until: began + .seconds((kills + 1) * self.killEvery))
            try self.cluster.expectRunning()
            let victim = Int(random.below(UInt64(self.cluster.addresses.count)))
            let acked = ledger.count(.acked)
            try await self.cluster.stop(victim, SIGKILL)
            try self.cluster.start(victim)
            let ready = try await self.cluster.ready(victim)
            kills += 1
            say("  killed \(self.cluster.name(victim)) at \(acked) acked, ready after \(milliseconds(ready)) ms")
        }
        try await Task.sleep(until: began + .seconds(self.seconds))
        return kills
    }

    private func killAll(_ ledger: Ledger) async throws {
        let all = Array(self.cluster.addresses.indices)
        for _ in 0..<self.allKills {
            try self.cluster.expectRunning()
            let before = ledger.count(.acked)
            try await self.cluster.killTogether(all)
            for index in all { try self.cluster.start(index) }
            var slowest = Duration.zero
            for index in all { slowest = max(slowest, try await self.cluster.ready(index)) }
            let back = try await wait(.seconds(15), until: "a put is acknowledged again") {
                ledger.count(.acked) > before + self.clients
            }
            say(
                "  killed all at \(before) acked, ready after \(milliseconds(slowest)) ms, "
                    + "puts \(milliseconds(back)) ms later"
            )
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Takes the first acknowledged records of the first clients off every disk.
    private func loseOnPurpose(_ ledger: Ledger) async throws {
        let outcomes = ledger.outcomes.withLock { $0 }
        var names: [ObjectName] = []
        for (number, list) in outcomes.enumerated().prefix(self.lose) {
            if let index = list.firstIndex(of: .acked) { names.append(try objectName(Self.key(number, index))) }
        }
        for index in self.cluster.addresses.indices {
            try await self.cluster.stop(index, SIGTERM)
            try StoppedStore.open(self.cluster.data(index)) { store in for name in names { try store.remove(name) } }
        }
        try await self.cluster.startAll()
        say("  took \(names.count) acknowledged records off all disks")
    }

    // MARK: - Reading back

    private struct Found {
        var lost: [String] = []
        var wrong: [String] = []
        var ghosts: [String] = []
        var unknownSeen = 0
    }

    private func readBack(_ ledger: Ledger) async throws -> Found {
        let outcomes = ledger.outcomes.withLock { $0 }
        return try await withThrowingTaskGroup(of: Found.self) { group in
            for (number, list) in outcomes.enumerated() {
                let client = try self.cluster.makeClient(timeout: .seconds(5), name: "torture-\(number)")
                group.addTask { [seed = self.seed] in
                    let found = await Result.catching { try await Self.read(client, number, list, seed: seed) }
                    await client.close()
                    return try found.get()
                }
            }
            var all = Found()
            for try await found in group {
                all.lost += found.lost
                all.wrong += found.wrong
                all.ghosts += found.ghosts
                all.unknownSeen += found.unknownSeen
            }
            return all
        }
    }

    private static func read(_ client: GyreClient, _ number: Int, _ list: [Outcome], seed: UInt64) async throws -> Found
    {
        var options = GetOptions()
        options.reads = .count(2)
        var found = Found()
        for (index, outcome) in list.enumerated() {
            let key = self.key(number, index)
            let siblings = try await client.get(bucket: "torture", key: key, options: options).siblings
            let values = siblings.map { String(buffer: $0.value) }
            let isThere = values == [self.value(number, index, seed: seed)]
            if !isThere, !values.isEmpty { found.wrong.append(key) }
            switch outcome {
            case .acked: if !isThere { found.lost.append(key) }
            case .unknown: if isThere { found.unknownSeen += 1 }
            case .failed: if isThere { found.ghosts.append(key) }
            }
        }
        let next = try await client.get(bucket: "torture", key: self.key(number, list.count), options: options)
        if next.isFound { found.wrong.append(self.key(number, list.count)) }
        return found
    }

    private static func key(_ client: Int, _ index: Int) -> String { "client-\(client)-\(index)" }

    /// About 100 bytes that follow from the seed and the key.
    private static func value(_ client: Int, _ index: Int, seed: UInt64) -> String {
        var random = SeededRandom(seed: seed).split("value", index: UInt64(client) << 32 | UInt64(index))
        let noise = (0..<4).map { _ in String(random.next(), radix: 16) }.joined()
        return "\(seed)/\(client)/\(index)/\(noise)"
    }
}
