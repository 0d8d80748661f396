import ArgumentParser
import GyreClient
import GyreReports
import NIOCore

/// Stores a value.
struct PutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store a value.",
        discussion: """
            Without --context the key's context is read at quorum first, and the put supersedes what that read saw: puts \
            one after another leave one value. With --context it supersedes what that context covers; with --blind \
            nothing, so that it adds a sibling.
            """
    )

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var target: KeyOptions
    @Argument(help: "The value; - reads standard input.") var value: String?
    @Option(help: "Read the value from a file.") var file: String?
    @Option(help: "W: a number, one, quorum or all.") var w: ReplicaCountText?
    @Option(help: "PW: how many of W must be primaries.") var pw: ReplicaCountText?
    @Flag(help: "All of W must be primaries: no stand-in counts.") var strict = false
    // One context in 64 begins with a dash and is no flag for it.
    @Option(parsing: .unconditional, help: "The context that a get of this key printed.") var context: String?
    @Flag(help: "Supersede nothing; adds a sibling.") var blind = false
    @Option(help: "The content type, kept with the value.") var contentType = ""
    @Option(help: "How long the value lives, such as 30s or 7d.") var ttl: TimeText?
    @Flag(help: "Only if there is no value. Checked by one coordinator, not linearizable.") var ifAbsent = false

    func validate() throws {
        guard (self.value == nil) != (self.file == nil) else {
            throw ValidationError("give either a VALUE (- for standard input) or --file")
        }
        guard !(self.blind && self.context != nil) else {
            throw ValidationError("--blind and --context exclude each other")
        }
        guard !(self.strict && self.pw != nil) else {
            throw ValidationError("--strict and --pw exclude each other")
        }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            var options = PutOptions()
            options.mode = try writeMode(context: self.context, blind: self.blind)
            options.contentType = self.contentType
            options.timeToLive = self.ttl?.duration
            options.ifAbsent = self.ifAbsent
            options.writes = self.w?.count ?? .standard
            options.primaryWrites = self.strict ? .matching : self.pw?.count ?? .standard
            let result = try await client.put(
                bucket: self.target.bucket, key: self.target.key, value: try self.bytes(), options: options)
            printWritten(result, self.target, json: self.cluster.json)
        }
    }

    private func bytes() throws -> ByteBuffer {
        if let file = self.file { return ByteBuffer(bytes: try StandardStreams.read(file, bytesMax: 64 << 20)) }
        guard let value = self.value, value != "-" else {
            return ByteBuffer(bytes: try StandardStreams.read("-", bytesMax: 64 << 20))
        }
        return ByteBuffer(string: value)
    }
}

/// Removes a value.
struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Remove a value.",
        discussion: "Without --context it removes what a quorum read saw; a concurrent put survives."
    )

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var target: KeyOptions
    @Option(help: "W: a number, one, quorum or all.") var w: ReplicaCountText?
    @Option(help: "PW: how many of W must be primaries.") var pw: ReplicaCountText?
    @Flag(help: "All of W must be primaries: no stand-in counts.") var strict = false
    // One context in 64 begins with a dash and is no flag for it.
    @Option(parsing: .unconditional, help: "The context that a get of this key printed.") var context: String?

    func validate() throws {
        guard !(self.strict && self.pw != nil) else {
            throw ValidationError("--strict and --pw exclude each other")
        }
    }

    func run() async throws {
        try await self.cluster.withClient { client in
            var options = DeleteOptions()
            options.mode = try writeMode(context: self.context, blind: false)
            options.writes = self.w?.count ?? .standard
            options.primaryWrites = self.strict ? .matching : self.pw?.count ?? .standard
            let result = try await client.delete(
                bucket: self.target.bucket, key: self.target.key, options: options)
            printWritten(result, self.target, json: self.cluster.json)
        }
    }
}

/// What a put or delete says it has seen.
private func writeMode(context: String?, blind: Bool) throws -> WriteMode {
    if blind { return .blind }
    guard let context else { return .readFirst }
    return .given(try CausalContext(text: context))
}

/// What a put or delete prints when it is done.
private func printWritten(_ result: WriteResult, _ target: KeyOptions, json: Bool) {
    guard json else { return StandardStreams.writeLine("ok \(result.context)") }
    StandardStreams.writeLine(
        JSONText.object([
            ("bucket", .text(target.bucket)), ("key", .text(target.key)), ("context", .text(result.context.text)),
            ("acks", .integer(Int64(result.acks))), ("needed", .integer(Int64(result.needed))),
        ]).line)
}
