package import NIOCore

/// Which form of the Redis protocol a client asked for; RESP2 until it says `HELLO 3`.
package enum RespVersion: Int, Sendable {
    // What clients say; never renumber.
    /// The form that every client understands.
    case two = 2
    /// The form with maps, nulls and more.
    case three = 3
}

/// What a command that is not on the hot path answers. Pure value.
package enum RespAnswer: Equatable, Sendable {
    /// A short text such as `OK`; no line break in it.
    case simple(StaticString)
    /// An error; its first word is its code. Line breaks in it are written as spaces.
    case error(String)
    /// A number.
    case integer(Int64)
    /// Bytes.
    case bulk(ByteBuffer)
    /// Nothing there.
    case null
    /// Answers in order.
    indirect case array([RespAnswer])
    /// Pairs of key and value; RESP2 shows them as one array.
    indirect case map([(RespAnswer, RespAnswer)])

    /// A text as bytes.
    package static func text(_ text: String) -> RespAnswer { .bulk(ByteBuffer(string: text)) }

    /// Equal when kind and content are.
    package static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.simple(let x), .simple(let y)): x.description == y.description
        case (.error(let x), .error(let y)): x == y
        case (.integer(let x), .integer(let y)): x == y
        case (.bulk(let x), .bulk(let y)): x == y
        case (.null, .null): true
        case (.array(let x), .array(let y)): x == y
        case (.map(let x), .map(let y)): x.count == y.count && zip(x, y).allSatisfy { $0 == $1 }
        default: false
        }
    }
}

/// Writes answers in the Redis protocol straight into the output of a connection.
package enum RespEncoder {
    /// `+text`.
    package static func simple(_ text: StaticString, into out: inout ByteBuffer) {
        out.writeInteger(UInt8(ascii: "+"))
        out.writeStaticString(text)
        self.endLine(&out)
    }

    /// `-text`; a line break in the text would be the end of the answer, so it becomes a space.
    package static func error(_ text: String, into out: inout ByteBuffer) {
        out.writeInteger(UInt8(ascii: "-"))
        for byte in text.utf8 { out.writeInteger(byte == 13 || byte == 10 ? 32 : byte) }
        self.endLine(&out)
    }

    /// `:number`.
    package static func integer(_ value: Int64, into out: inout ByteBuffer) {
        self.header(UInt8(ascii: ":"), value, &out)
    }

    /// `$length`, then the bytes.
    package static func bulk(_ bytes: ByteBuffer, into out: inout ByteBuffer) {
        out.reserveCapacity(minimumWritableBytes: bytes.readableBytes + 24)
        self.header(UInt8(ascii: "$"), Int64(bytes.readableBytes), &out)
        out.writeImmutableBuffer(bytes)
        self.endLine(&out)
    }

    /// Nothing there: `$-1`, or `_` in RESP3.
    package static func null(_ version: RespVersion, into out: inout ByteBuffer) {
        switch version {
        case .two: out.writeStaticString("$-1\r\n")
        case .three: out.writeStaticString("_\r\n")
        }
    }

    /// `*count`; that many answers must follow.
    package static func array(count: Int, into out: inout ByteBuffer) {
        self.header(UInt8(ascii: "*"), Int64(count), &out)
    }

    /// Any answer.
    package static func write(_ answer: RespAnswer, _ version: RespVersion, into out: inout ByteBuffer) {
        switch answer {
        case .simple(let text): self.simple(text, into: &out)
        case .error(let text): self.error(text, into: &out)
        case .integer(let value): self.integer(value, into: &out)
        case .bulk(let bytes): self.bulk(bytes, into: &out)
        case .null: self.null(version, into: &out)
        case .array(let answers):
            self.array(count: answers.count, into: &out)
            for answer in answers { self.write(answer, version, into: &out) }
        case .map(let pairs):
            switch version {
            case .two: self.array(count: pairs.count * 2, into: &out)
            case .three: self.header(UInt8(ascii: "%"), Int64(pairs.count), &out)
            }
            for (key, value) in pairs {
                self.write(key, version, into: &out)
                self.write(value, version, into: &out)
            }
        }
    }

    private static func endLine(_ out: inout ByteBuffer) { out.writeInteger(0x0D0A as UInt16) }

    /// A line of a mark and a decimal number, written without a detour over text.
    private static func header(_ mark: UInt8, _ value: Int64, _ out: inout ByteBuffer) {
        out.writeInteger(mark)
        if value < 0 { out.writeInteger(UInt8(ascii: "-")) }
        let magnitude = value.magnitude
        if magnitude < 10 {
            out.writeInteger(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude))
        } else {
            var divisor: UInt64 = 10
            while magnitude / divisor >= 10 { divisor *= 10 }
            while divisor > 0 {
                out.writeInteger(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude / divisor % 10))
                divisor /= 10
            }
        }
        self.endLine(&out)
    }
}
