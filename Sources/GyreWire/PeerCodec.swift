import GyreBase
import GyreMembership
package import GyreMessages
import NIOCore

extension PeerMessage {
    /// The kind of frame that carries the message.
    package var kind: FrameKind {
        switch self {
        case .replicate: .replicate
        case .replicated: .replicated
        case .fetch: .fetch
        case .fetched: .fetched
        case .forward: .forward
        case .forwarded: .forwarded
        case .membership: .membership
        case .hint: .hint
        case .fetchHint: .fetchHint
        case .exchange: .exchange
        case .exchanged: .exchanged
        case .repair: .repair
        case .inspect: .inspect
        case .inspected: .inspected
        case .buckets: .buckets
        case .ring: .ring
        case .list: .list
        case .listed: .listed
        case .traced: .traced
        }
    }

    /// Appends the tag if there is one, then the parts in the order of the declaration.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .replicate(let tag, let name, let record):
            buffer.writeInteger(tag)
            name.encode(into: &buffer)
            buffer.writeCounted(record)
        case .replicated(let tag, let outcome):
            buffer.writeInteger(tag)
            buffer.writeInteger(outcome.rawValue)
        case .fetch(let tag, let name, let whole):
            buffer.writeInteger(tag)
            name.encode(into: &buffer)
            buffer.writeFlag(whole)
        case .fetched(let tag, let outcome):
            buffer.writeInteger(tag)
            outcome.encode(into: &buffer)
        case .forward(let tag, let timeoutMilliseconds, let request):
            buffer.writeInteger(tag)
            buffer.writeInteger(timeoutMilliseconds)
            try request.encode(into: &buffer)
        case .forwarded(let tag, let response):
            buffer.writeInteger(tag)
            try response.encode(into: &buffer)
        case .membership(let message): try message.encode(into: &buffer)
        case .hint(let tag, let target, let name, let record):
            buffer.writeInteger(tag)
            try buffer.writeNode(target)
            name.encode(into: &buffer)
            buffer.writeCounted(record)
        case .fetchHint(let tag, let target, let name, let whole):
            buffer.writeInteger(tag)
            try buffer.writeNode(target)
            name.encode(into: &buffer)
            buffer.writeFlag(whole)
        case .exchange(let tag, let step, let partition, let question):
            buffer.writeInteger(tag)
            buffer.writeInteger(step)
            buffer.writeInteger(partition)
            try question.encode(into: &buffer)
        case .exchanged(let tag, let step, let answer):
            buffer.writeInteger(tag)
            buffer.writeInteger(step)
            try answer.encode(into: &buffer)
        case .repair(let message): try message.encode(into: &buffer)
        case .inspect(let tag, let name):
            buffer.writeInteger(tag)
            name.encode(into: &buffer)
        case .inspected(let tag, let inspection):
            buffer.writeInteger(tag)
            try inspection.encode(into: &buffer)
        case .buckets(let message): try message.encode(into: &buffer)
        case .ring(let message): message.encode(into: &buffer)
        case .list(let tag, let question):
            buffer.writeInteger(tag)
            question.encode(into: &buffer)
        case .listed(let tag, let answer):
            buffer.writeInteger(tag)
            try answer.encode(into: &buffer)
        case .traced(let trace, let message):
            guard message.kind.mayBeTraced else { throw .invalid(field: "traced message") }
            trace.encode(into: &buffer)
            buffer.writeInteger(message.kind.rawValue)
            try message.encode(into: &buffer)
        }
    }

    /// Reads what `encode` wrote; `kind` is that of the frame, never one of a handshake or of a client.
    init(kind: FrameKind, decoding buffer: inout ByteReader) throws(DecodeError) {
        if kind == .membership {
            self = .membership(try MembershipMessage(decoding: &buffer))
            return
        }
        if kind == .repair {
            self = .repair(try RepairMessage(decoding: &buffer))
            return
        }
        if kind == .ring {
            self = .ring(try RingMessage(decoding: &buffer))
            return
        }
        if kind == .buckets {
            self = .buckets(try BucketMessage(decoding: &buffer))
            return
        }
        if kind == .traced {
            let trace = try TraceContext(decoding: &buffer)
            guard let inner = FrameKind(rawValue: try buffer.readFixed()), inner.mayBeTraced else {
                throw .invalid(field: "traced message")
            }
            self = .traced(trace, try PeerMessage(kind: inner, decoding: &buffer))
            return
        }
        let tag = try buffer.readFixed(as: UInt64.self)
        switch kind {
        case .replicate:
            let name = try ObjectName(decoding: &buffer)
            let record = try buffer.readCounted(bytesMax: WireLimits.recordFrameBytesMax)
            self = .replicate(tag: tag, name: name, record: record)
        case .replicated:
            guard let outcome = ReplicateOutcome(rawValue: try buffer.readFixed()) else {
                throw .invalid(field: "replicate outcome")
            }
            self = .replicated(tag: tag, outcome)
        case .fetch:
            let name = try ObjectName(decoding: &buffer)
            self = .fetch(tag: tag, name: name, whole: try buffer.readFlag())
        case .fetched: self = .fetched(tag: tag, try FetchOutcome(decoding: &buffer))
        case .forward:
            let timeout = try buffer.readFixed(as: UInt32.self)
            self = .forward(tag: tag, timeoutMilliseconds: timeout, try ClientRequest(decoding: &buffer))
        case .forwarded: self = .forwarded(tag: tag, try ClientResponse(decoding: &buffer))
        case .hint:
            let target = try buffer.readNode()
            let name = try ObjectName(decoding: &buffer)
            let record = try buffer.readCounted(bytesMax: WireLimits.recordFrameBytesMax)
            self = .hint(tag: tag, target: target, name: name, record: record)
        case .fetchHint:
            let target = try buffer.readNode()
            let name = try ObjectName(decoding: &buffer)
            self = .fetchHint(tag: tag, target: target, name: name, whole: try buffer.readFlag())
        case .exchange:
            let step = try buffer.readFixed(as: UInt32.self)
            let partition = try buffer.readFixed(as: UInt32.self)
            self = .exchange(tag: tag, step: step, partition: partition, try ExchangeQuestion(decoding: &buffer))
        case .exchanged:
            let step = try buffer.readFixed(as: UInt32.self)
            self = .exchanged(tag: tag, step: step, try ExchangeAnswer(decoding: &buffer))
        case .inspect: self = .inspect(tag: tag, name: try ObjectName(decoding: &buffer))
        case .inspected: self = .inspected(tag: tag, try Inspection(decoding: &buffer))
        case .list: self = .list(tag: tag, try ListQuestion(decoding: &buffer))
        case .listed: self = .listed(tag: tag, try ListAnswer(decoding: &buffer))
        case .hello, .helloReply, .clientRequest, .clientResponse, .membership, .repair, .buckets, .ring, .traced:
            throw .invalid(field: "peer message")
        }
    }
}

extension FetchOutcome {
    private enum Kind {
        // On the wire; never renumber.
        static let record: UInt8 = 1
        static let digest: UInt8 = 2
        static let absent: UInt8 = 3
        static let corrupt: UInt8 = 4
        static let overloaded: UInt8 = 5
    }

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) {
        switch self {
        case .record(let record):
            buffer.writeInteger(Kind.record)
            buffer.writeCounted(record)
        case .digest(let digest):
            buffer.writeInteger(Kind.digest)
            buffer.writeInteger(digest)
        case .absent: buffer.writeInteger(Kind.absent)
        case .corrupt: buffer.writeInteger(Kind.corrupt)
        case .overloaded: buffer.writeInteger(Kind.overloaded)
        }
    }

    /// Reads what `encode` wrote; the record is a slice, not looked into.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.record: self = .record(try buffer.readCounted(bytesMax: WireLimits.recordFrameBytesMax))
        case Kind.digest: self = .digest(try buffer.readFixed(as: UInt64.self))
        case Kind.absent: self = .absent
        case Kind.corrupt: self = .corrupt
        case Kind.overloaded: self = .overloaded
        default: throw .invalid(field: "fetch outcome")
        }
    }
}
