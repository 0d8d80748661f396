import Foundation
import GyreBase
import Testing
import Tracing

@testable import GyreTracing

@Suite("traceparent")
struct TraceParentTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let span = "b7ad6b7169203331"

    @Test("is read and written as W3C says")
    func roundTrip() throws {
        let text = "00-\(Self.trace)-\(Self.span)-01"
        let context = try #require(TraceContext(traceparent: text))
        #expect(context.isSampled && context.traceparent == text)
        #expect(context.traceHigh == 0x0AF7_6519_16CD_43DD && context.span == 0xB7AD_6B71_6920_3331)
        #expect(TraceContext(traceparent: "00-\(Self.trace)-\(Self.span)-02")?.isSampled == false)
        // What a later version has behind the flags is not looked at.
        #expect(TraceContext(traceparent: "cc-\(Self.trace)-\(Self.span)-01-more")?.traceparent == text)
    }

    @Test(
        "is no trace when it is none",
        arguments: [
            "", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-0", "00-\(trace)-\(span)-011",
            "00-\(trace)-\(span)-01-more", "ff-\(trace)-\(span)-01", "cc-\(trace)-\(span)-01more",
            "00-\(String(repeating: "0", count: 32))-\(span)-01", "00-\(trace)-0000000000000000-01",
            "00-\(trace.uppercased())-\(span)-01", "00_\(trace)-\(span)-01", "00-\(trace)-\(span)-0g",
            "00-\(trace)-\(span)-01, 00-\(trace)-\(span)-01", "é0-\(trace)-\(span)-01",
        ])
    func refused(_ text: String) { #expect(TraceContext(traceparent: text) == nil) }
}

@Suite("The tracer of a file")
struct FileTracerTests {
    private func with(
        bytesMax: Int = 1 << 20, _ body: (FileTracer, String) async throws -> Void
    ) async throws {
        let path = NSTemporaryDirectory() + "gyre-trace-test-\(UInt64.random(in: 0 ... .max))"
        defer { for end in ["", ".1"] { try? FileManager.default.removeItem(atPath: path + end) } }
        let node = TracedNode(name: "n1", cluster: "c", version: "1")
        try await body(try FileTracer(path: path, bytesMax: bytesMax, node: node), path)
    }

    private func lines(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    @Test("writes each ended span once, with what is known of it, and those of traces that nobody samples not at all")
    func spans() async throws {
        try await self.with { tracer, path in
            let parent = try #require(TraceContext(traceHigh: 1, traceLow: 2, span: 3, flags: 1))
            let span = tracer.startSpan(
                "a \"name\"\n", context: InstrumentationContext(parent), ofKind: .client,
                at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: 5))
            span.attributes["text"] = String(repeating: "é", count: 300)
            span.attributes["number"] = Int64(-7)
            span.attributes["share"] = Double.infinity
            span.attributes["flag"] = true
            span.addEvent(SpanEvent(name: "retry", at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: 6)))
            span.setStatus(SpanStatus(code: .error, message: "why"))
            for _ in 0..<2 { span.end(at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: 9)) }
            let quiet = try #require(TraceContext(traceHigh: 1, traceLow: 2, span: 3, flags: 0))
            tracer.startSpan("quiet", context: InstrumentationContext(quiet)).end()
            await tracer.flush()
            let lines = try self.lines(path)
            #expect(lines.count == 1 && tracer.figures == (1, 0))
            let id = hexadecimal(span.trace.span)
            for part in [
                #""traceId":"00000000000000010000000000000002""#, #""spanId":"\#(id)""#,
                #""parentSpanId":"0000000000000003""#, #""name":"a \"name\"\n""#, #""kind":3"#,
                #""startTimeUnixNano":"5""#, #""endTimeUnixNano":"9""#, #"{"intValue":"-7"}"#, #"{"boolValue":true}"#,
                #"{"stringValue":"inf"}"#, #""status":{"code":2,"message":"why"}"#, #""timeUnixNano":"6""#,
                #""service.instance.id","value":{"stringValue":"n1"}"#,
            ] { #expect(lines[0].contains(part), "\(part) in \(lines[0])") }
            #expect(lines[0].utf8.count < 1_500, "long text is cut")
        }
    }

    @Test("drops and counts what finds the buffer full, and puts a bounded number of spans in a line")
    func bounded() async throws {
        try await self.with(bytesMax: 64 << 20) { tracer, path in
            for _ in 0..<(FileTracer.spansWaitingMax + 10) {
                tracer.startSpan("s", context: .topLevel).end()
            }
            await tracer.flush()
            #expect(tracer.figures == (UInt64(FileTracer.spansWaitingMax), 10))
            let lines = try self.lines(path)
            #expect(lines.count == FileTracer.spansWaitingMax / FileTracer.spansPerLine)
        }
    }

    @Test("keeps a full file as PATH.1 and begins a new one, so that both together stay below twice the limit")
    func rotation() async throws {
        try await self.with(bytesMax: 4_096) { tracer, path in
            for _ in 0..<40 {
                tracer.startSpan("s", context: .topLevel).end()
                await tracer.flush()
            }
            for file in [path, path + ".1"] {
                let lines = try self.lines(file)
                let bytes = lines.reduce(0) { $0 + $1.utf8.count + 1 }
                #expect(!lines.isEmpty && bytes <= 4_096)
                for line in lines { #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) != nil) }
            }
            #expect(tracer.figures == (40, 0))
        }
    }

    @Test("counts as dropped what the disk does not take, and names the file that cannot be opened")
    func noDisk() async throws {
        let node = TracedNode(name: "n1", cluster: "c", version: "1")
        let full = try FileTracer(path: "/dev/full", bytesMax: 1 << 20, node: node)
        full.startSpan("s", context: .topLevel).end()
        await full.flush()
        #expect(full.figures == (0, 1))
        #expect(throws: TraceFileError.self) {
            _ = try FileTracer(path: "/nowhere/traces", bytesMax: 1 << 20, node: node)
        }
    }

    @Test("carries a trace in a header and back")
    func instrument() async throws {
        struct Headers: Extractor, Injector {
            func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
            func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
                carrier[key] = value
            }
        }
        try await self.with { tracer, _ in
            let span = tracer.startSpan("s", context: .topLevel)
            var headers: [String: String] = [:]
            tracer.inject(span.context, into: &headers, using: Headers())
            var context = InstrumentationContext.topLevel
            tracer.extract(headers, into: &context, using: Headers())
            #expect(context.trace == span.trace && span.trace.isSampled)
        }
    }
}
