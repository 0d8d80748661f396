package import GyreBase
package import GyreMembership
package import GyreMessages
import GyreWire
package import NIOCore

/// Sends each operation straight to the first healthy owner of its key, and elsewhere when that is safe.
///
/// **Retries.** What proves to have had no effect (connection refused, not a member, overloaded, unavailable) goes to
/// another node. A read gets half of its time at the first node and one more try at another. A write whose connection was lost is
/// sent once more with the same `RequestID` over a new connection to the *same* coordinator, which recognises it; it never
/// goes to another one, where it would be a second write.
///
/// Not `Sendable`; confined to `loop`: every method is called there, and completions run there, never inside `submit`.
package final class RoutedClient {
    /// Receives the outcome; a `failed` response arrives as the error it is.
    package typealias Completion = (Result<ClientResponse, GyreError>) -> Void

    /// The most nodes that are tried for one operation.
    package static let attemptsMax = 8
    /// A write is sent over a new connection only this soon: how long a coordinator knows for certain which writes it did.
    package static let resendMost = TimeAmount.seconds(1)
    private static let tickInterval = TimeAmount.milliseconds(250)
    private static let refreshTimeout = TimeSpan.milliseconds(500)

    /// The loop that everything happens on.
    package let loop: any EventLoop
    /// What is known of the cluster; several clients of one loop may share it.
    package let view: ClusterView

    private let seeds: [PeerAddress]
    private let options: ClientOptions
    private let keepsView: Bool
    private var lines: [PeerAddress: NodeLine] = [:]
    private var linesByNode: [NodeID: NodeLine] = [:]
    /// Every line, members first.
    private var allLines: [NodeLine] = []
    private var turn = 0
    private var generation: UInt64 = .max
    private var ticking: Scheduled<Void>?
    private var nextRefresh = NIODeadline.distantPast
    private var isRefreshing = false
    private var isClosed = false

    /// A client that keeps its own view, or with `sharing` uses one that another client on `loop` keeps.
    package init(
        seeds: [PeerAddress], options: ClientOptions, loop: any EventLoop, sharing view: ClusterView? = nil
    ) {
        loop.preconditionInEventLoop()
        self.seeds = seeds
        self.options = options
        self.loop = loop
        self.keepsView = view == nil
        self.view = view ?? ClusterView()
        if self.keepsView {
            self.view.onStale = { [weak self] in self?.nextRefresh = .distantPast }
        }
        self.adoptView()
        self.scheduleTick(in: .zero)
    }

    /// Sends `request`; `completion` runs at the latest when `timeout` has passed.
    package func submit(_ request: ClientRequest, timeout: TimeSpan, completion: @escaping Completion) {
        self.loop.assertInEventLoop()
        let deadline = NIODeadline.now() + .nanoseconds(max(0, timeout.nanoseconds))
        self.attempt(Operation(request: request, deadline: deadline, completion: completion))
    }

    /// Sends `request` to exactly `node`, without routing or retries: what one node knows alone, no other can answer.
    package func submit(
        _ request: ClientRequest, to node: NodeID, timeout: TimeSpan, completion: @escaping Completion
    ) {
        self.loop.assertInEventLoop()
        if self.view.generation != self.generation { self.adoptView() }
        let deadline = NIODeadline.now() + .nanoseconds(max(0, timeout.nanoseconds))
        let operation = Operation(request: request, deadline: deadline, completion: completion)
        guard !self.isClosed else { return self.fail(operation, GyreError(.closed, "this client was closed")) }
        guard let line = self.linesByNode[node] else {
            return self.fail(operation, self.nobody("no member is named \(node)"))
        }
        line.connection().send(request, deadline: deadline) { result in
            switch result {
            case .success(let response):
                line.noteSuccess()
                if case .failed(let failure) = response { return operation.fail(GyreError(failure)) }
                completion(.success(response))
            case .failure(let failure):
                self.onTrouble(failure, with: line)
                switch failure {
                case .notSent(let reason): operation.fail(self.nobody(reason))
                case .lost(let reason): operation.fail(self.lost(reason))
                case .timeout: operation.fail(GyreError(Failure.timeout))
                case .overloaded: operation.fail(GyreError(Failure.overloaded))
                case .unencodable(let error):
                    operation.fail(GyreError(Failure.badRequest("cannot be sent: \(error)")))
                }
            }
        }
    }

    /// Asks one node for its report, without routing or retries; nil when it does not answer.
    package func askStatus(
        of node: NodeID, timeout: TimeSpan, completion: @escaping (StatusReport?) -> Void
    ) {
        if self.view.generation != self.generation { self.adoptView() }
        guard let line = self.linesByNode[node] else {
            return self.loop.assumeIsolated().execute { completion(nil) }
        }
        self.askStatus(line, timeout: timeout, completion: completion)
    }

    /// Ends all connections; calls in flight and later ones fail.
    package func close() {
        self.isClosed = true
        self.ticking?.cancel()
        self.ticking = nil
        for line in self.allLines { line.close() }
    }

    // MARK: - One operation

    private final class Operation {
        let request: ClientRequest
        let deadline: NIODeadline
        let completion: Completion
        let isRead: Bool
        var tried: [NodeLine] = []
        var hasRetried = false
        var mayHaveHappened = false
        /// When it was sent for the first time.
        var sentAt: NIODeadline?
        /// A node's word that too few replicas can be reached; says more than that the next node cannot be reached.
        var refusal: GyreError?

        init(request: ClientRequest, deadline: NIODeadline, completion: @escaping Completion) {
            self.request = request
            self.deadline = deadline
            self.completion = completion
            switch request {
            // A change of a bucket that is done twice is the same change.
            case .put, .delete, .bucketSet: self.isRead = false
            case .get, .status, .locate, .explain, .repairCounts, .bucketList, .bucketShow, .list: self.isRead = true
            // Said twice they do no more than said once.
            case .repair, .repairCancel, .ring: self.isRead = true
            }
        }

        func fail(_ error: GyreError) {
            var error = error
            if error.code == .noNodeReachable, let refusal = self.refusal { error = refusal }
            if self.isRead { error.mayHaveHappened = false }
            if self.mayHaveHappened { error.mayHaveHappened = true }
            self.completion(.failure(error))
        }
    }

    /// Tries the next node; `error` says why the last one was not good enough.
    private func attempt(_ operation: Operation, after error: GyreError? = nil) {
        let now = NIODeadline.now()
        guard !self.isClosed else { return self.fail(operation, GyreError(.closed, "this client was closed")) }
        guard now < operation.deadline else { return self.fail(operation, error ?? GyreError(Failure.timeout)) }
        guard operation.tried.count < Self.attemptsMax, let line = self.line(for: operation) else {
            return self.fail(operation, error ?? self.nobody("no address is known"))
        }
        operation.tried.append(line)
        var deadline = operation.deadline
        if operation.isRead, !operation.hasRetried, self.allLines.count > operation.tried.count {
            deadline = now + .nanoseconds((operation.deadline - now).nanoseconds / 2)
        }
        self.send(operation, over: line, deadline: deadline)
    }

    private func send(_ operation: Operation, over line: NodeLine, deadline: NIODeadline) {
        let connection = line.connection()
        let sentAt = NIODeadline.now()
        operation.sentAt = operation.sentAt ?? sentAt
        connection.send(operation.request, deadline: deadline) { result in
            switch result {
            case .success(.failed(let failure)):
                line.noteSuccess()
                self.onFailure(failure, of: operation)
            case .success(let response):
                line.noteSuccess()
                operation.completion(.success(response))
            case .failure(let failure):
                // A node that has said something since is slow with this request, not gone.
                if failure != .timeout || connection.lastReceived < sentAt { self.onTrouble(failure, with: line) }
                self.onFailure(failure, of: operation, over: line)
            }
        }
    }

    /// A node answered that it did not do it.
    private func onFailure(_ failure: Failure, of operation: Operation) {
        switch failure {
        case .notMember, .overloaded:
            self.view.onStale?()
            self.retryOnce(operation, GyreError(failure))
        case .timeout where operation.isRead: self.retryOnce(operation, GyreError(failure))
        case .unavailable:
            // Nothing happened, and a node that has just come back, or is cut off, speaks for itself alone.
            let error = GyreError(failure)
            operation.refusal = error
            guard self.hasHealthyLine(besides: operation.tried) else { return operation.fail(error) }
            self.retryOnce(operation, error)
        case .unknown, .tooLarge, .timeout, .badRequest, .corrupt, .exists:
            operation.fail(GyreError(failure))
        }
    }

    /// No answer came.
    private func onFailure(_ failure: CallFailure, of operation: Operation, over line: NodeLine) {
        switch failure {
        case .notSent(let reason):
            if operation.mayHaveHappened { return operation.fail(self.lost(reason)) }
            self.attempt(operation, after: self.nobody(reason))
        case .lost(let reason):
            if operation.isRead { return self.retryOnce(operation, self.lost(reason)) }
            operation.mayHaveHappened = true
            // Its coordinator knows for a while only which writes it did.
            let isRecent = operation.sentAt.map { NIODeadline.now() - $0 < Self.resendMost } ?? false
            guard isRecent, !operation.hasRetried, !self.isClosed else { return operation.fail(self.lost(reason)) }
            operation.hasRetried = true
            self.send(operation, over: line, deadline: operation.deadline)
        case .timeout:
            if operation.isRead { return self.retryOnce(operation, GyreError(Failure.timeout)) }
            operation.fail(GyreError(Failure.timeout))
        case .overloaded: self.retryOnce(operation, GyreError(Failure.overloaded))
        case .unencodable(.frameTooLong(_, let bytesMax)):
            operation.fail(GyreError(Failure.tooLarge(limit: UInt64(bytesMax))))
        case .unencodable(let error): operation.fail(GyreError(Failure.badRequest("cannot be sent: \(error)")))
        }
    }

    private func retryOnce(_ operation: Operation, _ error: GyreError) {
        guard !operation.hasRetried, !operation.mayHaveHappened else { return operation.fail(error) }
        operation.hasRetried = true
        self.attempt(operation, after: error)
    }

    /// The first healthy owner not tried yet; else any healthy node; else the one whose time to be probed comes first.
    private func line(for operation: Operation) -> NodeLine? {
        if self.view.generation != self.generation { self.adoptView() }
        var best: NodeLine?
        if let name = operation.request.name {
            for node in self.view.owners(of: name) {
                guard let line = self.linesByNode[node], !operation.tried.contains(where: { $0 === line }) else {
                    continue
                }
                if line.isHealthy, !line.isBelievedDead { return line }
                best = best ?? line
            }
        }
        self.turn &+= 1
        for offset in self.allLines.indices {
            let line = self.allLines[(self.turn &+ offset) % self.allLines.count]
            guard !operation.tried.contains(where: { $0 === line }) else { continue }
            if line.isHealthy, !line.isBelievedDead { return line }
            if let known = best, known.retryAt <= line.retryAt { continue }
            best = line
        }
        return best
    }

    private func hasHealthyLine(besides tried: [NodeLine]) -> Bool {
        self.allLines.contains { line in
            line.isHealthy && !line.isBelievedDead && !tried.contains { $0 === line }
        }
    }

    private func fail(_ operation: Operation, _ error: GyreError) {
        self.loop.assumeIsolated().execute { operation.fail(error) }
    }

    private func nobody(_ reason: String) -> GyreError {
        GyreError(.noNodeReachable, reason, try: "check --node and whether the nodes run")
    }

    private func lost(_ reason: String) -> GyreError {
        GyreError(
            .connectionLost, "the connection was lost before the answer came: \(reason)",
            try: "read the key before you write it again", mayHaveHappened: true
        )
    }

    // MARK: - The members and their health

    private func onTrouble(_ failure: CallFailure, with line: NodeLine) {
        switch failure {
        case .notSent, .lost, .timeout:
            line.noteFailure(at: .now())
            self.view.onStale?()
        case .overloaded, .unencodable: break
        }
    }

    private func scheduleTick(in delay: TimeAmount) {
        self.ticking = self.loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.tick()
            self.scheduleTick(in: Self.tickInterval)
        }
    }

    private func tick() {
        let now = NIODeadline.now()
        if self.view.generation != self.generation { self.adoptView() }
        for line in self.allLines where !line.isHealthy && !line.isProbing && line.retryAt <= now { self.probe(line) }
        guard self.keepsView, !self.isRefreshing, self.nextRefresh <= now else { return }
        let operation = Operation(request: .status, deadline: now, completion: { _ in })
        guard let line = self.line(for: operation) else { return }
        self.isRefreshing = true
        // Whoever fails in the meantime makes the view stale again; the tick bounds how often it is asked for.
        self.nextRefresh = now + .nanoseconds(self.options.refreshInterval.span.nanoseconds)
        self.askStatus(line, timeout: Self.refreshTimeout) { report in
            self.isRefreshing = false
            if report == nil { self.nextRefresh = .distantPast }
        }
    }

    private func probe(_ line: NodeLine) {
        line.isProbing = true
        self.askStatus(line, timeout: Self.refreshTimeout) { report in
            line.isProbing = false
            // After an outage TCP may take minutes to find out that it is over; a new connection does not.
            if report == nil { line.close() }
        }
    }

    private func askStatus(
        _ line: NodeLine, timeout: TimeSpan, completion: @escaping (StatusReport?) -> Void
    ) {
        let deadline = NIODeadline.now() + .nanoseconds(timeout.nanoseconds)
        line.connection().send(.status, deadline: deadline) { result in
            switch result {
            case .success(.status(let report)):
                line.noteSuccess()
                if self.keepsView, !self.isClosed { self.view.learn(report) }
                completion(report)
            case .success: completion(nil)
            case .failure:
                line.noteFailure(at: .now())
                completion(nil)
            }
        }
    }

    /// Opens lines for new members and ends those of removed ones; seeds stay as a last resort.
    private func adoptView() {
        self.generation = self.view.generation
        var kept: [PeerAddress: NodeLine] = [:]
        self.linesByNode = [:]
        self.allLines = []
        for member in self.view.members {
            let line = kept[member.address] ?? self.lines[member.address] ?? self.makeLine(member.address)
            line.isBelievedDead = member.liveness == .dead
            self.linesByNode[member.node] = line
            if kept.updateValue(line, forKey: member.address) == nil { self.allLines.append(line) }
        }
        for seed in self.seeds where kept[seed] == nil {
            let line = self.lines[seed] ?? self.makeLine(seed)
            kept[seed] = line
            self.allLines.append(line)
        }
        for (address, line) in self.lines where kept[address] == nil { line.close() }
        self.lines = kept
    }

    private func makeLine(_ address: PeerAddress) -> NodeLine {
        NodeLine(address: address, options: self.options, loop: self.loop)
    }
}
