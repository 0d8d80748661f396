import GyreCausality
import GyreMessages
import GyreWire
import NIOCore

/// How the answer to a command that asks the node one thing is shown; these are the hot ones.
enum RespShape {
    /// The latest value, or nothing there.
    case value
    /// `OK`.
    case stored
    /// `OK`, or nothing when something was there already.
    case storedUnlessThere
    /// 1, or 0 when something was there already.
    case storedAsNumber

    /// Writes what the node said.
    func write(_ response: ClientResponse, _ version: RespVersion, into out: inout ByteBuffer) {
        switch (response, self) {
        case (.found(let record), .value):
            guard let value = Siblings.latestValue(of: record) else {
                return RespEncoder.error(RespFailure.text(.corrupt), into: &out)
            }
            RespEncoder.bulk(value, into: &out)
        case (.notFound, .value): RespEncoder.null(version, into: &out)
        case (.stored, .stored), (.stored, .storedUnlessThere): RespEncoder.simple("OK", into: &out)
        case (.stored, .storedAsNumber): RespEncoder.integer(1, into: &out)
        case (.failed(.exists), .storedUnlessThere): RespEncoder.null(version, into: &out)
        case (.failed(.exists), .storedAsNumber): RespEncoder.integer(0, into: &out)
        case (.failed(let failure), _): RespEncoder.error(RespFailure.text(failure), into: &out)
        default: RespEncoder.error(RespFailure.nonsense, into: &out)
        }
    }
}

/// What went wrong, in the words that Redis clients get; the first word is a code.
enum RespFailure {
    /// The node answered something else than what was asked; a bug.
    static let nonsense = "ERR the node answered something else"

    /// One line.
    static func text(_ failure: Failure) -> String {
        switch failure {
        case .unavailable(let needed, let got): "UNAVAILABLE needed \(needed) got \(got)"
        case .unknown(let needed, let got): "UNKNOWN needed \(needed) got \(got); the write may yet take effect"
        case .overloaded: "OVERLOADED a limit of the node was reached; try again later"
        case .tooLarge(let limit): "TOOLARGE above the limit of \(limit)"
        case .timeout: "TIMEOUT the time is up; a write may yet take effect"
        case .badRequest(let reason): "ERR \(reason)"
        case .notMember: "NOTMEMBER this node is not serving, or not yet; try another"
        case .corrupt: "CORRUPT every replica that answered holds a damaged record"
        case .exists: "ERR there is a value already"
        }
    }
}

/// What a command touches, to tell which commands of one connection may run at the same time.
struct RespAccess {
    /// What it does to a key.
    enum Mode {
        case none, read, write
        /// Reads and then writes, or more.
        case update
    }

    let mode: Mode
    /// The token of its key; nil for several keys or all.
    let token: UInt64?

    /// Touches no key.
    static let none = RespAccess(mode: .none, token: nil)

    /// Whether the order of the two can be told from the outside. Plain writes of one key stay in order by themselves, as they
    /// go the same way to the same disk.
    func concerns(_ other: RespAccess) -> Bool {
        switch (self.mode, other.mode) {
        case (.none, _), (_, .none), (.read, .read), (.write, .write): return false
        case (.read, _), (.write, _), (.update, _): break
        }
        if let token = self.token, let otherToken = other.token { return token == otherToken }
        return true
    }

    /// How many commands of each mode are under way.
    struct Counts {
        private var reads = 0
        private var writes = 0
        private var updates = 0

        mutating func add(_ access: RespAccess, _ count: Int) {
            switch access.mode {
            case .none: break
            case .read: self.reads += count
            case .write: self.writes += count
            case .update: self.updates += count
            }
        }

        /// Whether one of them may concern `access`; false, without a look at each, for pipelines of one kind.
        func mayConcern(_ access: RespAccess) -> Bool {
            switch access.mode {
            case .none: false
            case .read: self.writes + self.updates > 0
            case .write: self.reads + self.updates > 0
            case .update: self.reads + self.writes + self.updates > 0
            }
        }
    }
}

/// What a client of the Redis protocol chose for its connection.
struct RespSession {
    /// The number that `CLIENT ID` tells; counts connections.
    let number: UInt64
    /// Names its writes, for deduplication.
    let client: UInt64
    var sequence: UInt64 = 0
    var version = RespVersion.two
    var name = ByteBuffer()
    /// 0 to 15.
    private(set) var database = 0
    /// The bucket of the database.
    private(set) var bucket = RespSession.bucket(of: 0)

    /// Databases there are.
    static let databases = 16

    init(number: UInt64, client: UInt64) {
        self.number = number
        self.client = client
    }

    /// The bucket that keeps a database.
    static func bucket(of database: Int) -> ByteBuffer {
        ByteBuffer(string: database == 0 ? "redis" : "redis:\(database)")
    }

    /// Goes to another database.
    mutating func select(_ database: Int) {
        self.database = database
        self.bucket = Self.bucket(of: database)
    }

    /// Forgets all choices.
    mutating func reset() {
        self.version = .two
        self.name = ByteBuffer()
        self.select(0)
    }

    /// Names one write.
    mutating func nextID() -> RequestID {
        self.sequence += 1
        return RequestID(client: self.client, sequence: self.number << 32 &+ self.sequence)
    }
}
