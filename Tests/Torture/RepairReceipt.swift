import Foundation

/// What `gyre repair --json` said.
struct RepairReceipt {
    let id: String
    let state: String
    let planned: Int
    let compared: Int
    let inSync: Int
    let failed: Int
    let differing: Int
    let repaired: Int
    let bytes: Int
    let seconds: Double
    let rootsBefore: String
    let rootsAfter: String?

    /// Reads one JSON document.
    init(_ outcome: TestCluster.Outcome) throws {
        let object = (try? JSONSerialization.jsonObject(with: Data(outcome.out.utf8))) as? [String: Any] ?? [:]
        func number(_ name: String) throws -> Int {
            guard let number = object[name] as? NSNumber else {
                throw Broken("gyre repair ended with \(outcome.code) and no \(name): \(outcome.out)\(outcome.error)")
            }
            return number.intValue
        }
        self.id = object["id"] as? String ?? ""
        self.state = object["state"] as? String ?? ""
        self.planned = try number("partitions_planned")
        self.compared = try number("partitions_compared")
        self.inSync = try number("partitions_in_sync")
        self.failed = try number("partitions_failed")
        self.differing = try number("keys_differing")
        self.repaired = try number("keys_repaired")
        self.bytes = try number("bytes_sent")
        self.seconds = (object["seconds"] as? NSNumber)?.doubleValue ?? 0
        self.rootsBefore = object["roots_before"] as? String ?? ""
        self.rootsAfter = object["roots_after"] as? String
    }

    /// One line for people.
    var line: String {
        "\(self.state), \(self.compared) of \(self.planned) pairs compared, \(self.inSync) in sync,"
            + " \(self.failed) failed, differing=\(self.differing) repaired=\(self.repaired) bytes=\(self.bytes) seconds=\(self.seconds)"
    }

    /// The bytes that invariant 14 grants for what was found: 1 KiB a pair in sync, 4 KiB a pair that differs, and
    /// 2 KiB and the object for each key that differs in a pair.
    func bytesMax(objectBytes: Int) -> Int {
        self.inSync * 1_024 + (self.compared - self.inSync) * 4_096 + self.differing * (2_048 + objectBytes)
    }
}

extension TestCluster {
    /// Healing that nobody asked for would blur what is counted here: with this, a node compares one
    /// partition in ten minutes by itself.
    static let rareRounds = ["--anti-entropy", "7d"]

    /// The words that name all nodes but `except`.
    func nodeWords(except: [Int] = []) -> [String] {
        self.addresses.indices.filter { !except.contains($0) }.flatMap { ["--node", self.addresses[$0]] }
    }

    /// Runs `gyre repair --wait` through one node.
    func repair(_ words: [String] = [], through index: Int = 0, within limit: Duration = .seconds(600)) async throws
        -> RepairReceipt
    {
        let all = ["repair", "--wait", "--json", "--timeout", "5s", "--node", self.addresses[index]] + words
        let outcome = try await self.gyre(all, within: limit)
        let receipt = try RepairReceipt(outcome)
        try demand(outcome.code == 0 && receipt.state == "done", "gyre repair: \(receipt.line) \(outcome.error)")
        return receipt
    }

    /// Writes key0 to key(keys - 1) once each with `gyre bench`; one once more, as bench runs one operation at least.
    func load(keys: Int, valueBytes: Int = 100, except: [Int] = []) async throws -> Duration {
        let words = [
            "bench", "--workload", "put", "--load", "--keys", "\(keys)", "--ops", "1", "--value-size", "\(valueBytes)",
            "--timeout", "10s", "--json",
        ]
        let outcome = try await self.gyre(words + self.nodeWords(except: except), within: .seconds(1_200))
        try demand(outcome.code == 0, "gyre bench ended with \(outcome.code): \(outcome.error)")
        return outcome.took
    }

    /// `gyre status --json`: the rows of the members that belong.
    func statusRows(except: [Int] = []) async throws -> [[String: Any]] {
        let outcome = try await self.gyre(["status", "--json", "--timeout", "4s"] + self.nodeWords(except: except))
        let object = (try? JSONSerialization.jsonObject(with: Data(outcome.out.utf8))) as? [String: Any] ?? [:]
        guard let rows = object["nodes"] as? [[String: Any]] else {
            throw Broken("gyre status ended with \(outcome.code): \(outcome.out)\(outcome.error)")
        }
        return rows.filter { $0["state"] as? String != "removed" }
    }

    /// The hints that wait, for all nodes together; nil when one of those that are up did not say what it keeps.
    func hintsPending() async throws -> Int? {
        let rows = try await self.statusRows()
        guard rows.allSatisfy({ $0["state"] as? String == "down" || $0["keys"] is NSNumber }) else { return nil }
        return rows.reduce(0) { $0 + (($1["hints_pending"] as? NSNumber)?.intValue ?? 0) }
    }

    /// A counter, summed over all nodes.
    func counterSum(_ name: String) async throws -> Int {
        try await self.statusRows().reduce(0) { sum, row in
            sum + (((row["counters"] as? [String: Any])?[name] as? NSNumber)?.intValue ?? 0)
        }
    }

    /// Waits until each node says that it holds `keys` keys: the last replica of a put may come after its answer.
    func waitUntilHeld(keys: Int, by nodes: [Int]) async throws {
        var seen: [Int] = []
        let names = nodes.map(self.name)
        try await wait(.seconds(60), until: "\(names) hold \(keys) keys each; seen \(seen)") {
            let rows = try await self.statusRows().filter { names.contains($0["name"] as? String ?? "") }
            seen = rows.map { ($0["keys"] as? NSNumber)?.intValue ?? -1 }
            return seen == Array(repeating: keys, count: nodes.count)
        }
    }
}
