import GyreServer
import Testing

@Suite("The HTTP door", .serialized)
struct ObjectDoorTests {
    @Test("gives back value, type and metadata with a context, a tag and a date")
    func roundTrip() async throws {
        try await DoorFixture.with { door in
            let put = try await door.ask(
                "PUT", "/buckets/b/keys/k", ["Content-Type: text/plain", "X-Riak-Meta-Who: ada"], body: "apples".utf8)
            #expect(put.status == 204 && put["x-riak-vclock"] != nil)
            let got = try await door.ask("GET", "/types/default/buckets/b/keys/k")
            #expect(got.status == 200 && got.text == "apples")
            #expect(got["content-type"] == "text/plain" && got["x-riak-meta-who"] == "ada")
            let tag = try #require(got["etag"])
            let date = try #require(got["last-modified"])
            let head = try await door.ask("HEAD", "/buckets/b/keys/k")
            #expect(head.status == 200 && head.body.isEmpty && head["content-length"] == "6" && head["etag"] == tag)
            #expect(try await door.ask("GET", "/buckets/b/keys/k", ["If-None-Match: \(tag)"]).status == 304)
            #expect(try await door.ask("GET", "/buckets/b/keys/k", ["If-Modified-Since: \(date)"]).status == 304)
            #expect(try await door.ask("GET", "/buckets/b/keys/k", ["If-Match: \"other\""]).status == 412)
        }
    }

    @Test("keeps binary keys and binary values of 8 MiB apart from text, and refuses a byte more with 413")
    func binary() async throws {
        try await DoorFixture.with { door in
            let value = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
            let path = "/buckets/%00%FF/keys/a%2Fb%00%25"
            #expect(try await door.ask("PUT", path, body: value).status == 204)
            let got = try await door.ask("GET", path)
            #expect(got.status == 200 && got.body == value && got["content-type"] == "application/octet-stream")
            #expect(try await door.ask("PUT", path, body: value + [0]).status == 413)
            #expect(try await door.ask("GET", path)["etag"] == got["etag"])
        }
    }

    @Test("shows concurrent puts as siblings, one by one or in parts, and one put with their context resolves them")
    func siblings() async throws {
        try await DoorFixture.with { door in
            let path = "/buckets/b/keys/k"
            for value in ["apples", "pears"] {
                #expect(
                    try await door.ask("PUT", path, ["Content-Type: text/\(value)"], body: value.utf8).status == 204)
            }
            let list = try await door.ask("GET", path)
            #expect(list.status == 300)
            let lines = list.text.split(separator: "\n").map(String.init)
            #expect(lines.first == "Siblings:" && lines.count == 3)
            var seen: Set<String> = []
            for tag in lines.dropFirst() { seen.insert(try await door.ask("GET", "\(path)?vtag=\(tag)").text) }
            #expect(seen == ["apples", "pears"])
            #expect(try await door.ask("GET", "\(path)?vtag=none").status == 404)
            let parts = try await door.ask("GET", path, ["Accept: multipart/mixed, */*"])
            let type = try #require(parts["content-type"])
            let boundary = try #require(type.split(separator: "=").last)
            #expect(parts.status == 300 && parts.text.components(of: "--\(boundary)\r\n") == 2)
            #expect(parts.text.contains("Content-Type: text/apples\r\n") && parts.text.contains("\r\n\r\npears\r\n"))
            #expect(parts.text.hasSuffix("\r\n--\(boundary)--\r\n"))
            let context = try #require(list["x-riak-vclock"])
            let both = try await door.ask(
                "PUT", "\(path)?returnbody=true", ["X-Riak-Vclock: \(context)"], body: "both".utf8)
            #expect(both.status == 200 && both.text == "both")
        }
    }

    @Test("deletes what is there, says 404 with the tombstone's context after it, and 404 for what never was")
    func deletes() async throws {
        try await DoorFixture.with { door in
            #expect(try await door.ask("DELETE", "/buckets/b/keys/none").status == 404)
            #expect(try await door.ask("GET", "/buckets/b/keys/none")["x-riak-vclock"] == nil)
            _ = try await door.ask("PUT", "/buckets/b/keys/k", body: "v".utf8)
            #expect(try await door.ask("DELETE", "/buckets/b/keys/k", ["If-Match: \"other\""]).status == 412)
            #expect(try await door.ask("DELETE", "/buckets/b/keys/k").status == 204)
            let gone = try await door.ask("GET", "/buckets/b/keys/k")
            #expect(gone.status == 404 && gone["x-riak-deleted"] == "true")
            let context = try #require(gone["x-riak-vclock"])
            #expect(
                try await door.ask("PUT", "/buckets/b/keys/k", ["X-Riak-Vclock: \(context)"], body: "w".utf8).status
                    == 204)
            #expect(try await door.ask("GET", "/buckets/b/keys/k").text == "w")
        }
    }

    @Test("creates a key once when 64 clients race with If-None-Match: *")
    func race() async throws {
        try await DoorFixture.with { door in
            for round in 0..<4 {
                let port = door.port
                let statuses = try await blocking {
                    let sockets = try (0..<64).map { _ in try RawHTTP(port: port) }
                    for (index, socket) in sockets.enumerated() {
                        try socket.send(
                            DoorFixture.bytes("PUT", "/buckets/b/keys/r\(round)", ["If-None-Match: *"], "\(index)".utf8)
                        )
                    }
                    return try sockets.map { try $0.answer().status }
                }
                #expect(statuses.count { $0 == 204 } == 1)
                #expect(statuses.count { $0 == 412 } == 63)
                #expect(try await door.ask("GET", "/buckets/b/keys/r\(round)").status == 200)
            }
        }
    }

    @Test("replaces only the version that If-Match names, and makes up a key that can be found")
    func conditions() async throws {
        try await DoorFixture.with { door in
            let made = try await door.ask("POST", "/buckets/b/keys", body: "one".utf8)
            let place = try #require(made["location"])
            #expect(made.status == 201)
            let first = try #require(try await door.ask("GET", place)["etag"])
            #expect(try await door.ask("PUT", place, ["If-Match: \(first)"], body: "two".utf8).status == 204)
            #expect(try await door.ask("GET", place).text == "two")
            #expect(try await door.ask("PUT", place, ["If-Match: \(first)"], body: "three".utf8).status == 412)
            #expect(try await door.ask("PUT", place, ["If-None-Match: \(first)"], body: "three".utf8).status == 204)
            #expect(try await door.ask("PUT", "/buckets/b/keys/new", ["If-Match: *"], body: "x".utf8).status == 412)
        }
    }

    @Test("says what a missed quorum needed and got, as numbers")
    func quorum() async throws {
        try await DoorFixture.with { options in
            (options.replicas, options.reads, options.writes) = (3, 2, 2)
        } _: { door in
            for answer in [
                try await door.ask("PUT", "/buckets/b/keys/k", body: "v".utf8),
                try await door.ask("GET", "/buckets/b/keys/k"),
            ] {
                #expect(answer.status == 503)
                #expect(answer.text.contains("\"error\":\"unavailable\""))
                #expect(answer.text.contains("\"needed\":2,\"got\":1"))
                #expect(answer["retry-after"] != nil)
            }
            #expect(try await door.ask("PUT", "/buckets/b/keys/k?w=1", body: "v".utf8).status == 204)
            #expect(try await door.ask("GET", "/buckets/b/keys/k?r=one&pr=1").text == "v")
            #expect(try await door.ask("GET", "/buckets/b/keys/k?r=4").status == 400)
        }
    }

    @Test("answers a stored put without its value when the read for returnbody misses its quorum or shows nothing")
    func unreadReturn() async throws {
        try await DoorFixture.with { options in
            (options.replicas, options.reads, options.writes) = (3, 2, 2)
        } _: { door in
            for read in ["r=all", "pr=3", "r=all&pr=3"] {
                let path = "/buckets/b/keys/k\(read.count)"
                let put = try await door.ask("PUT", "\(path)?w=1&\(read)&returnbody=true", body: "hello".utf8)
                #expect(put.status == 204 && put.body.isEmpty && put["retry-after"] == nil, "\(read): \(put.text)")
                let context = try #require(put["x-riak-vclock"])
                #expect(try await door.ask("GET", "\(path)?r=1").text == "hello")
                let next = ["X-Riak-Vclock: \(context)"]
                #expect(try await door.ask("PUT", "\(path)?w=1", next, body: "next".utf8).status == 204)
                #expect(try await door.ask("GET", "\(path)?r=1").text == "next")
                let made = try await door.ask("POST", "/buckets/b/keys?w=1&\(read)&returnbody=true", body: "new".utf8)
                #expect(made.status == 201 && made["x-riak-vclock"] != nil, "\(read): \(made.text)")
                let place = try #require(made["location"])
                #expect(try await door.ask("GET", "\(place)?r=1").text == "new")
            }
            let refused = try await door.ask("PUT", "/buckets/b/keys/none?w=all&returnbody=true", body: "v".utf8)
            #expect(refused.status == 503)
            // A value that ends within a millisecond is mostly gone when it is read.
            let props = #"{"props":{"ttl_s":0.001}}"#
            #expect(try await door.ask("PUT", "/buckets/short/props", body: props.utf8).status == 204)
            for key in 0..<8 {
                let path = "/buckets/short/keys/\(key)?w=1&r=1&returnbody=true"
                #expect([200, 204].contains(try await door.ask("PUT", path, body: "v".utf8).status))
            }
        }
    }

    @Test("takes a slash at the end of a path as a part of the key")
    func slashes() async throws {
        try await DoorFixture.with { door in
            for (key, same) in [("a", "a"), ("a/", "a%2F"), ("a//", "a%2f%2F"), ("/a", "%2Fa"), ("/", "%2F")] {
                #expect(try await door.ask("PUT", "/buckets/b/keys/\(key)", body: key.utf8).status == 204)
                #expect(try await door.ask("GET", "/types/default/buckets/b/keys/\(same)").text == key)
            }
            let listed = try await door.ask("GET", "/buckets/b/keys/?keys=true&encoding=percent").unchunked
            for key in ["a", "a%2F", "a%2F%2F", "%2Fa", "%2F"] { #expect(listed.contains("\"\(key)\"")) }
        }
    }

    @Test("refuses headers and paths that are not UTF-8 instead of keeping others in their place")
    func bytesThatAreNoText() async throws {
        try await DoorFixture.with { door in
            func put(_ path: String, _ header: String) async throws -> RawAnswer {
                let lines = ["PUT \(path) HTTP/1.1", "Host: t", "Connection: close", "Content-Length: 1", header]
                let text = lines.joined(separator: "\r\n") + "\r\n\r\nv"
                return try await door.ask(bytes: text.utf8.map { $0 == UInt8(ascii: "?") ? 0xE9 : $0 })
            }
            for header in ["X-Riak-Meta-Lat: caf?", "Content-Type: text/caf?"] {
                let answer = try await put("/buckets/b/keys/k", header)
                #expect(answer.status == 400 && answer.text.contains("UTF-8"), "\(header): \(answer.text)")
            }
            #expect(try await put("/buckets/b/keys/caf?", "A: b").status == 400)
            #expect(try await door.ask("GET", "/buckets/b/keys?keys=true").unchunked == "{\"keys\":[]}\n")
            // A header that is not kept may be what it likes.
            #expect(try await put("/buckets/b/keys/k", "X-Other: caf?").status == 204)
            #expect(try await put("/buckets/b/keys/k", "X-Riak-Meta-Utf: caf\u{E9}").status == 204)
        }
    }

    @Test("lists every key and every bucket with a live key once, as one document or one a page")
    func listings() async throws {
        try await DoorFixture.with { door in
            let keys = (0..<300).map { "key \($0) ü" }
            for key in keys {
                let path = "/buckets/b/keys/" + key.replacing(" ", with: "%20").replacing("ü", with: "%C3%BC")
                _ = try await door.ask("PUT", path, body: "v".utf8)
            }
            _ = try await door.ask("PUT", "/buckets/%FF/keys/%00", body: "v".utf8)
            _ = try await door.ask("PUT", "/buckets/empty/keys/k", body: "v".utf8)
            _ = try await door.ask("DELETE", "/buckets/empty/keys/k")
            for form in ["true", "stream"] {
                let text = try await door.ask("GET", "/buckets/b/keys?keys=\(form)").unchunked
                let listed = text.split(separator: "\n").flatMap { line in
                    line.dropFirst(9).dropLast(2).split(separator: ",").map { $0.dropFirst().dropLast() }
                }
                #expect(listed.map(String.init).sorted() == keys.sorted())
            }
            let prefixed = try await door.ask("GET", "/buckets/b/keys?keys=true&prefix=key%2029").unchunked
            #expect(prefixed.split(separator: ",").count == 11)
            _ = try await door.ask("PUT", "/buckets/b/keys/%00%FFx", body: "v".utf8)
            let binary = try await door.ask("GET", "/buckets/b/keys?keys=true&encoding=percent&prefix=%00%ff").unchunked
            #expect(binary == "{\"keys\":[\"%00%FFx\"]}\n")
            let none = try await door.ask("GET", "/buckets/none/keys?keys=stream").unchunked
            #expect(none == "{\"keys\":[]}\n")
            let buckets = try await door.ask("GET", "/buckets?buckets=true&encoding=percent").unchunked
            #expect(buckets == "{\"buckets\":[\"b\",\"%FF\"]}\n")
            #expect(try await door.ask("GET", "/buckets/b/keys").status == 400)
            #expect(try await door.ask("GET", "/buckets?buckets=some").status == 400)
        }
    }

    @Test("shows and sets bucket properties in Riak's words; a bucket that shows one value keeps the last")
    func properties() async throws {
        try await DoorFixture.with { door in
            let json = ["Content-Type: application/json"]
            let set = try await door.ask(
                "PUT", "/buckets/b/props", json, body: #"{"props":{"allow_mult":false,"r":"one","ttl_s":60}}"#.utf8)
            #expect(set.status == 204)
            let shown = try await door.ask("GET", "/buckets/b/props").text
            for part in [#""last_write_wins":true"#, #""r":"one""#, #""ttl_s":60.0"#, #""n_val":1"#] {
                #expect(shown.contains(part), "\(shown) lacks \(part)")
            }
            for value in ["1", "2"] { _ = try await door.ask("PUT", "/buckets/b/keys/k", body: value.utf8) }
            let got = try await door.ask("GET", "/buckets/b/keys/k")
            #expect(got.status == 200 && got.text == "2")
            #expect(try await door.ask("DELETE", "/buckets/b/props").status == 204)
            #expect(try await door.ask("GET", "/buckets/b/props").text.contains(#""allow_mult":true"#))
            for body in [
                "", "x", "[]", "{}", #"{"props":{}}"#, #"{"props":{"n_val":2}}"#, #"{"props":{"frob":1}}"#,
                #"{"props":{"r":0}}"#, #"{"props":{"allow_mult":true,"last_write_wins":true}}"#,
                String(repeating: "[", count: 5_000),
            ] {
                #expect(
                    try await door.ask("PUT", "/buckets/b/props", json, body: body.utf8).status == 400,
                    "\(body.prefix(60))")
            }
        }
    }
}

extension String {
    /// How often `part` occurs.
    fileprivate func components(of part: String) -> Int { self.ranges(of: part).count }
}
