import GyreHTTP
import NIOCore
import Testing

@testable import GyreHTTP

@Suite("JSON documents from outside", .serialized)
struct HostileDocumentTests {
    private static let json = ["Content-Type: application/json"]

    /// 61 KB each, and each of another kind of too much.
    private static let hostile: [(name: String, text: String)] = [
        ("deep", nested(490, Array(repeating: "\"\"", count: 20_000).joined(separator: ","))),
        (
            "deep below a property",
            "{\"props\":{\"r\":\(nested(480, Array(repeating: "1", count: 30_000).joined(separator: ",")))}}"
        ),
        ("wide", "{\"props\":{\((0..<6_000).map { "\"\($0)\":[]" }.joined(separator: ","))}}"),
        ("wide with one name", "{\"props\":{\(Array(repeating: "\"r\":[]", count: 8_000).joined(separator: ","))}}"),
        ("a long number", "{\"props\":{\"r\":\(String(repeating: "9", count: 60_000))}}"),
        ("a long fraction", "{\"props\":{\"ttl_s\":0.\(String(repeating: "9", count: 60_000))e}}"),
        ("escapes", "{\"props\":{\"r\":\"\(String(repeating: "\\ud800", count: 10_000))\"}}"),
        ("endless", String(repeating: "{\"\":[", count: 10_000)),
    ]

    @Test("are refused at once when they are deep or wide, and others are answered meanwhile")
    func hostileDocuments() async throws {
        try await DoorFixture.with { door in
            for (name, text) in Self.hostile {
                let began = ContinuousClock.now
                async let props = door.ask("PUT", "/buckets/b/props", Self.json, body: text.utf8)
                async let repair = door.ask("POST", "/v1/repair", Self.json, body: text.utf8)
                async let again = door.ask("POST", "/v1/repair", Self.json, body: text.utf8)
                #expect(try await door.ask("GET", "/ping").status == 200)
                let statuses = try await [props.status, repair.status, again.status]
                #expect(statuses == [400, 400, 400], "\(name)")
                #expect(ContinuousClock.now - began < .seconds(10), "\(name)")
            }
        }
    }

    @Test("are read one level deep; what is nested there is no value")
    func fields() throws {
        let text = #"{"t":"x","b":true,"i":7,"d":0.5,"n":null,"l":[1],"o":{"a":1}}"#
        let fields = try #require(JSONFields(ByteBuffer(string: text))).all
        #expect(fields.map(\.name) == ["b", "d", "i", "l", "n", "o", "t"])
        #expect(
            fields.map(\.value) == [.bool(true), .number(0.5), .integer(7), .nested, .null, .nested, .text("x")])
        let most = (0..<JSONFields.countMax).map { "\"\($0)\":1" }.joined(separator: ",")
        #expect(JSONFields(ByteBuffer(string: "{\(most)}")) != nil)
        for text in ["", "7", "[]", "{\(most),\"x\":1}", "{\"a\":1", "{\"a\":1}x"] {
            #expect(JSONFields(ByteBuffer(string: text)) == nil, "\(text.prefix(40))")
        }
    }
}

private func nested(_ depth: Int, _ inside: String) -> String {
    String(repeating: "[", count: depth) + inside + String(repeating: "]", count: depth)
}
