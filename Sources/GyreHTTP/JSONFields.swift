import FoundationEssentials
import NIOCore

/// A value in a JSON document from outside. Pure value.
enum JSONInput: Decodable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    /// A list or an object, which no document here has as a value; it is not looked into.
    case nested

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .nested
        }
    }
}

/// A JSON object from outside, one level of it. Pure value.
///
/// A value of the wrong type costs the decoder an error for each type that is tried, and such an error as much as the value is deep.
/// So nothing is tried in the depth, and nothing on this level when there are more fields than any document has.
struct JSONFields: Decodable {
    /// Fields that are read at most.
    static let countMax = 64

    /// The fields by name, sorted; of equal names one counts.
    let all: [(name: String, value: JSONInput)]

    /// Reads a document; nil when it is no object.
    init?(_ document: ByteBuffer) {
        guard let fields = Self.read(Self.self, document) else { return nil }
        self = fields
    }

    /// Reads the object that a document has under `name`; nil when there is none.
    init?(props document: ByteBuffer) {
        struct Properties: Decodable { let props: JSONFields }
        guard let properties = Self.read(Properties.self, document) else { return nil }
        self = properties.props
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        let names = container.allKeys
        guard names.count <= Self.countMax else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(codingPath: [], debugDescription: "more than \(Self.countMax) fields"))
        }
        self.all = try names.sorted { $0.stringValue < $1.stringValue }.map { name in
            (name.stringValue, try container.decode(JSONInput.self, forKey: name))
        }
    }

    private static func read<Document: Decodable>(_ type: Document.Type, _ document: ByteBuffer) -> Document? {
        try? JSONDecoder().decode(type, from: Data(document.readableBytesView))
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
