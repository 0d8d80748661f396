package import GyreBase
package import GyreMembership

/// What a node answers to another process that uses its identity.
///
/// It travels as the text of `HelloReply.refused`, because the payloads of the handshake never change: a bracket that programs
/// read, then a line for people. The process that started later has to go; both compare the same two pairs, so they agree.
package struct TwinRefusal: Hashable, Comparable, Sendable {
    /// When the answering process started, by its wall clock.
    package let startedAt: WallTime
    /// Where it is.
    package let address: PeerAddress

    /// Joins the two.
    package init(startedAt: WallTime, address: PeerAddress) {
        self.startedAt = startedAt
        self.address = address
    }

    /// Reads what `reason` says; nil for any other refusal.
    package init?(reason: String) {
        guard reason.hasPrefix("[twin "), let end = reason.firstIndex(of: "]") else { return nil }
        let words = reason[..<end].split(separator: " ")
        guard words.count == 3, let milliseconds = UInt64(words[1]),
            let address = PeerAddress(parsing: String(words[2]))
        else { return nil }
        self.init(startedAt: WallTime(milliseconds: milliseconds), address: address)
    }

    /// The text of the refusal.
    package var reason: String {
        "[twin \(self.startedAt.milliseconds) \(self.address)] two processes use one node's identity;"
            + " the other one is at \(self.address)"
    }

    /// The process that started earlier, which stays, first.
    package static func < (a: Self, b: Self) -> Bool {
        (a.startedAt, a.address) < (b.startedAt, b.address)
    }
}
