import CYAML
import Configuration

/// A configuration file as libyaml reads it: one mapping of names to scalars or lists of scalars.
///
/// Used instead of swift-configuration's own reader, which brings all of Foundation with it (`docs/decisions/0009-the-runtime-is-in-the-binary.md`).
enum YAMLSettings {
    /// Why a text is no file of settings.
    struct Failure: Error, CustomStringConvertible {
        /// Counts from 1; nil where libyaml names none.
        let line: Int?
        let reason: String

        var description: String { self.line.map { "line \($0): \(self.reason)" } ?? self.reason }
    }

    /// The settings by name; a text without any gives none. Throws what is wrong, and where.
    static func parsed(_ bytes: [UInt8]) throws(Failure) -> [String: ConfigValue] {
        guard !bytes.isEmpty else { return [:] }
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { throw Failure(line: nil, reason: "out of memory") }
        defer { yaml_parser_delete(&parser) }
        let result = bytes.withUnsafeBufferPointer { input -> Result<[String: ConfigValue], Failure> in
            yaml_parser_set_input_string(&parser, input.baseAddress, input.count)
            return Result { () throws(Failure) in
                let settings = try Self.document(&parser) { document throws(Failure) in
                    try Self.settings(of: &document)
                }
                try Self.document(&parser) { document throws(Failure) in
                    guard let more = yaml_document_get_root_node(&document) else { return }
                    throw Failure(more, "a file of settings is one document, and here begins a second one")
                }
                return settings
            }
        }
        return try result.get()
    }

    /// What `body` makes of the next document; one without a root stands for the end.
    private static func document<Made>(
        _ parser: inout yaml_parser_t, _ body: (inout yaml_document_t) throws(Failure) -> Made
    ) throws(Failure) -> Made {
        var document = yaml_document_t()
        guard yaml_parser_load(&parser, &document) == 1 else {
            let reason = parser.problem.map { String(cString: $0) } ?? "not YAML"
            // Where bytes are no text there are no lines either.
            let line = parser.error == YAML_READER_ERROR ? nil : Int(parser.problem_mark.line) + 1
            throw Failure(line: line, reason: reason)
        }
        defer { yaml_document_delete(&document) }
        return try body(&document)
    }

    private static func settings(of document: inout yaml_document_t) throws(Failure) -> [String: ConfigValue] {
        guard let root = yaml_document_get_root_node(&document) else { return [:] }
        guard root.pointee.type == YAML_MAPPING_NODE else {
            throw Failure(root, "a file of settings is made of lines 'name: value'")
        }
        var settings: [String: ConfigValue] = [:]
        let pairs = root.pointee.data.mapping.pairs
        for pair in UnsafeBufferPointer(start: pairs.start, count: pairs.top - pairs.start) {
            guard let key = yaml_document_get_node(&document, pair.key), let name = Self.scalar(key) else {
                throw Failure(root, "a setting's name must be a word")
            }
            guard settings[name] == nil else { throw Failure(key, "'\(name)' is set twice") }
            guard let value = yaml_document_get_node(&document, pair.value) else {
                throw Failure(key, "'\(name)' has no value")
            }
            settings[name] = ConfigValue(try Self.content(of: value, name, &document), isSecret: false)
        }
        return settings
    }

    private static func content(
        of node: UnsafePointer<yaml_node_t>, _ name: String, _ document: inout yaml_document_t
    ) throws(Failure) -> ConfigContent {
        if let text = Self.scalar(node) { return .string(text) }
        guard node.pointee.type == YAML_SEQUENCE_NODE else {
            throw Failure(node, "'\(name)' must be a value or a list of values")
        }
        let items = node.pointee.data.sequence.items
        var texts: [String] = []
        for item in UnsafeBufferPointer(start: items.start, count: items.top - items.start) {
            guard let item = yaml_document_get_node(&document, item), let text = Self.scalar(item) else {
                throw Failure(node, "'\(name)' must be a list of plain values")
            }
            texts.append(text)
        }
        return .stringArray(texts)
    }

    /// The text of a scalar; nil for a list or a mapping.
    private static func scalar(_ node: UnsafePointer<yaml_node_t>) -> String? {
        guard node.pointee.type == YAML_SCALAR_NODE else { return nil }
        let scalar = node.pointee.data.scalar
        return String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
    }
}

extension YAMLSettings.Failure {
    fileprivate init(_ node: UnsafePointer<yaml_node_t>, _ reason: String) {
        self.init(line: Int(node.pointee.start_mark.line) + 1, reason: reason)
    }
}
