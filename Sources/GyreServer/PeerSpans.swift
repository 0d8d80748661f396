import GyreBase
import GyreMessages
import GyreTracing
import Tracing

/// The spans of what nodes ask each other on behalf of traced requests. Confined to the shell's loop.
///
/// A question that leaves is a client span and ends with its answer; one that arrives is a server span and ends when this node answers
/// it. What nobody answers is ended, as an error, when the link is lost or after `lifeMax`. Bounded: above `openMax` open spans a
/// further question travels under the span of its operation.
final class PeerSpans {
    /// Open spans of each direction, at most.
    static let openMax = 4_096
    /// The longest life of a span; longer than any deadline.
    static let lifeMax = TimeSpan.seconds(61)

    private struct Key: Hashable {
        let node: NodeID
        let tag: UInt64
    }

    private struct Entry {
        let span: FileSpan
        let began: Instant
    }

    private let tracer: FileTracer
    private var asked: [Key: Entry] = [:]
    private var served: [Key: Entry] = [:]

    init(_ tracer: FileTracer) { self.tracer = tracer }

    /// A span of this node's work for one request; `trace` is of the request.
    func begin(_ operation: OperationLabel, _ trace: TraceContext) -> FileSpan {
        self.tracer.startSpan(operation.name, context: InstrumentationContext(trace), ofKind: .internal)
    }

    /// What is sent to `node` in place of `message`: a question with a span of its own around it.
    func onSend(_ message: PeerMessage, to node: NodeID, at now: Instant) -> PeerMessage {
        switch message {
        case .traced(let trace, let question):
            guard let tag = question.tracedTag else { return message }
            // A question that is asked once more is part of the first attempt's span.
            if let entry = self.asked[Key(node: node, tag: tag)] { return .traced(entry.span.trace, question) }
            guard self.asked.count < Self.openMax else { return message }
            let span = self.tracer.startSpan(
                Self.name(of: question), context: InstrumentationContext(trace), ofKind: .client)
            span.attributes["gyre.peer"] = node.description
            self.asked[Key(node: node, tag: tag)] = Entry(span: span, began: now)
            return .traced(span.trace, question)
        case .replicated(let tag, let outcome): self.end(&self.served, node, tag, outcome)
        case .fetched(let tag, let outcome): self.end(&self.served, node, tag, outcome)
        case .forwarded(let tag, let response): self.end(&self.served, node, tag, response)
        default: break
        }
        return message
    }

    /// What `node` said, with the span of this node's own work in place of the one that asked.
    func onReceive(_ message: PeerMessage, from node: NodeID, at now: Instant) -> PeerMessage {
        switch message {
        case .traced(let trace, let question):
            guard let tag = question.tracedTag, self.served.count < Self.openMax,
                self.served[Key(node: node, tag: tag)] == nil
            else { return message }
            let span = self.tracer.startSpan(
                Self.name(of: question), context: InstrumentationContext(trace), ofKind: .server)
            span.attributes["gyre.peer"] = node.description
            self.served[Key(node: node, tag: tag)] = Entry(span: span, began: now)
            return .traced(span.trace, question)
        case .replicated(let tag, let outcome): self.end(&self.asked, node, tag, outcome)
        case .fetched(let tag, let outcome): self.end(&self.asked, node, tag, outcome)
        case .forwarded(let tag, let response): self.end(&self.asked, node, tag, response)
        default: break
        }
        return message
    }

    /// `node` was lost: it answers nothing that it was asked.
    func onLost(_ node: NodeID) {
        self.asked = Self.ending(self.asked, "the connection was lost") { key, _ in key.node == node }
        self.served = Self.ending(self.served, "the connection was lost") { key, _ in key.node == node }
    }

    /// Ends what has waited longer than anything may.
    func expire(at now: Instant) {
        func isOld(_ key: Key, _ entry: Entry) -> Bool { now.since(entry.began) > Self.lifeMax }
        self.asked = Self.ending(self.asked, "no answer", isOld)
        self.served = Self.ending(self.served, "not answered", isOld)
    }

    /// Ends everything: nothing is sent any more.
    func close() {
        self.asked = Self.ending(self.asked, "the node stopped") { _, _ in true }
        self.served = Self.ending(self.served, "the node stopped") { _, _ in true }
    }

    // MARK: - Ends

    private func end(_ open: inout [Key: Entry], _ node: NodeID, _ tag: UInt64, _ outcome: ReplicateOutcome) {
        guard !open.isEmpty, let entry = open.removeValue(forKey: Key(node: node, tag: tag)) else { return }
        entry.span.attributes["gyre.outcome"] = "\(outcome)"
        if outcome != .durable { entry.span.setStatus(SpanStatus(code: .error)) }
        entry.span.end()
    }

    private func end(_ open: inout [Key: Entry], _ node: NodeID, _ tag: UInt64, _ outcome: FetchOutcome) {
        guard !open.isEmpty, let entry = open.removeValue(forKey: Key(node: node, tag: tag)) else { return }
        let word: String
        switch outcome {
        case .record: word = "record"
        case .digest: word = "digest"
        case .absent: word = "absent"
        case .corrupt: word = "corrupt"
        case .overloaded: word = "overloaded"
        }
        entry.span.attributes["gyre.outcome"] = word
        if outcome == .corrupt || outcome == .overloaded { entry.span.setStatus(SpanStatus(code: .error)) }
        entry.span.end()
    }

    private func end(_ open: inout [Key: Entry], _ node: NodeID, _ tag: UInt64, _ response: ClientResponse) {
        guard !open.isEmpty, let entry = open.removeValue(forKey: Key(node: node, tag: tag)) else { return }
        entry.span.end(with: response)
    }

    private static func ending(
        _ open: [Key: Entry], _ reason: String, _ isOver: (Key, Entry) -> Bool
    ) -> [Key: Entry] {
        open.filter { key, entry in
            guard isOver(key, entry) else { return true }
            entry.span.setStatus(SpanStatus(code: .error, message: reason))
            entry.span.end()
            return false
        }
    }

    private static func name(of question: PeerMessage) -> String {
        switch question {
        case .replicate: "replicate"
        case .fetch: "fetch"
        case .forward: "forward"
        case .hint: "hint"
        case .fetchHint: "fetch hint"
        default: "question"
        }
    }
}

extension FileSpan {
    /// Ends the span of a request with its answer and the quorum's arithmetic.
    func end(with response: ClientResponse) {
        let outcome = OutcomeLabel.of(response)
        self.attributes["gyre.outcome"] = outcome.name
        switch response {
        case .stored(_, let acks, let needed):
            self.attributes["gyre.acks"] = Int64(acks)
            self.attributes["gyre.needed"] = Int64(needed)
        case .failed(.unavailable(let needed, let got)), .failed(.unknown(let needed, let got)):
            self.attributes["gyre.acks"] = Int64(got)
            self.attributes["gyre.needed"] = Int64(needed)
        default: break
        }
        if outcome != .done, outcome != .notFound { self.setStatus(SpanStatus(code: .error)) }
        self.end()
    }
}
