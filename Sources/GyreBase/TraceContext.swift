/// Which trace a request belongs to and which span of it asks: what a W3C `traceparent` says, in 25 bytes.
///
/// Opaque to everything but the shell: the core carries it from a request to the messages that follow from it. Pure value.
/// Neither the trace nor the span is zero.
package struct TraceContext: Hashable, Sendable {
    /// Bytes of the encoded form.
    package static let bytes = 25

    /// The upper half of the trace's 128 bits.
    package let traceHigh: UInt64
    /// The lower half.
    package let traceLow: UInt64
    /// The span that asks; spans that follow have it as their parent.
    package let span: UInt64
    /// The flags of the W3C format, those unknown today included.
    package let flags: UInt8

    /// Joins the parts; nil when trace or span is zero, which means none.
    package init?(traceHigh: UInt64, traceLow: UInt64, span: UInt64, flags: UInt8) {
        guard traceHigh | traceLow != 0, span != 0 else { return nil }
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.flags = flags
    }

    /// Whether somebody wants the spans of this trace to be kept.
    package var isSampled: Bool { self.flags & 1 == 1 }

    /// Appends trace, span and flags, 25 bytes.
    package func encode(into buffer: inout ByteWriter) {
        buffer.writeInteger(self.traceHigh)
        buffer.writeInteger(self.traceLow)
        buffer.writeInteger(self.span)
        buffer.writeInteger(self.flags)
    }

    /// Reads what `encode` wrote; refuses a trace or span of zero.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let high = try buffer.readFixed(as: UInt64.self)
        let low = try buffer.readFixed(as: UInt64.self)
        let span = try buffer.readFixed(as: UInt64.self)
        let flags = try buffer.readFixed(as: UInt8.self)
        guard let made = Self(traceHigh: high, traceLow: low, span: span, flags: flags) else {
            throw .invalid(field: "trace context")
        }
        self = made
    }
}
