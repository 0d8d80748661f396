import GyreBase
import GyreCausality
import GyreMessages
import GyreWire
import NIOCore

/// Looking at keys and their lives, and going through them.
extension RespConnection {
    func onLook(_ command: RespCommand) -> Bool {
        guard let name = self.name(1) else { return true }
        let access = RespAccess(mode: .read, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let plan = RespPlan.read(name, headOnly: command != .strlen) { [self] object in
            .answer(Self.look(command, object, at: self.shell.now.wall))
        }
        self.run(RespJob(plan), access, .get)
        return true
    }

    private static func look(_ command: RespCommand, _ object: RespObject?, at wall: WallTime) -> RespAnswer {
        switch command {
        case .strlen: return .integer(Int64(object?.latest.value.readableBytes ?? 0))
        case .type: return .simple(object == nil ? "none" : "string")
        default:
            guard let object else { return .integer(-2) }
            guard let left = object.timeToLive(at: wall) else { return .integer(-1) }
            return .integer(Int64(clamping: command == .pttl ? left : (left + 500) / 1_000))
        }
    }

    /// Gives a value another life: it is put again, so that a write in between may lose against it.
    func onExpire(unit: Int64, _ command: RespCommand) -> Bool {
        guard let name = self.name(1) else { return true }
        guard let count = self.integer(2) else {
            self.answer(Self.notInteger)
            return true
        }
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow, milliseconds < Int64.max / 2, milliseconds > Int64.min / 2 else {
            self.answer(.error("ERR invalid expire time in '\(command.rawValue)' command"))
            return true
        }
        var condition: UInt64 = 0
        if self.parser.count > 3 {
            condition = self.word(3)
            let known = [Self.packed("NX"), Self.packed("XX"), Self.packed("GT"), Self.packed("LT")]
            guard self.parser.count == 4, known.contains(condition) else {
                self.answer(.error("ERR Unsupported option \(String(buffer: self.parser.argument(3)).prefix(64))"))
                return true
            }
        }
        let access = RespAccess(mode: .update, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let plan = RespPlan.read(name) { [self] object in
            guard let object else { return .answer(.integer(0)) }
            let left = object.timeToLive(at: self.shell.now.wall)
            let isAllowed =
                switch condition {
                case Self.packed("NX"): left == nil
                case Self.packed("XX"): left != nil
                // A value that lives for ever lives longer than any other.
                case Self.packed("GT"): left.map { milliseconds > Int64(clamping: $0) } ?? false
                case Self.packed("LT"): left.map { milliseconds < Int64(clamping: $0) } ?? true
                default: true
                }
            guard isAllowed else { return .answer(.integer(0)) }
            guard milliseconds > 0 else { return .write(self.delete(name, object), answer: .integer(1)) }
            return .write(self.again(name, object, UInt64(milliseconds)), answer: .integer(1))
        }
        self.run(RespJob(plan), access, .put)
        return true
    }

    func onPersist() -> Bool {
        guard let name = self.name(1) else { return true }
        let access = RespAccess(mode: .update, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let plan = RespPlan.read(name) { [self] object in
            guard let object, object.latest.expiry != nil else { return .answer(.integer(0)) }
            return .write(self.again(name, object, nil), answer: .integer(1))
        }
        self.run(RespJob(plan), access, .put)
        return true
    }

    private func again(_ name: ObjectName, _ object: RespObject, _ timeToLive: UInt64?) -> ClientRequest {
        .put(
            PutRequest(
                id: self.session.nextID(), name: name, seen: .given(object.context), value: object.latest.value,
                metadata: object.latest.metadata, timeToLiveMilliseconds: timeToLive))
    }

    // MARK: - Many keys

    /// The most bytes of keys that `KEYS` answers with, and of values that `MGET` does.
    static let answerBytesMax = 32 << 20
    /// What a walk through all keys counts as: so much that nothing else is begun meanwhile.
    private static let walkValues = 128
    private static let everything = RespAccess(mode: .read, token: nil)

    func onScan() -> Bool {
        guard let number = UInt64(String(buffer: self.parser.argument(1))), let from = ListPosition(rawValue: number)
        else {
            self.answer(.error("ERR invalid cursor"))
            return true
        }
        var pattern: RespPattern?
        var count: Int64 = 10
        var showsStrings = true
        var index = 2
        while index < self.parser.count {
            guard index + 1 < self.parser.count else {
                self.answer(Self.syntaxError)
                return true
            }
            switch self.word(index) {
            case Self.packed("MATCH"):
                guard pattern == nil else {
                    self.answer(Self.syntaxError)
                    return true
                }
                pattern = self.pattern(index + 1)
                guard pattern != nil else { return true }
            case Self.packed("COUNT"):
                guard let wanted = self.integer(index + 1) else {
                    self.answer(Self.notInteger)
                    return true
                }
                guard wanted > 0 else {
                    self.answer(Self.syntaxError)
                    return true
                }
                count = wanted
            case Self.packed("TYPE"): showsStrings = self.word(index + 1) == Self.packed("STRING")
            default:
                self.answer(Self.syntaxError)
                return true
            }
            index += 2
        }
        if self.mustWait(Self.everything) { return false }
        let request = ListRequest(
            bucket: self.session.bucket, prefix: pattern?.prefix ?? ByteBuffer(), from: from,
            limit: UInt32(min(count, Int64(ListRequest.limitMax))))
        let plan = RespPlan.ask(.list(request)) { response in
            switch response {
            case .listed(let page):
                let found = showsStrings ? pattern.map { $0.filter(page.names) } ?? page.names : []
                guard let keys = found else { return .answer(Self.costlyPattern) }
                return .answer(
                    .array([.text(String(page.next?.rawValue ?? 0)), .array(keys.map { .bulk($0) })]))
            case .failed(let failure): return .answer(.error(RespFailure.text(failure)))
            default: return .answer(.error(RespFailure.nonsense))
            }
        }
        self.run(RespJob(plan), Self.everything, .other, values: 1 + Int(request.limit) / 512)
        return true
    }

    func onKeys() -> Bool {
        guard let pattern = self.pattern(1) else { return true }
        if self.mustWait(Self.everything) { return false }
        var keys: [RespAnswer] = []
        var bytes = 0
        let plan = self.walk(pattern.prefix) { page in
            guard let found = pattern.filter(page.names) else { return Self.costlyPattern }
            for key in found {
                keys.append(.bulk(key))
                bytes += key.readableBytes + 16
            }
            if bytes > Self.answerBytesMax {
                return .error("TOOLARGE the keys have more than \(Self.answerBytesMax) bytes; use SCAN")
            }
            return page.next == nil ? .array(keys) : nil
        }
        self.run(RespJob(plan), Self.everything, .other, values: Self.walkValues)
        return true
    }

    func onCount() -> Bool {
        if self.mustWait(Self.everything) { return false }
        var count: Int64 = 0
        let plan = self.walk(ByteBuffer()) { page in
            count += Int64(page.names.count)
            return page.next == nil ? .integer(count) : nil
        }
        self.run(RespJob(plan), Self.everything, .other, values: Self.walkValues)
        return true
    }

    private static let costlyPattern = RespAnswer.error("ERR the pattern takes too long to match; use a shorter one")

    /// An argument as a pattern; answers and returns nil when it is too long.
    func pattern(_ index: Int) -> RespPattern? {
        let bytes = self.parser.argument(index)
        if let pattern = RespPattern(bytes) { return pattern }
        self.answer(
            .error("ERR a pattern has at most \(RespPattern.bytesMax) bytes, not \(bytes.readableBytes)"))
        return nil
    }

    /// Goes through all keys of the database page by page until `take` answers.
    private func walk(_ prefix: ByteBuffer, _ take: @escaping (ListedNames) -> RespAnswer?) -> RespPlan {
        let bucket = self.session.bucket
        func page(from position: ListPosition) -> RespPlan {
            let request = ListRequest(bucket: bucket, prefix: prefix, from: position, limit: 5_000)
            return .ask(.list(request)) { response in
                switch response {
                case .listed(let listed):
                    if let answer = take(listed) { return .answer(answer) }
                    guard let next = listed.next else { return .answer(.error(RespFailure.nonsense)) }
                    return page(from: next)
                case .failed(let failure): return .answer(.error(RespFailure.text(failure)))
                default: return .answer(.error(RespFailure.nonsense))
                }
            }
        }
        return page(from: .start)
    }

    // MARK: - Siblings and contexts

    func onGyreGet() -> Bool {
        guard let name = self.foreignName() else { return true }
        let access = RespAccess(mode: .read, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let plan = RespPlan.ask(.get(GetRequest(name: name))) { response in
            switch response {
            case .found(let record):
                guard let siblings = try? Siblings(encoded: record) else {
                    return .answer(.error(RespFailure.text(.corrupt)))
                }
                let versions = siblings.versions.map { version in
                    RespAnswer.array([
                        .bulk(version.value), .bulk(version.metadata.contentType), .text(version.dot.description),
                    ])
                }
                return .answer(.array([Self.context(siblings.context, name), .array(versions)]))
            case .notFound(let context): return .answer(.array([Self.context(context, name), .array([])]))
            case .failed(let failure): return .answer(.error(RespFailure.text(failure)))
            default: return .answer(.error(RespFailure.nonsense))
            }
        }
        self.run(RespJob(plan), access, .get)
        return true
    }

    func onGyrePut() -> Bool {
        guard let name = self.foreignName() else { return true }
        guard self.parser.count <= 5 else {
            self.answer(.error(Self.wrongArity("gyre.put")))
            return true
        }
        var seen = Seen.blind
        if self.parser.count == 5 {
            let text = String(buffer: self.parser.argument(4))
            guard let vector = ContextToken(text: text)?.vector(for: name) else {
                self.answer(.error("ERR the context is damaged or belongs to another key; use the one of GYRE.GET"))
                return true
            }
            seen = .given(vector)
        }
        let access = RespAccess(mode: .update, token: name.token.rawValue)
        if self.mustWait(access) { return false }
        let put = PutRequest(id: self.session.nextID(), name: name, seen: seen, value: self.parser.argument(3))
        let plan = RespPlan.ask(.put(put)) { response in
            switch response {
            case .stored(let context, _, _): .answer(Self.context(context, name))
            case .failed(let failure): .answer(.error(RespFailure.text(failure)))
            default: .answer(.error(RespFailure.nonsense))
            }
        }
        self.run(RespJob(plan), access, .put, values: 0)
        return true
    }

    private func foreignName() -> ObjectName? {
        do throws(ObjectNameError) {
            return try ObjectName(bucket: self.parser.argument(1), key: self.parser.argument(2))
        } catch {
            self.answer(.error(Self.text(error)))
            return nil
        }
    }

    private static func context(_ context: VersionVector, _ name: ObjectName) -> RespAnswer {
        .text(ContextToken(context, of: name).text)
    }
}
