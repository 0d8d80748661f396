package import GyreBase
import GyreMessages
import GyreQuorum
package import NIOCore

/// A coordinated request that took longer than `NodeOptions.slowThreshold`, with the arithmetic and where its time went. Pure value.
package struct SlowRequest: Hashable, Sendable {
    /// What was asked for.
    package enum Operation: String, Hashable, Sendable {
        case put, get, delete
    }

    /// What was asked for.
    package var operation: Operation
    /// The bucket.
    package var bucket: ByteBuffer
    /// The token of the key; the key itself may be private.
    package var token: Token
    /// R or W.
    package var needed: Int
    /// How many had answered, or had it on disk, when the client was answered.
    package var got: Int
    /// Whether that was enough.
    package var isDone: Bool
    /// Whom it was about, in preference order, stand-ins in the places of those they stood in for.
    package var asked: [NodeID]
    /// From the start until the own disk had answered; nil when it had not.
    package var ownDisk: TimeSpan?
    /// From the start until the client was answered.
    package var total: TimeSpan
    /// Whether a further replica was asked because one was slow.
    package var wasHedged: Bool
    /// The owner that this node handed it to; `asked` is that one alone then, and `got` is 0 unless it was done.
    package var handedTo: NodeID?
}

extension Node {
    /// Whether what began at `started` has taken long.
    func isSlow(since started: Instant, at now: Now) -> Bool {
        guard let threshold = self.options.slowThreshold else { return false }
        return now.instant.since(started) >= threshold
    }

    /// Tells of a write that took long.
    func noteSlow(
        _ put: PutOperation, isDone: Bool, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let threshold = self.options.slowThreshold else { return }
        let total = now.instant.since(put.started)
        guard total >= threshold else { return }
        let isDelete = if case .delete = put.request { true } else { false }
        let slow = SlowRequest(
            operation: isDelete ? .delete : .put, bucket: put.name.bucket, token: put.name.token,
            needed: put.machine.needed, got: put.machine.acked.count, isDone: isDone,
            asked: put.replicas.all.map { put.replicas.node(at: $0) }, ownDisk: put.ownDisk, total: total,
            wasHedged: false)
        effects.append(.event(.slow(slow)))
    }

    /// Tells of a read that took long.
    mutating func noteSlow(_ get: GetOperation, isDone: Bool, at now: Now, into effects: inout [NodeEffect]) {
        guard let threshold = self.options.slowThreshold else { return }
        let total = now.instant.since(get.started)
        guard total >= threshold else { return }
        let slow = SlowRequest(
            operation: .get, bucket: get.name.bucket, token: get.name.token, needed: get.machine.needed,
            got: get.machine.answered.count, isDone: isDone, asked: get.replicas.all.map { get.replicas.node(at: $0) },
            ownDisk: get.ownDisk, total: total, wasHedged: get.hedged)
        effects.append(.event(.slow(slow)))
    }

    /// Tells of a request that was handed to an owner and took long.
    mutating func noteSlow(
        _ forward: ForwardOperation, isDone: Bool, at now: Now, into effects: inout [NodeEffect]
    ) {
        guard let threshold = self.options.slowThreshold, let name = forward.request.name else { return }
        let total = now.instant.since(forward.started)
        guard total >= threshold else { return }
        let operation: SlowRequest.Operation
        switch forward.request {
        case .put: operation = .put
        case .get: operation = .get
        case .delete: operation = .delete
        default: return
        }
        let slow = SlowRequest(
            operation: operation, bucket: name.bucket, token: name.token, needed: Int(forward.needed),
            got: isDone ? Int(forward.needed) : 0, isDone: isDone, asked: [forward.to], total: total, wasHedged: false,
            handedTo: forward.to)
        effects.append(.event(.slow(slow)))
    }
}
