package import GyreBase
package import Tracing

extension TraceContext {
    /// The name of the header that carries the text form.
    package static let headerName = "traceparent"

    /// Reads a `traceparent` (W3C Trace Context §3.2); nil for what is none, which is then no trace.
    ///
    /// A version above 00 may have more behind the flags, and what is known of it is read as in version 00.
    package init?(traceparent text: String) {
        let bytes = Array(text.utf8.prefix(56))
        guard bytes.count >= 55, bytes[2] == 0x2D, bytes[35] == 0x2D, bytes[52] == 0x2D,
            let version = Self.hexadecimal(bytes[0..<2]), version != 0xFF,
            bytes.count == 55 || (version > 0 && bytes[55] == 0x2D),
            let high = Self.hexadecimal(bytes[3..<19]), let low = Self.hexadecimal(bytes[19..<35]),
            let span = Self.hexadecimal(bytes[36..<52]), let flags = Self.hexadecimal(bytes[53..<55])
        else { return nil }
        self.init(traceHigh: high, traceLow: low, span: span, flags: UInt8(flags))
    }

    /// The text form, of version 00.
    package var traceparent: String {
        let flags = GyreBase.hexadecimal(UInt64(self.flags)).suffix(2)
        return "00-\(self.traceText)-\(GyreBase.hexadecimal(self.span))-\(flags)"
    }

    /// The trace as 32 lower-case hexadecimal digits.
    var traceText: String { GyreBase.hexadecimal(self.traceHigh) + GyreBase.hexadecimal(self.traceLow) }

    /// Up to 16 lower-case digits; upper case is forbidden by the format.
    private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }
}

private enum TraceKey: InstrumentationContextKey {
    typealias Value = TraceContext
    static var nameOverride: String? { "gyre-trace" }
}

extension InstrumentationContext {
    /// The trace, and the span that is the parent of what begins in this context.
    package var trace: TraceContext? {
        get { self[TraceKey.self] }
        set { self[TraceKey.self] = newValue }
    }

    /// A context of that trace and nothing else.
    package init(_ trace: TraceContext) {
        self = .topLevel
        self.trace = trace
    }
}
