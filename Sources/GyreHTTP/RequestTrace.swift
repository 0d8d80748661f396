import GyreBase
import GyreTracing
import HTTPTypes
import HummingbirdCore
import Tracing

/// Takes the trace of a request from its `traceparent` and gives it a span, for what the request asks of the node. Sendable.
///
/// A request without the header, with one that cannot be read, or with a trace that nobody samples is served as ever.
struct RequestTrace: Sendable {
    /// Keeps spans; without one the client's trace is only passed on.
    let tracer: FileTracer?

    /// The trace of the request that this task serves.
    static var current: TraceContext? { InstrumentationContext.current?.trace }

    /// Serves a request inside its span; a refusal ends the span as the answer that it becomes.
    func around(_ request: Request, _ body: () async throws -> Answer) async throws -> Answer {
        guard let text = request.headers[.traceparent], let trace = TraceContext(traceparent: text), trace.isSampled
        else { return try await body() }
        let parent = InstrumentationContext(trace)
        guard let tracer = self.tracer else {
            return try await InstrumentationContext.withValue(parent) { try await body() }
        }
        let span = tracer.startSpan("HTTP \(request.method.rawValue)", context: parent, ofKind: .server)
        span.attributes["http.request.method"] = request.method.rawValue
        do {
            let answer = try await InstrumentationContext.withValue(span.context) { try await body() }
            Self.end(span, answer)
            return answer
        } catch {
            if let refusal = error as? Refusal {
                Self.end(span, refusal.answer)
            } else {
                span.setStatus(SpanStatus(code: .error, message: "\(error)"))
                span.end()
            }
            throw error
        }
    }

    private static func end(_ span: FileSpan, _ answer: Answer) {
        span.attributes["http.response.status_code"] = Int64(answer.status.code)
        // As OpenTelemetry's conventions for servers say: what a client did wrong is no error of the server.
        if answer.status.code >= 500 { span.setStatus(SpanStatus(code: .error)) }
        span.end()
    }
}
