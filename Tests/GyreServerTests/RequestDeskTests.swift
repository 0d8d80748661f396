import GyreBase
import GyreCausality
import GyreMessages
import GyreServer
import NIOCore
import Testing

private func put(_ desk: RequestDesk, _ key: String, _ value: ByteBuffer) throws -> ClientRequest {
    .put(
        PutRequest(
            id: desk.makeRequestID(),
            name: try ObjectName(bucket: ByteBuffer(string: "desk"), key: ByteBuffer(string: key)), seen: .overwrite,
            value: value))
}

@Suite("A request desk")
struct RequestDeskTests {
    @Test("is answered what a client on a connection would be")
    func answers() async throws {
        try await TestServer.with { test in
            let desk = try await test.server.makeDesk()
            let value = ByteBuffer(string: "value")
            let stored = try await desk.submit(try put(desk, "key", value), timeout: .seconds(5)).get()
            guard case .stored(_, acks: 1, needed: 1) = stored else {
                Issue.record("answered \(stored)")
                return
            }
            let name = try ObjectName(bucket: ByteBuffer(string: "desk"), key: ByteBuffer(string: "key"))
            let found = try await desk.submit(.get(GetRequest(name: name)), timeout: .seconds(5)).get()
            guard case .found(let record) = found else {
                Issue.record("answered \(found)")
                return
            }
            #expect(try Siblings(encoded: record).versions.map(\.value) == [value])
            guard case .status(let report) = try await desk.submit(.status, timeout: .seconds(5)).get() else {
                Issue.record("no status")
                return
            }
            #expect(report.counters.contains { $0.name == "connections" && $0.value == 0 })
        }
    }

    @Test("answers overloaded when it is full, in number and in bytes, and recovers")
    func isBounded() async throws {
        try await TestServer.with { test in
            var limits = DeskLimits()
            limits.requestsInFlightMax = 2
            limits.requestBytesMax = 1_000
            let desk = try await test.server.makeDesk(limits)
            let requests = try (0..<3).map { try put(desk, "key\($0)", ByteBuffer(string: "v")) }
            let large = try put(desk, "large", ByteBuffer(repeating: 1, count: 1_001))
            // All are submitted in one turn of the loop, in which no disk can answer.
            let futures = try await desk.loop.submit {
                requests.map { desk.submit($0, timeout: .seconds(5)) }
            }.get()
            let answers = try await EventLoopFuture.whenAllSucceed(futures, on: desk.loop).get()
            #expect(answers.map { $0 == .failed(.overloaded) } == [false, false, true])
            #expect(try await desk.submit(large, timeout: .seconds(5)).get() == .failed(.overloaded))
            guard case .stored = try await desk.submit(requests[2], timeout: .seconds(5)).get() else {
                Issue.record("a desk that has room again refuses")
                return
            }
        }
    }

    @Test("answers everybody when the node stops, and refuses afterwards")
    func ends() async throws {
        let test = try await TestServer.start()
        let desk = try await test.server.makeDesk()
        test.server.beginStop()
        try await test.server.waitUntilStopped()
        #expect(try await desk.submit(.status, timeout: .seconds(5)).get() == .failed(.notMember))
        await #expect(throws: ServerError.self) { _ = try await test.server.makeDesk() }
        try await test.stop()
    }
}
