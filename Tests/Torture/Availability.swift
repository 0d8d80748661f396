import Foundation
import Glibc
import GyreClient
import NIOCore
import Synchronization

/// One dead node costs nobody an answer; two dead ones cost a clear refusal in time.
struct Availability {
    private static let deadline = Duration.seconds(1)
    /// The deadline and a tenth: this program and the nodes share their processors.
    private static let slowest = Duration.milliseconds(1_100)
    private static let detection = Duration.seconds(5)
    private static let back = Duration.seconds(2)
    private static let clients = 8
    private let cluster: TestCluster

    /// One put or get that has ended.
    private struct Sample: Sendable {
        let began: ContinuousClock.Instant
        let ended: ContinuousClock.Instant
        let error: GyreError?
        var took: Duration { self.ended - self.began }
    }

    private final class Samples: Sendable {
        let list = Mutex<[Sample]>([])
        let isOver = Atomic<Bool>(false)
        /// What began and ended in that time.
        func within(_ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant) -> [Sample] {
            self.list.withLock { $0.filter { $0.began >= start && $0.ended < end } }
        }
        /// What was under way in that time.
        func touching(_ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant) -> [Sample] {
            self.list.withLock { $0.filter { $0.began < end && $0.ended >= start } }
        }
    }

    init(_ cluster: TestCluster) { self.cluster = cluster }

    func run() async throws {
        try await self.cluster.startAll()
        let samples = Samples()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<Self.clients {
                let client = try self.cluster.makeClient(timeout: Self.deadline, name: "torture-\(number)")
                group.addTask {
                    await Self.work(client, number, into: samples)
                    await client.close()
                }
            }
            defer { samples.isOver.store(true, ordering: .relaxed) }
            try await self.killOneThenTwo(samples)
            samples.isOver.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
        try await self.bringBack()
    }

    /// Even clients put, odd ones get.
    private static func work(_ client: GyreClient, _ number: Int, into samples: Samples) async {
        var put = PutOptions()
        put.mode = .overwrite
        put.writes = .count(2)
        var get = GetOptions()
        get.reads = .count(2)
        var turn = 0
        while !samples.isOver.load(ordering: .relaxed) {
            let key = "key-\(turn % 500)"
            let began = ContinuousClock.now
            var failure: GyreError?
            do throws(GyreError) {
                if number % 2 == 0 {
                    let value = ByteBuffer(string: "\(number)/\(turn)")
                    try await client.put(bucket: "torture", key: key, value: value, options: put)
                } else {
                    _ = try await client.get(bucket: "torture", key: key, options: get)
                }
            } catch { failure = error }
            let sample = Sample(began: began, ended: .now, error: failure)
            samples.list.withLock { $0.append(sample) }
            turn += 1
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    private func killOneThenTwo(_ samples: Samples) async throws {
        let started = ContinuousClock.now
        try await Task.sleep(for: .seconds(2))
        let killed = ContinuousClock.now
        try await self.cluster.stop(2, SIGKILL)
        let noticed = try await self.waitUntilDown([2], seenBy: [0, 1])
        let detected = ContinuousClock.now
        try await Task.sleep(for: .seconds(3))
        let end = ContinuousClock.now
        let before = samples.within(started, killed)
        let during = samples.touching(killed, detected)
        let after = samples.within(detected, end)
        self.report("three nodes", before)
        self.report("one dead, not yet noticed (\(milliseconds(noticed)) ms)", during)
        self.report("one dead and noticed", after)
        try demand(before.count > 100 && after.count > 100, "next to nothing was asked")
        try demand(before.allSatisfy { $0.error == nil }, "an error while all nodes ran: \(Self.first(before))")
        try demand(after.allSatisfy { $0.error == nil }, "an error after detection: \(Self.first(after))")
        try self.demandInTime(before + during + after)
        try await self.comeAndGo(samples)
        try await self.freeze(samples)

        let killedSecond = ContinuousClock.now
        try await self.cluster.stop(1, SIGKILL)
        let noticedSecond = try await self.waitUntilDown([1, 2], seenBy: [0])
        let detectedSecond = ContinuousClock.now
        try await Task.sleep(for: .seconds(2))
        let duringSecond = samples.touching(killedSecond, detectedSecond)
        let refused = samples.within(detectedSecond, .now)
        self.report("two dead, not yet noticed (\(milliseconds(noticedSecond)) ms)", duringSecond)
        self.report("two dead and noticed", refused)
        try self.demandInTime(duringSecond + refused)
        try demand(refused.count > 20, "next to nothing was asked with two nodes dead")
        for sample in refused {
            let isTyped = sample.error.map { $0.code == .unavailable && $0.needed == 2 && $0.got == 1 } ?? false
            try demand(isTyped, "not 'unavailable needed 2 got 1': \(sample.error.map { "\($0)" } ?? "done")")
        }
        try await self.demandCommandsRefused()
    }

    /// A node that comes back costs no answer either, however often.
    private func comeAndGo(_ samples: Samples) async throws {
        var returns: [Sample] = []
        for _ in 0..<3 {
            let began = ContinuousClock.now
            try self.cluster.start(2)
            try await self.cluster.ready(2)
            try await self.cluster.waitUntilNormal(within: Self.back)
            try await Task.sleep(for: .milliseconds(1_500))
            let end = ContinuousClock.now
            returns += samples.within(began, end)
            try await self.cluster.stop(2, SIGKILL)
            try await self.waitUntilDown([2], seenBy: [0, 1])
        }
        self.report("the dead one back, three times", returns)
        try demand(returns.allSatisfy { $0.error == nil }, "an error while a node came back: \(Self.first(returns))")
        try self.demandInTime(returns)
    }

    /// A node that stands still closes no connection: only the want of its answers tells that it is gone.
    private func freeze(_ samples: Samples) async throws {
        try self.cluster.start(2)
        try await self.cluster.ready(2)
        try await self.cluster.waitUntilNormal(within: Self.back)
        try await Task.sleep(for: .seconds(1))
        let frozen = ContinuousClock.now
        self.cluster.signal(2, SIGSTOP)
        let noticed = try await self.waitUntilDown([2], seenBy: [0, 1])
        let detected = ContinuousClock.now
        try await Task.sleep(for: .seconds(3))
        let end = ContinuousClock.now
        try await self.cluster.stop(2, SIGKILL)
        let during = samples.touching(frozen, detected)
        let after = samples.within(detected, end)
        self.report("one frozen, not yet noticed (\(milliseconds(noticed)) ms)", during)
        self.report("one frozen and noticed", after)
        try self.demandInTime(during + after)
        try demand(after.allSatisfy { $0.error == nil }, "an error after detection: \(Self.first(after))")
    }

    /// Waits until each of `observers` says that exactly the nodes `dead` are dead.
    @discardableResult
    private func waitUntilDown(_ dead: [Int], seenBy observers: [Int]) async throws -> Duration {
        let expected = dead.map(self.cluster.name)
        let clients = try observers.map { try PinnedClient(self.cluster.addresses[$0]) }
        let result = await Result.catching {
            try await wait(Self.detection, until: "a dead node is noticed") {
                for client in clients where await client.deadMembers()?.sorted() != expected { return false }
                return true
            }
        }
        for client in clients { await client.close() }
        return try result.get()
    }

    /// What a person and a script see with two nodes dead.
    private func demandCommandsRefused() async throws {
        for words in [["put", "key-1", "value"], ["put", "--blind", "key-1", "value"], ["get", "key-1"]] {
            let all = words + ["--bucket", "torture", "--timeout", "1s", "--node", self.cluster.addresses[0]]
            let plain = try await self.cluster.gyre(all)
            let what = "gyre \(words.joined(separator: " "))"
            try demand(plain.code == 2, "\(what) ended with \(plain.code): \(plain.error)")
            try demand(
                plain.error.contains("unavailable") && plain.error.contains("needed 2")
                    && plain.error.contains("reached 1"), "\(what) said: \(plain.error)")
            // A process must be started as well.
            try demand(plain.took <= Self.slowest + .milliseconds(300), "\(what) took \(plain.took)")
            let json = try await self.cluster.gyre(all + ["--json"])
            let object = try JSONSerialization.jsonObject(with: Data(json.out.utf8)) as? [String: Any] ?? [:]
            let isRight =
                json.code == 2 && object["error"] as? String == "unavailable" && object["needed"] as? Int == 2
                && object["got"] as? Int == 1 && object["may_have_happened"] as? Bool == false
                && object["message"] is String && object["try"] is String
            try demand(isRight, "\(what) --json said: \(json.code) \(json.out)")
            say(
                "  \(what): exit code 2 after \(milliseconds(plain.took)) ms: "
                    + plain.error.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    private func bringBack() async throws {
        for index in [1, 2] { try self.cluster.start(index) }
        for index in [1, 2] { try await self.cluster.ready(index) }
        let ready = ContinuousClock.now
        try await self.cluster.waitUntilNormal(within: Self.back)
        let seen = ContinuousClock.now - ready
        let status = try await self.cluster.gyre(["status", "--node", self.cluster.addresses[0]])
        let lastLine = status.out.split(separator: "\n").last.map(String.init) ?? ""
        try demand(status.code == 0 && lastLine == "healthy", "gyre status said: \(status.out)\(status.error)")
        say(
            "availability: both are back and seen by all \(milliseconds(seen)) ms after their ready lines; "
                + "status: healthy"
        )
    }

    // MARK: - Figures

    private func demandInTime(_ samples: [Sample]) throws {
        guard let worst = samples.max(by: { $0.took < $1.took }) else { return }
        try demand(
            worst.took <= Self.slowest,
            "an operation took \(milliseconds(worst.took)) ms: \(worst.error.map { "\($0)" } ?? "done")")
    }

    private func report(_ window: String, _ samples: [Sample]) {
        var errors: [String: Int] = [:]
        for sample in samples {
            if let error = sample.error { errors[error.code.rawValue, default: 0] += 1 }
        }
        let kinds = errors.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let slowest = samples.map(\.took).max() ?? .zero
        say(
            "  \(window): \(samples.count) operations, errors \(kinds.isEmpty ? "0" : kinds.joined(separator: ", ")), "
                + "slowest \(milliseconds(slowest)) ms")
    }

    private static func first(_ samples: [Sample]) -> String {
        samples.lazy.compactMap(\.error).first.map { "\($0)" } ?? "none"
    }
}
