import GyreBase
import GyreCausality
import NIOCore

/// The tags of versions. A vtag is the name of the put that wrote the version, `node-counter`; no two versions of a key have the
/// same. Where siblings are shown together, the tag is a hash of all theirs.
enum EntityTags {
    /// The vtag of one version.
    static func tag(of version: Version) -> String { "\(version.dot.node)-\(version.dot.counter)" }

    /// The entity tag of all that a key shows, without quotes; nil when it shows nothing.
    static func tag(of siblings: Siblings) -> String? {
        guard let first = siblings.versions.first else { return nil }
        if siblings.versions.count == 1 { return self.tag(of: first) }
        let all = siblings.versions.map(self.tag).joined(separator: ",")
        return hexadecimal(StableHash.xxh3(ByteBuffer(string: all), seed: 0))
    }
}

/// The value of `If-Match` or `If-None-Match` (RFC 9110 §13.1). Pure value.
enum TagCondition: Equatable {
    /// `*`: anything that exists.
    case any
    /// One of these, without quotes. Weak tags are compared as strong ones, because no tag here is weak.
    case tags([String])

    /// Tags that are read at most.
    static let tagsMax = 128

    /// Reads a header.
    /// - Throws: 400 for anything that is no list of quoted tags.
    init(_ text: String) throws(Refusal) {
        if text == "*" {
            self = .any
            return
        }
        var tags: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            var tag = part.drop { $0 == " " || $0 == "\t" }
            while tag.last == " " || tag.last == "\t" { tag.removeLast() }
            if tag.hasPrefix("W/") { tag = tag.dropFirst(2) }
            guard tag.count >= 2, tag.first == "\"", tag.last == "\"", tags.count < Self.tagsMax else {
                throw .badRequest("an entity tag must stand in quotes", try: "\"TAG\", or *")
            }
            tags.append(String(tag.dropFirst().dropLast()))
        }
        self = .tags(tags)
    }

    /// Whether what a key shows is meant: its tag, or that of one of its siblings.
    func matches(_ siblings: Siblings?) -> Bool {
        guard let siblings, let all = EntityTags.tag(of: siblings) else { return false }
        switch self {
        case .any: return true
        case .tags(let tags):
            return tags.contains { tag in tag == all || siblings.versions.contains { EntityTags.tag(of: $0) == tag } }
        }
    }
}
