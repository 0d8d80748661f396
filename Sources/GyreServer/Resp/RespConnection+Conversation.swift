import GyreBase
import GyreMessages
import GyreWire
import NIOCore

/// Commands about the conversation and the server, which ask the node nothing.
extension RespConnection {
    /// What clients are told in place of Redis's version: the one whose commands these are like.
    private static let redisVersion = "7.2.0"

    func onConversation(_ command: RespCommand) {
        switch command {
        case .ping:
            guard self.parser.count <= 2 else { return self.answer(.error(Self.wrongArity("ping"))) }
            self.answer(self.parser.count == 2 ? .bulk(self.parser.argument(1)) : .simple("PONG"))
        case .echo: self.answer(.bulk(self.parser.argument(1)))
        case .hello: self.onHello()
        case .auth: self.answer(Self.noPassword)
        case .select: self.onSelect()
        case .quit:
            self.answer(.simple("OK"))
            self.endAfterAnswers()
        case .reset:
            self.session.reset()
            self.answer(.simple("RESET"))
        case .command: self.onCommand()
        case .client: self.onClient()
        case .config: self.onConfig()
        case .info: self.answer(.text(self.information))
        default: self.answer(.error(RespFailure.nonsense))
        }
    }

    private static let noPassword = RespAnswer.error(
        "ERR AUTH <password> called without any password configured for the default user."
            + " Are you sure your configuration is correct?")

    /// `HELLO [2|3 [AUTH user password] [SETNAME name]]`. Earlier commands are answered in the version that they were asked in.
    private func onHello() {
        var version = self.session.version
        if self.parser.count > 1 {
            guard let number = self.integer(1) else {
                return self.answer(.error("ERR Protocol version is not an integer or out of range"))
            }
            guard let known = RespVersion(rawValue: Int(clamping: number)) else {
                return self.answer(.error("NOPROTO unsupported protocol version"))
            }
            version = known
        }
        var name: ByteBuffer?
        var index = 2
        while index < self.parser.count {
            switch self.word(index) {
            case Self.packed("AUTH") where index + 2 < self.parser.count: return self.answer(Self.noPassword)
            case Self.packed("SETNAME") where index + 1 < self.parser.count:
                let wanted = self.parser.argument(index + 1)
                guard Self.isClientName(wanted) else { return self.answer(Self.badClientName) }
                name = wanted
                index += 2
            default:
                let option = String(buffer: self.parser.argument(index)).prefix(64)
                return self.answer(.error("ERR Syntax error in HELLO option '\(option)'"))
            }
        }
        self.session.version = version
        if let name { self.session.name = ByteBuffer(bytes: name.readableBytesView) }
        self.answer(
            .map([
                (.text("server"), .text("redis")), (.text("version"), .text(Self.redisVersion)),
                (.text("proto"), .integer(Int64(version.rawValue))),
                (.text("id"), .integer(Int64(clamping: self.session.number))), (.text("mode"), .text("standalone")),
                (.text("role"), .text("primary")), (.text("modules"), .array([])),
            ]))
    }

    private func onSelect() {
        guard let number = self.integer(1) else { return self.answer(Self.notInteger) }
        guard number >= 0, number < Int64(RespSession.databases) else {
            return self.answer(.error("ERR DB index is out of range"))
        }
        self.session.select(Int(number))
        self.answer(.simple("OK"))
    }

    private func onCommand() {
        guard self.parser.count > 1 else { return self.answer(.array(RespCommand.allCases.map(\.description))) }
        switch self.word(1) {
        case Self.packed("COUNT"): self.answer(.integer(Int64(RespCommand.allCases.count)))
        case Self.packed("DOCS"): self.answer(.map([]))
        case Self.packed("INFO"):
            let wanted = (2..<self.parser.count).map { RespCommand(packed: self.word($0)) }
            self.answer(.array(wanted.map { $0?.description ?? .null }))
        case Self.packed("LIST"): self.answer(.array(RespCommand.allCases.map { .text($0.rawValue) }))
        default: self.answer(self.unknownSubcommand("COMMAND"))
        }
    }

    private func onClient() {
        switch (self.word(1), self.parser.count) {
        case (Self.packed("ID"), 2): self.answer(.integer(Int64(clamping: self.session.number)))
        case (Self.packed("GETNAME"), 2):
            self.answer(self.session.name.readableBytes == 0 ? .null : .bulk(self.session.name))
        case (Self.packed("SETNAME"), 3):
            let name = self.parser.argument(2)
            guard Self.isClientName(name) else { return self.answer(Self.badClientName) }
            // A copy, so that the name does not keep alive what it came with.
            self.session.name = ByteBuffer(bytes: name.readableBytesView)
            self.answer(.simple("OK"))
        case (Self.packed("SETINFO"), 4), (Self.packed("NO-EVICT"), 3), (Self.packed("NO-TOUCH"), 3):
            self.answer(.simple("OK"))
        default: self.answer(self.unknownSubcommand("CLIENT"))
        }
    }

    private static let badClientName = RespAnswer.error(
        "ERR Client names cannot contain spaces, newlines or special characters.")

    private static func isClientName(_ name: ByteBuffer) -> Bool {
        name.readableBytes <= 255 && name.readableBytesView.allSatisfy { (33...126).contains($0) }
    }

    /// Patterns that one `CONFIG GET` may have.
    private static let configPatternsMax = 64

    private func onConfig() {
        guard self.word(1) == Self.packed("GET"), self.parser.count > 2 else {
            return self.answer(self.unknownSubcommand("CONFIG"))
        }
        guard self.parser.count - 2 <= Self.configPatternsMax else {
            return self.answer(.error("ERR CONFIG GET takes at most \(Self.configPatternsMax) patterns"))
        }
        let settings = [
            ("appendonly", "yes"), ("databases", String(RespSession.databases)), ("maxmemory", "0"),
            ("maxclients", String(self.shell.limits.connectionsMax)),
            ("proto-max-bulk-len", String(self.shell.limits.resp.bulkBytesMax)), ("save", ""), ("timeout", "0"),
        ]
        // One pattern at a time: as it is matched, it takes forty times its bytes.
        var shown = [Bool](repeating: false, count: settings.count)
        for index in 2..<self.parser.count {
            guard let pattern = self.pattern(index) else { return }
            for place in settings.indices where pattern.matches(ByteBuffer(string: settings[place].0)) {
                shown[place] = true
            }
        }
        self.answer(.map(zip(settings, shown).filter(\.1).map { (.text($0.0.0), .text($0.0.1)) }))
    }

    private func unknownSubcommand(_ command: String) -> RespAnswer {
        let text = String(decoding: self.parser.argument(1).readableBytesView.prefix(64), as: UTF8.self)
        return .error(
            "ERR unknown subcommand or wrong number of arguments for '\(text)'. Try \(command) in docs/internals/redis-protocol.md."
        )
    }

    /// What `INFO` tells: this node and its connections. What a scan of the cluster would be needed for is left out.
    private var information: String {
        let counters = self.shell.counters
        let requests = counters.requests.reduce(0, &+)
        let lines = [
            "# Server", "redis_version:\(Self.redisVersion)", "gyre_version:\(gyreVersion)", "redis_mode:standalone",
            "gyre_node:\(self.shell.identity.node)", "gyre_cluster:\(self.shell.identity.cluster)",
            "uptime_in_seconds:\(self.shell.now.instant.nanoseconds / 1_000_000_000)", "",
            "# Clients", "connected_clients:\(self.shell.connections.count)",
            "maxclients:\(self.shell.limits.connectionsMax)", "",
            "# Stats", "total_connections_received:\(counters.connectionsAccepted)",
            "total_commands_processed:\(requests)", "rejected_connections:\(counters.connectionsRefused)", "",
            "# Persistence", "loading:0", "aof_enabled:1", "",
        ]
        return lines.joined(separator: "\r\n")
    }
}
