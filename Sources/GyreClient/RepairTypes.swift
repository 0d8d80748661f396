package import GyreBase

/// What a repair covers; as it is made, everything. Pure value.
public struct RepairOptions: Hashable, Sendable {
    /// Only this partition.
    public var partition: Int?
    /// Only keys of this bucket are repaired; 1 to 255 UTF-8 bytes.
    public var bucket: String?
    /// Only comparisons that the node with this name, or this NodeID, takes part in.
    public var node: String?
    /// Compare and count, but change nothing.
    public var isDry = false

    /// Everything.
    public init() {}
}

/// Which repair: the node that coordinates it, and its number there. Pure value.
public struct RepairID: Hashable, Sendable, CustomStringConvertible {
    /// The node that it was started on; only this one can tell how far it has come.
    package let node: NodeID
    /// Its number, drawn at random.
    package let number: UInt64

    /// Joins the two.
    package init(node: NodeID, number: UInt64) {
        self.node = node
        self.number = number
    }

    /// Reads what `text` wrote.
    /// - Throws: `badRequest` for anything else.
    public init(text: String) throws(GyreError) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 16 && $0.utf8.allSatisfy(Self.isDigit) }),
            let node = NodeID(hexadecimal: parts[0]), let number = UInt64(parts[1], radix: 16)
        else {
            throw GyreError(
                .badRequest, "not the id of a repair: \(text.prefix(40))", try: "use the id that 'gyre repair' printed")
        }
        self.init(node: node, number: number)
    }

    /// Sixteen hexadecimal digits of the node, a dash, sixteen of the number.
    public var text: String { "\(self.node)-\(hexadecimal(self.number))" }

    /// The same as `text`.
    public var description: String { self.text }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}

/// How far a repair has come, all nodes together. Pure value.
///
/// A comparison is one of one partition between two of its owners: with N = 3 there are up to three of each partition.
public struct RepairProgress: Hashable, Sendable {
    /// Which repair.
    public let id: RepairID
    /// Whether nothing of it goes on any more: it is done, was cancelled, or could not go on.
    public let isOver: Bool
    /// Comparisons to be done.
    public let planned: UInt64
    /// Comparisons done.
    public let compared: UInt64
    /// Comparisons in which nothing differed.
    public let inSync: UInt64
    /// Comparisons that could not be done, because an owner could not be reached or failed.
    public let failed: UInt64
    /// Keys that differed.
    public let keysDiffering: UInt64
    /// Keys made equal.
    public let keysRepaired: UInt64
    /// Bytes sent for it, both directions.
    public let bytesSent: UInt64
    /// A sum over the roots of all hash trees when it began; it is equal to `rootsAfter` when nothing changed since.
    public let rootsBefore: UInt64
    /// As `rootsBefore`, now.
    public let rootsAfter: UInt64
    /// Names of nodes that should take part and cannot be reached.
    public let silent: [String]

    /// Whether it is over with every planned comparison done.
    public var isComplete: Bool {
        self.isOver && self.silent.isEmpty && self.failed == 0 && self.compared >= self.planned
    }
}
