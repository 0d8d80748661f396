import GyreBase
import GyreClient
import GyreMessages
import NIOCore
import Testing

@testable import GyreHTTP

@Suite("The words of HTTP")
struct HTTPTextTests {
    @Test("dates are written and read in the one form, and nothing else is a date")
    func dates() {
        #expect(HTTPDate.text(milliseconds: 784_111_777_999) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.seconds("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
        for seconds in stride(from: UInt64(0), to: 4_000_000_000, by: 86_399_991) {
            #expect(HTTPDate.text(milliseconds: seconds * 1_000).flatMap(HTTPDate.seconds) == seconds)
        }
        for text in [
            "", "now", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 6  Nov 1994 08:49:37 GMT",
        ] {
            #expect(HTTPDate.seconds(text) == nil, "\(text)")
        }
    }

    @Test("nothing may have happened by a read that was late")
    func lateReads() {
        #expect(GyreError(.timeout, isRead: false).mayHaveHappened)
        #expect(!GyreError(.timeout, isRead: true).mayHaveHappened)
    }

    @Test("every byte survives percent-encoding, and half an escape is none")
    func percent() {
        let all = ByteBuffer(bytes: UInt8.min...UInt8.max)
        #expect(PercentText.decode(Substring(PercentText.encode(all))) == Array(UInt8.min...UInt8.max))
        for text in ["%", "%1", "%g0", "a%", "%%20"] { #expect(PercentText.decode(Substring(text)) == nil) }
        #expect(PercentText.decode("a+b") == Array("a+b".utf8))
        #expect(PercentText.decode("a+b", plusIsSpace: true) == Array("a b".utf8))
    }

    @Test("paths name what they should")
    func paths() throws {
        func key(_ path: Substring) throws -> String? {
            guard case .object(let name) = try Route(path: path) else { return nil }
            return String(buffer: name.bucket) + "|" + String(buffer: name.key)
        }
        #expect(try key("/buckets/b/keys/k") == "b|k")
        #expect(try key("/types/default/buckets/b/keys/k") == "b|k")
        #expect(try key("/buckets/a%2Fb/keys/c/d") == "a/b|c/d")
        #expect(try key("/buckets/b/keys/k/") == "b|k/")
        #expect(try key("/types/default/buckets/b/keys//") == "b|/")
        guard case .explain(let name) = try Route(path: "/v1/explain/b/k/") else { throw Refusal.noRoute }
        #expect(String(buffer: name.key) == "k/")
        guard case .keys = try Route(path: "/types/default/buckets/b/keys/") else { throw Refusal.noRoute }
        #expect(try Route(path: "/buckets") == .buckets)
        #expect(try Route(path: "/buckets/") == .buckets)
        #expect(try Route(path: "/v1/status") == .fixed(.status))
        #expect(try Route(path: "/") == .fixed(.page))
        for path in ["", "x", "/buckets/b", "/buckets/b/keys/k%", "/types/x/buckets", "/v1", "/v1/explain/b"] {
            #expect(throws: Refusal.self) { try Route(path: Substring(path)) }
        }
    }

    @Test("queries are read with their limits")
    func queries() throws {
        let query = try Query("r=quorum&w=2&pr=0&returnbody=true&r=one&x")
        #expect(try query.size("r") == .one)
        #expect(try query.size("w") == .count(2))
        #expect(try query.size("pr") == .standard)
        #expect(try query.size("pw") == .standard)
        #expect(try query.flag("returnbody"))
        for text in ["r=0", "r=256", "r=-1", "r=two", "r="] {
            let query = try Query(Substring(text))
            #expect(throws: Refusal.self) { try query.size("r") }
        }
        let binary = try Query("prefix=%00%FF&bucket=%ff")
        #expect(binary.bytes("prefix") == ByteBuffer(bytes: [0x00, 0xFF]) && binary.bytes("none") == nil)
        #expect(throws: Refusal.self) { try binary.text("bucket") }
        #expect(throws: Refusal.self) {
            try Query(Substring([String](repeating: "a=b", count: Query.itemsMax + 1).joined(separator: "&")))
        }
    }

    @Test("entity tags stand in quotes, in lists, and a star is any")
    func tags() throws {
        #expect(try TagCondition("*") == .any)
        #expect(try TagCondition("\"a\", W/\"b\",\t\"\"") == .tags(["a", "b", ""]))
        for text in ["", "a", "\"a", "\"a\" \"b\"x", ",", "\""] {
            #expect(throws: Refusal.self) { try TagCondition(text) }
        }
    }
}
