package import GyreBase
package import GyreWire
package import NIOCore

/// The limits that the shell around the node keeps (architecture §6); each answers with a refusal and is counted.
package struct ShellLimits: Sendable {
    /// Connections up to which clients are let in; one more is told so and closed.
    package var connectionsMax = 10_000
    /// Connections above those, which only peers may take.
    package var peerConnectionsMax = 1_024
    /// Requests of one client connection that are not answered yet; beyond, its bytes are left in the socket.
    package var requestsInFlightMax = 1_024
    /// Values of one client connection's puts in flight, in bytes; beyond, its bytes are left in the socket.
    package var requestBytesPause = 32 << 20
    /// Values of all clients' puts in flight, in bytes; beyond, puts are answered with `overloaded`.
    package var requestBytesMax = 256 << 20
    /// How long a client whose answers wait may take none of them; then the connection is closed. Long, since a client that is busy
    /// with one answer may be right, and what waits is bounded.
    package var clientStallTimeout = TimeSpan.seconds(60)
    /// From this many bytes of answers on, not taken or likely to come, no more requests are read.
    package var clientOutputPauseBytes = 4 << 20
    /// Bytes to a peer that did not leave yet; beyond, messages are dropped, which the node's deadlines notice.
    package var peerOutputBytesMax = 32 << 20
    /// What a Redis client may send at once; beyond, its connection is told so and closed.
    package var resp = RespLimits()
    /// How long a Redis client may leave a command unfinished without a further byte; then its connection is closed.
    package var respCommandTimeout = TimeSpan.seconds(30)
    /// How long a Redis client that says no more is still answered what it asked before.
    package var respFarewell = TimeSpan.seconds(60)
    /// The deadline of what a Redis client asks, which its protocol does not carry.
    package var respTimeout = TimeSpan.seconds(10)
    /// How long a connection may take to introduce itself.
    package var handshakeTimeout = TimeSpan.seconds(5)
    /// How long dialling may take.
    package var connectTimeout = TimeAmount.seconds(1)
    /// How long sent bytes may stay unacknowledged by a peer's machine before the connection counts as lost.
    package var peerSilenceMilliseconds = 5_000
    /// How long a stop waits for what is in flight.
    package var drainTimeout = TimeSpan.seconds(5)
    /// How often it is noted on disk that the node takes part in its cluster.
    package var presenceInterval = TimeSpan.seconds(60)
    /// How long a drained node goes on serving its peers, so that what they had sent already is answered.
    package var farewell = TimeSpan.milliseconds(100)
    /// Lines about refused connections and the like per second; the rest is counted and summed up.
    package var noticesPerSecondMax = 5

    /// The defaults.
    package init() {}
}
