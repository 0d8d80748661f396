import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreServer
import NIOCore
import Testing

/// The client against real nodes in this process.
@Suite(.timeLimit(.minutes(2))) struct ClientWithRealNodeTests {
    private static func client(of addresses: [String]) throws -> GyreClient {
        var options = ClientOptions()
        options.timeout = .seconds(5)
        return try GyreClient(nodes: addresses, options: options)
    }

    @Test func putGetAndDeleteGoAllTheWay() async throws {
        try await TestServer.with { test in
            let client = try Self.client(of: [test.address])
            try await test.untilNormal(client)
            #expect(try await client.get(bucket: "b", key: "k").isFound == false)
            var options = PutOptions()
            options.contentType = "text/plain"
            options.timeToLive = .seconds(60)
            options.metadata = [UserMetadata(name: ByteBuffer(string: "f"), value: ByteBuffer(string: "v"))]
            for value in ["one", "two"] {
                try await client.put(bucket: "b", key: "k", value: ByteBuffer(string: value), options: options)
            }
            let found = try await client.get(bucket: "b", key: "k")
            #expect(found.siblings.map { String(buffer: $0.value) } == ["two"])
            #expect(found.siblings.map(\.contentType) == ["text/plain"])
            #expect(found.siblings.allSatisfy { $0.metadata == options.metadata })
            #expect(
                found.siblings.allSatisfy { sibling in
                    (59_000...60_000).contains((sibling.expiryMilliseconds ?? 0) - sibling.modifiedMilliseconds)
                }
            )
            options.mode = .blind
            try await client.put(bucket: "b", key: "k", value: ByteBuffer(string: "three"), options: options)
            #expect(try await client.get(bucket: "b", key: "k").siblings.count == 2)
            try await client.delete(bucket: "b", key: "k")
            #expect(try await client.get(bucket: "b", key: "k").isFound == false)
            await client.close()
        }
    }

    @Test func aPutIfAbsentFindsWhatIsThere() async throws {
        try await TestServer.with { test in
            let client = try Self.client(of: [test.address])
            try await test.untilNormal(client)
            var options = PutOptions()
            options.ifAbsent = true
            try await client.put(bucket: "b", key: "k", value: ByteBuffer(string: "v"), options: options)
            do throws(GyreError) {
                try await client.put(bucket: "b", key: "k", value: ByteBuffer(string: "w"), options: options)
                Issue.record("no error")
            } catch {
                #expect(error.code == .exists && !error.mayHaveHappened)
            }
            await client.close()
        }
    }

    @Test func valuesOfMegabytesArriveWhole() async throws {
        try await TestServer.with { test in
            let client = try Self.client(of: [test.address])
            try await test.untilNormal(client)
            var random = SeededRandom(seed: 1)
            var value = ByteBuffer()
            while value.readableBytes < 7 << 20 { value.writeInteger(random.next()) }
            try await client.put(bucket: "b", key: "k", value: value)
            #expect(try await client.get(bucket: "b", key: "k").siblings.first?.value == value)
            do throws(GyreError) {
                try await client.put(bucket: "b", key: "k", value: ByteBuffer(repeating: 0, count: 20 << 20))
                Issue.record("no error")
            } catch {
                #expect(error.code == .tooLarge)
            }
            await client.close()
        }
    }

    @Test func theRingComputedHereIsTheRingOfTheNodes() async throws {
        let three: (inout ServerOptions) -> Void = { ($0.replicas, $0.reads, $0.writes) = (3, 2, 2) }
        let first = try await TestServer.start { three(&$0) }
        var servers = [first]
        for index in 2...3 {
            servers.append(
                try await TestServer.start {
                    three(&$0)
                    $0.name = "test\(index)"
                    $0.seeds = [first.server.listen]
                }
            )
        }
        let client = try Self.client(of: [first.address])
        for server in servers { try await server.untilNormal(client, members: 3) }
        let status = try await client.gatherStatus()
        #expect(status.reports.count == 3)
        #expect(status.agreesOnRing)
        let view = ClusterView()
        view.learn(status.reports[0])
        #expect(view.ringHash == status.reports[0].ringHash)
        for index in 0..<50 {
            try await client.put(bucket: "b", key: "k\(index)", value: ByteBuffer(string: "\(index)"))
        }
        try await servers[2].stop()
        for index in 0..<50 {
            let found = try await client.get(bucket: "b", key: "k\(index)")
            #expect(found.siblings.map { String(buffer: $0.value) } == ["\(index)"])
        }
        await client.close()
        for server in servers[..<2] { try await server.stop() }
    }
}

extension TestServer {
    /// Waits until the cluster that `client` talks to has that many normal members in the eyes of all of them.
    fileprivate func untilNormal(_ client: GyreClient, members: Int = 1) async throws {
        for _ in 0..<300 {
            if let status = try? await client.gatherStatus(), status.reports.count == members, status.agreesOnRing,
                status.reports.allSatisfy({ report in
                    report.members.count { $0.record.state == .normal && $0.ownedSlots > 0 } == members
                })
            {
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("not normal in time")
    }
}
