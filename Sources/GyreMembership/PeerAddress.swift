/// Where a node listens for its peers: a host name or literal address, and a TCP port.
///
/// Nothing is resolved here; two spellings of one place are two addresses. Pure value; safe from any thread.
package struct PeerAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The longest host in UTF-8 bytes, the limit of DNS (RFC 1035 §2.3.4).
    package static let hostBytesMax = 255

    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    package let host: String
    /// The TCP port. Zero means "any free port" and is only of use for listening.
    package let port: UInt16

    /// Wraps a host and a port as they are; `MemberRecord.validated()` is the check for those from outside.
    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port` or `[v6]:port`; nil for anything else.
    ///
    /// An IPv6 address needs its brackets, because without them its last group could be a port.
    package init?(parsing text: String) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let digits = text.utf8[text.utf8.index(after: colon)...]
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard let port = UInt16(Substring(digits)) else { return nil }
        var host = text[..<colon]
        if host.utf8.first == UInt8(ascii: "["), host.utf8.last == UInt8(ascii: "]"), host.utf8.count > 2 {
            host = host.dropFirst().dropLast()
            guard host.utf8.contains(UInt8(ascii: ":")) else { return nil }
        } else if host.utf8.contains(UInt8(ascii: ":")) {
            return nil
        }
        guard PeerAddress.isHost(host) else { return nil }
        self.init(host: String(host), port: port)
    }

    /// `host:port`, with brackets around an IPv6 address; what `init(parsing:)` reads.
    package var description: String {
        self.host.utf8.contains(UInt8(ascii: ":")) ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }

    /// Host first, by Unicode scalars, so that every node agrees; then port.
    package static func < (a: Self, b: Self) -> Bool {
        a.host == b.host ? a.port < b.port : a.host < b.host
    }

    /// Whether `text` can be a host: 1 to 255 bytes of letters, digits and `.-_:%` (the last two for IPv6).
    static func isHost(_ text: some StringProtocol) -> Bool {
        (1...PeerAddress.hostBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "%"): true
                default: false
                }
            }
    }
}
