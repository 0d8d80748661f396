import Foundation
import GyreBase
import GyreMembership
import GyreMessages
import GyreServer
import GyreWire
import Testing

/// Who may be whom: one identity is one process with one disk, at whatever address.
@Suite("Identity", .serialized)
struct IdentityTests {
    /// How often each story is told; GYRE_IDENTITY_ROUNDS sets it.
    private static let rounds = Int(ProcessInfo.processInfo.environment["GYRE_IDENTITY_ROUNDS"] ?? "") ?? 5

    /// Starts the node of `directory` as a member found by `seeds`.
    private func start(
        _ name: String, _ directory: String, seeds: [TestServer] = [], port: UInt16 = 0, cluster: String = "gyre",
        awayMax: TimeSpan? = nil
    ) async throws -> TestServer {
        var limits = ShellLimits()
        limits.presenceInterval = .milliseconds(1)
        return try await TestServer.restart(directory: directory, limits: limits) { options in
            options.awayMax = awayMax
            options.name = name
            options.cluster = cluster
            options.listen = PeerAddress(host: "127.0.0.1", port: port)
            options.seeds = seeds.map(\.server.listen)
        }
    }

    /// Why the node of `directory` does not start; nil if it does, and is then stopped again.
    private func refusal(
        _ name: String, _ directory: String, seeds: [TestServer] = [], awayMax: TimeSpan? = nil
    ) async throws -> String? {
        do {
            let server = try await self.start(name, directory, seeds: seeds, awayMax: awayMax)
            try await server.stop(keepingData: true)
            return nil
        } catch ServerError.refused(let text) { return text }
    }

    private func report(of server: TestServer) throws -> StatusReport? {
        let socket = try RawSocket(port: server.port)
        _ = try socket.introduce()
        guard case .status(let report) = try socket.ask(.status) else { return nil }
        return report
    }

    private func record(of node: NodeID, at server: TestServer) throws -> MemberRecord? {
        try self.report(of: server)?.members.first { $0.record.node == node }?.record
    }

    /// Waits until `condition` holds; false after ten seconds.
    private func eventually(_ condition: () throws -> Bool) async throws -> Bool {
        for _ in 0..<500 {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    private func copy(_ directory: String) throws -> String {
        let copy = TestServer.makeDirectory()
        try FileManager.default.copyItem(atPath: directory, toPath: copy)
        return copy
    }

    private func remove(_ directories: String...) {
        for directory in directories { try? FileManager.default.removeItem(atPath: directory) }
    }

    @Test("a node that was removed does not start again, and says what to do")
    func removed() async throws {
        let first = try await self.start("n1", TestServer.makeDirectory())
        for _ in 0..<Self.rounds {
            let directory = TestServer.makeDirectory()
            let second = try await self.start("n2", directory, seeds: [first])
            #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .normal })
            try await second.stop(keepingData: true)
            var ban = try #require(try self.record(of: second.server.node, at: first))
            ban.state = .removed
            let peer = try RawSocket(port: first.port)
            try peer.send(
                .hello(
                    Hello(
                        protocolVersion: 1, cluster: "gyre",
                        role: .peer(
                            node: NodeID(rawValue: 77), address: PeerAddress(host: "127.0.0.1", port: 9),
                            partitionCount: 8, replicas: 1))))
            _ = try peer.receive()
            try peer.send(.peer(.membership(.state([ban]))))
            #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .removed })
            let text = try await self.refusal("n2", directory, seeds: [first])
            #expect(text?.contains("was removed from cluster 'gyre'") == true, "\(text ?? "started")")
            #expect(text?.contains("gyre replace") == true)
            self.remove(directory)
        }
        try await first.stop()
    }

    @Test("a copy of a running node's directory does not start")
    func copied() async throws {
        let first = try await self.start("n1", TestServer.makeDirectory())
        let directory = TestServer.makeDirectory()
        var second = try await self.start("n2", directory, seeds: [first])
        for _ in 0..<Self.rounds {
            #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .normal })
            try await second.stop(keepingData: true)
            let copy = try self.copy(directory)
            second = try await self.start("n2", directory, seeds: [first])
            let address = second.address
            #expect(
                try await self.eventually {
                    try self.record(of: second.server.node, at: first)?.address.description == address
                })
            let text = try await self.refusal("n2", copy, seeds: [first])
            #expect(
                text?.contains("running already, at \(address)") == true || text?.contains("older than") == true,
                "\(text ?? "started")")
            self.remove(copy)
        }
        try await second.stop()
        try await first.stop()
    }

    @Test("of two processes with one identity that met late, the later one ends and both say so")
    func twins() async throws {
        for _ in 0..<Self.rounds {
            let home = TestServer.makeDirectory()
            var first = try await self.start("n1", home)
            let directory = TestServer.makeDirectory()
            var second = try await self.start("n2", directory, seeds: [first])
            #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .normal })
            let port = first.port
            try await second.stop(keepingData: true)
            try await first.stop(keepingData: true)
            let copy = try self.copy(directory)
            // Nobody who could tell is up, so both start.
            second = try await self.start("n2", directory)
            try await Task.sleep(for: .milliseconds(20))
            let twin = try await self.start("n2", copy)
            first = try await self.start("n1", home, port: port)
            do {
                try await twin.server.waitUntilStopped()
                Issue.record("the twin ended without a word")
            } catch ServerError.refused(let text) {
                #expect(text.contains("identity") && text.contains(second.address), "\(text)")
            }
            await twin.server.close()
            let report = try #require(try self.report(of: second))
            #expect(report.counters.contains { $0.name == StatusReport.identityInUse && $0.value == 1 })
            try await second.stop()
            try await first.stop()
            self.remove(copy, home)
        }
    }

    @Test("a node that meets itself through a proxy serves on and reports no twin")
    func proxy() async throws {
        let proxy = try await Proxy()
        let server = try await TestServer.start { $0.seeds = [proxy.address] }
        proxy.target = server.server.listen
        #expect(try await self.eventually { try server.counter("handshakes_refused") > 0 })
        // That it was itself is known once the refusal is read; from then on it is not dialled again.
        #expect(try await self.eventually { try server.counter(StatusReport.identityInUse) == 0 })
        let dials = proxy.connections
        try await Task.sleep(for: .milliseconds(1_500))
        #expect(proxy.connections == dials)
        #expect(try server.counter(StatusReport.identityInUse) == 0)
        try await server.stop()
        try await proxy.close()
    }

    @Test(
        "the refusal of a twin can be read again, whatever the address",
        arguments: ["127.0.0.1:7400", "[::1]:7400", "a.b.example:1", "[fe80::1%eth0]:65535"])
    func refusalText(address: String) throws {
        let twin = TwinRefusal(
            startedAt: WallTime(milliseconds: 1_700_000_000_000), address: try #require(PeerAddress(parsing: address)),
            process: .max)
        #expect(TwinRefusal(reason: twin.reason) == twin)
        let later = TwinRefusal(startedAt: WallTime(milliseconds: .max), address: twin.address, process: 0)
        #expect(twin < later)
        let texts = [
            "", "[twin", "[twin 1 2 ]  x", "[twin 1 2 h:1 x", "[twin -1 2 h:1] x", "[twin 1 g h:1] x",
            "twin 1 2 h:1] x",
            "[twin 1 2 h:70000] x", "[twin 99999999999999999999 2 h:1] x",
        ]
        for text in texts { #expect(TwinRefusal(reason: text) == nil, "\(text)") }
    }

    @Test("a disk that was restored from an older copy does not start")
    func rolledBack() async throws {
        let first = try await self.start("n1", TestServer.makeDirectory())
        for _ in 0..<Self.rounds {
            let directory = TestServer.makeDirectory()
            var second = try await self.start("n2", directory, seeds: [first])
            #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.leased ?? 0 > 1 })
            let before = try self.record(of: second.server.node, at: first)?.leased ?? 0
            try await second.stop(keepingData: true)
            let backup = try self.copy(directory)
            second = try await self.start("n2", directory, seeds: [first])
            #expect(
                try await self.eventually { try self.record(of: second.server.node, at: first)?.leased ?? 0 > before })
            try await second.stop(keepingData: true)
            let text = try await self.refusal("n2", backup, seeds: [first])
            #expect(text?.contains("older than what the cluster has seen") == true, "\(text ?? "started")")
            // The disk that was not restored is as good as before.
            #expect(try await self.refusal("n2", directory, seeds: [first]) == nil)
            self.remove(directory, backup)
        }
        try await first.stop()
    }

    /// Waits until the node knows that it takes part, and a second more, in which it notes it.
    private func noted(_ server: TestServer) async throws {
        let isPresent = try await self.eventually { try server.counter("present_since_milliseconds") > 0 }
        #expect(isPresent, "not present")
        try await Task.sleep(for: .milliseconds(1_100))
    }

    @Test("a node that was away for too long does not start while the cluster goes on, unless it is let")
    func awayForTooLong() async throws {
        let longest = TimeSpan.milliseconds(1_500)
        let first = try await self.start("n1", TestServer.makeDirectory())
        try await self.noted(first)
        let directory = TestServer.makeDirectory()
        // Told often enough already at a fifth: one story is five seconds of waiting.
        for _ in 0..<(Self.rounds + 4) / 5 {
            // The last life of the story before was too short for a note.
            let second = try await self.start("n2", directory, seeds: [first])
            #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .normal })
            try await self.noted(second)
            try await second.stop(keepingData: true)
            #expect(try await self.refusal("n2", directory, seeds: [first], awayMax: .seconds(3_600)) == nil)
            try await Task.sleep(for: .milliseconds(1_700))
            for _ in 0..<2 {
                // Being refused does not make it a node that was there a moment ago.
                let text = try await self.refusal("n2", directory, seeds: [first], awayMax: longest)
                #expect(text?.contains("cluster 'gyre' went on without it") == true, "\(text ?? "started")")
                #expect(text?.contains("--away-max") == true && text?.contains("gyre remove n2") == true)
            }
            #expect(try await self.refusal("n2", directory, seeds: [first]) == nil)
        }
        try await first.stop()
        self.remove(directory)
    }

    @Test("nodes that were away for long all at once start again")
    func allAway() async throws {
        let longest = TimeSpan.milliseconds(1_500)
        let (a, b) = (TestServer.makeDirectory(), TestServer.makeDirectory())
        var first = try await self.start("n1", a, awayMax: longest)
        var second = try await self.start("n2", b, seeds: [first], awayMax: longest)
        #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .normal })
        try await self.noted(first)
        try await self.noted(second)
        let ports = [first.port, second.port]
        try await second.stop(keepingData: true)
        try await first.stop(keepingData: true)
        try await Task.sleep(for: .milliseconds(1_700))
        // Nobody can say for how long the cluster has been there: the first to come does not know whether it may take part.
        first = try await self.start("n1", a, port: ports[0], awayMax: longest)
        try await Task.sleep(for: .milliseconds(1_200))
        #expect(try first.counter("present_since_milliseconds") == 0)
        second = try await self.start("n2", b, port: ports[1], awayMax: longest)
        try await self.noted(first)
        try await self.noted(second)
        try await second.stop()
        try await first.stop()
    }

    @Test("a node that was away for too long and started unasked ends when it meets the cluster")
    func awayAndUnasked() async throws {
        let longest = TimeSpan.milliseconds(1_500)
        let (a, b) = (TestServer.makeDirectory(), TestServer.makeDirectory())
        var first = try await self.start("n1", a)
        var second = try await self.start("n2", b, seeds: [first], awayMax: longest)
        #expect(try await self.eventually { try self.record(of: second.server.node, at: first)?.state == .normal })
        try await self.noted(first)
        try await self.noted(second)
        let port = first.port
        try await second.stop(keepingData: true)
        try await Task.sleep(for: .milliseconds(1_700))
        try await first.stop(keepingData: true)
        second = try await self.start("n2", b, awayMax: longest)
        first = try await self.start("n1", a, port: port)
        do {
            try await second.server.waitUntilStopped()
            Issue.record("the node ended without a word")
        } catch ServerError.refused(let text) {
            #expect(text.contains("cluster 'gyre' went on without it"), "\(text)")
        }
        await second.server.close()
        #expect(try first.counter("present_since_milliseconds") > 0)
        try await first.stop()
        self.remove(b)
    }

    @Test("two nodes that swapped their addresses are the same two nodes")
    func swapped() async throws {
        let (a, b) = (TestServer.makeDirectory(), TestServer.makeDirectory())
        let first = try await self.start("n1", TestServer.makeDirectory())
        var second = try await self.start("n2", a, seeds: [first])
        var third = try await self.start("n3", b, seeds: [first])
        for _ in 0..<Self.rounds {
            let (nodes, ports) = ([second.server.node, third.server.node], [second.port, third.port])
            try await second.stop(keepingData: true)
            try await third.stop(keepingData: true)
            second = try await self.start("n2", a, seeds: [first], port: ports[1])
            third = try await self.start("n3", b, seeds: [first], port: ports[0])
            #expect([second.server.node, third.server.node] == nodes)
            let all = [first, second, third]
            #expect(
                try await self.eventually {
                    let sorted = try all.allSatisfy { server in
                        let one = try self.record(of: nodes[0], at: server)
                        let other = try self.record(of: nodes[1], at: server)
                        return one?.address.port == ports[1] && other?.address.port == ports[0]
                            && one?.liveness == .alive && other?.liveness == .alive
                    }
                    return try sorted && Set(all.map { try self.report(of: $0)?.ringHash }).count == 1
                })
        }
        try await second.stop()
        try await third.stop()
        try await first.stop()
    }

    @Test("a seed of another cluster takes nobody in")
    func wrongSeed() async throws {
        let first = try await self.start("n1", TestServer.makeDirectory())
        for _ in 0..<Self.rounds {
            let directory = TestServer.makeDirectory()
            let refused = try first.counter("handshakes_refused")
            let other = try await self.start("n2", directory, seeds: [first], cluster: "other")
            #expect(try await self.eventually { try first.counter("handshakes_refused") > refused })
            #expect(try self.report(of: first)?.members.count == 1)
            #expect(try self.report(of: other)?.members.count == 1)
            try await other.stop(keepingData: true)
            // Nor does the directory change sides.
            do {
                let moved = try await TestServer.start(directory: directory) { $0.name = "n2" }
                try await moved.stop()
                Issue.record("the directory of another cluster was opened")
            } catch ServerError.storage(let text) {
                #expect(text.contains("other") && text.contains("gyre"), "\(text)")
            }
            self.remove(directory)
        }
        try await first.stop()
    }
}
