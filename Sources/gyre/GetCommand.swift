import ArgumentParser
import Glibc
import GyreClient
import GyreReports
import NIOCore

/// Reads a value.
struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Read a value.",
        discussion: """
            One value is printed as it is. Several concurrent ones are printed with numbers, and with the context that a \
            put needs to supersede them all.
            """
    )

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var target: KeyOptions
    @Option(help: "R: a number, one, quorum or all.") var r: ReplicaCountText?
    @Option(help: "PR: how many of R must be primaries.") var pr: ReplicaCountText?
    @Flag(help: "All of R must be primaries: no stand-in counts.") var strict = false
    @Flag(help: "Print the bytes of the value and nothing else; exit code 3 when there are siblings.") var raw = false
    @Flag(help: "Print what is known about the value instead of the value.") var head = false

    func validate() throws {
        guard !(self.raw && (self.head || self.cluster.json)) else {
            throw ValidationError("--raw excludes --head and --json")
        }
        guard !(self.strict && self.pr != nil) else {
            throw ValidationError("--strict and --pr exclude each other")
        }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            var options = GetOptions()
            options.reads = self.r?.count ?? .standard
            options.primaryReads = self.strict ? .matching : self.pr?.count ?? .standard
            options.headOnly = self.head
            let result = try await client.get(bucket: self.target.bucket, key: self.target.key, options: options)
            if !result.isFound {
                if self.cluster.json {
                    StandardStreams.writeLine(
                        JSONText.object([("error", .text("notFound")), ("context", .text(result.context.text))]).line)
                }
                StandardStreams.writeError(
                    "gyre: no value under '\(self.target.key)' in bucket '\(self.target.bucket)'")
                throw ExitCode.notFound
            }
            if self.cluster.json { return self.printJSON(result) }
            if self.head { return self.printHeads(result) }
            try self.printValues(result)
        }
    }

    private func printValues(_ result: GetResult) throws {
        guard result.siblings.count > 1 else {
            StandardStreams.write(result.siblings[0].value.readableBytesView)
            if !self.raw { StandardStreams.writeLine("") }
            return
        }
        guard !self.raw else {
            throw CommandFailure(
                .siblings, "there are \(result.siblings.count) siblings; see them without --raw and put with --context")
        }
        for (index, sibling) in result.siblings.enumerated() {
            StandardStreams.write("\(index + 1)) ".utf8)
            StandardStreams.write(sibling.value.readableBytesView)
            StandardStreams.writeLine("")
        }
        StandardStreams.writeLine("context \(result.context)")
    }

    private func printHeads(_ result: GetResult) {
        for sibling in result.siblings {
            var line = "dot \(sibling.dot)  modified \(dateText(milliseconds: sibling.modifiedMilliseconds))"
            if !sibling.contentType.isEmpty { line += "  content-type \(sibling.contentType)" }
            if let left = Self.secondsLeft(sibling) { line += "  ttl \(left)s" }
            StandardStreams.writeLine(line)
        }
        StandardStreams.writeLine("context \(result.context)")
    }

    private func printJSON(_ result: GetResult) {
        let siblings = result.siblings.map { sibling in
            JSONText.object([
                ("value_base64", self.head ? .null : .text(base64(sibling.value.readableBytesView))),
                ("content_type", .text(sibling.contentType)),
                ("modified", .text(dateText(milliseconds: sibling.modifiedMilliseconds))),
                ("dot", .text(sibling.dot)),
                ("ttl_s", Self.secondsLeft(sibling).map(JSONText.unsigned) ?? .null),
            ])
        }
        StandardStreams.writeLine(
            JSONText.object([
                ("bucket", .text(self.target.bucket)), ("key", .text(self.target.key)),
                ("context", .text(result.context.text)), ("siblings", .list(siblings)),
            ]).line)
    }

    private static func secondsLeft(_ sibling: Sibling) -> UInt64? {
        guard let expiry = sibling.expiryMilliseconds else { return nil }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = UInt64(clamping: time.tv_sec) * 1_000 + UInt64(clamping: time.tv_nsec / 1_000_000)
        return expiry > now ? (expiry - now + 999) / 1_000 : 0
    }
}

/// A moment as RFC 3339 writes it, in UTC with milliseconds.
func dateText(milliseconds: UInt64) -> String {
    var seconds = time_t(clamping: milliseconds / 1_000)
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "\(milliseconds)" }
    func padded(_ number: Int, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    let date = "\(padded(Int(parts.tm_year) + 1_900, 4))-\(padded(Int(parts.tm_mon) + 1))-\(padded(Int(parts.tm_mday)))"
    let time = "\(padded(Int(parts.tm_hour))):\(padded(Int(parts.tm_min))):\(padded(Int(parts.tm_sec)))"
    return "\(date)T\(time).\(padded(Int(milliseconds % 1_000), 3))Z"
}
