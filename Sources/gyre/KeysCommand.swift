import ArgumentParser
import GyreClient
import GyreReports
import NIOCore

/// Lists keys.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "List the keys of a bucket.",
        discussion: """
            Keys come in no order that means anything. What follows after --limit keys is shown by the same command with \
            the --cursor it names, on any node and at any time. A listing asks as many replicas of every key as a read \
            does and looks at every key of the cluster, so it takes its time.
            """
    )

    /// Keys asked for at once.
    private static let pageMax = 1_000

    @OptionGroup var cluster: ClusterOptions
    @Option(help: "The bucket.") var bucket = "default"
    @Option(help: "Only keys that begin with this.") var prefix = ""
    @Option(help: "About how many keys to print, at most.") var limit = 1_000
    @Option(help: "Where to go on, as an earlier listing said.") var cursor: String?

    func validate() throws {
        guard self.limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            var cursor = self.cursor
            var keys: [ByteBuffer] = []
            var count = 0
            repeat {
                let page = try await client.keys(
                    bucket: self.bucket, prefix: ByteBuffer(string: self.prefix), cursor: cursor,
                    limit: min(Self.pageMax, self.limit - count))
                cursor = page.cursor
                count += page.names.count
                if self.cluster.json {
                    keys += page.names
                } else {
                    for key in page.names { StandardStreams.writeLine(readable(key)) }
                }
            } while cursor != nil && count < self.limit
            if self.cluster.json {
                return StandardStreams.writeLine(
                    JSONText.object([
                        ("bucket", .text(self.bucket)), ("keys", .list(keys.map(Self.json))),
                        ("cursor", cursor.map(JSONText.text) ?? .null),
                    ]).line)
            }
            if let cursor { StandardStreams.writeError("gyre: more keys follow; go on with --cursor \(cursor)") }
        }
    }

    /// Text as it is; other bytes in Base64 under a name of their own.
    private static func json(_ key: ByteBuffer) -> JSONText {
        if let text = String(validating: key.readableBytesView, as: UTF8.self) {
            return .object([("key", .text(text))])
        }
        return .object([("key_base64", .text(base64(key.readableBytesView)))])
    }
}

/// `bytes` as text on one line; what is no text, and what would move the cursor, as `\xHH`.
private func readable(_ bytes: ByteBuffer) -> String {
    let view = bytes.readableBytesView
    if let text = String(validating: view, as: UTF8.self), !text.unicodeScalars.contains(where: { $0.value < 32 }) {
        return text
    }
    return view.map { byte in
        (33...126).contains(byte) && byte != 92
            ? String(UnicodeScalar(byte)) : "\\x" + String(UInt16(byte) + 0x100, radix: 16).dropFirst()
    }.joined()
}
