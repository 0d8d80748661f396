import GyreBase
import GyreCausality
import GyreClient
import GyreMessages
import HTTPTypes
import NIOCore

/// A request about one key, taken apart and checked: what is to be done, under which conditions. Pure value.
struct ObjectRequest {
    let name: ObjectName
    let reads: QuorumSize
    let primaryReads: QuorumSize
    let writes: QuorumSize
    let primaryWrites: QuorumSize
    let returnsBody: Bool
    let vtag: String?
    let timeout: TimeSpan
    /// What the writer has seen; nil when it does not say.
    let seen: VersionVector?
    let ifMatch: TagCondition?
    let ifNoneMatch: TagCondition?
    /// Seconds since 1970.
    let ifModifiedSince: UInt64?
    /// Seconds since 1970.
    let ifUnmodifiedSince: UInt64?
    let accept: String?
    /// Content type and user metadata of what is stored.
    let metadata: VersionMetadata

    /// Reads query and headers.
    /// - Throws: 400 for what makes no sense, and for metadata above its limits.
    init(_ name: ObjectName, _ query: Query, _ fields: HTTPFields, _ limits: HTTPLimits) throws(Refusal) {
        self.name = name
        self.reads = try query.size("r")
        self.primaryReads = try query.size("pr")
        // Every acknowledgement here is one of a disk, so that what Riak calls DW is W.
        let durable = try query.size("dw")
        let writes = try query.size("w")
        self.writes = writes == .standard ? durable : writes
        self.primaryWrites = try query.size("pw")
        self.returnsBody = try query.flag("returnbody")
        self.vtag = try query.text("vtag")
        let most = limits.requestTimeoutMax.wholeMilliseconds
        self.timeout =
            try query.integer("timeout", in: 1...Int(most)).map { TimeSpan.milliseconds(Int64($0)) }
            ?? limits.requestTimeout
        self.seen = try Self.seen(fields[.vectorClock], of: name)
        self.ifMatch = try Self.condition(fields[.ifMatch])
        self.ifNoneMatch = try Self.condition(fields[.ifNoneMatch])
        // A date that cannot be read is no condition (RFC 9110 §13.1.3).
        self.ifModifiedSince = fields[.ifModifiedSince].flatMap(HTTPDate.seconds)
        self.ifUnmodifiedSince = fields[.ifUnmodifiedSince].flatMap(HTTPDate.seconds)
        self.accept = fields[.accept]
        self.metadata = try Self.metadata(fields)
    }

    /// Whether a write has to look at what there is before it is done.
    var needsLook: Bool {
        if self.ifMatch != nil || self.ifUnmodifiedSince != nil { return true }
        if case .tags? = self.ifNoneMatch { return true }
        return false
    }

    /// Whether a write that found `siblings` may be done.
    func allowsWrite(over siblings: Siblings?) -> Bool {
        if let ifMatch = self.ifMatch, !ifMatch.matches(siblings) { return false }
        if let ifNoneMatch = self.ifNoneMatch, ifNoneMatch.matches(siblings) { return false }
        if let limit = self.ifUnmodifiedSince, let siblings {
            return siblings.versions.allSatisfy { $0.time.wall.milliseconds / 1_000 <= limit }
        }
        return true
    }

    private static func seen(_ text: String?, of name: ObjectName) throws(Refusal) -> VersionVector? {
        guard let text, !text.isEmpty else { return nil }
        do throws(GyreError) { return try CausalContext(text: text).vector(for: name) } catch {
            throw .badRequest("X-Riak-Vclock: \(error.message)", try: "send back what a GET of this key answered")
        }
    }

    private static func condition(_ text: String?) throws(Refusal) -> TagCondition? {
        guard let text else { return nil }
        return try TagCondition(text)
    }

    private static func metadata(_ fields: HTTPFields) throws(Refusal) -> VersionMetadata {
        let prefix = HTTPField.Name.metadataPrefix
        let type = try Self.kept(fields[.contentType] ?? "", "Content-Type")
        var kept: [MetadataField] = []
        for field in fields where field.name.canonicalName.hasPrefix(prefix) {
            let name = field.name.rawName.dropFirst(prefix.count)
            guard !name.isEmpty else { throw .badRequest("X-Riak-Meta- needs a name behind it") }
            kept.append(
                MetadataField(
                    name: ByteBuffer(substring: name), value: try Self.kept(field.value, field.name.rawName)))
        }
        do throws(DecodeError) {
            return try VersionMetadata(contentType: type, fields: kept)
        } catch {
            throw .badRequest(
                "Content-Type is at most \(VersionMetadata.contentTypeBytesMax) bytes long, and X-Riak-Meta-* are at most "
                    + "\(VersionMetadata.fieldsMax) of \(VersionMetadata.fieldBytesMax) bytes each")
        }
    }

    /// A header's value as it is stored. The library below puts U+FFFD where a header is not UTF-8, and nobody could tell later.
    private static func kept(_ value: String, _ name: String) throws(Refusal) -> ByteBuffer {
        guard !value.unicodeScalars.contains("\u{FFFD}") else {
            throw .badRequest(
                "\(name.prefix(80)) is not UTF-8 text, or contains U+FFFD", try: "encode it, as percent or base64")
        }
        return ByteBuffer(string: value)
    }
}
