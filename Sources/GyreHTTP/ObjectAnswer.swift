import GyreBase
import GyreCausality
import GyreClient
import HTTPTypes
import NIOCore

extension HTTPField.Name {
    /// The causal context, as Riak calls it.
    static let vectorClock = Self.known("X-Riak-Vclock")
    /// The trace that a request belongs to (W3C Trace Context).
    static let traceparent = Self.known("traceparent")
    /// Says that a 404 is about a key that was deleted.
    static let deleted = Self.known("X-Riak-Deleted")
    /// What a user's metadata begins with, lower case.
    static let metadataPrefix = "x-riak-meta-"

    private static func known(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("\(text) is not the name of a header") }
        return name
    }
}

/// How a key's values look in HTTP: one as a body, several as a list or as parts. Pure.
struct ObjectAnswer {
    let name: ObjectName
    let siblings: Siblings

    /// The headers of the key as a whole.
    private var context: HTTPField {
        HTTPField(name: .vectorClock, value: CausalContext(self.siblings.context, of: self.name).text)
    }

    /// The one value with the tag `vtag`, or the only one, or all of them.
    /// - Parameters:
    ///   - accept: the request's `Accept`; several values become parts when it names `multipart/mixed`.
    ///   - boundary: what separates parts; must not occur in any value.
    func answer(vtag: String?, accept: String?, boundary: String, status: HTTPResponse.Status = .ok) -> Answer {
        if let vtag {
            guard let version = self.siblings.versions.first(where: { EntityTags.tag(of: $0) == vtag }) else {
                return self.notFound
            }
            return self.single(version, status)
        }
        if self.siblings.versions.count == 1, let version = self.siblings.versions.first {
            return self.single(version, status)
        }
        guard !self.siblings.versions.isEmpty else { return self.notFound }
        let wantsParts = accept?.lowercased().contains("multipart/mixed") ?? false
        return wantsParts ? self.parts(boundary) : self.list
    }

    /// 404, with the context of what was deleted if there was anything.
    var notFound: Answer {
        var answer = Answer(.notFound, "text/plain", "not found\n")
        guard !self.siblings.context.isEmpty else { return answer }
        answer.fields.append(self.context)
        if self.siblings.isTombstone { answer.fields[.deleted] = "true" }
        return answer
    }

    /// 304.
    var notModified: Answer {
        var answer = Answer(.notModified)
        answer.fields.append(self.context)
        if let tag = EntityTags.tag(of: self.siblings) { answer.fields[.eTag] = "\"\(tag)\"" }
        return answer
    }

    /// The latest moment at which a value was put, in milliseconds since 1970; zero when there is none.
    var modifiedMilliseconds: UInt64 { self.siblings.versions.map(\.time.wall.milliseconds).max() ?? 0 }

    private func single(_ version: Version, _ status: HTTPResponse.Status) -> Answer {
        var answer = Answer(status)
        answer.fields = Self.fields(of: version)
        answer.fields.append(self.context)
        answer.body = version.value
        return answer
    }

    private var list: Answer {
        let tags = self.siblings.versions.map { EntityTags.tag(of: $0) + "\n" }.joined()
        var answer = Answer(.multipleChoices, "text/plain", "Siblings:\n\(tags)")
        self.addWhole(to: &answer)
        return answer
    }

    private func parts(_ boundary: String) -> Answer {
        var answer = Answer(.multipleChoices)
        answer.fields[.contentType] = "multipart/mixed; boundary=\(boundary)"
        self.addWhole(to: &answer)
        for version in self.siblings.versions {
            answer.body.writeString("\r\n--\(boundary)\r\n")
            for field in Self.fields(of: version) {
                answer.body.writeString("\(field.name.rawName): \(field.value)\r\n")
            }
            answer.body.writeString("\r\n")
            answer.body.writeImmutableBuffer(version.value)
        }
        answer.body.writeString("\r\n--\(boundary)--\r\n")
        return answer
    }

    private func addWhole(to answer: inout Answer) {
        answer.fields.append(self.context)
        if let tag = EntityTags.tag(of: self.siblings) { answer.fields[.eTag] = "\"\(tag)\"" }
        if let date = HTTPDate.text(milliseconds: self.modifiedMilliseconds) { answer.fields[.lastModified] = date }
    }

    /// The headers of one value. What another protocol stored and no header may contain is left out.
    private static func fields(of version: Version) -> HTTPFields {
        var fields = HTTPFields()
        let type = String(buffer: version.metadata.contentType)
        fields[.contentType] = type.isEmpty || !self.isFieldValue(type) ? "application/octet-stream" : type
        fields[.eTag] = "\"\(EntityTags.tag(of: version))\""
        if let date = HTTPDate.text(milliseconds: version.time.wall.milliseconds) { fields[.lastModified] = date }
        for field in version.metadata.fields {
            let value = String(buffer: field.value)
            guard self.isFieldValue(value), let name = HTTPField.Name("X-Riak-Meta-" + String(buffer: field.name))
            else {
                continue
            }
            fields.append(HTTPField(name: name, value: value))
        }
        return fields
    }

    private static func isFieldValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }
}
