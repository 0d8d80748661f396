import GyreClient
import GyreMembership
import GyreMessages
import GyreServer
import NIOCore
import Testing

/// Bucket properties over three real nodes and their disks.
@Suite(.timeLimit(.minutes(2))) struct BucketClusterTests {
    private static func three(_ options: inout ServerOptions) {
        (options.replicas, options.reads, options.writes) = (3, 2, 2)
    }

    /// What one node, and no other, knows of a bucket.
    private func properties(of bucket: String, at server: TestServer) throws -> BucketProperties? {
        let socket = try RawSocket(port: server.port)
        _ = try socket.introduce()
        let name = try BucketName(ByteBuffer(string: bucket))
        guard case .buckets(let report) = try socket.ask(.bucketShow(name)) else { return nil }
        return report.buckets.first?.properties
    }

    private func wait(_ what: String, until isDone: () throws -> Bool) async throws {
        for _ in 0..<500 {
            if try isDone() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("not in time: \(what)")
    }

    @Test func aChangeReachesAllNodesAndSurvivesTheirRestarts() async throws {
        let first = try await TestServer.start { Self.three(&$0) }
        var servers = [first]
        for index in 2...3 {
            servers.append(
                try await TestServer.start {
                    Self.three(&$0)
                    $0.name = "test\(index)"
                    $0.seeds = [first.server.listen]
                }
            )
        }
        var options = ClientOptions()
        options.timeout = .seconds(5)
        let client = try GyreClient(nodes: [first.address], options: options)
        try await self.waitForMembers(3, client)
        let set = try await client.setBucket("carts", [.conflicts(.lww), .timeToLive(.seconds(60)), .reads(.one)])
        #expect(set.conflicts == .lww && set.timeToLive == .seconds(60) && set.reads == 1 && set.writes == 2)
        for (index, server) in servers.enumerated() {
            try await self.wait("node \(index + 1)") {
                try self.properties(of: "carts", at: server)?.timeToLiveMilliseconds == 60_000
            }
        }
        #expect(try await client.buckets().map(\.name) == ["carts"])
        #expect(try await client.bucket("other").ownProperties == [])

        // One node misses a change, comes back from its disk with what it knew, and hears of the new one from its peers.
        let directory = servers[2].directory
        try await servers[2].stop(keepingData: true)
        try await client.setBucket("carts", [.writes(.all)])
        let alone = try await TestServer.restart(directory: directory) {
            Self.three(&$0)
            $0.name = "test3"
        }
        #expect(try self.properties(of: "carts", at: alone)?.timeToLiveMilliseconds == 60_000)
        try await alone.stop(keepingData: true)
        servers[2] = try await TestServer.restart(directory: directory) {
            Self.three(&$0)
            $0.name = "test3"
            $0.seeds = [first.server.listen]
        }
        try await self.wait("the node that was away") {
            try self.properties(of: "carts", at: servers[2])?.writes == .all
        }
        await client.close()
        for server in servers { try await server.stop() }
    }

    private func waitForMembers(_ count: Int, _ client: GyreClient) async throws {
        for _ in 0..<500 {
            if let status = try? await client.gatherStatus(), status.reports.count == count, status.agreesOnRing,
                status.reports.allSatisfy({ $0.members.filter { $0.record.state == .normal }.count == count })
            {
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("not normal in time")
    }
}
