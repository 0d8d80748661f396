import Foundation
import Testing

@Suite("gyre status --watch")
struct WatchTests {
    /// Starts a watch, reads until `enough` says so, then ends it with `signal` or by closing the pipe; the exit code and the text.
    private func watch(
        _ arguments: [String], signal: Int32?, until enough: @escaping @Sendable (String) -> Bool
    ) async throws -> (code: Int32, text: String) {
        let environment = arguments.contains("--node") ? [:] : ["GYRE_NODES": "127.0.0.1:1"]
        return try await Command.waiting {
            let process = Command.makeProcess(["status", "--watch"] + arguments, environment: environment)
            let out = Pipe()
            process.standardOutput = out
            process.standardError = FileHandle.nullDevice
            try process.run()
            // Whatever happens, nothing is waited for without an end.
            let limit = DispatchWorkItem { process.terminate() }
            DispatchQueue.global().asyncAfter(deadline: .now() + 60, execute: limit)
            defer { limit.cancel() }
            var bytes = Data()
            while !enough(String(decoding: bytes, as: UTF8.self)) {
                let more = out.fileHandleForReading.availableData
                if more.isEmpty { break }
                bytes.append(more)
            }
            if let signal { kill(process.processIdentifier, signal) } else { try out.fileHandleForReading.close() }
            process.waitUntilExit()
            let status = process.terminationStatus
            return (process.terminationReason == .exit ? status : -status, String(decoding: bytes, as: UTF8.self))
        }
    }

    @Test(
        "shows picture after picture and ends with 0 on SIGINT, SIGTERM and a closed pipe",
        arguments: [SIGINT, SIGTERM, nil])
    func pictures(_ signal: Int32?) async throws {
        let node = try await ServedNode.start()
        let arguments = ["--node", node.address, "--interval", "100ms", "--timeout", "5s"]
        let (code, text) = try await self.watch(arguments, signal: signal) {
            $0.components(separatedBy: "healthy\n").count > 3
        }
        #expect(code == 0)
        #expect(text.components(separatedBy: "NAME ").count > 3 && !text.contains("\u{1B}"))
        #expect(try await node.stop() == 0)
    }

    @Test("with --json prints one document a line")
    func documents() async throws {
        let node = try await ServedNode.start()
        let arguments = ["--json", "--node", node.address, "--interval", "100ms", "--timeout", "5s"]
        let (code, text) = try await self.watch(arguments, signal: SIGINT) {
            $0.split(separator: "\n").count > 3
        }
        #expect(code == 0)
        for line in text.split(separator: "\n").prefix(3) {
            let document = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(document?["healthy"] as? Bool == true)
        }
        #expect(try await node.stop() == 0)
    }

    @Test("goes on while nobody answers, and says so")
    func outage() async throws {
        let (code, text) = try await self.watch(["--json", "--interval", "100ms"], signal: SIGINT) {
            $0.split(separator: "\n").count > 2
        }
        #expect(code == 0 && text.contains("\"error\""))
    }

    @Test("refuses an interval that is none")
    func refused() async throws {
        for text in ["10ms", "0s", "often"] {
            #expect(try await Command.run(["status", "--watch", "--interval", text]).code == 64)
        }
    }
}
