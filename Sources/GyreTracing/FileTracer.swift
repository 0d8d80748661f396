import Dispatch
import GyreBase
import ServiceLifecycle
import Synchronization
package import Tracing

/// Which node the spans of a file are of.
package struct TracedNode: Sendable {
    /// The node's name.
    package var name: String
    /// The cluster's name.
    package var cluster: String
    /// The version of the software.
    package var version: String

    /// Joins the parts.
    package init(name: String, cluster: String, version: String) {
        self.name = name
        self.cluster = cluster
        self.version = version
    }
}

/// Keeps the spans of sampled traces and writes them to a file as lines of OTLP/JSON.
///
/// Sendable. Ended spans wait in a buffer of `spansWaitingMax`; a span that finds it full is dropped and counted, so that neither a slow
/// disk nor a flood of traces holds a request up. `run` writes them twice a second on a thread of its own; `flush` does it at once.
package final class FileTracer: Tracer, Service {
    /// What it makes.
    package typealias Span = FileSpan

    /// Ended spans that wait to be written, at most.
    package static let spansWaitingMax = 4_096
    /// Spans in one line, at most.
    static let spansPerLine = 256

    private let node: TracedNode
    private let file: SpanFile
    private let queue = DispatchQueue(label: "gyre.traces")
    private let waiting = Mutex<[FinishedSpan]>([])
    private let written = Atomic<UInt64>(0)
    private let dropped = Atomic<UInt64>(0)

    /// Opens the file, and appends to it when there is one.
    /// - Parameter bytesMax: above this length the file is renamed to `PATH.1`, in place of an earlier one, and a new one begun.
    /// - Throws: `TraceFileError` when the file cannot be written.
    package init(path: String, bytesMax: Int, node: TracedNode) throws(TraceFileError) {
        self.node = node
        self.file = try SpanFile(path: path, bytesMax: bytesMax)
    }

    /// Spans written so far, and spans dropped because the buffer was full or the file could not be written.
    package var figures: (written: UInt64, dropped: UInt64) {
        (self.written.load(ordering: .relaxed), self.dropped.load(ordering: .relaxed))
    }

    // MARK: - The instrument

    /// Reads a `traceparent`; what cannot be read leaves the context as it is.
    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout InstrumentationContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: TraceContext.headerName, from: carrier) else { return }
        if let trace = TraceContext(traceparent: text) { context.trace = trace }
    }

    /// Writes a `traceparent`.
    package func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let trace = context.trace else { return }
        injector.inject(trace.traceparent, forKey: TraceContext.headerName, into: &carrier)
    }

    /// Begins a span below the one in `context`, or a trace of its own, which is sampled.
    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> InstrumentationContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> FileSpan {
        var context = context()
        let parent = context.trace
        let trace = Self.child(of: parent)
        context.trace = trace
        return FileSpan(
            operationName, context, trace, parent: parent?.span, kind, start: instant().nanosecondsSinceEpoch, self)
    }

    /// A new span of the trace of `parent`, or of a new trace.
    private static func child(of parent: TraceContext?) -> TraceContext {
        func draw() -> UInt64 { .random(in: 1 ... .max) }
        let made = TraceContext(
            traceHigh: parent?.traceHigh ?? draw(), traceLow: parent?.traceLow ?? draw(), span: draw(),
            flags: parent?.flags ?? 1)
        guard let made else { preconditionFailure("a number drawn from 1 on is not zero") }
        return made
    }

    /// Takes a span that has ended.
    func keep(_ span: FinishedSpan) {
        let isKept = self.waiting.withLock { waiting in
            guard waiting.count < Self.spansWaitingMax else { return false }
            waiting.append(span)
            return true
        }
        if !isKept { self.dropped.add(1, ordering: .relaxed) }
    }

    // MARK: - The file

    /// Writes twice a second until the group it is in shuts down, then what is left.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(500))
                await self.flush()
            }
        }
        await self.flush()
    }

    /// Writes what has ended until now; returns once that is in the file.
    package func flush() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            self.queue.async {
                self.writeWaiting()
                continuation.resume()
            }
        }
    }

    /// As `flush`, but does not wait for it.
    package func forceFlush() { self.queue.async { self.writeWaiting() } }

    private func writeWaiting() {
        let spans = self.waiting.withLock { waiting in
            defer { waiting.removeAll(keepingCapacity: false) }
            return waiting
        }
        for start in stride(from: 0, to: spans.count, by: Self.spansPerLine) {
            let part = spans[start..<min(start + Self.spansPerLine, spans.count)]
            do {
                try self.file.append(SpanDocument(part, of: self.node).line())
                self.written.add(UInt64(part.count), ordering: .relaxed)
            } catch {
                self.dropped.add(UInt64(part.count), ordering: .relaxed)
            }
        }
    }
}
