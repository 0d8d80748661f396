import GyreBase

/// How a client behaves. Pure value; safe from any thread.
public struct ClientOptions: Hashable, Sendable {
    /// The cluster meant; empty accepts any.
    public var cluster = ""
    /// What the nodes call this client in their logs.
    public var name = "gyre-client"
    /// How long an operation may take, retries included, unless the call says otherwise.
    public var timeout = Duration.seconds(1)
    /// Connections to each node.
    public var connectionsPerNode = 1
    /// How often the members are asked for, besides after failures.
    public var refreshInterval = Duration.seconds(3)
    /// How long opening a connection may take, handshake included.
    public var connectTimeout = Duration.seconds(1)

    /// The defaults.
    public init() {}
}

extension Duration {
    /// In whole nanoseconds; saturates at 292 years.
    var span: TimeSpan {
        let (seconds, attoseconds) = self.components
        let whole = TimeSpan.seconds(seconds).nanoseconds
        let (sum, overflow) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return TimeSpan(nanoseconds: overflow ? whole : sum)
    }
}
