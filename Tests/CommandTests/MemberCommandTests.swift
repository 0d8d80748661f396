import Foundation
import Testing

@Suite("gyre join, leave", .serialized)
struct MemberCommandTests {
    @Test("a node that waits is let in, says so a second time, and leaves with a good end")
    func joinAndLeave() async throws {
        let first = try await ServedNode.start()
        let second = try await ServedNode.start(["--name", "n2", "--seed", first.address, "--hold"])
        #expect(try await first.gyre(["put", "k", "v"]).code == 0)
        #expect(try await first.gyre(["join"]).out.contains("joining: n2"))
        #expect(try await first.gyre(["join", "n2", "--wait"]).out == "n2 has joined\n")
        #expect(try await first.gyre(["join"]).out.contains("no node is joining"))
        #expect(try await first.gyre(["join", "n2"]).out == "n2 has joined already\n")
        let again = try await first.gyre(["join", "n2", "--json"]).json
        #expect(again["node"] as? String == "n2" && again["done"] as? Bool == true)

        let left = try await first.gyre(["leave", "n2", "--wait"])
        #expect(left.code == 0 && left.out == "n2 has left\n", "\(left)")
        #expect(try await second.ended() == 0)
        #expect(try await first.gyre(["get", "k"]).out == "v\n")
        let unknown = try await first.gyre(["leave", "n9"])
        #expect(unknown.code == 64 && unknown.error.contains("n9"), "\(unknown)")
    }
}
