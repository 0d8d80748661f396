import GyreBase
import GyreMessages
import HTTPTypes
import NIOCore

/// What a path names. Pure value.
enum Route: Equatable {
    /// `/buckets/B/keys/K`.
    case object(ObjectName)
    /// `/buckets/B/keys`.
    case keys(BucketName)
    /// `/buckets`.
    case buckets
    /// `/buckets/B/props`.
    case properties(BucketName)
    /// `/v1/explain/B/K`.
    case explain(ObjectName)
    /// `/v1/repair/ID`.
    case repairProgress(String)
    /// A path that is always the same, by its last word; the empty one is the status page.
    case fixed(Fixed)

    /// The paths without variables.
    enum Fixed: String {
        case page = "/"
        case ping = "/ping"
        case stats = "/stats"
        case metrics = "/metrics"
        case healthz = "/healthz"
        case readyz = "/readyz"
        case status = "/v1/status"
        case ring = "/v1/ring"
        case repair = "/v1/repair"
    }

    /// Reads the path of a request, without its query.
    /// - Throws: 404 for what is not there, 400 for bad escapes and names above their limits.
    init(path: Substring) throws(Refusal) {
        if let fixed = Fixed(rawValue: String(path)) {
            self = .fixed(fixed)
            return
        }
        guard path.first == "/" else { throw .noRoute }
        var words = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if words.count >= 2, words[0] == "types" {
            guard words[1] == "default" else {
                throw Refusal(
                    .notFound, "noRoute", "there is no bucket type '\(words[1].prefix(40))'",
                    try: "the only type is 'default'; properties belong to buckets")
            }
            words.removeFirst(2)
        }
        // A slash at the end says nothing, unless it stands behind the beginning of a key: there it is a part of the key.
        if words.count <= 4, words.last?.isEmpty ?? false { words.removeLast() }
        switch (words.first, words.count) {
        case ("buckets", 1): self = .buckets
        case ("buckets", 3) where words[2] == "keys": self = .keys(try Self.bucket(words[1]))
        case ("buckets", 3) where words[2] == "props": self = .properties(try Self.bucket(words[1]))
        // A key may contain slashes that nobody escaped, also at its end.
        case ("buckets", 4...) where words[2] == "keys":
            self = .object(try Self.name(words[1], words[3...].joined(separator: "/")))
        case ("v1", 4...) where words[1] == "explain":
            self = .explain(try Self.name(words[2], words[3...].joined(separator: "/")))
        case ("v1", 3) where words[1] == "repair": self = .repairProgress(String(words[2]))
        default: throw .noRoute
        }
    }

    private static func bytes(_ word: Substring) throws(Refusal) -> ByteBuffer {
        guard let bytes = PercentText.decode(word) else {
            throw .badRequest("a percent sign in the path is not followed by two hexadecimal digits")
        }
        return ByteBuffer(bytes: bytes)
    }

    private static func bucket(_ word: Substring) throws(Refusal) -> BucketName {
        let bytes = try self.bytes(word)
        do throws(ObjectNameError) { return try BucketName(bytes) } catch { throw self.refusal(error) }
    }

    private static func name(_ bucket: Substring, _ key: String) throws(Refusal) -> ObjectName {
        let bucket = try self.bytes(bucket)
        let key = try self.bytes(Substring(key))
        do throws(ObjectNameError) { return try ObjectName(bucket: bucket, key: key) } catch {
            throw self.refusal(error)
        }
    }

    private static func refusal(_ error: ObjectNameError) -> Refusal {
        switch error {
        case .bucket(let bytes, let bytesMax):
            .badRequest("a bucket has 1 to \(bytesMax) bytes, this one \(bytes)")
        case .key(let bytes, let bytesMax): .badRequest("a key has 1 to \(bytesMax) bytes, this one \(bytes)")
        }
    }
}
