import Foundation
import GyreBase
import GyreCausality
import GyreClient
import GyreMembership
import GyreMessages
import GyreServer
import NIOCore
import Testing

/// Settings that no node can start with, and what the message must name.
struct OptionCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let change: @Sendable (inout ServerOptions) -> Void
    let names: String
}

@Suite("A server")
struct LifecycleTests {
    @Test("keeps its identity and its data over a stop")
    func keepsIdentity() async throws {
        let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
        let first = try await TestServer.start()
        let socket = try RawSocket(port: first.port)
        _ = try socket.introduce()
        let put = PutRequest(
            id: RequestID(client: 1, sequence: 1), name: name, seen: .overwrite, value: ByteBuffer(string: "kept"))
        guard case .stored = try socket.ask(.put(put)) else {
            Issue.record("not stored")
            return
        }
        try await first.stop(keepingData: true)
        #expect(try socket.receive() == nil, "a stopped server keeps a connection")
        let second = try await TestServer.restart(directory: first.directory)
        #expect(second.server.node == first.server.node)
        let again = try RawSocket(port: second.port)
        _ = try again.introduce()
        guard case .found = try again.ask(.get(GetRequest(name: name))) else {
            Issue.record("not found")
            return
        }
        try await second.stop()
    }

    @Test("refuses a directory that another one uses, and names its process")
    func refusesLockedDirectory() async throws {
        try await TestServer.with { test in
            let error = await #expect(throws: ServerError.self) {
                try await TestServer.start(directory: test.directory)
            }
            #expect(error?.description.contains("\(ProcessInfo.processInfo.processIdentifier)") == true)
        }
    }

    @Test("refuses a port that is in use")
    func refusesUsedPort() async throws {
        try await TestServer.with { test in
            let directory = TestServer.makeDirectory()
            let error = await #expect(throws: ServerError.self) {
                try await TestServer.start(directory: directory) { $0.listen = test.server.listen }
            }
            #expect(error?.description.contains("in use") == true)
            try FileManager.default.removeItem(atPath: directory)
        }
    }

    @Test("refuses a directory that is a file, and one that cannot be made", arguments: ["file", "/proc/none/data"])
    func refusesUnusableDirectory(_ path: String) async throws {
        var path = path
        if path == "file" {
            path = TestServer.makeDirectory()
            try Data("x".utf8).write(to: URL(fileURLWithPath: path))
        }
        let error = await #expect(throws: ServerError.self) { try await TestServer.start(directory: path) }
        #expect(error?.description.contains(path) == true)
        if !path.hasPrefix("/proc") { try FileManager.default.removeItem(atPath: path) }
    }

    @Test(
        "refuses settings:",
        arguments: [
            OptionCase(testDescription: "W above N", change: { $0.writes = 2 }, names: "W"),
            OptionCase(testDescription: "R of 0", change: { $0.reads = 0 }, names: "R"),
            OptionCase(testDescription: "N of 8", change: { $0.replicas = 8 }, names: "N"),
            OptionCase(testDescription: "partitions of 100", change: { $0.partitionCount = 100 }, names: "100"),
            OptionCase(testDescription: "weight of 0", change: { $0.weight = 0 }, names: "weight 0"),
            OptionCase(testDescription: "a name with a space", change: { $0.name = "n 1" }, names: "n 1"),
            OptionCase(testDescription: "an empty cluster", change: { $0.cluster = "" }, names: "cluster"),
            OptionCase(
                testDescription: "a wildcard without an address to dial",
                change: { $0.listen = PeerAddress(host: "0.0.0.0", port: 0) }, names: "--advertise"),
            OptionCase(
                testDescription: "a seed with port 0",
                change: { $0.seeds = [PeerAddress(host: "localhost", port: 0)] }, names: "localhost:0"),
        ])
    func refusesSettings(_ example: OptionCase) async throws {
        let error = await #expect(throws: ServerError.self) { try await TestServer.start(example.change) }
        guard case .invalidOption(let text) = error else {
            Issue.record("\(String(describing: error)) is no usage error")
            return
        }
        #expect(text.contains(example.names), "'\(text)' does not name \(example.names)")
    }

    @Test("that is told to seek itself under another name becomes normal alone", .timeLimit(.minutes(1)))
    func survivesBeingItsOwnSeed() async throws {
        let first = try await TestServer.start()
        try await first.stop(keepingData: true)
        let listen = first.server.listen
        let second = try await TestServer.start {
            $0.listen = listen
            $0.seeds = [PeerAddress(host: "localhost", port: listen.port)]
        }
        try await Self.waitForMembers(1, at: second)
        #expect(try second.counter("handshakes_refused") == 0)
        try await second.stop()
        try FileManager.default.removeItem(atPath: first.directory)
    }

    @Test("of three finds the others, and what one stores another reads", .timeLimit(.minutes(1)))
    func formsCluster() async throws {
        let first = try await TestServer.start { Self.makeThird(&$0, "n1", seed: nil) }
        let second = try await TestServer.start { Self.makeThird(&$0, "n2", seed: first.server.listen) }
        let third = try await TestServer.start { Self.makeThird(&$0, "n3", seed: second.server.listen) }
        let all = [first, second, third]
        for test in all { try await Self.waitForMembers(3, at: test) }
        var options = ClientOptions()
        options.timeout = .seconds(5)
        let writer = try GyreClient(nodes: [first.address], options: options)
        let reader = try GyreClient(nodes: [third.address], options: options)
        for index in 0..<50 {
            try await writer.put(bucket: "b", key: "k\(index)", value: ByteBuffer(string: "v\(index)"))
            let found = try await reader.get(bucket: "b", key: "k\(index)")
            #expect(found.siblings.map(\.value) == [ByteBuffer(string: "v\(index)")])
        }
        await writer.close()
        try await second.stop()
        var get = GetOptions()
        get.timeout = .seconds(5)
        let found = try await reader.get(bucket: "b", key: "k7", options: get)
        #expect(found.siblings.map(\.value) == [ByteBuffer(string: "v7")])
        await reader.close()
        for test in [first, third] { try await test.stop() }
    }

    private static func makeThird(_ options: inout ServerOptions, _ name: String, seed: PeerAddress?) {
        options.name = name
        (options.replicas, options.reads, options.writes) = (3, 2, 2)
        options.seeds = seed.map { [$0] } ?? []
    }

    /// Waits until the node counts so many normal members in its ring.
    private static func waitForMembers(_ count: Int, at test: TestServer) async throws {
        var members: [MemberView] = []
        for _ in 0..<500 {
            let socket = try RawSocket(port: test.port)
            _ = try socket.introduce()
            if case .status(let report) = try socket.ask(.status) { members = report.members }
            if members.count(where: { $0.record.state == .normal && $0.ownedSlots > 0 }) == count { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        let seen = members.map { "\($0.record.name): \($0.record.state), \($0.ownedSlots) slots" }
        Issue.record("not \(count) members within 10 s, but \(seen)")
    }
}
