import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreServer
import GyreWire
import NIOCore
import Testing

/// A hello, and what the refusal of it must name.
struct HelloCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let hello: Hello
    let names: [String]

    init(_ description: String, _ hello: Hello, names: [String]) {
        self.testDescription = description
        self.hello = hello
        self.names = names
    }
}

private func peer(
    cluster: String = "gyre", partitions: UInt32 = 8, replicas: UInt8 = 1, port: UInt16 = 9
) -> Hello {
    Hello(
        protocolVersion: 1, cluster: cluster,
        role: .peer(
            node: NodeID(rawValue: 77), address: PeerAddress(host: "127.0.0.1", port: port), partitionCount: partitions,
            replicas: replicas))
}

@Suite("The handshake")
struct HandshakeTests {
    @Test(
        "refuses",
        arguments: [
            HelloCase("a peer of another cluster", peer(cluster: "other"), names: ["other", "gyre"]),
            HelloCase("a peer with other partitions", peer(partitions: 16), names: ["16", "8"]),
            HelloCase("a peer with other replicas", peer(replicas: 3), names: ["3", "1"]),
            HelloCase(
                "a client of another cluster",
                Hello(protocolVersion: 1, cluster: "other", role: .client(name: "c")), names: ["other", "gyre"]),
            HelloCase(
                "protocol version 0", Hello(protocolVersion: 0, cluster: "", role: .client(name: "c")), names: ["0"]),
        ])
    func refuses(_ example: HelloCase) async throws {
        try await TestServer.with { test in
            let socket = try RawSocket(port: test.port)
            try socket.send(.hello(example.hello))
            guard case .helloReply(.refused(let reason)) = try socket.receive() else {
                Issue.record("no refusal")
                return
            }
            for name in example.names { #expect(reason.contains(name), "'\(reason)' does not name \(name)") }
            #expect(try socket.receive() == nil)
            #expect(try test.counter("handshakes_refused") == 1)
        }
    }

    @Test("dials a peer back, which gets the answer to what it asked before that")
    func answersEarlyQuestions() async throws {
        try await TestServer.with { test in
            let listener = try RawListener()
            let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
            var first = ByteBuffer()
            try FrameEncoder.encode(.hello(peer(port: listener.port)), into: &first)
            let question = ClientRequest.get(GetRequest(name: name))
            try FrameEncoder.encode(
                .peer(.forward(tag: 5, timeoutMilliseconds: 5_000, question)), into: &first)
            let socket = try RawSocket(port: test.port)
            try socket.send(first.readableBytesView)
            let back = try listener.accept()
            #expect(try back.welcome(as: NodeID(rawValue: 77), cluster: "gyre") != nil)
            var answer: ClientResponse?
            let end = ContinuousClock.now + .seconds(5)
            while answer == nil, ContinuousClock.now < end, let frame = try back.receive() {
                if case .peer(.forwarded(tag: 5, let response)) = frame { answer = response }
            }
            #expect(answer == .notFound(context: VersionVector()))
        }
    }

    @Test("refuses another process under this node's identity")
    func refusesOwnIdentity() async throws {
        try await TestServer.with { test in
            let socket = try RawSocket(port: test.port)
            try socket.send(
                .hello(
                    Hello(
                        protocolVersion: 1, cluster: "gyre",
                        role: .peer(
                            node: test.server.node, address: PeerAddress(host: "127.0.0.1", port: 9),
                            partitionCount: 8, replicas: 1))))
            guard case .helloReply(.refused(let reason)) = try socket.receive() else {
                Issue.record("no refusal")
                return
            }
            #expect(reason.contains("identity"))
        }
    }

    @Test("answers a newer protocol with the version that both know")
    func negotiatesDown() async throws {
        try await TestServer.with { test in
            let socket = try RawSocket(port: test.port)
            try socket.send(.hello(Hello(protocolVersion: 9, cluster: "gyre", role: .client(name: "new"))))
            #expect(
                try socket.receive()
                    == .helloReply(.welcome(protocolVersion: 2, cluster: "gyre", node: test.server.node)))
        }
    }

    @Test("a node that its seed refuses acknowledges nothing by itself")
    func doesNotGoAlone() async throws {
        try await TestServer.with { seed in
            for cluster in ["other", "gyre"] {
                try await TestServer.with({
                    $0.cluster = cluster
                    $0.partitionCount = cluster == "gyre" ? 16 : 8
                    $0.seeds = [seed.server.listen]
                }) { test in
                    // Alone it would be a member after a second.
                    try await Task.sleep(for: .milliseconds(2_500))
                    let socket = try RawSocket(port: test.port)
                    _ = try socket.introduce()
                    let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
                    #expect(try socket.ask(.get(GetRequest(name: name))) == .failed(.notMember))
                    guard case .status(let report) = try socket.ask(.status) else {
                        Issue.record("no status")
                        return
                    }
                    #expect(report.members.map(\.record.state) == [.joining])
                }
            }
        }
    }
}
