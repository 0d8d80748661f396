package import GyreBase

/// The limits of the HTTP door; each answers with a status of its own where an answer is possible.
package struct HTTPLimits: Sendable {
    /// Open connections; one more is answered with 503 and closed.
    package var connectionsMax = 1_024
    /// Bytes of a request's line and headers together; more is answered with 400. A causal context is at most 32 KiB of it.
    package var headBytesMax = 64 << 10
    /// Headers of a request; more are answered with 400.
    package var headersMax = 128
    /// Bytes of a body; more are answered with 413. The value limit of the node, which a body is at most.
    package var bodyBytesMax = 8 << 20
    /// Bytes of all bodies that are being received or stored; more are answered with 503.
    package var bodiesBytesMax = 128 << 20
    /// How long an operation on a key may take where the request does not say, in the node.
    package var requestTimeout = TimeSpan.seconds(1)
    /// The longest `timeout` that a request may ask for; more is answered with 400.
    package var requestTimeoutMax = TimeSpan.seconds(60)
    /// How long a request may take to arrive in full; then the connection is closed.
    package var receiveTimeout = TimeSpan.seconds(30)
    /// How long a connection may be silent between requests; then it is closed.
    package var idleTimeout = TimeSpan.seconds(60)
    /// How long a stop waits for requests to arrive and for answers to be taken, once the node has answered everything; then it closes
    /// every connection. With what the node needs before, that is below the five seconds of a stop, unless the node needs all of them.
    package var drainTimeout = TimeSpan.seconds(3)

    /// The defaults.
    package init() {}
}
