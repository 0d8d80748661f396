import Foundation
import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreServer
import Logging
import NIOCore
import Synchronization
import Testing

/// Keeps what is logged.
final class KeptLines: Sendable {
    private let lines = Mutex<[(message: String, metadata: Logger.Metadata)]>([])

    func add(_ message: String, _ metadata: Logger.Metadata) { self.lines.withLock { $0.append((message, metadata)) } }

    /// The metadata of the lines with that message.
    func metadata(of message: String) -> [Logger.Metadata] {
        self.lines.withLock { $0.filter { $0.message == message }.map(\.metadata) }
    }
}

private struct KeepingHandler: LogHandler {
    let kept: KeptLines
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.kept.add("\(event.message)", self.metadata.merging(event.metadata ?? [:]) { $1 })
    }
}

@Suite("The log of slow requests", .serialized)
struct SlowRequestTests {
    private func ask(threshold: TimeSpan?, replicas: Int) async throws -> [Logger.Metadata] {
        let directory = NSTemporaryDirectory() + "gyre-slow-test-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var options = ServerOptions(name: "test", dataDirectory: directory)
        options.listen = PeerAddress(host: "127.0.0.1", port: 0)
        options.partitionCount = 8
        (options.replicas, options.reads, options.writes) = (replicas, 1, 1)
        options.slowThreshold = threshold
        let kept = KeptLines()
        let server = try await GyreServer.start(options, log: Logger(label: "t") { _ in KeepingHandler(kept: kept) })
        let desk = try await server.makeDesk()
        let name = try ObjectName(bucket: ByteBuffer(string: "a b"), key: ByteBuffer(string: "secret"))
        let put = PutRequest(id: desk.makeRequestID(), name: name, seen: .blind, value: ByteBuffer(string: "v"))
        for request in [ClientRequest.put(put), .get(GetRequest(name: name))] {
            _ = try await desk.submit(request, timeout: .seconds(5)).get()
        }
        try await server.stop()
        let lines = kept.metadata(of: "slow request")
        for line in lines { #expect(!"\(line)".contains("secret") && line["token"] == "\(name.token)") }
        return lines
    }

    @Test("has a line with the arithmetic and the parts of the time for each request above the threshold")
    func linesAboveTheThreshold() async throws {
        let lines = try await self.ask(threshold: .zero, replicas: 1)
        #expect(lines.map { $0["operation"] } == ["put", "get"])
        for line in lines {
            #expect(line["needed"] == "1" && line["got"] == "1" && line["outcome"] == "done" && line["bucket"] == "a?b")
            let words = ["own_disk_ms", "replicas_ms", "total_ms"].map { word in
                line[word].flatMap { Double("\($0)") } ?? -1
            }
            #expect(words.allSatisfy { $0 >= 0 } && words[0] <= words[2])
        }
    }

    @Test("is empty below the threshold, and when it is off", arguments: [TimeSpan.seconds(30), nil])
    func nothingBelow(_ threshold: TimeSpan?) async throws {
        #expect(try await self.ask(threshold: threshold, replicas: 1).isEmpty)
    }
}
