import Foundation
import GyreMembership
import GyreMessages
import GyreServer
import Logging
import Testing

/// A node in this process, on a free port, with a data directory of its own; N = R = W = 1 unless told.
struct TestServer {
    let server: GyreServer
    let directory: String

    var port: UInt16 { self.server.listen.port }
    var address: String { self.server.listen.description }

    /// Starts a node; `change` sets what differs from the defaults of tests.
    static func start(
        directory: String = TestServer.makeDirectory(), limits: ShellLimits = ShellLimits(),
        _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> TestServer {
        var options = ServerOptions(name: "test", dataDirectory: directory)
        options.listen = PeerAddress(host: "127.0.0.1", port: 0)
        options.partitionCount = 8
        (options.replicas, options.reads, options.writes) = (1, 1, 1)
        change(&options)
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return TestServer(
            server: try await GyreServer.start(options, limits: limits, log: log), directory: directory)
    }

    /// Starts a node again on the directory of a stopped one.
    ///
    /// Other tests of this process start processes of their own; one that is between fork and exec at that moment
    /// still holds the lock, so a few attempts are in order.
    static func restart(
        directory: String, limits: ShellLimits = ShellLimits(), _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> TestServer {
        for _ in 0..<100 {
            do { return try await self.start(directory: directory, limits: limits, change) } catch ServerError.storage {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return try await self.start(directory: directory, limits: limits, change)
    }

    /// Runs `body` against a fresh node, then stops the node and removes its data, whatever happened.
    static func with(
        limits: ShellLimits = ShellLimits(), _ change: (inout ServerOptions) -> Void = { _ in },
        _ body: (TestServer) async throws -> Void
    ) async throws {
        let test = try await TestServer.start(limits: limits, change)
        do { try await body(test) } catch {
            try await test.stop()
            throw error
        }
        try await test.stop()
    }

    func stop(keepingData: Bool = false) async throws {
        try await self.server.stop()
        if !keepingData { try? FileManager.default.removeItem(atPath: self.directory) }
    }

    static func makeDirectory() -> String {
        NSTemporaryDirectory() + "gyre-server-test-\(UInt64.random(in: 0 ... .max))"
    }

    /// A counter of the node, asked over a connection of its own: that it answers shows that it lives.
    func counter(_ name: String) throws -> UInt64 {
        let socket = try RawSocket(port: self.port)
        _ = try socket.introduce()
        guard case .status(let report) = try socket.ask(.status) else { return 0 }
        return report.counters.first { $0.name == name }?.value ?? 0
    }
}
