import FoundationEssentials
import GyreBase
import Tracing

/// The OTLP/JSON form of spans: one `TracesData` document a line, as the OpenTelemetry file exporter writes it and the collector's
/// `otlpjsonfile` receiver reads it.
///
/// Identities are hexadecimal and 64-bit integers are text, as the OTLP specification says for JSON.
struct SpanDocument: Encodable {
    let resourceSpans: [ResourceSpans]

    struct ResourceSpans: Encodable {
        let resource: Resource
        let scopeSpans: [ScopeSpans]
    }

    struct Resource: Encodable { let attributes: [Field] }

    struct ScopeSpans: Encodable {
        let scope: Scope
        let spans: [Entry]
    }

    struct Scope: Encodable {
        let name: String
        let version: String
    }

    struct Entry: Encodable {
        let traceId: String
        let spanId: String
        let parentSpanId: String?
        let flags: UInt32
        let name: String
        let kind: Int
        let startTimeUnixNano: String
        let endTimeUnixNano: String
        let attributes: [Field]
        let events: [Event]?
        let status: Status
    }

    struct Event: Encodable {
        let timeUnixNano: String
        let name: String
        let attributes: [Field]
    }

    struct Status: Encodable {
        var code = 0
        var message: String?
    }

    struct Field: Encodable {
        let key: String
        let value: Value
    }

    struct Value: Encodable {
        var stringValue: String?
        var intValue: String?
        var doubleValue: Double?
        var boolValue: Bool?
    }
}

extension SpanDocument {
    /// Spans of one node.
    init(_ spans: some Sequence<FinishedSpan>, of node: TracedNode) {
        let attributes = [
            Field(key: "service.name", value: Value(stringValue: "gyre")),
            Field(key: "service.namespace", value: Value(stringValue: node.cluster)),
            Field(key: "service.instance.id", value: Value(stringValue: node.name)),
            Field(key: "service.version", value: Value(stringValue: node.version)),
        ]
        let scope = ScopeSpans(scope: Scope(name: "gyre", version: node.version), spans: spans.map(Entry.init))
        self.resourceSpans = [ResourceSpans(resource: Resource(attributes: attributes), scopeSpans: [scope])]
    }

    /// The document as one line, its end included.
    func line() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        var data = try encoder.encode(self)
        data.append(UInt8(ascii: "\n"))
        return data
    }
}

extension SpanDocument.Entry {
    init(_ span: FinishedSpan) {
        self.traceId = span.trace.traceText
        self.spanId = hexadecimal(span.trace.span)
        self.parentSpanId = span.parent.map { hexadecimal($0) }
        self.flags = UInt32(span.trace.flags)
        self.name = SpanDocument.cut(span.name)
        switch span.kind {
        case .internal: self.kind = 1
        case .server: self.kind = 2
        case .client: self.kind = 3
        case .producer: self.kind = 4
        case .consumer: self.kind = 5
        }
        self.startTimeUnixNano = String(span.start)
        self.endTimeUnixNano = String(span.end)
        self.attributes = SpanDocument.fields(span.attributes)
        let events = span.events.map { event in
            SpanDocument.Event(
                timeUnixNano: String(event.nanosecondsSinceEpoch), name: SpanDocument.cut(event.name),
                attributes: SpanDocument.fields(event.attributes))
        }
        self.events = events.isEmpty ? nil : events
        var status = SpanDocument.Status()
        if let known = span.status {
            status.code = known.code == .error ? 2 : 1
            status.message = known.message.map(SpanDocument.cut)
        }
        self.status = status
    }
}

extension SpanDocument {
    /// In the order of their names, so that equal spans are equal text.
    static func fields(_ attributes: SpanAttributes) -> [Field] {
        var fields: [Field] = []
        // Attributes are no sequence; this is the only way through them.
        // swift-format-ignore: ReplaceForEachWithForLoop
        attributes.forEach { key, attribute in
            guard fields.count < FileSpan.attributesMax else { return }
            fields.append(Field(key: Self.cut(key), value: Value(attribute)))
        }
        return fields.sorted { $0.key < $1.key }
    }

    /// At most `FileSpan.textBytesMax` bytes; a character that is cut in two becomes a mark for that.
    static func cut(_ text: String) -> String {
        guard text.utf8.count > FileSpan.textBytesMax else { return text }
        return String(decoding: text.utf8.prefix(FileSpan.textBytesMax), as: UTF8.self)
    }
}

extension SpanDocument.Value {
    init(_ attribute: SpanAttribute) {
        switch attribute {
        case .int32(let value): self.init(intValue: String(value))
        case .int64(let value): self.init(intValue: String(value))
        // JSON has no infinity and no NaN.
        case .double(let value):
            if value.isFinite { self.init(doubleValue: value) } else { self.init(stringValue: "\(value)") }
        case .bool(let value): self.init(boolValue: value)
        case .string(let value): self.init(stringValue: SpanDocument.cut(value))
        case .stringConvertible(let value): self.init(stringValue: SpanDocument.cut("\(value)"))
        default: self.init(stringValue: SpanDocument.cut("\(attribute)"))
        }
    }
}
