import GyreBase
import GyreMessages
import GyreNode
import GyreWire
import Logging
import NIOCore

/// A Redis client's connection to this node.
///
/// Commands that arrived together run together and are answered in order; a command that could see, or be seen by, an earlier one on
/// the same key waits for that one, so that a client reads its own writes. Confined to the shell's loop.
final class RespConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A command that is not answered, or whose answer waits for an earlier one.
    private struct Slot {
        let shape: RespShape
        let access: RespAccess
        /// Bytes of its request that are charged to the connection and the shell.
        var bytes: Int
        /// Bytes of an answer that waits for an earlier one.
        var answerBytes = 0
        /// Values that are likely to be in the answer, or on their way because of it.
        let values: Int
        let started: Instant
        let operation: OperationLabel
        /// What the client spoke when it asked; it may have changed that since.
        let version: RespVersion
        var job: RespJob?
        var state = State.waiting

        enum State {
            case waiting
            case answered(ClientResponse)
            case done(RespAnswer)

            /// About how many bytes the answer has.
            var bytes: Int {
                switch self {
                case .answered(.found(let record)): record.readableBytes
                case .waiting, .answered: 16
                case .done(let answer): answer.bytesExpected
                }
            }
        }
    }

    /// The number that answers carry.
    let id: UInt64
    let shell: NodeShell
    /// What the client chose.
    var session: RespSession
    var parser: RespParser
    private var context: ChannelHandlerContext?
    private var output = ByteBuffer()
    private var isDirty = false
    /// Whether the channel has output of this turn that was not flushed.
    private var hasPassedOutput = false
    private var isClosing = false
    private var readsPaused = false
    private var slots = CircularBuffer<Slot>(initialCapacity: 1)
    /// The number of the first slot; counts commands.
    private var head: UInt32 = 0
    private var waiting = RespAccess.Counts()
    private var requestBytes = 0
    private var pace = AnswerPace()
    /// Values that are likely to be in the answers that are waited for.
    private var valuesWaiting = 0
    /// Bytes of answers that wait for an earlier one.
    private var answerBytesHeld = 0
    /// Bytes of commands that are not whole or not begun, as far as they are charged.
    private var commandBytesHeld = 0
    private var receivedBytes = 0
    private var commandWatch: StallWatch?
    /// Whether the client has said that it has no more to say.
    private var isInputClosed = false
    private var farewell: Scheduled<Void>?
    private var outputWatch: StallWatch?
    /// Bytes that the channel was given.
    private var handedBytes = 0

    /// Output storage that an idle connection may keep.
    private static let idleOutputBytesMax = 4 << 10
    /// Bytes of commands that are not whole or not begun up to which nothing is charged; enough for ordinary ones.
    private static let commandBytesFree = 64 << 10
    /// From this many bytes on, the output of a turn goes to the channel in pieces.
    private static let outputPieceBytes = 4 << 20

    init(id: UInt64, number: UInt64, shell: NodeShell) {
        self.id = id
        self.shell = shell
        self.session = RespSession(number: number, client: shell.clientNumber)
        self.parser = RespParser(limits: shell.limits.resp)
    }

    // MARK: - The channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        self.shell.counters.connectionsAccepted += 1
        if self.shell.connections.count > self.shell.limits.connectionsMax {
            self.shell.counters.connectionsRefused += 1
            self.answer(.error("ERR max number of clients reached"))
            self.endAfterAnswers()
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isClosing = true
        self.slots.removeAll()
        self.charge(-self.requestBytes)
        self.commandBytesHeld = 0
        self.farewell?.cancel()
        self.shell.changeDoors { $0.remove(self.id) }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isClosing else { return }
        self.shell.readClock()
        let bytes = self.unwrapInboundIn(data)
        self.shell.counters.receivedBytes &+= UInt64(bytes.readableBytes)
        self.receivedBytes &+= bytes.readableBytes
        self.parser.append(bytes)
        if self.readsPaused { self.chargeCommands() } else { self.readCommands() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.resumeReading() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { self.onInputClosed(context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// The client has no more to say; what it asked before is answered, within bounds, as it may be gone altogether.
    private func onInputClosed(_ context: ChannelHandlerContext) {
        self.isInputClosed = true
        if !self.readsPaused, !self.isClosing {
            self.shell.readClock()
            self.readCommands()
        }
        guard !self.slots.isEmpty || self.readsPaused else { return }
        let span = TimeAmount.nanoseconds(self.shell.limits.respFarewell.nanoseconds)
        self.farewell = context.eventLoop.assumeIsolated().scheduleTask(in: span) { [weak self] in
            self?.context?.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or a broken pipe: the other side is gone, which is no news worth a line.
        context.close(promise: nil)
    }

    // MARK: - Commands

    private func readCommands() {
        // What is begun now is charged by itself.
        self.chargeCommands(0)
        defer { self.chargeCommands() }
        do throws(RespError) {
            while !self.isClosing {
                guard self.hasRoom else { return self.pauseReading() }
                guard try self.parser.next() else {
                    return self.isInputClosed ? self.endAfterAnswers() : self.watchCommand()
                }
                // A command that must wait for an earlier one is looked at again when something was answered.
                guard self.dispatch() else { return self.pauseReading() }
                self.parser.consume()
            }
        } catch {
            self.refuseBytes("\(error)")
        }
    }

    /// Answers a command that asks the node nothing.
    func answer(_ answer: RespAnswer) {
        if self.slots.isEmpty {
            self.write(.done(answer), .value, self.session.version)
            self.markDirty()
        } else {
            self.hold(answer)
        }
    }

    /// Keeps an answer that is there already until the earlier ones are. A client can have anything sent back to it, so this is
    /// charged like a value.
    private func hold(_ answer: RespAnswer) {
        var answer = answer
        if self.shell.requestBytes + answer.bytesExpected > self.shell.limits.requestBytesMax {
            answer = .error(RespFailure.text(.overloaded))
        }
        let bytes = answer.bytesExpected
        self.slots.append(
            Slot(
                shape: .value, access: .none, bytes: bytes, answerBytes: bytes, values: 0,
                started: self.shell.now.instant, operation: .other, version: self.session.version,
                state: .done(answer)))
        self.answerBytesHeld += bytes
        self.charge(bytes)
    }

    private func charge(_ bytes: Int) {
        self.requestBytes += bytes
        self.shell.requestBytes += bytes
    }

    /// Charges what the parser holds, or `bytes`; a client whose commands do not fit is told so, and its connection ends.
    private func chargeCommands(_ bytes: Int? = nil) {
        var bytes = bytes ?? self.parser.bytesHeld
        if bytes <= Self.commandBytesFree { bytes = 0 }
        guard bytes != self.commandBytesHeld else { return }
        self.charge(bytes - self.commandBytesHeld)
        self.commandBytesHeld = bytes
        guard bytes > 0, self.shell.requestBytes > self.shell.limits.requestBytesMax else { return }
        self.shell.counters.record(.other, .overloaded, took: .zero)
        self.answer(.error(RespFailure.text(.overloaded)))
        self.endAfterAnswers()
    }

    /// Closes the connection when its client does not end the command that it has begun.
    private func watchCommand() {
        guard self.parser.bytesHeld > 0, let context = self.context else { return }
        let watch = self.commandWatch ?? StallWatch()
        self.commandWatch = watch
        guard !watch.isLooking else { return }
        watch.begin(on: context.eventLoop, span: self.shell.limits.respCommandTimeout) { [weak self] in
            // While it is not read the client has no part in what happens.
            guard let self, !self.isClosing, !self.readsPaused, self.parser.bytesHeld > 0 else { return nil }
            return self.receivedBytes
        } onStall: { [weak self] in
            guard let self else { return }
            self.refuseBytes("a command was left unfinished")
        }
    }

    private func refuseBytes(_ reason: String) {
        self.shell.counters.framesRejected += 1
        self.answer(.error("ERR Protocol error: \(reason)"))
        self.endAfterAnswers()
    }

    /// Whether a command that touches what `access` says must wait for one that is under way.
    func mustWait(_ access: RespAccess) -> Bool {
        guard self.waiting.mayConcern(access) else { return false }
        return self.slots.contains { slot in
            guard case .waiting = slot.state else { return false }
            return access.concerns(slot.access)
        }
    }

    /// Asks the node one thing and shows its answer in `shape`.
    func ask(_ request: ClientRequest, _ shape: RespShape, _ access: RespAccess) {
        let bytes = request.valueBytes
        guard self.shell.requestBytes + bytes <= self.shell.limits.requestBytesMax else {
            return self.answer(.error(RespFailure.text(.overloaded)))
        }
        let number = self.open(
            shape, access, bytes, values: shape == .value ? 1 : 0, OperationLabel.of(request), job: nil)
        self.shell.deliver(
            .client(
                ReplyAddress(connection: self.id, request: UInt64(number) << 32), request,
                timeout: self.shell.limits.respTimeout))
    }

    /// Runs a command of several steps, which brings about `values` values from the replicas here.
    func run(_ job: RespJob, _ access: RespAccess, _ operation: OperationLabel, values: Int = 1) {
        let bytes = self.parser.commandBytes
        guard self.shell.requestBytes + bytes <= self.shell.limits.requestBytesMax else {
            return self.answer(.error(RespFailure.text(.overloaded)))
        }
        let number = self.open(.value, access, bytes, values: values, operation, job: job)
        job.begin(
            ask: { [weak self] request, part in
                guard let self else { return }
                self.shell.deliver(
                    .client(
                        ReplyAddress(connection: self.id, request: UInt64(number) << 32 | UInt64(part)), request,
                        timeout: self.shell.limits.respTimeout))
            },
            done: { [weak self] answer in self?.complete(number, .done(answer)) })
    }

    private func open(
        _ shape: RespShape, _ access: RespAccess, _ bytes: Int, values: Int, _ operation: OperationLabel, job: RespJob?
    ) -> UInt32 {
        let number = self.head &+ UInt32(self.slots.count)
        self.slots.append(
            Slot(
                shape: shape, access: access, bytes: bytes, values: values, started: self.shell.now.instant,
                operation: operation, version: self.session.version, job: job))
        self.waiting.add(access, 1)
        self.valuesWaiting += values
        self.charge(bytes)
        return number
    }

    // MARK: - Answers

    /// The node has answered one request of a command.
    func reply(_ response: ClientResponse, to request: UInt64) {
        let number = UInt32(truncatingIfNeeded: request >> 32)
        let index = Int(number &- self.head)
        guard index < self.slots.count else { return }
        switch response {
        case .found(let record): self.pace.note(record.readableBytes)
        case .notFound: self.pace.note(0)
        default: break
        }
        if let job = self.slots[offset: index].job {
            job.take(response, part: Int(UInt32(truncatingIfNeeded: request)))
        } else {
            self.complete(number, .answered(response))
        }
    }

    private func complete(_ number: UInt32, _ state: Slot.State) {
        let index = Int(number &- self.head)
        guard index < self.slots.count, case .waiting = self.slots[offset: index].state else { return }
        let slot = self.slots[offset: index]
        self.waiting.add(slot.access, -1)
        self.valuesWaiting -= slot.values
        self.charge(-slot.bytes)
        let span = self.shell.now.instant.since(slot.started)
        switch state {
        case .answered(let response):
            self.shell.counters.record(slot.operation, response, valueBytes: slot.bytes, took: span)
        case .done(.error): self.shell.counters.record(slot.operation, .refused, took: span)
        case .waiting, .done: self.shell.counters.record(slot.operation, .done, took: span)
        }
        if index > 0 {
            self.slots[offset: index].state = state
            self.slots[offset: index].job = nil
            self.slots[offset: index].bytes = 0
            self.slots[offset: index].answerBytes = state.bytes
            self.answerBytesHeld += state.bytes
            return
        }
        self.write(state, slot.shape, slot.version)
        self.slots.removeFirst()
        self.head &+= 1
        self.writeHeld()
        self.markDirty()
    }

    /// Writes the answers that waited for one that is written now.
    private func writeHeld() {
        while let next = self.slots.first {
            if case .waiting = next.state { break }
            self.answerBytesHeld -= next.answerBytes
            self.charge(-next.bytes)
            self.write(next.state, next.shape, next.version)
            self.slots.removeFirst()
            self.head &+= 1
        }
    }

    private func write(_ state: Slot.State, _ shape: RespShape, _ version: RespVersion) {
        switch state {
        case .waiting: break
        case .answered(let response): shape.write(response, version, into: &self.output)
        case .done(let answer): RespEncoder.write(answer, version, into: &self.output)
        }
        if self.output.readableBytes >= Self.outputPieceBytes { self.passOutput() }
    }

    /// Hands what was written so far to the channel, which sends it with the rest of the turn: one buffer can hold 4 GiB, and what
    /// it holds is copied whenever it grows.
    private func passOutput() {
        guard let context = self.context else { return }
        self.noteSent(self.output.readableBytes)
        context.write(self.wrapOutboundOut(self.output), promise: nil)
        self.output = ByteBuffer()
        self.hasPassedOutput = true
    }

    private func noteSent(_ bytes: Int) {
        self.shell.counters.sentBytes &+= UInt64(bytes)
        self.handedBytes &+= bytes
    }

    private func markDirty() {
        guard !self.isDirty else { return }
        self.isDirty = true
        self.shell.markDirty(.resp(self))
    }

    /// Writes what this turn produced; then the turn's room may be used for more commands.
    func flush() {
        self.isDirty = false
        guard let context = self.context else { return }
        var output = ByteBuffer()
        swap(&output, &self.output)
        self.noteSent(output.readableBytes)
        if self.isClosing, self.slots.isEmpty {
            // Closing at once would throw away what the socket did not take yet.
            context.writeAndFlush(self.wrapOutboundOut(output)).assumeIsolated().whenComplete { _ in
                context.close(promise: nil)
            }
            self.watchOutput(context)
            return
        }
        if output.readableBytes > 0 || self.hasPassedOutput {
            self.hasPassedOutput = false
            context.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
            if output.capacity > Self.idleOutputBytesMax { output = ByteBuffer() } else { output.clear() }
        }
        // The room is used again, unless something was answered while the channel wrote.
        if self.output.readableBytes == 0 { swap(&output, &self.output) }
        if !context.channel.isWritable { self.watchOutput(context) }
        self.resumeReading()
    }

    // MARK: - Back pressure

    /// Whether one more command may be read: in number, in bytes, and in what its answer is likely to add.
    private var hasRoom: Bool {
        let limits = self.shell.limits
        guard self.slots.count < limits.requestsInFlightMax, self.context?.channel.isWritable ?? false else {
            return false
        }
        if self.slots.isEmpty { return self.output.readableBytes < limits.clientOutputPauseBytes }
        let answerBytes =
            self.output.readableBytes + self.answerBytesHeld + self.valuesWaiting * self.pace.bytesExpected
        return self.requestBytes < limits.requestBytesPause && answerBytes < limits.clientOutputPauseBytes
    }

    private func pauseReading() {
        guard !self.readsPaused else { return }
        self.readsPaused = true
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    private func resumeReading() {
        guard self.readsPaused, !self.isClosing, self.hasRoom else { return }
        self.readsPaused = false
        self.shell.readClock()
        self.readCommands()
        if !self.readsPaused { try? self.context?.channel.syncOptions?.setOption(.autoRead, value: true) }
    }

    /// Closes the connection when the other side takes none of the answers that wait for it.
    private func watchOutput(_ context: ChannelHandlerContext) {
        let watch = self.outputWatch ?? StallWatch()
        self.outputWatch = watch
        guard !watch.isLooking else { return }
        watch.begin(on: context.eventLoop, span: self.shell.limits.clientStallTimeout) { [weak self] in
            guard let self, let context = self.context else { return nil }
            let pending = context.pendingBytes
            guard pending > 0, self.isClosing || !context.channel.isWritable else { return nil }
            return self.handedBytes - pending
        } onStall: { [weak self] in
            guard let self, let context = self.context else { return }
            self.shell.counters.slowReaders += 1
            self.shell.notice(
                "client does not read its answers", ["bytes": "\(context.pendingBytes)", "remote": "\(self.remote)"])
            self.isClosing = true
            context.close(promise: nil)
        }
    }

    // MARK: - End

    /// Reads no more, and closes when everything that was asked is answered.
    func endAfterAnswers() {
        self.isClosing = true
        self.parser = RespParser(limits: self.shell.limits.resp)
        self.chargeCommands()
        self.markDirty()
    }

    /// Ends the connection of a browser: a web page anywhere can make its visitors' browsers send lines of its choice here, in the
    /// body of a request. What its head led to is answered, and no further line is read.
    func refuseBrowser() {
        self.shell.counters.framesRejected += 1
        self.shell.notice("HTTP request at the Redis door, connection closed", ["remote": "\(self.remote)"])
        self.endAfterAnswers()
    }

    /// Closes after what is already to be written.
    func close() {
        self.isClosing = true
        self.slots.removeAll()
        self.flush()
    }

    private var remote: String { self.context?.remoteAddress?.description ?? "unknown" }
}
