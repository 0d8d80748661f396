import GyreBase

/// The links of a shell to its peers, found by node. Confined to the shell's loop.
///
/// Sorted by node instead of hashed: every message to a peer looks here, there are few peers, and a search without hashing
/// calls nothing that the compiler cannot see through. For the same reason numbers are compared, not nodes.
struct LinkTable {
    private var entries: [(node: NodeID, link: PeerLink)] = []

    /// Whether there is none.
    var isEmpty: Bool { self.entries.isEmpty }

    /// All links.
    var all: [PeerLink] { self.entries.map(\.link) }

    /// The link to `node`.
    subscript(_ node: NodeID) -> PeerLink? {
        let place = self.place(of: node)
        guard place < self.entries.count, self.entries[place].node.rawValue == node.rawValue else { return nil }
        return self.entries[place].link
    }

    /// The table with another link to `node`, or with none.
    func with(_ link: PeerLink?, to node: NodeID) -> LinkTable {
        var table = self
        let place = self.place(of: node)
        if self[node] != nil { table.entries.remove(at: place) }
        if let link { table.entries.insert((node, link), at: place) }
        return table
    }

    /// Where `node` is or would be.
    private func place(of node: NodeID) -> Int {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].node.rawValue < node.rawValue { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
