import GyreWire
import NIOCore

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

/// Patterns as Redis has them: `*` for any bytes, `?` for one, `[a-c]` and `[^a-c]` for one of a set, `\` before a byte that
/// means itself. Pure value; matching takes time in proportion to pattern times text.
struct RespPattern {
    private let bytes: [UInt8]

    init(_ bytes: ByteBuffer) { self.bytes = Array(bytes.readableBytesView) }

    /// Whether every text matches.
    var matchesAll: Bool { !self.bytes.isEmpty && self.bytes.allSatisfy { $0 == UInt8(ascii: "*") } }

    /// What every text that matches begins with.
    var prefix: ByteBuffer {
        ByteBuffer(bytes: self.bytes.prefix { !"*?[\\".utf8.contains($0) })
    }

    /// Whether all of `text` matches.
    func matches(_ text: ByteBuffer) -> Bool {
        let text = text.readableBytesView
        var place = 0
        var index = text.startIndex
        // Where the last star was, and how much it has taken so far.
        var star: (place: Int, index: Int)?
        while index < text.endIndex {
            if place < self.bytes.count, self.bytes[place] == UInt8(ascii: "*") {
                place += 1
                star = (place, index)
            } else if place < self.bytes.count, let next = self.matchesOne(text[index], at: place) {
                place = next
                index += 1
            } else if let last = star {
                star = (last.place, last.index + 1)
                (place, index) = (last.place, last.index + 1)
            } else {
                return false
            }
        }
        return self.bytes[place...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Where the pattern goes on when the element at `place` matches `byte`.
    private func matchesOne(_ byte: UInt8, at place: Int) -> Int? {
        switch self.bytes[place] {
        case UInt8(ascii: "?"): return place + 1
        case UInt8(ascii: "["): return self.matchesSet(byte, at: place + 1)
        case UInt8(ascii: "\\") where place + 1 < self.bytes.count:
            return self.bytes[place + 1] == byte ? place + 2 : nil
        default: return self.bytes[place] == byte ? place + 1 : nil
        }
    }

    private func matchesSet(_ byte: UInt8, at start: Int) -> Int? {
        var place = start
        let isNegated = place < self.bytes.count && self.bytes[place] == UInt8(ascii: "^")
        if isNegated { place += 1 }
        var isIn = false
        // A set that is not closed ends with the pattern.
        while place < self.bytes.count, self.bytes[place] != UInt8(ascii: "]") {
            if self.bytes[place] == UInt8(ascii: "\\"), place + 1 < self.bytes.count { place += 1 }
            let low = self.bytes[place]
            if place + 2 < self.bytes.count, self.bytes[place + 1] == UInt8(ascii: "-"),
                self.bytes[place + 2] != UInt8(ascii: "]")
            {
                let high = self.bytes[place + 2]
                if (min(low, high)...max(low, high)).contains(byte) { isIn = true }
                place += 3
            } else {
                if low == byte { isIn = true }
                place += 1
            }
        }
        return isIn != isNegated ? min(place + 1, self.bytes.count) : nil
    }
}
