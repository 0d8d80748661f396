import Foundation
import Glibc

/// Nodes are ready at once and find each other in any order, also when their seeds come later.
struct Start {
    private static let readyMax = Duration.seconds(1)
    private static let normalMax = Duration.seconds(3)
    /// A node that waits for its seeds asks them every five seconds at the least.
    private static let seedsMax = Duration.seconds(8)
    private let cluster: TestCluster

    init(_ cluster: TestCluster) { self.cluster = cluster }

    func run() async throws {
        try await self.together()
        try await self.again()
        for order in [[2, 1, 0], [1, 0, 2]] { try await self.oneByOne(order) }
        try await self.seedsLater()
        say("start: every node ready within \(milliseconds(Self.readyMax)) ms of its start")
    }

    private func together() async throws {
        try await self.fresh()
        let began = ContinuousClock.now
        for index in 0..<3 { try self.cluster.start(index) }
        let slowest = try await self.readyInTime([0, 1, 2])
        try await self.cluster.waitUntilNormal(within: Self.normalMax - (.now - began))
        say(
            "  three at once: ready after \(milliseconds(slowest)) ms, normal everywhere after "
                + "\(milliseconds(.now - began)) ms")
    }

    /// The same nodes with what they have on disk.
    private func again() async throws {
        try await self.cluster.killTogether([0, 1, 2])
        let began = ContinuousClock.now
        for index in 0..<3 { try self.cluster.start(index) }
        let slowest = try await self.readyInTime([0, 1, 2])
        try await self.cluster.waitUntilNormal(within: Self.normalMax - (.now - began))
        say(
            "  the same three after kill -9: ready after \(milliseconds(slowest)) ms, normal everywhere after "
                + "\(milliseconds(.now - began)) ms")
    }

    private func oneByOne(_ order: [Int]) async throws {
        try await self.fresh()
        var slowest = Duration.zero
        var last = ContinuousClock.now
        for index in order {
            last = .now
            try self.cluster.start(index)
            slowest = max(slowest, try await self.readyInTime([index]))
            try await Task.sleep(for: .milliseconds(500))
        }
        try await self.cluster.waitUntilNormal(within: Self.normalMax)
        let names = order.map(self.cluster.name).joined(separator: ", ")
        say(
            "  one by one \(names): ready after \(milliseconds(slowest)) ms, normal everywhere "
                + "\(milliseconds(.now - last)) ms after the last start")
    }

    /// Only the third node knows addresses of others, and nobody listens there for five seconds.
    private func seedsLater() async throws {
        try await self.fresh()
        try self.cluster.start(2, seeds: [0, 1])
        var slowest = try await self.readyInTime([2])
        try await Task.sleep(for: .seconds(5))
        let began = ContinuousClock.now
        for index in [0, 1] { try self.cluster.start(index, seeds: [0, 1]) }
        slowest = max(slowest, try await self.readyInTime([0, 1]))
        try await self.cluster.waitUntilNormal(within: Self.seedsMax - (.now - began))
        say(
            "  seeds 5 s later: ready after \(milliseconds(slowest)) ms, normal everywhere "
                + "\(milliseconds(.now - began)) ms after they started")
    }

    private func readyInTime(_ indices: [Int]) async throws -> Duration {
        var slowest = Duration.zero
        for index in indices { slowest = max(slowest, try await self.cluster.ready(index)) }
        try demand(slowest <= Self.readyMax, "a node was ready only after \(milliseconds(slowest)) ms")
        return slowest
    }

    /// No nodes and nothing on disk.
    private func fresh() async throws {
        for index in 0..<3 {
            try await self.cluster.stop(index, SIGKILL)
            let path = self.cluster.data(index)
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        }
    }
}
