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

    /// The number that answers carry.
    let id: UInt64
    let shell: NodeShell
    /// What the client chose.
    var session: RespSession
    var parser: RespParser
    var context: ChannelHandlerContext?
    var output = ByteBuffer()
    private var isDirty = false
    /// Whether the channel has output of this turn that was not flushed.
    private var hasPassedOutput = false
    var isClosing = false
    var readsPaused = false
    var slots = CircularBuffer<RespSlot>(initialCapacity: 1)
    /// The number of the first slot; counts commands.
    private var head: UInt32 = 0
    private var waiting = RespAccess.Counts()
    var requestBytes = 0
    var pace = AnswerPace()
    /// Values that are likely to be in the answers that are waited for.
    var valuesWaiting = 0
    /// Bytes of answers that wait for an earlier one.
    var answerBytesHeld = 0
    /// Bytes of commands that are not whole or not begun, as far as they are charged.
    var commandBytesHeld = 0
    /// Bytes that came from the client.
    var receivedBytes = 0
    var commandWatch: StallWatch?
    /// Whether the client has said that it has no more to say.
    private var isInputClosed = false
    private var farewell: Scheduled<Void>?
    var outputWatch: StallWatch?
    /// Bytes that the channel was given.
    var handedBytes = 0

    /// Output storage that an idle connection may keep.
    private static let idleOutputBytesMax = 4 << 10
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

    /// Begins the commands that are there, as far as there is room.
    func readCommands() {
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
            RespSlot(
                shape: .value, access: .none, bytes: bytes, answerBytes: bytes, values: 0,
                started: self.shell.now.instant, operation: .other, version: self.session.version,
                state: .done(answer)))
        self.answerBytesHeld += bytes
        self.charge(bytes)
    }

    /// Ends the connection of a client whose bytes make no sense.
    func refuseBytes(_ reason: String) {
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
            RespSlot(
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

    private func complete(_ number: UInt32, _ state: RespSlot.State) {
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

    private func write(_ state: RespSlot.State, _ shape: RespShape, _ version: RespVersion) {
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

    /// Has the output of this turn written at its end.
    func markDirty() {
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
}
