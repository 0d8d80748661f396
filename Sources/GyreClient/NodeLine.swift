import GyreBase
import GyreMembership
import GyreMessages
import NIOCore

/// The connections to one address, opened when needed, and how well that address does.
///
/// Confined to one event loop.
final class NodeLine {
    private static let retryDelayLeast = TimeAmount.milliseconds(250)
    private static let doublingsMax = 3

    let address: PeerAddress
    /// The members believe that it does not answer.
    var isBelievedDead = false
    /// A probe is on its way.
    var isProbing = false
    /// When a node that failed may be probed.
    private(set) var retryAt = NIODeadline.distantPast
    private var failures = 0
    private var connections: [NodeConnection?]
    private var turn = 0
    private let options: ClientOptions
    private let loop: any EventLoop

    init(address: PeerAddress, options: ClientOptions, loop: any EventLoop) {
        self.address = address
        self.options = options
        self.loop = loop
        self.connections = Array(repeating: nil, count: max(1, options.connectionsPerNode))
    }

    /// Whether the last thing heard of the node was good.
    var isHealthy: Bool { self.failures == 0 }

    /// The next of the connections, opened if it is not.
    func connection() -> NodeConnection {
        self.turn = (self.turn + 1) % self.connections.count
        if let connection = self.connections[self.turn], !connection.isClosed { return connection }
        let connection = NodeConnection(to: self.address, options: self.options, loop: self.loop)
        self.connections[self.turn] = connection
        return connection
    }

    /// The node answered.
    func noteSuccess() {
        self.failures = 0
        self.isBelievedDead = false
    }

    /// The node could not be reached or did not answer: it is avoided, and probed after 250 ms, doubling up to 2 s.
    func noteFailure(at now: NIODeadline) {
        let doublings = min(self.failures, Self.doublingsMax)
        self.failures += 1
        self.retryAt = now + Self.retryDelayLeast * (1 << doublings)
    }

    /// Ends all connections; the next call opens new ones.
    func close() {
        for connection in self.connections { connection?.close() }
        for index in self.connections.indices { self.connections[index] = nil }
    }
}
