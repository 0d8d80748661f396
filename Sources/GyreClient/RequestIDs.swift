package import GyreMessages
import NIOConcurrencyHelpers

/// Gives each operation of one client its name. Safe from any thread.
package final class RequestIDs: Sendable {
    private let client: UInt64
    private let sequence = NIOLockedValueBox<UInt64>(0)

    /// Draws the client's number at random.
    package init() { self.client = UInt64.random(in: 1...(.max)) }

    /// The next name; never given before.
    package func next() -> RequestID {
        let sequence = self.sequence.withLockedValue { value in
            value += 1
            return value
        }
        return RequestID(client: self.client, sequence: sequence)
    }
}
