import Glibc
import GyreBase
import GyreCausality
import GyreClient
import GyreMessages
import NIOCore

/// A record damaged on one disk is never shown, and comes back whole from the other replicas.
struct Corruption {
    private static let victim = 1
    private static let healing = Duration.seconds(15)
    private let keys: Int
    private let seed: UInt64
    private let cluster: TestCluster

    init(_ words: Words, _ cluster: TestCluster) {
        self.keys = max(10, words.number("keys", or: 200))
        self.seed = words.seed
        self.cluster = cluster
    }

    func run() async throws {
        say("corruption: seed \(self.seed)")
        try await self.cluster.startAll()
        let names = try (0..<self.keys).map { try objectName("key-\($0)") }
        let writer = try PinnedClient(self.cluster.addresses[0], timeout: .seconds(5))
        for (index, name) in names.enumerated() {
            try await writer.put(name, Self.value(index), .blind, writes: .all)
        }
        await writer.close()

        let code = try await self.cluster.stop(Self.victim, SIGTERM)
        try demand(code == 0, "asked to stop, the node ended with \(code)")
        let whole = try self.damage(names)
        try await self.startVictim()
        let counts = try await self.readThrough(names)
        try await self.cluster.stop(Self.victim, SIGTERM)
        try StoppedStore.open(self.cluster.data(Self.victim)) { store in
            for (name, bytes) in zip(names, whole) {
                try demand(try store.isWhole(name), "\(name) is still damaged on disk")
                try demand(try store.bytes(of: name) == bytes, "\(name) was healed to something else")
            }
        }
        say(
            "corruption: \(self.keys) records damaged, 0 damaged values read, corrupt_records \(counts.found), "
                + "healed \(counts.healed), refusals while healing \(counts.refused), whole on disk again \(self.keys)")
    }

    private func startVictim() async throws {
        try self.cluster.start(Self.victim)
        try await self.cluster.ready(Self.victim)
        // A record is healed only while all its owners can be asked.
        try await self.cluster.waitUntilNormal(within: .seconds(15))
    }

    /// Damages every record in one of several ways; returns the bytes from before.
    private func damage(_ names: [ObjectName]) throws -> [ByteBuffer] {
        var random = SeededRandom(seed: self.seed)
        var whole: [ByteBuffer] = []
        try StoppedStore.open(self.cluster.data(Self.victim)) { store in
            whole = try names.map(store.bytes)
            for (index, name) in names.enumerated() {
                var bytes = whole[index]
                let place = bytes.readerIndex + Int(random.below(UInt64(bytes.readableBytes)))
                switch index % 5 {
                case 0, 1:  // One bit anywhere, the value included.
                    let old = bytes.getInteger(at: place, as: UInt8.self) ?? 0
                    bytes.setInteger(old ^ (1 << UInt8(random.below(8))), at: place)
                case 2:  // The end is missing.
                    bytes.moveWriterIndex(to: place)
                case 3:  // The record of another key.
                    bytes = whole[(index + 1) % whole.count]
                default:  // A torn sector.
                    bytes.setRepeatingByte(0, count: bytes.writerIndex - place, at: place)
                }
                try store.put(name, bytes)
                try demand(!(try store.isWhole(name)), "the damage of kind \(index % 5) does not show")
            }
        }
        return whole
    }

    /// Reads every key through the damaged node, in turn with one replica and with two, until all are healed.
    private func readThrough(_ names: [ObjectName]) async throws -> (found: UInt64, healed: UInt64, refused: Int) {
        let reader = try PinnedClient(self.cluster.addresses[Self.victim], timeout: .seconds(2))
        var refused = 0
        for (index, name) in names.enumerated() {
            do {
                let values = try await reader.get(name, reads: .count(index % 2 == 0 ? 1 : 2)).values
                try demand(values == [Self.value(index)], "\(name) was read as \(values)")
            } catch let error as GyreError {
                // A refusal is honest, though two whole replicas are there.
                refused += 1
                say("  \(name) with R=\(index % 2 + 1): \(error)")
            }
        }
        try demand(refused == 0, "\(refused) reads were refused with two whole replicas at hand")
        try await wait(Self.healing, until: "all \(names.count) records are healed") {
            try await reader.counter("healed") >= UInt64(names.count)
        }
        for (index, name) in names.enumerated() {
            let values = try await reader.get(name, reads: .count(1)).values
            try demand(values == [Self.value(index)], "\(name) was read as \(values) after it was healed")
        }
        let found = try await reader.counter("corrupt_records")
        let healed = try await reader.counter("healed")
        await reader.close()
        try demand(found >= UInt64(names.count), "only \(found) of \(names.count) damaged records were counted")
        return (found, healed, refused)
    }

    private static func value(_ index: Int) -> String {
        "value \(index) " + String(repeating: "abcdefghij", count: 10)
    }
}
