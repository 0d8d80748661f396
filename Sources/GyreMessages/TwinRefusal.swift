package import GyreBase
package import GyreMembership

/// What a node answers to another process that uses its identity.
///
/// It travels as the text of `HelloReply.refused`, because the payloads of the handshake never change: a bracket that programs
/// read, then a line for people. The process that started later has to go; both compare the same two triples, so they agree.
package struct TwinRefusal: Hashable, Comparable, Sendable {
    /// When the answering process started, by its wall clock.
    package let startedAt: WallTime
    /// Where it is.
    package let address: PeerAddress
    /// Drawn at random by each process: by it a process knows itself when it meets itself through a proxy or another name.
    package let process: UInt64

    /// Joins the three.
    package init(startedAt: WallTime, address: PeerAddress, process: UInt64) {
        self.startedAt = startedAt
        self.address = address
        self.process = process
    }

    /// Reads what `reason` says; nil for any other refusal.
    package init?(reason: String) {
        let words = reason.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false)
        // The address may hold brackets of its own (IPv6), so the last one of the word is the end.
        guard words.count == 5, words[0] == "[twin", words[3].last == "]",
            let milliseconds = UInt64(words[1]), let process = UInt64(words[2], radix: 16),
            let address = PeerAddress(parsing: String(words[3].dropLast()))
        else { return nil }
        self.init(startedAt: WallTime(milliseconds: milliseconds), address: address, process: process)
    }

    /// The text of the refusal.
    package var reason: String {
        "[twin \(self.startedAt.milliseconds) \(String(self.process, radix: 16)) \(self.address)] two processes use one"
            + " node's identity; the other one is at \(self.address)"
    }

    /// The process that started earlier, which stays, first.
    package static func < (a: Self, b: Self) -> Bool {
        (a.startedAt, a.address, a.process) < (b.startedAt, b.address, b.process)
    }
}
