import GyreBase
import GyreMessages

/// The traces that operations in flight belong to, by the operation's tag.
///
/// Empty while nobody traces anything, and then it costs one comparison a step. Bounded: above `countMax` operations a further one
/// goes on without telling other nodes of its trace. A value inside the node.
struct TraceTable {
    /// Traced operations in flight whose trace other nodes are told of, at most.
    static let countMax = 1_024

    /// The trace of the input that is being handled.
    var incoming: TraceContext?
    /// The operations that have a trace, in the order they began.
    private(set) var tags: [UInt64] = []
    private var contexts: [UInt64: TraceContext] = [:]

    /// Whether no operation has a trace.
    var isEmpty: Bool { self.tags.isEmpty }

    /// The operation with `tag` follows from the input that is being handled.
    mutating func keep(_ tag: UInt64) {
        guard let incoming = self.incoming, self.tags.count < Self.countMax else { return }
        self.tags.append(tag)
        self.contexts[tag] = incoming
    }

    /// Forgets all but `tags`, which it knows.
    mutating func retain(_ tags: [UInt64]) {
        guard tags.count < self.tags.count else { return }
        var kept: [UInt64: TraceContext] = [:]
        for tag in tags { kept[tag] = self.contexts[tag] }
        self.tags = tags
        self.contexts = kept
    }

    /// Puts the trace of its operation around each question to a peer among the effects from `first` on.
    func mark(_ effects: inout [NodeEffect], from first: Int) {
        for index in first..<effects.count {
            guard case .send(let node, let message) = effects[index], let tag = message.tracedTag,
                let context = self.contexts[tag]
            else { continue }
            effects[index] = .send(node, .traced(context, message))
        }
    }
}
