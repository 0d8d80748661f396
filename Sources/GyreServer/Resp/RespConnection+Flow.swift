import GyreBase
import GyreMessages
import GyreWire
import Logging
import NIOCore

/// How much is taken in from a client, how long it is waited for, and the end.
extension RespConnection {
    /// Bytes of commands that are not whole or not begun up to which nothing is charged; enough for ordinary ones.
    private static let commandBytesFree = 64 << 10

    /// Whether one more command may be read: in number, in bytes, and in what its answer is likely to add.
    var hasRoom: Bool {
        let limits = self.shell.limits
        guard self.slots.count < limits.requestsInFlightMax, self.context?.channel.isWritable ?? false else {
            return false
        }
        if self.slots.isEmpty { return self.output.readableBytes < limits.clientOutputPauseBytes }
        let answerBytes =
            self.output.readableBytes + self.answerBytesHeld + self.valuesWaiting * self.pace.bytesExpected
        return self.requestBytes < limits.requestBytesPause && answerBytes < limits.clientOutputPauseBytes
    }

    /// Leaves what the client sends in the socket.
    func pauseReading() {
        guard !self.readsPaused else { return }
        self.readsPaused = true
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    /// Reads on, if there is room again.
    func resumeReading() {
        guard self.readsPaused, !self.isClosing, self.hasRoom else { return }
        self.readsPaused = false
        self.shell.readClock()
        self.readCommands()
        if !self.readsPaused { try? self.context?.channel.syncOptions?.setOption(.autoRead, value: true) }
    }

    /// Closes the connection when the other side takes none of the answers that wait for it.
    func watchOutput(_ context: ChannelHandlerContext) {
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

    // MARK: - Charges

    /// Charges bytes of requests to the connection and the shell.
    func charge(_ bytes: Int) {
        self.requestBytes += bytes
        self.shell.requestBytes += bytes
    }

    /// Charges what the parser holds, or `bytes`; a client whose command does not fit is told so, and its connection ends. What waits
    /// until it is read again grows no more, and stays.
    func chargeCommands(_ bytes: Int? = nil) {
        var bytes = bytes ?? self.parser.bytesHeld
        if bytes <= Self.commandBytesFree { bytes = 0 }
        guard bytes != self.commandBytesHeld else { return }
        self.charge(bytes - self.commandBytesHeld)
        self.commandBytesHeld = bytes
        let isTooMuch = self.shell.requestBytes > self.shell.limits.requestBytesMax
        guard bytes > 0, isTooMuch, !self.readsPaused else { return }
        self.shell.counters.record(.other, .overloaded, took: .zero)
        self.answer(.error(RespFailure.text(.overloaded)))
        self.endAfterAnswers()
    }

    /// Closes the connection when its client does not end the command that it has begun.
    func watchCommand() {
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

    /// The client's address, for the log.
    var remote: String { self.context?.remoteAddress?.description ?? "unknown" }
}
