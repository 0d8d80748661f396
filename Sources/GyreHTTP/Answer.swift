import GyreClient
import GyreMessages
import GyreReports
import HTTPTypes
import HummingbirdCore
import NIOCore

/// What is sent back: status, headers and a body. Pure value.
struct Answer: Sendable {
    /// The status.
    var status: HTTPResponse.Status
    /// The headers, but for the length.
    var fields = HTTPFields()
    /// The body.
    var body = ByteBuffer()
    /// Writes the body piece by piece instead; ends by itself.
    var stream: (@Sendable (inout any ResponseBodyWriter) async throws -> Void)?

    init(_ status: HTTPResponse.Status) { self.status = status }

    /// Text of that type.
    init(_ status: HTTPResponse.Status, _ type: String, _ text: String) {
        self.status = status
        self.fields[.contentType] = type
        self.body = ByteBuffer(string: text)
    }

    /// A JSON document on one line.
    init(_ status: HTTPResponse.Status = .ok, json: JSONText) {
        self.init(status, "application/json", json.line + "\n")
    }

    /// As it goes out; a `HEAD` has the length and no body.
    func response(to method: HTTPRequest.Method) -> Response {
        if let stream, method != .head {
            return Response(status: self.status, headers: self.fields, body: ResponseBody(stream))
        }
        var fields = self.fields
        let hasNoBody = self.status == .noContent || self.status == .notModified
        if !hasNoBody, self.stream == nil { fields[.contentLength] = String(self.body.readableBytes) }
        let head = HTTPResponse(status: self.status, headerFields: fields)
        var response = Response(
            status: head.status, headers: head.headerFields,
            body: hasNoBody || method == .head ? ResponseBody() : ResponseBody(byteBuffer: self.body))
        if hasNoBody { response.headers[.contentLength] = nil }
        return response
    }
}

/// Why a request is not served: a status, and the same document that `gyre --json` prints for a failure.
struct Refusal: Error {
    /// What goes out.
    var answer: Answer

    /// A request that makes no sense, or what it is about is not there.
    init(_ status: HTTPResponse.Status, _ word: String, _ message: String, try hint: String = "") {
        self.answer = Answer(
            status,
            json: .object([
                ("error", .text(word)), ("message", .text(message)), ("needed", .null), ("got", .null),
                ("may_have_happened", .bool(false)), ("try", .text(hint)),
            ]))
    }

    /// 400.
    static func badRequest(_ message: String, try hint: String = "") -> Refusal {
        Refusal(.badRequest, "badRequest", message, try: hint)
    }

    /// 404 for a path that means nothing.
    static let noRoute = Refusal(
        .notFound, "noRoute", "there is nothing at this path", try: "docs/http.md lists what there is")

    /// 412.
    static let precondition = Refusal(
        .preconditionFailed, "preconditionFailed", "what the request asked for does not hold; nothing was changed",
        try: "read the key again")

    /// What the node or the client said, with the status that fits.
    init(_ error: GyreError) {
        var answer = Answer(Self.status(of: error.code), json: error.json)
        if answer.status == .serviceUnavailable { answer.fields[.retryAfter] = "1" }
        self.answer = answer
    }

    /// What the node said.
    init(_ failure: Failure) { self.init(GyreError(failure)) }

    private static func status(of code: GyreError.Code) -> HTTPResponse.Status {
        switch code {
        case .unavailable, .unknown, .overloaded, .timeout, .notMember, .noNodeReachable, .connectionLost, .closed:
            .serviceUnavailable
        case .tooLarge: .contentTooLarge
        case .badRequest: .badRequest
        case .corrupt: .internalServerError
        case .exists: .preconditionFailed
        }
    }
}
