package import GyreBase
package import GyreMessages
import GyreNode
import GyreTracing
package import NIOCore
import Synchronization

/// What a desk holds at most; one more request is answered with `overloaded`.
package struct DeskLimits: Sendable {
    /// Requests that are not answered yet.
    package var requestsInFlightMax = 4_096
    /// Values of the puts among them, in bytes.
    package var requestBytesMax = 64 << 20

    /// The defaults.
    package init() {}
}

/// Where code of this process hands requests to the node, as a client on a connection would.
///
/// Sendable: every call hops to the node's loop, and the future belongs to that loop. A request is answered exactly once: by the node,
/// with `overloaded` when the desk is full, or with `timeout` when the node ended before it answered. The future never fails.
package final class RequestDesk: Sendable {
    /// The node's loop, on which the futures are fulfilled.
    package let loop: any EventLoop
    private let door: NIOLoopBound<DeskDoor>
    private let client = UInt64.random(in: .min ... .max)
    private let sequence = Atomic<UInt64>(0)

    init(_ door: DeskDoor) {
        self.loop = door.loop
        self.door = NIOLoopBound(door, eventLoop: door.loop)
    }

    /// Asks the node; `timeout` is what is left of the deadline, and the node bounds it. What follows from the request belongs to
    /// `trace`, if there is one.
    package func submit(
        _ request: ClientRequest, timeout: TimeSpan, trace: TraceContext? = nil
    ) -> EventLoopFuture<ClientResponse> {
        let promise = self.loop.makePromise(of: ClientResponse.self)
        if self.loop.inEventLoop {
            self.door.value.submit(request, timeout: timeout, trace, promise)
        } else {
            let door = self.door
            self.loop.execute { door.value.submit(request, timeout: timeout, trace, promise) }
        }
        return promise.futureResult
    }

    /// Names one put or delete; never the same twice, also across processes (a random number and a count).
    package func makeRequestID() -> RequestID {
        let sequence = self.sequence.wrappingAdd(1, ordering: .relaxed).newValue
        return RequestID(client: self.client, sequence: sequence)
    }
}

/// The loop's side of a `RequestDesk`. Confined to the shell's loop.
final class DeskDoor {
    private struct InFlight {
        let promise: EventLoopPromise<ClientResponse>
        let bytes: Int
        let started: Instant
        let operation: OperationLabel
        let span: FileSpan?
    }

    /// The number that answers carry.
    let id: UInt64
    private let shell: NodeShell
    private let limits: DeskLimits
    private var inFlight = RequestSlots<InFlight>()
    private var inFlightCount = 0
    private var requestBytes = 0
    private var isClosed = false

    init(id: UInt64, shell: NodeShell, limits: DeskLimits) {
        self.id = id
        self.shell = shell
        self.limits = limits
    }

    /// The shell's loop.
    var loop: any EventLoop { self.shell.loop }

    /// Hands `request` to the node; the promise is kept once, on this loop.
    func submit(
        _ request: ClientRequest, timeout: TimeSpan, _ trace: TraceContext?, _ promise: EventLoopPromise<ClientResponse>
    ) {
        self.loop.preconditionInEventLoop()
        guard !self.isClosed else { return promise.succeed(.failed(.notMember)) }
        self.shell.readClock()
        let bytes = request.valueBytes
        let operation = OperationLabel.of(request)
        let isFull =
            self.inFlightCount >= self.limits.requestsInFlightMax
            || self.requestBytes + bytes > self.limits.requestBytesMax
            || self.shell.requestBytes + bytes > self.shell.limits.requestBytesMax
        guard !isFull else {
            self.shell.counters.record(operation, .overloaded, took: .zero)
            return promise.succeed(.failed(.overloaded))
        }
        let span = trace.flatMap { self.shell.spans?.begin(operation, $0) }
        let entry = InFlight(
            promise: promise, bytes: bytes, started: self.shell.now.instant, operation: operation, span: span)
        self.inFlightCount += 1
        self.requestBytes += bytes
        self.shell.requestBytes += bytes
        let address = ReplyAddress(connection: self.id, request: self.inFlight.insert(entry))
        if let trace = span?.trace ?? trace {
            self.shell.deliver(.tracedClient(address, request, timeout: timeout, trace))
        } else {
            self.shell.deliver(.client(address, request, timeout: timeout))
        }
    }

    /// Keeps the promise of one request.
    func reply(_ response: ClientResponse, to request: UInt64) {
        guard let entry = self.inFlight.take(request) else { return }
        self.inFlightCount -= 1
        self.requestBytes -= entry.bytes
        self.shell.requestBytes -= entry.bytes
        let span = self.shell.now.instant.since(entry.started)
        self.shell.counters.record(entry.operation, response, valueBytes: entry.bytes, took: span)
        entry.span?.end(with: response)
        if case .status(let report) = response {
            entry.promise.succeed(.status(self.shell.completed(report)))
        } else {
            entry.promise.succeed(response)
        }
    }

    /// Answers everybody who still waits: nobody else will.
    func close() {
        guard !self.isClosed else { return }
        self.isClosed = true
        let waiting = self.inFlight.takeAll()
        self.inFlightCount = 0
        self.shell.requestBytes -= self.requestBytes
        self.requestBytes = 0
        self.shell.changeDoors { $0.remove(self.id) }
        for entry in waiting {
            entry.span?.end(with: .failed(.timeout))
            entry.promise.succeed(.failed(.timeout))
        }
    }
}

extension ClientRequest {
    /// Bytes of the value that the request carries.
    var valueBytes: Int {
        switch self {
        case .put(let put): put.value.readableBytes
        case .get, .delete, .status, .locate, .explain, .repair, .repairCounts, .repairCancel, .bucketList, .bucketShow,
            .bucketSet, .ring, .list:
            0
        }
    }
}
