import Glibc
import GyreClient
import GyreMembership
import GyreMessages
import GyreServer
import GyreWire
import NIOCore
import Testing

/// Lines of a conversation: what is asked, and the answer.
private typealias Lines = [([String], RespAnswer)]

private func arity(_ name: String) -> RespAnswer { .error("ERR wrong number of arguments for '\(name)' command") }

private func error(_ text: String) -> RespAnswer { .error("ERR \(text)") }

private let ok = RespAnswer.simple("OK")
private let one = RespAnswer.integer(1)
private let zero = RespAnswer.integer(0)

/// Asks every line and compares. A life that is left may have become shorter by the time that passed since the first line.
private func converse(_ port: UInt16, _ lines: Lines) throws {
    let socket = try RespSocket(port: port)
    let began = ContinuousClock.now
    for (arguments, answer) in lines {
        try socket.send(RespSocket.command(arguments.map { Array($0.utf8) }))
        let received = try socket.receive()
        if arguments.first == "TTL", case .integer(let life) = answer, life > 0, case .integer(let left) = received {
            let passed = (ContinuousClock.now - began).components.seconds + 1
            #expect((life - passed...life).contains(left), "\(arguments)")
        } else {
            #expect(received == answer, "\(arguments)")
        }
    }
}

extension TestServer {
    /// The port of the Redis protocol.
    var resp: UInt16 { self.server.resp?.port ?? 0 }

    /// Runs `body` against a fresh node that serves Redis clients.
    static func withResp(limits: ShellLimits = ShellLimits(), _ body: (TestServer) async throws -> Void) async throws {
        try await TestServer.with(
            limits: limits, { $0.resp = PeerAddress(host: "127.0.0.1", port: 0) }, body)
    }

    /// Runs `body` against a node that serves Redis clients and needs another one for every read and write, which `body` can silence
    /// for some seconds. There is a value under `k`.
    static func withSilentReplica(
        limits: ShellLimits = ShellLimits(),
        _ body: (TestServer, _ silence: (_ seconds: Double) -> Void) async throws -> Void
    ) async throws {
        func three(_ options: inout ServerOptions) {
            options.resp = PeerAddress(host: "127.0.0.1", port: 0)
            (options.replicas, options.reads, options.writes) = (3, 2, 2)
        }
        try await TestServer.with(limits: limits, three) { first in
            let second = try await TestServer.start {
                three(&$0)
                $0.name = "second"
                $0.seeds = [first.server.listen]
            }
            let socket = try RespSocket(port: first.resp)
            for _ in 0..<500 {
                if try socket.ask("SET", "k", "v") == ok { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            let loop = try await second.server.makeDesk().loop
            do { try await body(first) { seconds in loop.execute { usleep(UInt32(seconds * 1e6)) } } } catch {
                try await second.stop()
                throw error
            }
            try await second.stop()
        }
    }
}

@Suite("A Redis client", .serialized)
struct RespCommandTests {
    @Test("gets and sets")
    func strings() async throws {
        try await TestServer.withResp { test in
            try converse(
                test.resp,
                [
                    (["GET", "k"], .null), (["SET", "k", "v"], ok), (["get", "k"], .text("v")),
                    (["STRLEN", "k"], .integer(1)), (["STRLEN", "no"], zero), (["TYPE", "k"], .simple("string")),
                    (["TYPE", "no"], .simple("none")), (["SETNX", "k", "w"], zero), (["SETNX", "n", "w"], one),
                    (["GETSET", "k", "w"], .text("v")), (["GETSET", "m", "w"], .null), (["GETDEL", "k"], .text("w")),
                    (["GETDEL", "k"], .null), (["GET", "k"], .null), (["EXISTS", "k", "n", "n", "m"], .integer(3)),
                    (["DEL", "k", "n", "n"], one), (["UNLINK", "m", "n"], one), (["EXISTS", "m"], zero),
                    (["MSET", "a", "1", "b", "2", "a", "3"], ok),
                    (["MGET", "a", "no", "b"], .array([.text("3"), .null, .text("2")])),
                    (["SET", "", "v"], error("a key has 1 to 4096 bytes, not 0")),
                    (["GET", String(repeating: "k", count: 4_097)], error("a key has 1 to 4096 bytes, not 4097")),
                    (["GET"], arity("get")), (["GET", "a", "b"], arity("get")), (["SET", "a"], arity("set")),
                    (["MSET", "a"], arity("mset")), (["MSET", "a", "b", "c"], arity("mset")), (["DEL"], arity("del")),
                    (
                        ["NOPE", "a"], error("unknown command 'NOPE', with args beginning with: 'a' ")
                    ),
                ])
        }
    }

    @Test("sets with every option")
    func setOptions() async throws {
        try await TestServer.withResp { test in
            let syntax = error("syntax error")
            let expiry = error("invalid expire time in 'set' command")
            let integer = error("value is not an integer or out of range")
            try converse(
                test.resp,
                [
                    (["SET", "k", "v", "XX"], .null), (["SET", "k", "v", "NX"], ok), (["SET", "k", "w", "NX"], .null),
                    (["SET", "k", "w", "XX"], ok), (["SET", "k", "x", "GET"], .text("w")),
                    (["SET", "new", "x", "get"], .null), (["SET", "k", "y", "NX", "GET"], .text("x")),
                    (["GET", "k"], .text("x")), (["SET", "k", "x", "EX", "100"], ok), (["TTL", "k"], .integer(100)),
                    (["SET", "k", "y", "KEEPTTL"], ok), (["TTL", "k"], .integer(100)), (["GET", "k"], .text("y")),
                    (["SET", "k", "z"], ok), (["TTL", "k"], .integer(-1)),
                    (["SET", "k", "z", "PX", "100000"], ok), (["TTL", "k"], .integer(100)),
                    (["SET", "k", "z", "EXAT", "1"], ok), (["GET", "k"], .null),
                    (["SET", "k", "z", "PXAT", "9000000000000"], ok), (["GET", "k"], .text("z")),
                    (["SET", "k", "v", "EX"], syntax), (["SET", "k", "v", "NX", "XX"], syntax),
                    (["SET", "k", "v", "EX", "1", "PX", "1"], syntax),
                    (["SET", "k", "v", "EX", "1", "KEEPTTL"], syntax),
                    (["SET", "k", "v", "WAT"], syntax), (["SET", "k", "v", "EX", "0"], expiry),
                    (["SET", "k", "v", "EX", "-1"], expiry), (["SET", "k", "v", "EX", "9223372036854775807"], expiry),
                    (["SET", "k", "v", "EX", "1.5"], integer), (["SET", "k", "v", "PX", "x"], integer),
                    (["GET", "k"], .text("z")),
                ])
        }
    }

    @Test("gives values a life and takes it back")
    func lives() async throws {
        try await TestServer.withResp { test in
            try converse(
                test.resp,
                [
                    (["TTL", "k"], .integer(-2)), (["PTTL", "k"], .integer(-2)), (["EXPIRE", "k", "10"], zero),
                    (["PERSIST", "k"], zero), (["SETEX", "k", "100", "v"], ok), (["TTL", "k"], .integer(100)),
                    (["PERSIST", "k"], one), (["TTL", "k"], .integer(-1)), (["PERSIST", "k"], zero),
                    (["EXPIRE", "k", "50", "XX"], zero), (["EXPIRE", "k", "50", "GT"], zero),
                    (["EXPIRE", "k", "50", "NX"], one), (["EXPIRE", "k", "60", "NX"], zero),
                    (["EXPIRE", "k", "40", "GT"], zero), (["EXPIRE", "k", "60", "GT"], one),
                    (["EXPIRE", "k", "70", "LT"], zero), (["PEXPIRE", "k", "30000", "LT"], one),
                    (["TTL", "k"], .integer(30)), (["GET", "k"], .text("v")), (["EXPIRE", "k", "-1"], one),
                    (["GET", "k"], .null), (["PSETEX", "k", "20", "v"], ok),
                    (["SETEX", "k2", "0", "v"], error("invalid expire time in 'setex' command")),
                    (["PSETEX", "k2", "x", "v"], error("value is not an integer or out of range")),
                    (["EXPIRE", "k", "1", "WAT"], error("Unsupported option WAT")),
                    (["EXPIRE", "k", "9223372036854775807"], error("invalid expire time in 'expire' command")),
                ])
            try await Task.sleep(for: .milliseconds(60))
            try converse(test.resp, [(["GET", "k"], .null), (["EXISTS", "k"], zero), (["TTL", "k"], .integer(-2))])
        }
    }

    @Test("finds keys by pattern and page, each database for itself")
    func keys() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            #expect(try socket.ask("DBSIZE") == zero)
            for index in 0..<50 { #expect(try socket.ask("SET", "user:\(index)", "v") == ok) }
            #expect(try socket.ask("SET", "other", "v") == ok)
            #expect(try socket.ask("DEL", "user:7") == one)
            #expect(try socket.ask("DBSIZE") == .integer(50))
            guard case .array(let keys) = try socket.ask("KEYS", "user:1?") else { return #expect(Bool(false)) }
            #expect(keys.count == 10)
            #expect(try socket.ask("KEYS", "[n-p]th*") == .array([.text("other")]))
            #expect(try socket.ask("KEYS", "nothing*") == .array([]))
            var found: Set<String> = []
            var cursor = "0"
            repeat {
                guard case .array(let page) = try socket.ask("SCAN", cursor, "MATCH", "user:*", "COUNT", "7"),
                    case .bulk(let next) = page[0], case .array(let names) = page[1]
                else { return #expect(Bool(false)) }
                cursor = String(buffer: next)
                for case .bulk(let name) in names { found.insert(String(buffer: name)) }
            } while cursor != "0"
            #expect(found.count == 49)
            #expect(try socket.ask("SELECT", "3") == ok)
            #expect(try socket.ask("DBSIZE") == zero)
            #expect(try socket.ask("SET", "k", "three") == ok)
            #expect(try socket.ask("SELECT", "0") == ok)
            #expect(try socket.ask("GET", "k") == .null)
            #expect(try socket.ask("SCAN", "0", "TYPE", "hash", "COUNT", "1000") == .array([.text("0"), .array([])]))
            try converse(
                test.resp,
                [
                    (["SCAN", "x"], error("invalid cursor")), (["SCAN", "9007199254740992"], error("invalid cursor")),
                    (["SCAN", "0", "COUNT"], error("syntax error")),
                    (["SCAN", "0", "COUNT", "0"], error("syntax error")),
                    (["SCAN", "0", "COUNT", "x"], error("value is not an integer or out of range")),
                    (["SCAN", "0", "WAT", "1"], error("syntax error")),
                    (["SELECT", "16"], error("DB index is out of range")),
                    (["SELECT", "-1"], error("DB index is out of range")),
                ])
        }
    }

    @Test("talks about the connection and the server")
    func conversation() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            #expect(try socket.ask("PING") == .simple("PONG"))
            #expect(try socket.ask("PING", "x") == .text("x"))
            #expect(try socket.ask("PING", "x", "y") == arity("ping"))
            #expect(try socket.ask("ECHO", "x") == .text("x"))
            #expect(try socket.ask("CLIENT", "GETNAME") == .null)
            #expect(try socket.ask("CLIENT", "SETNAME", "me") == ok)
            #expect(try socket.ask("CLIENT", "SETNAME", "a b") != ok)
            #expect(try socket.ask("CLIENT", "GETNAME") == .text("me"))
            #expect(try socket.ask("CLIENT", "SETINFO", "lib-name", "x") == ok)
            #expect(try socket.ask("CLIENT", "NO-EVICT", "on") == ok)
            #expect(try socket.ask("CLIENT", "ID") == one)
            #expect(try socket.ask("CONFIG", "GET", "save") == .array([.text("save"), .text("")]))
            #expect(try socket.ask("CONFIG", "GET", "nothing") == .array([]))
            #expect(try socket.ask("COMMAND", "DOCS") == .array([]))
            guard case .integer(let count) = try socket.ask("COMMAND", "COUNT"),
                case .array(let commands) = try socket.ask("COMMAND")
            else { return #expect(Bool(false)) }
            #expect(count == 35 && commands.count == 35)
            guard case .bulk(let info) = try socket.ask("INFO") else { return #expect(Bool(false)) }
            #expect(String(buffer: info).contains("gyre_version:\(gyreVersion)"))
            #expect(try socket.ask("HELLO", "4") == .error("NOPROTO unsupported protocol version"))
            guard case .error(let auth) = try socket.ask("AUTH", "secret") else { return #expect(Bool(false)) }
            #expect(auth.hasPrefix("ERR AUTH <password> called without any password"))
            guard case .error = try socket.ask("CONFIG", "SET", "a", "b"),
                case .error = try socket.ask("CLIENT", "KILL")
            else { return #expect(Bool(false)) }
            #expect(try socket.ask("SELECT", "2") == ok)
            #expect(try socket.ask("RESET") == .simple("RESET"))
            #expect(try socket.ask("CLIENT", "GETNAME") == .null)
            #expect(try socket.ask("QUIT") == ok)
            #expect(try socket.isClosed())
        }
    }

    @Test("gets the shapes of RESP3 after HELLO 3 and those of RESP2 before and after")
    func versions() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            try socket.send("GET", "no")
            try socket.send("HELLO", "3", "SETNAME", "me")
            #expect(try socket.receive() == .null)
            guard case .map(let facts) = try socket.receive() else { return #expect(Bool(false)) }
            #expect(facts.contains { $0 == (.text("proto"), .integer(3)) })
            #expect(try socket.ask("CLIENT", "GETNAME") == .text("me"))
            #expect(try socket.ask("GET", "no") == .null)
            #expect(try socket.ask("CONFIG", "GET", "save") == .map([(.text("save"), .text(""))]))
            guard case .array = try socket.ask("HELLO", "2") else { return #expect(Bool(false)) }
            #expect(try socket.ask("CONFIG", "GET", "save") == .array([.text("save"), .text("")]))
        }
    }

    @Test("is answered in the version that was chosen when it asked, also while answers wait")
    func versionsInPipelines() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            // The put waits for the disk, so that the rest waits for the put.
            let first = [["SET", "a", "1"], ["GET", "no"], ["HELLO", "3"]]
            try socket.send(first.flatMap { RespSocket.command($0.map { Array($0.utf8) }) })
            #expect(try socket.receive() == .simple("OK"))
            #expect(try socket.receiveLine() == "$-1")
            guard case .map = try socket.receive() else { return #expect(Bool(false)) }
            let second = [["SET", "a", "1"], ["GET", "no"], ["RESET"], ["GET", "no"]]
            try socket.send(second.flatMap { RespSocket.command($0.map { Array($0.utf8) }) })
            #expect(try socket.receive() == .simple("OK"))
            #expect(try socket.receiveLine() == "_")
            #expect(try socket.receive() == .simple("RESET"))
            #expect(try socket.receiveLine() == "$-1")
        }
    }

    @Test("of several that race with SET NX GET is told by nil that it won, and the others by the winner's value")
    func setNewRace() async throws {
        try await TestServer.withResp { test in
            let sockets = try (0..<8).map { _ in try RespSocket(port: test.resp) }
            for round in 0..<40 {
                for (index, socket) in sockets.enumerated() {
                    try socket.send("SET", "lock\(round)", "\(index)", "NX", "GET", "EX", "60")
                }
                let answers = try sockets.map { try $0.receive() }
                let winners = answers.indices.filter { answers[$0] == .null }
                #expect(winners.count == 1, "round \(round)")
                guard winners.count == 1, let winner = winners.first else { return }
                #expect(answers.indices.allSatisfy { $0 == winner || answers[$0] == .text("\(winner)") })
                #expect(try sockets[0].ask("GET", "lock\(round)") == .text("\(winner)"))
            }
        }
    }

    @Test("sees siblings and contexts of any bucket by GYRE.GET and GYRE.PUT")
    func siblings() async throws {
        try await TestServer.withResp { test in
            let socket = try RespSocket(port: test.resp)
            guard case .array(let nothing) = try socket.ask("GYRE.GET", "carts", "ada") else {
                return #expect(Bool(false))
            }
            #expect(nothing[1] == .array([]))
            for value in ["apples", "pears"] {
                guard case .bulk = try socket.ask("GYRE.PUT", "carts", "ada", value) else {
                    return #expect(Bool(false))
                }
            }
            guard case .array(let both) = try socket.ask("GYRE.GET", "carts", "ada"), case .bulk(let context) = both[0],
                case .array(let siblings) = both[1]
            else { return #expect(Bool(false)) }
            #expect(siblings.count == 2)
            let text = String(buffer: context)
            guard case .bulk = try socket.ask("GYRE.PUT", "carts", "ada", "both", text),
                case .array(let merged) = try socket.ask("GYRE.GET", "carts", "ada"), case .array(let left) = merged[1],
                case .array(let sibling) = left[0]
            else { return #expect(Bool(false)) }
            #expect(left.count == 1 && sibling[0] == .text("both") && sibling[1] == .text(""))
            guard case .error = try socket.ask("GYRE.PUT", "carts", "eve", "v", text),
                case .error = try socket.ask("GYRE.PUT", "carts", "ada", "v", "nonsense"),
                case .error = try socket.ask("GYRE.GET", "", "k")
            else { return #expect(Bool(false)) }
            // What a Redis client sees of siblings in its own bucket is the latest.
            for value in ["first", "second"] { _ = try socket.ask("GYRE.PUT", "redis", "k", value) }
            #expect(try socket.ask("GET", "k") == .text("second"))
            #expect(try socket.ask("DEL", "k") == one)
            #expect(try socket.ask("GET", "k") == .null)
            let client = try GyreClient(nodes: [test.address])
            #expect(try await client.bucket("redis").conflicts == .lww)
            #expect(try await client.bucket("redis:15").conflicts == .lww)
            #expect(try await client.bucket("redis:16").conflicts == .siblings)
            await client.close()
        }
    }
}
