package import GyreBase
import Synchronization
package import Tracing

/// One span: its tracer keeps it once it has ended, if its trace is sampled.
///
/// Sendable; may be ended from any thread, once. Attributes above `attributesMax`, events above `eventsMax`, and text above
/// `textBytesMax` bytes are left out or cut. Links are not kept.
package final class FileSpan: Span {
    /// Attributes kept of a span, and of an event.
    static let attributesMax = 32
    /// Events kept of a span.
    static let eventsMax = 16
    /// Bytes kept of a text.
    static let textBytesMax = 256

    /// The context for what follows: this span is the parent in it.
    package let context: InstrumentationContext
    /// The same as a value; what other nodes are told.
    package let trace: TraceContext
    private let parent: UInt64?
    private let kind: SpanKind
    private let start: UInt64
    private let tracer: FileTracer
    private let state: Mutex<State>

    private struct State {
        var name: String
        var attributes: SpanAttributes = [:]
        var events: [SpanEvent] = []
        var status: SpanStatus?
        var hasEnded = false
    }

    init(
        _ name: String, _ context: InstrumentationContext, _ trace: TraceContext, parent: UInt64?, _ kind: SpanKind,
        start: UInt64, _ tracer: FileTracer
    ) {
        self.context = context
        self.trace = trace
        self.parent = parent
        self.kind = kind
        self.start = start
        self.tracer = tracer
        self.state = Mutex(State(name: name))
    }

    /// What it is called.
    package var operationName: String {
        get { self.state.withLock { $0.name } }
        set { self.state.withLock { $0.name = newValue } }
    }

    /// What is known of it.
    package var attributes: SpanAttributes {
        get { self.state.withLock { $0.attributes } }
        set { self.state.withLock { $0.attributes = newValue } }
    }

    /// Whether it will be kept.
    package var isRecording: Bool { self.trace.isSampled && self.state.withLock { !$0.hasEnded } }

    /// Says how it went.
    package func setStatus(_ status: SpanStatus) { self.state.withLock { $0.status = status } }

    /// Notes what happened meanwhile.
    package func addEvent(_ event: SpanEvent) {
        self.state.withLock { if $0.events.count < Self.eventsMax { $0.events.append(event) } }
    }

    /// Notes an error as an event, as OpenTelemetry names it.
    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        var attributes = attributes
        attributes["exception.message"] = "\(error)"
        self.addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
    }

    /// Links are not kept.
    package func addLink(_ link: SpanLink) {}

    /// Ends it and hands it to its tracer; the second time nothing happens.
    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        guard self.trace.isSampled else { return }
        let end = instant().nanosecondsSinceEpoch
        let last = self.state.withLock { state -> State? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let last else { return }
        self.tracer.keep(
            FinishedSpan(
                name: last.name, trace: self.trace, parent: self.parent, kind: self.kind, start: self.start,
                end: max(end, self.start), attributes: last.attributes, events: last.events, status: last.status))
    }
}

/// A span that is over. Pure value; times are nanoseconds since 1970.
struct FinishedSpan: Sendable {
    let name: String
    let trace: TraceContext
    let parent: UInt64?
    let kind: SpanKind
    let start: UInt64
    let end: UInt64
    let attributes: SpanAttributes
    let events: [SpanEvent]
    let status: SpanStatus?
}
