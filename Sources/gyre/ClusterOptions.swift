import ArgumentParser
import Glibc
import GyreClient

/// What every command that talks to a cluster takes.
struct ClusterOptions: ParsableArguments {
    @Option(
        name: .customLong("node"),
        help: "HOST:PORT of a node, repeatable. Default: GYRE_NODES (with commas), else 127.0.0.1:7400.")
    var nodes: [String] = []
    @Flag(help: "Print one JSON document, failures included.") var json = false
    @Option(help: "How long it may take, such as 500ms or 2s.") var timeout = TimeText(seconds: 1)

    /// Runs `body` with a client of the cluster, and closes it afterwards.
    func withClient(_ body: (GyreClient) async throws -> Void) async throws {
        try await reportingFailures(json: self.json) {
            var options = ClientOptions()
            options.name = "gyre"
            options.timeout = self.timeout.duration
            options.connectTimeout = min(.seconds(1), self.timeout.duration)
            let client = try GyreClient(nodes: self.addresses, options: options)
            do { try await body(client) } catch {
                await client.close()
                throw error
            }
            await client.close()
        }
    }

    /// The addresses, `--node` before GYRE_NODES before the default.
    var addresses: [String] {
        var texts = self.nodes
        if texts.isEmpty, let found = getenv("GYRE_NODES") { texts = [String(cString: found)] }
        let addresses = texts.flatMap { $0.split { $0 == "," || $0.isWhitespace }.map(String.init) }
        return addresses.isEmpty ? ["127.0.0.1:7400"] : addresses
    }
}

/// R, W, PR or PW on the command line: a number, `one`, `quorum` or `all`.
struct ReplicaCountText: ExpressibleByArgument {
    /// What it means.
    let count: ReplicaCount

    /// Reads the four forms; nil for anything else.
    init?(argument: String) {
        switch argument {
        case "one": self.count = .one
        case "quorum": self.count = .quorum
        case "all": self.count = .all
        default:
            guard let number = UInt8(argument), number > 0 else { return nil }
            self.count = .count(number)
        }
    }
}

/// The key of a command, and its bucket.
struct KeyOptions: ParsableArguments {
    @Option(help: "The bucket.") var bucket = "default"
    @Argument(help: "The key.") var key: String
}
