import GyreWire
import NIOCore
import Testing

/// Bytes a client sends, and the commands in them or the reason for refusing them.
struct RespCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let commands: [[String]]
    let error: String?

    init(_ description: String, _ text: String, _ commands: [[String]], error: String? = nil) {
        self.testDescription = description
        self.bytes = Array(text.utf8)
        self.commands = commands
        self.error = error
    }
}

/// What a parser makes of bytes that arrive in pieces.
private func parsed(_ pieces: [[UInt8]], limits: RespLimits = RespLimits()) -> (commands: [[String]], error: String?) {
    var parser = RespParser(limits: limits)
    var commands: [[String]] = []
    for piece in pieces {
        parser.append(ByteBuffer(bytes: piece))
        do {
            while try parser.next() {
                commands.append((0..<parser.count).map { String(buffer: parser.argument($0)) })
                parser.consume()
            }
        } catch { return (commands, error.description) }
    }
    return (commands, nil)
}

@Suite("A parser of the Redis protocol")
struct RespParserTests {
    static let cases = [
        RespCase("an array of bulk strings", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [["GET", "k"]]),
        RespCase("an empty argument", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [["ECHO", ""]]),
        RespCase(
            "several commands", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\nPING\r\n", [["PING"], ["PING"], ["PING"]]),
        RespCase("line ends inside an argument", "*1\r\n$4\r\n\r\n\r\n\r\n", [["\r\n\r\n"]]),
        RespCase("an empty and a null array as nothing", "*0\r\n*-1\r\n*1\r\n$1\r\na\r\n", [["a"]]),
        RespCase("an inline command", "  SET key  value \r\n", [["SET", "key", "value"]]),
        RespCase("an inline command that ends with a bare line feed", "PING\nPING\n", [["PING"], ["PING"]]),
        RespCase("empty lines as nothing", "\r\n\n  \r\n*1\r\n$1\r\na\r\n", [["a"]]),
        RespCase(
            "quotes and escapes", "SET 'a b' \"c\\x41\\n\\\"d\\\\\" '\\'e'\r\n", [["SET", "a b", "cA\n\"d\\", "'e"]]),
        RespCase("an empty quoted word", "ECHO \"\"\r\n", [["ECHO", ""]]),
        RespCase(
            "quotes that are not closed", "PING\r\nSET \"a\r\n", [["PING"]], error: "unbalanced quotes in request"),
        RespCase("bytes behind a quote", "SET \"a\"b\r\n", [], error: "unbalanced quotes in request"),
        RespCase("a count that is no number", "*x\r\n", [], error: "invalid multibulk length"),
        RespCase("a count above the limit", "*65537\r\n", [], error: "invalid multibulk length"),
        RespCase("a count that overflows", "*99999999999999999999\r\n", [], error: "invalid multibulk length"),
        RespCase(
            "a count without an end", "*" + String(repeating: "0", count: 15) + String(repeating: "0", count: 40), [],
            error: "invalid multibulk length"),
        RespCase("a count that ends with a bare line feed", "*1\n", [], error: "invalid multibulk length"),
        RespCase("a negative length", "*1\r\n$-1\r\n", [], error: "invalid bulk length"),
        RespCase("a length above the limit", "*1\r\n$16777217\r\n", [], error: "invalid bulk length"),
        RespCase("a length that overflows", "*1\r\n$9223372036854775808\r\n", [], error: "invalid bulk length"),
        RespCase("a number in place of an argument", "*1\r\n:1\r\n", [], error: "expected '$' before an argument"),
        RespCase(
            "an argument that is longer than it says", "*1\r\n$1\r\nabc\r\n", [],
            error: "an argument does not end where its length says"),
    ]

    @Test("reads", arguments: cases)
    func reads(_ example: RespCase) {
        let (commands, error) = parsed([example.bytes])
        #expect(commands == example.commands)
        #expect(error == example.error)
    }

    @Test("does not care where the bytes are cut", arguments: cases)
    func isIncremental(_ example: RespCase) {
        for cut in 0...example.bytes.count {
            let (commands, error) = parsed([Array(example.bytes[..<cut]), Array(example.bytes[cut...])])
            #expect(commands == example.commands && error == example.error, "cut at \(cut)")
        }
        let (commands, error) = parsed(example.bytes.map { [$0] })
        #expect(commands == example.commands && error == example.error, "byte by byte")
    }

    @Test("shows a command until it is consumed, also while more arrives")
    func showsUntilConsumed() throws {
        var parser = RespParser()
        parser.append(ByteBuffer(string: "*1\r\n$1\r\na\r\nPING x\r\n"))
        for _ in 0..<2 {
            #expect(try parser.next())
            #expect(String(buffer: parser.argument(0)) == "a")
            parser.append(ByteBuffer(string: "*1\r\n$1\r\nb\r\n"))
        }
        parser.consume()
        #expect(try parser.next() && parser.next())
        #expect((0..<parser.count).map { String(buffer: parser.argument($0)) } == ["PING", "x"])
        parser.consume()
        #expect(try parser.next())
        #expect(String(buffer: parser.argument(0)) == "b")
    }

    @Test("keeps its limits of bytes, and reserves nothing that was only announced")
    func isBounded() throws {
        var limits = RespLimits()
        limits.commandBytesMax = 100
        limits.inlineBytesMax = 50
        let command = "*3\r\n$30\r\n" + String(repeating: "a", count: 30) + "\r\n$60\r\n"
        #expect(parsed([Array(command.utf8)], limits: limits).error == "the command is too long")
        #expect(parsed([[UInt8](repeating: 65, count: 50)], limits: limits).error == "too big inline request")
        #expect(parsed([[UInt8](repeating: 65, count: 49)], limits: limits).error == nil)
        var parser = RespParser()
        parser.append(ByteBuffer(string: "*65536\r\n$16777216\r\nabc"))
        #expect(try !parser.next())
        #expect(parser.bytesHeld < 100)
    }

    @Test("packs names without regard to case")
    func packsNames() throws {
        var parser = RespParser()
        parser.append(ByteBuffer(string: "*1\r\n$8\r\ngyre.Get\r\nGYRE.GET\r\nmuchlonger\r\n"))
        var names: [UInt64] = []
        while try parser.next() {
            names.append(parser.packedName)
            parser.consume()
        }
        #expect(names[0] == names[1] && names[0] != 0 && names[2] == 0)
    }
}

@Suite("An encoder of the Redis protocol")
struct RespEncoderTests {
    private static func text(_ answer: RespAnswer, _ version: RespVersion) -> String {
        var out = ByteBuffer()
        RespEncoder.write(answer, version, into: &out)
        return String(buffer: out)
    }

    @Test("writes both versions")
    func writes() {
        let answers: [(RespAnswer, String, String)] = [
            (.simple("OK"), "+OK\r\n", "+OK\r\n"), (.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (.integer(0), ":0\r\n", ":0\r\n"), (.integer(-120), ":-120\r\n", ":-120\r\n"),
            (.integer(.min), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            (.integer(.max), ":9223372036854775807\r\n", ":9223372036854775807\r\n"),
            (.text(""), "$0\r\n\r\n", "$0\r\n\r\n"), (.text("a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
            (.null, "$-1\r\n", "_\r\n"), (.array([]), "*0\r\n", "*0\r\n"),
            (.array([.null, .integer(10)]), "*2\r\n$-1\r\n:10\r\n", "*2\r\n_\r\n:10\r\n"),
            (.map([(.text("a"), .integer(1))]), "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
        ]
        for (answer, two, three) in answers {
            #expect(Self.text(answer, .two) == two)
            #expect(Self.text(answer, .three) == three)
        }
    }
}
