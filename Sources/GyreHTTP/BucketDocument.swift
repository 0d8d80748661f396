import GyreMessages
import GyreReports
import NIOCore

/// Bucket properties in Riak's words, as JSON.
enum BucketDocument {
    /// `{"props":{…}}` of one bucket.
    static func text(_ record: BucketRecord, _ report: BucketReport) -> JSONText {
        let properties = record.properties
        func size(_ size: QuorumSize, _ standard: UInt8) -> JSONText {
            switch size {
            case .standard, .matching: .unsigned(UInt64(standard))
            case .one: .text("one")
            case .quorum: .text("quorum")
            case .all: .text("all")
            case .count(let count): .unsigned(UInt64(count))
            }
        }
        let seconds = properties.timeToLiveMilliseconds.map { JSONText.number(Double($0) / 1_000) } ?? .null
        return .object([
            (
                "props",
                .object([
                    ("name", .text(String(buffer: record.name.bytes))), ("n_val", .unsigned(UInt64(report.replicas))),
                    ("r", size(properties.reads, report.reads)), ("w", size(properties.writes, report.writes)),
                    ("dw", size(properties.writes, report.writes)), ("pr", size(properties.primaryReads, 0)),
                    ("pw", size(properties.primaryWrites, 0)), ("allow_mult", .bool(!record.showsLatestOnly)),
                    ("last_write_wins", .bool(record.showsLatestOnly)), ("ttl_s", seconds),
                    ("sloppy", .bool(properties.allowsFallbacks)),
                ])
            )
        ])
    }

    /// What `{"props":{…}}` changes.
    /// - Throws: 400 for anything else, and for properties that do not exist.
    static func changes(in document: ByteBuffer) throws(Refusal) -> [BucketChange] {
        guard let fields = JSONFields(props: document) else {
            throw .badRequest("the body must be {\"props\":{…}}, with at most \(JSONFields.countMax) properties")
        }
        var changes: [BucketChange] = []
        for (name, value) in fields.all {
            if let change = try self.change(name, value) { changes.append(change) }
        }
        let rules = Set(changes.filter { if case .siblings = $0 { true } else { false } })
        guard rules.count <= 1 else { throw .badRequest("allow_mult and last_write_wins contradict each other") }
        guard (1...BucketChange.countMax).contains(changes.count) else {
            throw .badRequest("give 1 to \(BucketChange.countMax) properties")
        }
        return changes
    }

    private static func change(_ name: String, _ value: JSONInput) throws(Refusal) -> BucketChange? {
        func refusal(_ forms: String) -> Refusal { .badRequest("props.\(name): give \(forms)") }
        func size() throws(Refusal) -> QuorumSize {
            switch value {
            case .null, .text("default"): return .standard
            case .text("one"): return .one
            case .text("quorum"): return .quorum
            case .text("all"): return .all
            case .integer(0) where name == "pr" || name == "pw": return .standard
            case .integer(let number):
                guard let count = UInt8(exactly: number), count > 0 else { throw refusal("a number from 1 to N") }
                return .count(count)
            default: throw refusal("a number from 1 to N, \"one\", \"quorum\", \"all\" or \"default\"")
            }
        }
        func flag() throws(Refusal) -> Bool {
            guard case .bool(let flag) = value else { throw refusal("true or false") }
            return flag
        }
        switch name {
        case "name", "dw", "rw": return nil
        case "n_val":
            guard case .integer(let number) = value, let count = UInt8(exactly: number) else {
                throw refusal("the cluster's number of replicas")
            }
            return .replicas(count)
        case "r": return .reads(try size())
        case "w": return .writes(try size())
        case "pr": return .primaryReads(try size())
        case "pw": return .primaryWrites(try size())
        case "allow_mult": return .siblings(try flag() ? .showAll : .lastWriteWins)
        case "last_write_wins": return .siblings(try flag() ? .lastWriteWins : .showAll)
        case "sloppy": return .sloppy(try flag())
        case "ttl_s":
            switch value {
            case .null: return .timeToLive(nil)
            case .integer(let seconds) where seconds > 0 && seconds < 1 << 40:
                return .timeToLive(UInt64(seconds) * 1_000)
            case .number(let seconds) where seconds >= 0.001 && seconds < 1e12:
                return .timeToLive(UInt64(seconds * 1_000))
            default: throw refusal("a number of seconds, or null for ever")
            }
        default:
            throw .badRequest(
                "there is no property '\(name.prefix(40))'",
                try: "n_val, r, w, pr, pw, allow_mult, last_write_wins, ttl_s, sloppy")
        }
    }

    /// All properties given back to the cluster's defaults.
    static let reset: [BucketChange] = [
        .reads(.standard), .writes(.standard), .primaryReads(.standard), .primaryWrites(.standard), .siblings(nil),
        .timeToLive(nil), .sloppy(nil),
    ]
}

extension BucketRecord {
    /// Whether a get of the bucket shows one value only.
    var showsLatestOnly: Bool {
        (self.properties.siblings ?? .standard(of: self.name.bytes)) == .lastWriteWins
    }
}
