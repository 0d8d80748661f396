import Foundation
import GyreHTTP
import GyreMembership
import GyreMetrics
import GyreServer
import Logging

/// A node in this process with an HTTP door, both on free ports; N = R = W = 1 unless told.
struct DoorFixture {
    let server: GyreServer
    let door: HTTPDoor
    let directory: String

    var port: UInt16 { self.door.address.port }

    /// Runs `body` against a fresh node, then stops it and removes its data, whatever happened.
    static func with(
        limits: HTTPLimits = HTTPLimits(), _ change: (inout ServerOptions) -> Void = { _ in },
        _ body: (DoorFixture) async throws -> Void
    ) async throws {
        let directory = NSTemporaryDirectory() + "gyre-http-test-\(UInt64.random(in: 0 ... .max))"
        var options = ServerOptions(name: "test", dataDirectory: directory)
        options.listen = PeerAddress(host: "127.0.0.1", port: 0)
        options.partitionCount = 8
        (options.replicas, options.reads, options.writes) = (1, 1, 1)
        change(&options)
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = try await GyreServer.start(options, log: log)
        let door = try await HTTPDoor.start(
            server, on: PeerAddress(host: "127.0.0.1", port: 0), limits: limits, exporter: SharedExporter.exporter,
            log: log)
        let fixture = DoorFixture(server: server, door: door, directory: directory)
        do { try await body(fixture) } catch {
            try await fixture.stop()
            throw error
        }
        try await fixture.stop()
    }

    private func stop() async throws {
        try await self.server.stop()
        await self.door.stop()
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    /// One request on a connection of its own.
    func ask(
        _ method: String, _ path: String, _ headers: [String] = [], body: some Sequence<UInt8> = []
    ) async throws -> RawAnswer {
        try await self.ask(bytes: Self.bytes(method, path, headers, body))
    }

    /// Says these bytes and nothing else.
    func ask(bytes: [UInt8]) async throws -> RawAnswer {
        let port = self.port
        return try await blocking {
            let socket = try RawHTTP(port: port)
            try socket.send(bytes)
            return try socket.answer()
        }
    }

    /// The bytes of a request after which the server closes.
    static func bytes(
        _ method: String, _ path: String, _ headers: [String] = [], _ body: some Sequence<UInt8> = []
    ) -> [UInt8] {
        let content = Array(body)
        var lines = ["\(method) \(path) HTTP/1.1", "Host: test", "Connection: close"] + headers
        if !content.isEmpty { lines.append("Content-Length: \(content.count)") }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + content
    }
}
