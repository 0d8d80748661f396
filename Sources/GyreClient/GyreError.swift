package import GyreMessages

/// Why an operation did not succeed: a stable code for programs, one sentence for people, and what to try.
///
/// Pure value; safe from any thread.
public struct GyreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure. Raw values are stable; they are the `error` of `gyre --json`.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// Too few replicas, or not the one node that is needed, could be reached; nothing happened that anybody knows of.
        case unavailable
        /// Some replicas took the write, fewer than asked for.
        case unknown
        /// A limit of the node or of this client was reached.
        case overloaded
        /// Something exceeds a limit.
        case tooLarge
        /// The deadline passed.
        case timeout
        /// The request makes no sense.
        case badRequest
        /// No node that could be reached is a member of the cluster yet.
        case notMember
        /// Every replica that answered holds a corrupt record.
        case corrupt
        /// A live value is there, and the put asked for none.
        case exists
        /// No node could be connected to.
        case noNodeReachable
        /// The connection was lost before the answer came.
        case connectionLost
        /// This client was closed.
        case closed
    }

    /// The kind of failure.
    public let code: Code
    /// What happened, one sentence without the code.
    public let message: String
    /// What to do next, one sentence; empty when there is nothing to say.
    public let hint: String
    /// Replicas needed, for `unavailable` and `unknown`.
    public let needed: Int?
    /// Replicas that answered, for `unavailable` and `unknown`.
    public let got: Int?
    /// The limit, for `tooLarge`.
    public let limit: UInt64?
    /// Whether the write may have happened or may yet happen. Always false for reads.
    public internal(set) var mayHaveHappened: Bool

    /// Joins the parts.
    package init(
        _ code: Code, _ message: String, try hint: String = "", needed: Int? = nil, got: Int? = nil,
        limit: UInt64? = nil, mayHaveHappened: Bool = false
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.needed = needed
        self.got = got
        self.limit = limit
        self.mayHaveHappened = mayHaveHappened
    }

    /// What a node answered. Nothing happens by a read, whatever became of it.
    package init(_ failure: Failure, isRead: Bool) {
        self.init(failure)
        if isRead { self.mayHaveHappened = false }
    }

    /// What a node answered.
    package init(_ failure: Failure) {
        switch failure {
        case .unavailable(let needed, let got):
            self.init(
                .unavailable, "needed \(needed) replicas, reached \(got); nothing was changed",
                try: "see which nodes are down with 'gyre status', or ask for fewer replicas", needed: Int(needed),
                got: Int(got)
            )
        case .unknown(let needed, let got):
            self.init(
                .unknown, "\(got) of \(needed) replicas took the write; it may yet take effect",
                try: "read the key before you write it again", needed: Int(needed), got: Int(got),
                mayHaveHappened: true
            )
        case .overloaded: self.init(.overloaded, "the node is at a limit", try: "try again later, or more slowly")
        case .tooLarge(let limit):
            self.init(
                .tooLarge, "above the limit of \(limit)", try: "split the value, or merge the siblings first",
                limit: limit
            )
        case .timeout:
            self.init(
                .timeout, "the deadline passed before enough replicas answered",
                try: "try again with a longer --timeout", mayHaveHappened: true
            )
        case .badRequest(let reason): self.init(.badRequest, reason)
        case .notMember:
            self.init(.notMember, "the node is not a member of the cluster yet", try: "wait until it has joined")
        case .corrupt:
            self.init(
                .corrupt, "every replica that answered holds a corrupt record", try: "ask for all replicas: --r all"
            )
        case .exists:
            self.init(.exists, "a value is there already", try: "read it first, or do not ask that there be none")
        }
    }

    /// The code, a colon, the message, and the hint in parentheses.
    public var description: String {
        self.hint.isEmpty
            ? "\(self.code.rawValue): \(self.message)" : "\(self.code.rawValue): \(self.message) (try: \(self.hint))"
    }
}
