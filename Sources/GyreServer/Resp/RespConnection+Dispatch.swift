import GyreBase
import GyreCausality
import GyreMessages
import GyreWire
import NIOCore

/// From a command to what is done about it.
extension RespConnection {
    /// Begins the command that the parser holds; false when it must wait for an earlier one, and then nothing was done.
    func dispatch() -> Bool {
        guard let command = RespCommand(packed: self.parser.packedName) else {
            if Self.wordsOfBrowsers.contains(self.parser.packedName) {
                self.refuseBrowser()
            } else {
                self.answer(.error(self.unknownCommand))
            }
            return true
        }
        guard command.accepts(self.parser.count) else {
            self.answer(.error(Self.wrongArity(command.rawValue)))
            return true
        }
        switch command {
        case .get: return self.onGet()
        case .set: return self.onSet()
        case .setex: return self.onSetWithExpiry(unit: 1_000, command)
        case .psetex: return self.onSetWithExpiry(unit: 1, command)
        case .setnx: return self.onSetNew()
        case .getdel, .getset: return self.onGetAnd(command)
        case .del, .unlink: return self.onDelete()
        case .exists: return self.onExists()
        case .mget: return self.onGetMany()
        case .mset: return self.onSetMany()
        case .strlen, .type, .ttl, .pttl: return self.onLook(command)
        case .expire: return self.onExpire(unit: 1_000, command)
        case .pexpire: return self.onExpire(unit: 1, command)
        case .persist: return self.onPersist()
        case .scan: return self.onScan()
        case .keys: return self.onKeys()
        case .dbsize: return self.onCount()
        case .gyreGet: return self.onGyreGet()
        case .gyrePut: return self.onGyrePut()
        case .ping, .echo, .hello, .auth, .select, .quit, .reset, .command, .client, .config, .info:
            self.onConversation(command)
            return true
        }
    }

    /// What begins a line of every request over HTTP that a web page can cause without being asked for leave first.
    private static let wordsOfBrowsers = [RespConnection.packed("POST"), RespConnection.packed("HOST:")]

    private var unknownCommand: String {
        func shown(_ bytes: ByteBuffer) -> String {
            String(decoding: bytes.readableBytesView.prefix(128), as: UTF8.self)
        }
        let arguments = (1..<max(1, min(self.parser.count, 20))).map { "'\(shown(self.parser.argument($0)))' " }
        return
            "ERR unknown command '\(shown(self.parser.argument(0)))', with args beginning with: \(arguments.joined())"
    }

    /// What a command with too few or too many arguments is answered.
    static func wrongArity(_ name: String) -> String { "ERR wrong number of arguments for '\(name)' command" }

    /// What options that make no sense are answered.
    static let syntaxError = RespAnswer.error("ERR syntax error")
    /// What a number that is none is answered.
    static let notInteger = RespAnswer.error("ERR value is not an integer or out of range")

    // MARK: - Arguments

    /// The object that an argument names; answers and returns nil when it names none.
    func name(_ index: Int) -> ObjectName? {
        do throws(ObjectNameError) {
            return try ObjectName(bucket: self.session.bucket, key: self.parser.argument(index))
        } catch {
            self.answer(.error(Self.text(error)))
            return nil
        }
    }

    /// The objects that every `step`th argument from `first` on names; answers and returns nil when one names none.
    func names(from first: Int, step: Int = 1) -> [ObjectName]? {
        var names: [ObjectName] = []
        names.reserveCapacity((self.parser.count - first) / step + 1)
        for index in stride(from: first, to: self.parser.count, by: step) {
            guard let name = self.name(index) else { return nil }
            names.append(name)
        }
        return names
    }

    /// Why something is no name.
    static func text(_ error: ObjectNameError) -> String {
        switch error {
        case .bucket(let bytes, let bytesMax): "ERR a bucket has 1 to \(bytesMax) bytes, not \(bytes)"
        case .key(let bytes, let bytesMax): "ERR a key has 1 to \(bytesMax) bytes, not \(bytes)"
        }
    }

    /// An argument as a whole number.
    func integer(_ index: Int) -> Int64? {
        let bytes = self.parser.argument(index)
        guard bytes.readableBytes <= 20 else { return nil }
        return Int64(String(buffer: bytes))
    }

    /// An argument in upper case, packed; zero for a long one.
    func word(_ index: Int) -> UInt64 { RespParser.packed(self.parser.argument(index).readableBytesView) }

    /// Words as `word` packs them.
    static func packed(_ text: StaticString) -> UInt64 {
        text.withUTF8Buffer { RespParser.packed($0) }
    }
}

/// Gets and puts.
extension RespConnection {
    private func onGet() -> Bool {
        guard let name = self.name(1) else { return true }
        let access = RespAccess(mode: .read, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        self.ask(.get(GetRequest(name: name)), .value, access)
        return true
    }

    private func onSet() -> Bool {
        guard let name = self.name(1) else { return true }
        var options = RespSetOptions()
        if self.parser.count > 3 {
            if let problem = options.read(self, from: 3) {
                self.answer(problem)
                return true
            }
        }
        return self.set(name, self.parser.argument(2), options)
    }

    /// Puts in one step where nothing must be known before, and otherwise reads first.
    private func set(_ name: ObjectName, _ value: ByteBuffer, _ options: RespSetOptions) -> Bool {
        let mustRead = options.keepsExpiry || options.onlyIfThere || options.returnsOld || options.isInThePast
        let access = RespAccess(
            mode: mustRead || options.onlyIfNew ? .update : .write, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        guard mustRead else {
            let put = PutRequest(
                id: self.session.nextID(), name: name, seen: .overwrite, value: value,
                timeToLiveMilliseconds: options.timeToLive, ifAbsent: options.onlyIfNew)
            self.ask(.put(put), options.onlyIfNew ? .storedUnlessThere : .stored, access)
            return true
        }
        let plan = RespPlan.read(name, headOnly: !options.returnsOld) { [self] object in
            let old = object.map { RespAnswer.bulk($0.latest.value) } ?? .null
            let isAllowed = options.onlyIfThere ? object != nil : options.onlyIfNew ? object == nil : true
            guard isAllowed else { return .answer(options.returnsOld ? old : .null) }
            let answer = options.returnsOld ? old : RespAnswer.simple("OK")
            if options.isInThePast {
                guard let object else { return .answer(answer) }
                return .write(self.delete(name, object), answer: answer)
            }
            var put = PutRequest(id: self.session.nextID(), name: name, seen: .overwrite, value: value)
            if let object { put.seen = .given(object.context) }
            put.timeToLiveMilliseconds =
                options.keepsExpiry ? object?.timeToLive(at: self.shell.now.wall) : options.timeToLive
            put.ifAbsent = options.onlyIfNew
            return .ask(.put(put)) { response in
                switch response {
                case .stored: .answer(answer)
                // With GET nil means that nothing was there and this value is, so who came too late is shown who was first.
                case .failed(.exists): options.returnsOld ? Self.readWinner(name) : .answer(.null)
                case .failed(let failure): .answer(.error(RespFailure.text(failure)))
                default: .answer(.error(RespFailure.nonsense))
                }
            }
        }
        self.run(RespJob(plan), access, .put)
        return true
    }

    private static func readWinner(_ name: ObjectName) -> RespPlan {
        .read(name) { object in
            guard let object else {
                return .answer(.error("TRYAGAIN another value was in the way and is gone or not to be seen yet"))
            }
            return .answer(.bulk(object.latest.value))
        }
    }

    private func onSetWithExpiry(unit: Int64, _ command: RespCommand) -> Bool {
        guard let name = self.name(1) else { return true }
        guard let count = self.integer(2) else {
            self.answer(Self.notInteger)
            return true
        }
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: unit)
        guard count > 0, !overflow else {
            self.answer(.error("ERR invalid expire time in '\(command.rawValue)' command"))
            return true
        }
        var options = RespSetOptions()
        options.timeToLive = UInt64(milliseconds)
        return self.set(name, self.parser.argument(3), options)
    }

    private func onSetNew() -> Bool {
        guard let name = self.name(1) else { return true }
        let access = RespAccess(mode: .update, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let put = PutRequest(
            id: self.session.nextID(), name: name, seen: .overwrite, value: self.parser.argument(2), ifAbsent: true)
        self.ask(.put(put), .storedAsNumber, access)
        return true
    }

    private func onSetMany() -> Bool {
        guard self.parser.count % 2 == 1 else {
            self.answer(.error(Self.wrongArity("mset")))
            return true
        }
        guard let names = self.names(from: 1, step: 2) else { return true }
        // Of two values for one key the last counts, so all before it are left out.
        var last: [ObjectName: Int] = [:]
        for (index, name) in names.enumerated() { last[name] = index }
        let places = names.indices.filter { last[names[$0]] == $0 }
        let access = RespAccess(mode: .write, token: places.count == 1 ? names[places[0]].token.rawValue : nil)
        if self.mustWait(access) { return false }
        let puts = places.map { place in
            ClientRequest.put(
                PutRequest(
                    id: self.session.nextID(), name: names[place], seen: .overwrite,
                    value: self.parser.argument(2 + 2 * place)))
        }
        let job = RespJob(
            count: puts.count, combine: { RespJob.firstError(of: $0) ?? .simple("OK") },
            plan: { .write(puts[$0], answer: .null) })
        self.run(job, access, .put, values: 0)
        return true
    }

    private func onGetMany() -> Bool {
        guard let names = self.names(from: 1) else { return true }
        let access = RespAccess(mode: .read, token: names.count == 1 ? names[0].token.rawValue : nil)
        if self.mustWait(access) { return false }
        let job = RespJob(
            count: names.count, bytesMax: Self.answerBytesMax,
            combine: { RespJob.firstError(of: $0) ?? .array($0) },
            plan: { part in
                .read(names[part]) { .answer($0.map { .bulk($0.latest.value) } ?? .null) }
            })
        self.run(job, access, .get, values: names.count)
        return true
    }

    /// Reads, and then deletes or puts; answers what was there.
    private func onGetAnd(_ command: RespCommand) -> Bool {
        guard let name = self.name(1) else { return true }
        var options = RespSetOptions()
        options.returnsOld = true
        if command == .getset { return self.set(name, self.parser.argument(2), options) }
        let access = RespAccess(mode: .update, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let plan = RespPlan.read(name) { [self] object in
            guard let object else { return .answer(.null) }
            return .write(self.delete(name, object), answer: .bulk(object.latest.value))
        }
        self.run(RespJob(plan), access, .delete)
        return true
    }

    private func onDelete() -> Bool {
        guard let names = self.names(from: 1) else { return true }
        let access = RespAccess(mode: .update, token: names.count == 1 ? names[0].token.rawValue : nil)
        if self.mustWait(access) { return false }
        var seen: Set<ObjectName> = []
        let distinct = names.filter { seen.insert($0).inserted }
        let job = RespJob(
            count: distinct.count, combine: RespJob.sum,
            plan: { [self] part in
                .read(distinct[part], headOnly: true) { object in
                    guard let object else { return .answer(.integer(0)) }
                    return .write(self.delete(distinct[part], object), answer: .integer(1))
                }
            })
        self.run(job, access, .delete, values: distinct.count)
        return true
    }

    private func onExists() -> Bool {
        guard let names = self.names(from: 1) else { return true }
        let access = RespAccess(mode: .read, token: names.count == 1 ? names[0].token.rawValue : nil)
        if self.mustWait(access) { return false }
        let job = RespJob(
            count: names.count, combine: RespJob.sum,
            plan: { part in .read(names[part], headOnly: true) { .answer(.integer($0 == nil ? 0 : 1)) } })
        self.run(job, access, .get, values: names.count)
        return true
    }

    /// Removes exactly what was seen: a write that came meanwhile stays.
    func delete(_ name: ObjectName, _ object: RespObject) -> ClientRequest {
        .delete(DeleteRequest(id: self.session.nextID(), name: name, seen: .given(object.context)))
    }
}

extension RespJob {
    /// The first of `answers` that is an error.
    static func firstError(of answers: [RespAnswer]) -> RespAnswer? {
        answers.first { if case .error = $0 { true } else { false } }
    }

    /// The sum of numbers, or the first error.
    static func sum(_ answers: [RespAnswer]) -> RespAnswer {
        if let error = self.firstError(of: answers) { return error }
        return .integer(answers.reduce(0) { if case .integer(let count) = $1 { $0 + count } else { $0 } })
    }
}

/// What may follow key and value of a `SET`.
struct RespSetOptions {
    /// How long the value lives, in milliseconds.
    var timeToLive: UInt64?
    /// The moment of its end is over already.
    var isInThePast = false
    var keepsExpiry = false
    var onlyIfNew = false
    var onlyIfThere = false
    var returnsOld = false

    /// Reads the options from argument `first` on; returns what is answered when they make no sense.
    mutating func read(_ connection: RespConnection, from first: Int) -> RespAnswer? {
        var index = first
        var hasExpiry = false
        while index < connection.parser.count {
            let word = connection.word(index)
            index += 1
            switch word {
            case RespConnection.packed("NX"): self.onlyIfNew = true
            case RespConnection.packed("XX"): self.onlyIfThere = true
            case RespConnection.packed("GET"): self.returnsOld = true
            case RespConnection.packed("KEEPTTL"): self.keepsExpiry = true
            case RespConnection.packed("EX"), RespConnection.packed("PX"), RespConnection.packed("EXAT"),
                RespConnection.packed("PXAT"):
                guard !hasExpiry, index < connection.parser.count else { return RespConnection.syntaxError }
                hasExpiry = true
                if let problem = self.readExpiry(connection, word, index) { return problem }
                index += 1
            default: return RespConnection.syntaxError
            }
        }
        let contradicts = (self.onlyIfNew && self.onlyIfThere) || (hasExpiry && self.keepsExpiry)
        return contradicts ? RespConnection.syntaxError : nil
    }

    private mutating func readExpiry(_ connection: RespConnection, _ word: UInt64, _ index: Int) -> RespAnswer? {
        guard let count = connection.integer(index) else { return RespConnection.notInteger }
        let isInSeconds = word == RespConnection.packed("EX") || word == RespConnection.packed("EXAT")
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: isInSeconds ? 1_000 : 1)
        guard count > 0, !overflow else { return .error("ERR invalid expire time in 'set' command") }
        guard word == RespConnection.packed("EXAT") || word == RespConnection.packed("PXAT") else {
            self.timeToLive = UInt64(milliseconds)
            return nil
        }
        let now = connection.shell.now.wall.milliseconds
        self.isInThePast = UInt64(milliseconds) <= now
        self.timeToLive = self.isInThePast ? nil : UInt64(milliseconds) - now
        return nil
    }
}
