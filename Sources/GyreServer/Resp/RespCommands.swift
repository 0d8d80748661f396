import GyreWire

/// Every command there is, with what `COMMAND` tells about it.
enum RespCommand: String, CaseIterable {
    case ping, echo, hello, auth, select, quit, reset, command, client, config, info, dbsize
    case get, set, setex, psetex, setnx, getdel, getset, del, unlink, exists, mget, mset
    case strlen, type, ttl, pttl, expire, pexpire, persist, scan, keys
    case gyreGet = "gyre.get"
    case gyrePut = "gyre.put"

    /// How many arguments it takes, its name included; at least as many when negative.
    var arity: Int {
        switch self {
        case .quit, .reset, .dbsize: self == .quit ? -1 : 1
        case .ping, .hello, .command, .info: -1
        case .client, .config, .del, .unlink, .exists, .mget, .auth, .scan: -2
        case .echo, .select, .get, .getdel, .strlen, .type, .ttl, .pttl, .persist, .keys: 2
        case .setnx, .getset, .gyreGet: 3
        case .set, .mset, .expire, .pexpire: -3
        case .setex, .psetex: 4
        case .gyrePut: -4
        }
    }

    /// Whether that many arguments may be right.
    func accepts(_ count: Int) -> Bool { self.arity < 0 ? count >= -self.arity : count == self.arity }

    /// What it does to data.
    private var flags: [String] {
        switch self {
        case .ping, .echo, .hello, .auth, .select, .quit, .reset: ["fast"]
        case .command, .client, .config, .info: ["admin"]
        case .get, .strlen, .type, .ttl, .pttl, .exists, .mget, .dbsize, .gyreGet: ["readonly", "fast"]
        case .scan, .keys: ["readonly"]
        case .set, .setex, .psetex, .setnx, .getset, .mset, .gyrePut: ["write", "denyoom"]
        case .getdel, .del, .unlink, .expire, .pexpire, .persist: ["write", "fast"]
        }
    }

    /// Where its keys are: the first, the last, and the step from one to the next.
    private var keys: (first: Int64, last: Int64, step: Int64) {
        switch self {
        case .get, .set, .setex, .psetex, .setnx, .getdel, .getset, .strlen, .type, .ttl, .pttl, .expire, .pexpire,
            .persist:
            (1, 1, 1)
        case .del, .unlink, .exists, .mget: (1, -1, 1)
        case .mset: (1, -1, 2)
        case .gyreGet, .gyrePut: (2, 2, 1)
        case .ping, .echo, .hello, .auth, .select, .quit, .reset, .command, .client, .config, .info, .dbsize, .scan,
            .keys:
            (0, 0, 0)
        }
    }

    private static let byName: [UInt64: RespCommand] = Dictionary(
        uniqueKeysWithValues: Self.allCases.map { (RespParser.packed(Array($0.rawValue.utf8)), $0) })

    /// The command of that name, as `RespParser.packedName` packs it; all names have at most 8 bytes.
    init?(packed: UInt64) {
        guard let command = Self.byName[packed] else { return nil }
        self = command
    }

    /// What `COMMAND` answers about it.
    var description: RespAnswer {
        let keys = self.keys
        return .array([
            .text(self.rawValue), .integer(Int64(self.arity)), .array(self.flags.map { .text($0) }),
            .integer(keys.first), .integer(keys.last), .integer(keys.step),
        ])
    }
}
