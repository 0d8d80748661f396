import ArgumentParser
import GyreClient
import GyreReports

/// Shows and changes what buckets do differently.
struct BucketCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bucket",
        abstract: "Show and change the properties of buckets.",
        subcommands: [List.self, Show.self, Set.self]
    )

    /// All buckets that have properties.
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the buckets that have properties of their own.",
            discussion: "A bucket exists as soon as it is named, so that others may hold keys as well."
        )

        @OptionGroup var cluster: ClusterOptions

        func run() async throws {
            try await self.cluster.withClient { client in
                let buckets = try await client.buckets()
                if self.cluster.json {
                    let document = JSONText.object([("buckets", .list(buckets.map(\.json)))])
                    return StandardStreams.writeLine(document.line)
                }
                var table = TextTable([
                    .init("BUCKET"), .init("N", isNumber: true), .init("R", isNumber: true),
                    .init("W", isNumber: true), .init("PR", isNumber: true), .init("PW", isNumber: true),
                    .init("CONFLICTS"), .init("TTL", isNumber: true), .init("SLOPPY"),
                ])
                for bucket in buckets { table.add([bucket.name] + bucket.texts.map(\.value)) }
                for line in table.lines { StandardStreams.writeLine(line) }
            }
        }
    }

    /// One bucket.
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Show the properties of a bucket, its own and the cluster's."
        )

        @OptionGroup var cluster: ClusterOptions
        @Argument(help: "The bucket.") var bucket: String

        func run() async throws {
            try await self.cluster.withClient { client in
                try await client.bucket(self.bucket).write(json: self.cluster.json)
            }
        }
    }

    /// Changes one bucket.
    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Set properties of a bucket; all nodes learn of them and keep them.",
            discussion: """
                r, w, pr, pw: a number, one, quorum, all, or default for the cluster's. conflicts: siblings, or lww to show \
                only the value written last. ttl: how long values live whose put does not say, such as 30s or 7d, or none. \
                sloppy: on or off. n: only the cluster's. Of two changes of one bucket at the same time one is lost.
                """
        )

        @OptionGroup var cluster: ClusterOptions
        @Argument(help: "The bucket.") var bucket: String
        @Argument(help: ArgumentHelp("What to set, such as r=1 ttl=7d.", valueName: "property=value"))
        var assignments: [String]

        func validate() throws {
            for assignment in self.assignments { _ = try BucketProperty(assignment: assignment) }
        }

        func run() async throws {
            let properties = try self.assignments.map { try BucketProperty(assignment: $0) }
            try await self.cluster.withClient { client in
                try await client.setBucket(self.bucket, properties).write(json: self.cluster.json)
            }
        }
    }
}

extension BucketProperty {
    /// Reads `NAME=VALUE`.
    fileprivate init(assignment: String) throws {
        guard let sign = assignment.firstIndex(of: "=") else {
            throw ValidationError("not PROPERTY=VALUE: \(assignment)")
        }
        let name = String(assignment[..<sign])
        let value = String(assignment[assignment.index(after: sign)...])
        func refuse(_ forms: String) -> ValidationError { ValidationError("\(name)=\(value): give \(forms)") }
        func count() throws -> ReplicaCount {
            if value == "default" { return .standard }
            guard let count = ReplicaCountText(argument: value)?.count else {
                throw refuse("a number from 1 on, one, quorum, all or default")
            }
            return count
        }
        switch name {
        case "n":
            guard let replicas = Int(value), replicas > 0 else { throw refuse("a number from 1 on") }
            self = .replicas(replicas)
        case "r": self = .reads(try count())
        case "w": self = .writes(try count())
        case "pr": self = .primaryReads(try count())
        case "pw": self = .primaryWrites(try count())
        case "conflicts":
            if value == "default" {
                self = .conflicts(nil)
            } else {
                guard let rule = ConflictRule(rawValue: value) else { throw refuse("siblings, lww or default") }
                self = .conflicts(rule)
            }
        case "ttl":
            if value == "none" || value == "default" {
                self = .timeToLive(nil)
            } else {
                guard let time = TimeText(argument: value) else { throw refuse("a time such as 30s or 7d, or none") }
                self = .timeToLive(time.duration)
            }
        case "sloppy":
            switch value {
            case "on": self = .sloppy(true)
            case "off": self = .sloppy(false)
            case "default": self = .sloppy(nil)
            default: throw refuse("on, off or default")
            }
        default:
            throw ValidationError(
                "no bucket property is called \(name); there are n, r, w, pr, pw, conflicts, ttl, sloppy")
        }
    }
}

extension Bucket {
    /// Prints it, one property a line, or as one JSON document.
    fileprivate func write(json: Bool) {
        if json { return StandardStreams.writeLine(self.json.line) }
        StandardStreams.writeLine("bucket     \(self.name)")
        for (property, value) in self.texts {
            let spaces = String(repeating: " ", count: 11 - property.count)
            let origin = property == "n" || self.ownProperties.contains(property) ? "" : "  (default)"
            StandardStreams.writeLine("\(property)\(spaces)\(value)\(origin)")
        }
    }

    /// Properties and values for people, in a fixed order.
    fileprivate var texts: [(property: String, value: String)] {
        [
            ("n", String(self.replicas)), ("r", String(self.reads)), ("w", String(self.writes)),
            ("pr", String(self.primaryReads)), ("pw", String(self.primaryWrites)),
            ("conflicts", self.conflicts.rawValue), ("ttl", self.seconds.map { "\($0.line)s" } ?? "none"),
            ("sloppy", self.isSloppy ? "on" : "off"),
        ]
    }

    /// The default time to live in seconds, a whole number where it is one.
    private var seconds: JSONText? {
        guard let time = self.timeToLive else { return nil }
        let (seconds, attoseconds) = time.components
        return attoseconds == 0 ? .integer(seconds) : .number(Double(seconds) + Double(attoseconds) / 1e18)
    }

    /// For programs.
    fileprivate var json: JSONText {
        .object([
            ("bucket", .text(self.name)), ("n", .integer(Int64(self.replicas))), ("r", .integer(Int64(self.reads))),
            ("w", .integer(Int64(self.writes))), ("pr", .integer(Int64(self.primaryReads))),
            ("pw", .integer(Int64(self.primaryWrites))), ("conflicts", .text(self.conflicts.rawValue)),
            ("ttl_s", self.seconds ?? .null), ("sloppy", .bool(self.isSloppy)),
            ("own", .list(self.ownProperties.map(JSONText.text))),
            ("version", self.version.isEmpty ? .null : .text(self.version)),
        ])
    }
}
