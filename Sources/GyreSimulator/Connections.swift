/// Which nodes have a connection to which, as each end sees it.
///
/// A pair has at most one connection; its number counts up, so that frames of an old one are told apart. Each end learns of
/// the end of a connection for itself. Pure value; not shared between threads.
struct Connections: Sendable {
    private let nodeCount: Int
    /// By pair: the number of the newest connection.
    private var numbers: [UInt64]
    /// By end: the connection that this end believes to be open; zero for none.
    private var open: [UInt64]

    init(nodeCount: Int) {
        self.nodeCount = nodeCount
        self.numbers = Array(repeating: 0, count: nodeCount * nodeCount)
        self.open = Array(repeating: 0, count: nodeCount * nodeCount)
    }

    /// The connection to `other` that `node` believes to be open; zero for none.
    func number(at node: Int, to other: Int) -> UInt64 { self.open[node * self.nodeCount + other] }

    /// Whether both ends believe in one and the same connection.
    func isWhole(_ a: Int, _ b: Int) -> Bool {
        let number = self.number(at: a, to: b)
        return number != 0 && number == self.number(at: b, to: a)
    }

    /// Opens a new connection at both ends.
    mutating func connect(_ a: Int, _ b: Int) {
        let pair = min(a, b) * self.nodeCount + max(a, b)
        self.numbers[pair] += 1
        self.open[a * self.nodeCount + b] = self.numbers[pair]
        self.open[b * self.nodeCount + a] = self.numbers[pair]
    }

    /// Closes one end.
    mutating func close(at node: Int, to other: Int) { self.open[node * self.nodeCount + other] = 0 }
}
