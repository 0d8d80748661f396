import GyreBase

/// The inbound connections of a shell, found by a number that is never used twice. Confined to the shell's loop.
///
/// The number's low half is the place in an array, so that an answer finds its connection without hashing; its high half
/// counts how often the place was used, so that an answer to a connection that is gone finds nothing.
struct ConnectionTable {
    private struct Place {
        var generation: UInt32 = 0
        var connection: InboundConnection?
    }

    private var places: [Place] = []
    private var free: [UInt32] = []
    private var handshakes: [(deadline: Instant, id: UInt64)] = []
    private var handshakesDone = 0
    /// Open connections.
    private(set) var count = 0

    /// Takes a place for a connection that is made with its number.
    mutating func insert(
        handshakeDeadline: Instant, make: (UInt64) -> InboundConnection
    ) -> InboundConnection {
        let index: UInt32
        if let known = self.free.popLast() {
            index = known
        } else {
            index = UInt32(self.places.count)
            self.places.append(Place())
        }
        let id = UInt64(self.places[Int(index)].generation) << 32 | UInt64(index)
        let connection = make(id)
        self.places[Int(index)].connection = connection
        self.handshakes.append((handshakeDeadline, id))
        self.count += 1
        return connection
    }

    /// Gives the place of a closed connection free.
    mutating func remove(_ id: UInt64) {
        guard self[id] != nil else { return }
        let index = Int(UInt32(truncatingIfNeeded: id))
        self.places[index].connection = nil
        self.places[index].generation &+= 1
        self.free.append(UInt32(index))
        self.count -= 1
    }

    /// The connection of that number, while it is open.
    subscript(_ id: UInt64) -> InboundConnection? {
        let index = Int(UInt32(truncatingIfNeeded: id))
        guard index < self.places.count, UInt64(self.places[index].generation) == id >> 32 else { return nil }
        return self.places[index].connection
    }

    /// All open connections.
    var all: [InboundConnection] { self.places.compactMap(\.connection) }

    /// The connections whose time to introduce themselves is over; the caller sees whether they did.
    ///
    /// Every connection gets the same time, so the deadlines are in order and only the first need to be looked at.
    mutating func takeHandshakesOverdue(at now: Instant) -> [InboundConnection] {
        var overdue: [InboundConnection] = []
        while self.handshakesDone < self.handshakes.count, self.handshakes[self.handshakesDone].deadline <= now {
            if let connection = self[self.handshakes[self.handshakesDone].id] { overdue.append(connection) }
            self.handshakesDone += 1
        }
        if self.handshakesDone > 1_024 || self.handshakesDone == self.handshakes.count, self.handshakesDone > 0 {
            self.handshakes.removeFirst(self.handshakesDone)
            self.handshakesDone = 0
        }
        return overdue
    }
}
