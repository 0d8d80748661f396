import GyreBase
import GyreCausality
import GyreClient
import GyreMembership
import GyreMessages
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

/// A client of `nodes` that is closed after `body`.
func withClient(
    of nodes: [PeerAddress], timeout: Duration = .seconds(5), _ body: (GyreClient) async throws -> Void
) async throws {
    var options = ClientOptions()
    options.timeout = timeout
    let client = try GyreClient(nodes: nodes.map(\.description), options: options)
    let result: Result<Void, any Error>
    do { result = .success(try await body(client)) } catch { result = .failure(error) }
    await client.close()
    try result.get()
}

private let overwrite: PutOptions = {
    var options = PutOptions()
    options.mode = .overwrite
    return options
}()

/// An address where nobody listens.
private func deadAddress() async throws -> PeerAddress {
    let node = try await FakeNode(node: 99) { _ in .silence }
    try await node.stopListening()
    return node.address
}

@Suite(.timeLimit(.minutes(2))) struct ClientTests {
    @Test func aGetShowsSiblingsAndAContextThatThePutGivesBack() async throws {
        let found = try record(["a", "b"], contentType: "text/plain")
        let node = try await FakeNode(node: 1) { request in
            if case .get = request { .response(found) } else { .response(stored) }
        }
        try await withClient(of: [node.address]) { client in
            let result = try await client.get(bucket: "b", key: "k")
            #expect(result.siblings.map { String(buffer: $0.value) } == ["a", "b"])
            #expect(result.siblings.map(\.contentType) == ["text/plain", "text/plain"])
            #expect(result.siblings.map(\.dot) == ["0000000000000001:1", "0000000000000001:2"])
            #expect(result.siblings.allSatisfy { $0.modifiedMilliseconds == 1_000 && $0.expiryMilliseconds == 5_000 })
            var options = PutOptions()
            options.mode = .given(try CausalContext(text: result.context.text))
            let written = try await client.put(bucket: "b", key: "k", value: ByteBuffer(string: "c"), options: options)
            #expect(written.acks == 2 && written.needed == 2)
            let two = VersionVector([Dot(node: NodeID(rawValue: 1), counter: 2)])
            guard case .put(let put) = node.requests.last else { throw Missing.put }
            #expect(put.seen == .given(two))
        }
    }

    @Test func readFirstReadsHeadsAtQuorumAndSupersedesThem() async throws {
        let found = try record(["a"])
        let node = try await FakeNode(node: 1) { request in
            if case .get = request { .response(found) } else { .response(stored) }
        }
        try await withClient(of: [node.address]) { client in
            try await client.put(bucket: "b", key: "k", value: ByteBuffer(string: "c"))
            guard case .get(let get) = node.requests.first, case .put(let put) = node.requests.last else {
                throw Missing.put
            }
            #expect(get.headOnly && get.reads == .quorum)
            #expect(put.seen == .given(VersionVector([Dot(node: NodeID(rawValue: 1), counter: 1)])))
            #expect(put.id.sequence == 1)
        }
    }

    @Test func aContextOfAnotherKeyIsRefusedBeforeAnythingIsSent() async throws {
        let node = try await FakeNode(node: 1) { _ in .response(.notFound(context: VersionVector())) }
        try await withClient(of: [node.address]) { client in
            let context = try await client.get(bucket: "b", key: "k").context
            var options = PutOptions()
            options.mode = .given(context)
            await expect(code: .badRequest) {
                try await client.put(bucket: "b", key: "other", value: ByteBuffer(), options: options)
            }
            #expect(node.requests.count == 1)
        }
        for text in ["", "A", "!!!!", "AAAA", String(repeating: "A", count: 40_000)] {
            #expect(throws: GyreError.self) { try CausalContext(text: text) }
        }
    }

    @Test func contextsSurviveTheirTextAndNoOtherTextIsRead() throws {
        var random = SeededRandom(seed: 7)
        let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
        for count in 0..<40 {
            let dots = (0..<count).map { Dot(node: NodeID(rawValue: UInt64($0 + 1)), counter: max(1, random.next())) }
            let context = CausalContext(VersionVector(dots), of: name)
            let again = try CausalContext(text: context.text)
            #expect(try again.vector(for: name) == VersionVector(dots))
            var characters = Array(context.text)
            let index = Int(random.below(UInt64(characters.count)))
            characters[index] = characters[index] == "A" ? "B" : "A"
            let damaged = try? CausalContext(text: String(characters)).vector(for: name)
            #expect(damaged == nil)
        }
    }

    @Test func requestsGoStraightToTheOwnerOnceTheRingIsKnown() async throws {
        let nodes = try await [1, 2, 3].asyncMap { id in try await FakeNode(node: id) { _ in .response(stored) } }
        let status = report(of: nodes.map { ($0.node, $0.address) })
        for node in nodes { node.follow { $0 == .status ? .response(status) : .response(stored) } }
        try await withClient(of: [nodes[0].address]) { client in
            _ = try await client.gatherStatus()
            for index in 0..<64 {
                try await client.put(bucket: "b", key: "k\(index)", value: ByteBuffer(), options: overwrite)
            }
        }
        let view = ClusterView()
        guard case .status(let learned) = status else { throw Missing.put }
        view.learn(learned)
        for node in nodes {
            let owners = node.requests.compactMap(\.name).map { view.owners(of: $0).first }
            #expect(!owners.isEmpty)
            #expect(owners.allSatisfy { $0 == node.node })
        }
    }

    @Test func aNodeThatRefusesConnectionsIsSteppedOver() async throws {
        let dead = try await deadAddress()
        let node = try await FakeNode(node: 1) { _ in .response(stored) }
        try await withClient(of: [dead, node.address]) { client in
            for _ in 0..<10 {
                try await client.put(bucket: "b", key: "k", value: ByteBuffer(), options: overwrite)
            }
        }
        #expect(node.requests.count == 10)
    }

    @Test func withNoNodeAtAllTheErrorSaysSoAtOnce() async throws {
        try await withClient(of: [try await deadAddress()], timeout: .seconds(60)) { client in
            await expect(code: .noNodeReachable) { try await client.get(bucket: "b", key: "k") }
        }
    }

    @Test func anotherClustersNodeIsNamedInTheError() async throws {
        let node = try await FakeNode(node: 1, refusal: "this is cluster beta") { _ in .silence }
        try await withClient(of: [node.address]) { client in
            do throws(GyreError) {
                _ = try await client.get(bucket: "b", key: "k")
                Issue.record("no error")
            } catch {
                #expect(error.code == .noNodeReachable && error.message.contains("this is cluster beta"))
            }
        }
    }

    @Test func aReadWhoseConnectionIsLostGoesToAnotherNodeOnce() async throws {
        let nodes = try await [1, 2].asyncMap { id in
            try await FakeNode(node: id) { _ in .response(.notFound(context: VersionVector())) }
        }
        nodes[0].follow { _ in .hangUp }
        try await withClient(of: nodes.map(\.address)) { client in
            for _ in 0..<4 { _ = try await client.get(bucket: "b", key: "k") }
        }
        #expect(nodes[1].requests.count == 4)
    }

    @Test func aWriteWhoseConnectionIsLostIsSentAgainToTheSameNodeUnderTheSameName() async throws {
        let seen = NIOLockedValueBox(0)
        let node = try await FakeNode(node: 1) { request in
            if request == .status { return .silence }
            let count = seen.withLockedValue { value in
                value += 1
                return value
            }
            return count == 1 ? .hangUp : .response(stored)
        }
        try await withClient(of: [node.address]) { client in
            try await client.put(bucket: "b", key: "k", value: ByteBuffer(), options: overwrite)
        }
        #expect(node.requests.count == 2)
        #expect(Set(node.requests).count == 1)
    }

    @Test func aWriteThatIsLostTwiceSaysThatItMayHaveHappened() async throws {
        let node = try await FakeNode(node: 1) { _ in .hangUp }
        try await withClient(of: [node.address]) { client in
            do throws(GyreError) {
                try await client.put(bucket: "b", key: "k", value: ByteBuffer(), options: overwrite)
                Issue.record("no error")
            } catch {
                #expect(error.code == .connectionLost && error.mayHaveHappened)
            }
        }
        #expect(node.requests.count == 2)
    }

    @Test(arguments: [Failure.overloaded, .notMember, .unavailable(needed: 2, got: 1)])
    func aWriteThatProvablyDidNothingGoesElsewhere(_ failure: Failure) async throws {
        let first = NIOLockedValueBox(true)
        let script: FakeNode.Script = { _ in
            let isFirst = first.withLockedValue { value in
                defer { value = false }
                return value
            }
            return .response(isFirst ? .failed(failure) : stored)
        }
        let nodes = try await [1, 2].asyncMap { id in try await FakeNode(node: id, script: { _ in .silence }) }
        for node in nodes { node.follow { $0 == .status ? .silence : script($0) } }
        try await withClient(of: nodes.map(\.address)) { client in
            try await client.put(bucket: "b", key: "k", value: ByteBuffer(), options: overwrite)
        }
        #expect(nodes.map(\.requests.count) == [1, 1])
    }

    @Test func aSilentNodeCostsNoMoreThanTheTimeout() async throws {
        let node = try await FakeNode(node: 1) { _ in .silence }
        try await withClient(of: [node.address], timeout: .milliseconds(100)) { client in
            let start = ContinuousClock.now
            do throws(GyreError) {
                try await client.put(bucket: "b", key: "k", value: ByteBuffer(), options: overwrite)
                Issue.record("no error")
            } catch {
                #expect(error.code == .timeout && error.mayHaveHappened)
            }
            #expect(ContinuousClock.now - start >= .milliseconds(100))
            await expect(code: .timeout) { try await client.get(bucket: "b", key: "k") }
        }
    }

    @Test func theCallsOfOneTurnLeaveInOneWriteAndShareOneConnection() async throws {
        let node = try await FakeNode(node: 1) { _ in .response(stored) }
        let name = try ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: "k"))
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let ids = RequestIDs()
        let address = node.address
        let connection = try await loop.submit {
            NIOLoopBound(NodeConnection(to: address, options: ClientOptions(), loop: loop), eventLoop: loop)
        }.get()
        let answers = NIOLockedValueBox(0)
        let burst: @Sendable (CheckedContinuation<Void, Never>) -> Void = { continuation in
            loop.execute {
                answers.withLockedValue { $0 = 0 }
                for _ in 0..<64 {
                    let put = PutRequest(id: ids.next(), name: name, seen: .overwrite, value: ByteBuffer())
                    connection.value.send(.put(put), deadline: .now() + .seconds(10)) { _ in
                        let count = answers.withLockedValue { value in
                            value += 1
                            return value
                        }
                        if count == 64 { continuation.resume() }
                    }
                }
            }
        }
        await withCheckedContinuation(burst)
        let before = node.readCount
        await withCheckedContinuation(burst)
        #expect(node.readCount - before <= 8, "64 small requests came in \(node.readCount - before) reads")
        #expect(node.connectionCount == 1)
        #expect(node.requests.count == 128)
        try await loop.submit { connection.value.close() }.get()
    }

    @Test func aConnectionTakesNoMoreThanItsLimitOfCalls() async throws {
        let node = try await FakeNode(node: 1) { _ in .silence }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let address = node.address
        let outcomes = NIOLockedValueBox<[String: Int]>([:])
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            loop.execute {
                let connection = NodeConnection(to: address, options: ClientOptions(), loop: loop)
                for _ in 0..<(NodeConnection.callsMax + 10) {
                    connection.send(.status, deadline: .now() + .milliseconds(200)) { result in
                        let total = outcomes.withLockedValue { counts in
                            counts["\(result)", default: 0] += 1
                            return counts.values.reduce(0, +)
                        }
                        if total == NodeConnection.callsMax + 10 {
                            connection.close()
                            continuation.resume()
                        }
                    }
                }
            }
        }
        #expect(outcomes.withLockedValue { $0.values.sorted() } == [10, NodeConnection.callsMax])
    }

    @Test func statusAsksEveryMemberAndLeavesOutThoseThatDoNotAnswer() async throws {
        let nodes = try await [1, 2].asyncMap { id in try await FakeNode(node: id) { _ in .silence } }
        let dead = NodeID(rawValue: 3)
        let members = nodes.map { ($0.node, $0.address) } + [(dead, try await deadAddress())]
        for (index, node) in nodes.enumerated() {
            let own = report(of: Array(members[index...] + members[..<index]))
            node.follow { _ in .response(own) }
        }
        try await withClient(of: [nodes[0].address]) { client in
            let status = try await client.gatherStatus()
            #expect(status.reports.map(\.me) == nodes.map(\.node))
            #expect(status.members.map(\.node) == members.map(\.0))
            #expect(status.report(of: dead) == nil)
        }
    }
}

private enum Missing: Error { case put }

extension Array {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}

/// Expects a `GyreError` of that code.
func expect(code: GyreError.Code, _ body: () async throws -> some Sendable) async {
    do {
        _ = try await body()
        Issue.record("no error, expected \(code)")
    } catch {
        #expect((error as? GyreError)?.code == code, "\(error)")
    }
}
