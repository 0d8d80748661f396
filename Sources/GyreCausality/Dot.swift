package import GyreBase

/// The name of one write: which node coordinated it, and that node's counter (dotted version vectors,
/// Preguiça et al. 2012; architecture D4).
///
/// A dot is issued once, ever. The counter is node-wide, so the dots that one node gives to one key have gaps.
/// Pure value; safe from any thread.
package struct Dot: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The coordinator that issued the dot.
    package let node: NodeID
    /// The coordinator's counter, at least 1.
    package let counter: UInt64

    /// Names the write number `counter` of `node`; a counter of zero is a bug of the caller.
    package init(node: NodeID, counter: UInt64) {
        precondition(counter >= 1, "dot counter 0 of node \(node)")
        self.node = node
        self.counter = counter
    }

    /// The node in hexadecimal, a colon, the counter.
    package var description: String { "\(self.node):\(self.counter)" }

    /// Orders by node, then by counter.
    package static func < (a: Self, b: Self) -> Bool {
        a.node == b.node ? a.counter < b.counter : a.node < b.node
    }
}
