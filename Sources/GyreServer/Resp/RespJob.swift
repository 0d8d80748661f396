import GyreBase
import GyreCausality
import GyreMessages
import GyreWire
import NIOCore

/// What a command does next: it is done, or it asks the node something and goes on with the answer.
enum RespPlan {
    case answer(RespAnswer)
    case ask(ClientRequest, then: (ClientResponse) -> RespPlan)

    /// Reads an object and goes on with what is there, nil for nothing; a failure is the answer.
    static func read(_ name: ObjectName, headOnly: Bool = false, then: @escaping (RespObject?) -> RespPlan) -> RespPlan
    {
        .ask(.get(GetRequest(name: name, headOnly: headOnly))) { response in
            switch response {
            case .found(let record):
                guard let siblings = try? Siblings(encoded: record), let object = RespObject(siblings) else {
                    return .answer(.error(RespFailure.text(.corrupt)))
                }
                return then(object)
            case .notFound: return then(nil)
            case .failed(let failure): return .answer(.error(RespFailure.text(failure)))
            default: return .answer(.error(RespFailure.nonsense))
            }
        }
    }

    /// Puts or deletes, and answers `answer` when that is done.
    static func write(_ request: ClientRequest, answer: RespAnswer) -> RespPlan {
        .ask(request) { response in
            switch response {
            case .stored: .answer(answer)
            case .failed(let failure): .answer(.error(RespFailure.text(failure)))
            default: .answer(.error(RespFailure.nonsense))
            }
        }
    }
}

/// What is there under a key, as a database shows it: the latest of the siblings, under the context of all.
struct RespObject {
    let latest: Version
    let context: VersionVector

    /// Nil when there is nothing.
    init?(_ siblings: Siblings) {
        guard let latest = siblings.showingLatest().versions.first else { return nil }
        self.latest = latest
        self.context = siblings.context
    }

    /// How long it still lives; nil for ever.
    func timeToLive(at wall: WallTime) -> UInt64? {
        self.latest.expiry.map { $0.milliseconds > wall.milliseconds ? $0.milliseconds - wall.milliseconds : 0 }
    }
}

/// A command of several steps or several keys under way. Confined to its connection's loop.
final class RespJob {
    /// Parts that run at the same time, so that one command with many keys does not fill the node.
    private static let partsRunningMax = 128
    /// Bytes of values that may be on their way at the same time, as far as can be told.
    private static let bytesRunningMax = 4 << 20

    private let count: Int
    /// The most bytes of all answers; nil when every part answers with a number or the like.
    private let bytesMax: Int?
    private let plan: (Int) -> RespPlan
    private let combine: ([RespAnswer]) -> RespAnswer
    private var next = 0
    private var running = 0
    private var bytes = 0
    private var pace = AnswerPace()
    private var isAdvancing = false
    private var waiting: [Int: (ClientResponse) -> RespPlan] = [:]
    private var answers: [RespAnswer]
    private var ask: ((ClientRequest, Int) -> Void)?
    private var done: ((RespAnswer) -> Void)?

    /// One thing after another.
    convenience init(_ plan: RespPlan) { self.init(count: 1, combine: { $0[0] }, plan: { _ in plan }) }

    /// `count` parts at the same time; `combine` makes one answer of theirs, in their order. Once they have more than `bytesMax`
    /// bytes no further part is begun, and that is the answer.
    init(
        count: Int, bytesMax: Int? = nil, combine: @escaping ([RespAnswer]) -> RespAnswer,
        plan: @escaping (Int) -> RespPlan
    ) {
        self.count = count
        self.bytesMax = bytesMax
        self.plan = plan
        self.combine = combine
        self.answers = [RespAnswer](repeating: .null, count: count)
    }

    /// Starts; `ask` hands a request of a part to the node, `done` is called once.
    func begin(ask: @escaping (ClientRequest, Int) -> Void, done: @escaping (RespAnswer) -> Void) {
        self.ask = ask
        self.done = done
        self.advance()
    }

    /// The node has answered the last request of a part.
    func take(_ response: ClientResponse, part: Int) {
        guard let then = self.waiting.removeValue(forKey: part) else { return }
        self.follow(then(response), part)
        self.advance()
    }

    private func follow(_ plan: RespPlan, _ part: Int) {
        switch plan {
        case .answer(let answer):
            self.running -= 1
            self.keep(answer, of: part)
        case .ask(let request, let then):
            self.waiting[part] = then
            self.ask?(request, part)
        }
    }

    private func keep(_ answer: RespAnswer, of part: Int) {
        if let bytesMax = self.bytesMax {
            let bytes = answer.bytesExpected
            self.bytes += bytes
            self.pace.note(bytes)
            guard self.bytes <= bytesMax else {
                // What is there already is let go at once; what is on its way is waited for, and let go as well.
                self.answers = []
                self.next = self.count
                return
            }
        }
        self.answers[part] = answer
    }

    /// Whether one more part may run: in number, and in what its answer is likely to add.
    private var hasRoom: Bool {
        guard self.bytesMax != nil, self.running > 0 else { return self.running < Self.partsRunningMax }
        return self.running < Self.partsRunningMax
            && self.running * self.pace.bytesExpected < Self.bytesRunningMax
    }

    /// Starts as many parts as may run. A node that refuses at once answers from within, which must not nest.
    private func advance() {
        guard !self.isAdvancing else { return }
        self.isAdvancing = true
        while self.next < self.count, self.hasRoom {
            let part = self.next
            self.next += 1
            self.running += 1
            self.follow(self.plan(part), part)
        }
        self.isAdvancing = false
        guard self.next == self.count, self.running == 0, let done = self.done else { return }
        self.done = nil
        self.ask = nil
        if let bytesMax = self.bytesMax, self.bytes > bytesMax {
            done(.error("TOOLARGE the values have more than \(bytesMax) bytes; use GET"))
        } else {
            done(self.combine(self.answers))
        }
    }
}

extension RespAnswer {
    /// About how many bytes it has when it is written.
    var bytesExpected: Int {
        switch self {
        case .simple(let text): text.utf8CodeUnitCount + 3
        case .error(let text): text.utf8.count + 3
        case .integer, .null: 16
        case .bulk(let bytes): bytes.readableBytes + 16
        case .array(let answers): answers.reduce(16) { $0 + $1.bytesExpected }
        case .map(let pairs): pairs.reduce(16) { $0 + $1.0.bytesExpected + $1.1.bytesExpected }
        }
    }
}
