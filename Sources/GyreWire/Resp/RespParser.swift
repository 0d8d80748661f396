import GyreBase
package import NIOCore

/// What a Redis client may send at most; checked before memory is reserved.
package struct RespLimits: Sendable {
    /// The most arguments of one command, its name included.
    package var argumentsMax = 65_536
    /// The longest argument in bytes. Above what a value may have, so that a value that is a little too long gets an answer.
    package var bulkBytesMax = 16 << 20
    /// The most bytes of one command.
    package var commandBytesMax = 64 << 20
    /// The longest inline command in bytes, its end of line included.
    package var inlineBytesMax = 64 << 10

    /// The defaults.
    package init() {}
}

/// Bytes that are no command in the Redis protocol; the connection is told why and closed.
package struct RespError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, in the words that Redis uses where it has some.
    package let reason: StaticString

    /// Wraps the reason.
    package init(_ reason: StaticString) { self.reason = reason }

    /// The same words are the same error.
    package static func == (a: Self, b: Self) -> Bool { a.reason.description == b.reason.description }

    /// The reason.
    package var description: String { self.reason.description }
}

/// Cuts a client's bytes into commands of the Redis protocol: arrays of bulk strings, and inline commands.
///
/// Incremental: a command that is not complete yet costs the bytes that were sent, and no byte is looked at twice but those of an
/// unfinished line. Arguments are slices that share the storage of what was received. Owned by one connection.
package struct RespParser {
    /// The longest line that can hold a count or a length.
    private static let headerBytesMax = 32

    private let limits: RespLimits
    private var buffer = ByteBuffer()
    /// Where arguments lie, counted from the reader index, which stays at the start of the command until it is consumed.
    private var places: [(start: Int, count: Int)] = []
    /// The arguments of an inline command, which quotes may have changed.
    private var inline: [ByteBuffer] = []
    /// Arguments that the command says it has; zero before its first line was read.
    private var expected = 0
    /// How far the command was read, counted from the reader index.
    private var position = 0

    /// Waits for a client's first bytes.
    package init(limits: RespLimits = RespLimits()) { self.limits = limits }

    /// Bytes that were received and belong to no command that was consumed.
    package var bytesHeld: Int { self.buffer.readableBytes }

    /// Takes bytes in.
    package mutating func append(_ bytes: ByteBuffer) {
        if self.buffer.readableBytes == 0 {
            self.buffer = bytes
        } else {
            self.buffer.writeImmutableBuffer(bytes)
        }
    }

    /// Looks for a whole command; true when there is one, which `argument` then shows until `consume`. Asked again, it says the same.
    package mutating func next() throws(RespError) -> Bool {
        if !self.inline.isEmpty { return true }
        while self.expected == 0 {
            guard let first = self.byte(at: 0) else {
                // An idle connection keeps no storage.
                self.buffer = ByteBuffer()
                return false
            }
            if first != UInt8(ascii: "*") { return try self.readInline() }
            guard let count = try self.number(from: 1, "invalid multibulk length", "too big mbulk count string")
            else { return false }
            guard count <= self.limits.argumentsMax else { throw RespError("invalid multibulk length") }
            if count > 0 {
                self.expected = count
            } else {
                // Redis takes an array of nothing, and a null, as nothing said.
                self.skip(self.position)
            }
        }
        while self.places.count < self.expected {
            guard let kind = self.byte(at: self.position) else { return false }
            guard kind == UInt8(ascii: "$") else { throw RespError("expected '$' before an argument") }
            let header = self.position
            guard let count = try self.number(from: header + 1, "invalid bulk length", "too big bulk count string")
            else { return false }
            guard (0...self.limits.bulkBytesMax).contains(count) else { throw RespError("invalid bulk length") }
            guard self.position + count + 2 <= self.limits.commandBytesMax else {
                throw RespError("the command is too long")
            }
            guard self.position + count + 2 <= self.buffer.readableBytes else {
                self.position = header
                return false
            }
            guard self.byte(at: self.position + count) == 13, self.byte(at: self.position + count + 1) == 10 else {
                throw RespError("an argument does not end where its length says")
            }
            self.places.append((self.position, count))
            self.position += count + 2
        }
        return true
    }

    /// Arguments of the command that `next` found, its name included.
    package var count: Int { self.inline.isEmpty ? self.places.count : self.inline.count }

    /// Bytes of the command that `next` found.
    package var commandBytes: Int { self.position }

    /// One argument of the command that `next` found, 0 for its name: a slice.
    package func argument(_ index: Int) -> ByteBuffer {
        if !self.inline.isEmpty { return self.inline[index] }
        let place = self.places[index]
        guard let slice = self.buffer.getSlice(at: self.buffer.readerIndex + place.start, length: place.count) else {
            preconditionFailure("an argument outside of what was received")
        }
        return slice
    }

    /// The name in upper case, packed into a word, first letter highest; zero for one that has no or more than 8 bytes.
    package var packedName: UInt64 {
        if !self.inline.isEmpty { return Self.packed(self.inline[0].readableBytesView) }
        let place = self.places[0]
        return self.buffer.withUnsafeReadableBytes { bytes in
            Self.packed(bytes[place.start..<place.start + place.count])
        }
    }

    /// Letters in upper case, packed into a word, first letter highest; zero for none or more than 8 bytes.
    package static func packed(_ bytes: some Collection<UInt8>) -> UInt64 {
        guard bytes.count <= 8 else { return 0 }
        var word: UInt64 = 0
        for byte in bytes {
            let isLower = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z")
            word = word << 8 | UInt64(isLower ? byte - 32 : byte)
        }
        return word
    }

    /// Goes on to what comes after the command.
    package mutating func consume() {
        self.skip(self.position)
        self.expected = 0
        self.places.removeAll(keepingCapacity: self.places.count <= 64)
        self.inline.removeAll()
    }

    private mutating func skip(_ count: Int) {
        self.buffer.moveReaderIndex(forwardBy: count)
        self.position = 0
    }

    private func byte(at offset: Int) -> UInt8? {
        guard offset < self.buffer.readableBytes else { return nil }
        return self.buffer.getInteger(at: self.buffer.readerIndex + offset)
    }

    /// Reads a decimal number and the end of its line, and moves the position behind them; nil when the line is not complete.
    private mutating func number(
        from start: Int, _ malformed: StaticString, _ tooLong: StaticString
    ) throws(RespError) -> Int? {
        enum Line {
            case number(Int, end: Int)
            case unfinished
            case malformed
            case tooLong
        }
        let line = self.buffer.withUnsafeReadableBytes { bytes -> Line in
            var index = start
            var value = 0
            var digits = 0
            let isNegative = index < bytes.count && bytes[index] == UInt8(ascii: "-")
            if isNegative { index += 1 }
            while index < bytes.count {
                let byte = bytes[index]
                if byte == 13 {
                    guard index + 1 < bytes.count else { return .unfinished }
                    guard bytes[index + 1] == 10, digits > 0 else { return .malformed }
                    return .number(isNegative ? -value : value, end: index + 2)
                }
                guard index - start < Self.headerBytesMax else { return .tooLong }
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), digits < 18 else { return .malformed }
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
                digits += 1
                index += 1
            }
            return .unfinished
        }
        switch line {
        case .number(let value, let end):
            self.position = end
            return value
        case .unfinished: return nil
        case .malformed: throw RespError(malformed)
        case .tooLong: throw RespError(tooLong)
        }
    }

    // MARK: - Inline commands

    /// Reads a line of words, as a person types into a raw connection; an empty line is nothing said.
    private mutating func readInline() throws(RespError) -> Bool {
        while true {
            let view = self.buffer.readableBytesView.prefix(self.limits.inlineBytesMax)
            guard let end = view.firstIndex(of: 10) else {
                guard view.count < self.limits.inlineBytesMax else { throw RespError("too big inline request") }
                return false
            }
            var words = Words(view[..<end])
            self.inline = try words.all()
            self.position = end - self.buffer.readerIndex + 1
            if !self.inline.isEmpty {
                self.expected = self.inline.count
                return true
            }
            self.skip(self.position)
            guard let first = self.byte(at: 0) else {
                self.buffer = ByteBuffer()
                return false
            }
            if first == UInt8(ascii: "*") { return try self.next() }
        }
    }
}

/// Splits a line into words; quotes hold spaces together, and inside double ones `\n \r \t \b \a \\ \" \xHH` stand for one byte.
private struct Words {
    private let bytes: ByteBufferView.SubSequence
    private var index: Int

    init(_ bytes: ByteBufferView.SubSequence) {
        self.bytes = bytes
        self.index = bytes.startIndex
    }

    mutating func all() throws(RespError) -> [ByteBuffer] {
        var words: [ByteBuffer] = []
        while let byte = self.peek {
            if Self.isSpace(byte) {
                self.index += 1
            } else {
                words.append(try self.word())
            }
        }
        return words
    }

    private var peek: UInt8? { self.index < self.bytes.endIndex ? self.bytes[self.index] : nil }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) || byte == 0 }

    private mutating func word() throws(RespError) -> ByteBuffer {
        var word = ByteBuffer()
        while let byte = self.peek, !Self.isSpace(byte) {
            self.index += 1
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                try self.quoted(by: byte, into: &word)
                if let after = self.peek, !Self.isSpace(after) { throw RespError("unbalanced quotes in request") }
            } else {
                word.writeInteger(byte)
            }
        }
        return word
    }

    private mutating func quoted(by quote: UInt8, into word: inout ByteBuffer) throws(RespError) {
        while let byte = self.peek {
            self.index += 1
            if byte == quote { return }
            guard byte == UInt8(ascii: "\\"), let next = self.peek else {
                word.writeInteger(byte)
                continue
            }
            if quote == UInt8(ascii: "'") {
                if next == quote { self.index += 1 }
                word.writeInteger(next == quote ? next : byte)
            } else {
                self.index += 1
                word.writeInteger(self.escaped(next))
            }
        }
        throw RespError("unbalanced quotes in request")
    }

    private mutating func escaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "b"): return 8
        case UInt8(ascii: "a"): return 7
        case UInt8(ascii: "x"):
            guard self.index + 1 < self.bytes.endIndex, let high = Self.digit(self.bytes[self.index]),
                let low = Self.digit(self.bytes[self.index + 1])
            else { return byte }
            self.index += 2
            return high << 4 | low
        default: return byte
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
