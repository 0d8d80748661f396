import GyreBase

/// The doors of a shell, found by a number that is never used twice. Confined to the shell's loop.
///
/// The number's low half is the place in an array, so that an answer finds its door without hashing; its high half
/// counts how often the place was used, so that an answer to a door that is gone finds nothing.
struct ConnectionTable {
    private struct Place {
        var generation: UInt32 = 0
        var door: Door?
    }

    private var places: [Place] = []
    private var free: [UInt32] = []
    private var handshakes: [(deadline: Instant, id: UInt64)] = []
    private var handshakesDone = 0
    /// Open connections; desks are none.
    private(set) var count = 0

    /// Takes a place for a door that is made with its number.
    mutating func insert<Made>(_ door: (Made) -> Door, make: (UInt64) -> Made) -> Made {
        let index: UInt32
        if let known = self.free.popLast() {
            index = known
        } else {
            index = UInt32(self.places.count)
            self.places.append(Place())
        }
        let id = UInt64(self.places[Int(index)].generation) << 32 | UInt64(index)
        let made = make(id)
        let entry = door(made)
        self.places[Int(index)].door = entry
        if entry.isConnection { self.count += 1 }
        return made
    }

    /// Gives the connection of that number until `deadline` to introduce itself.
    mutating func expectHandshake(of id: UInt64, by deadline: Instant) { self.handshakes.append((deadline, id)) }

    /// Gives the place of a closed door free.
    mutating func remove(_ id: UInt64) {
        guard let door = self[id] else { return }
        let index = Int(UInt32(truncatingIfNeeded: id))
        self.places[index].door = nil
        self.places[index].generation &+= 1
        self.free.append(UInt32(index))
        if door.isConnection { self.count -= 1 }
    }

    /// The door of that number, while it is open.
    subscript(_ id: UInt64) -> Door? {
        let index = Int(UInt32(truncatingIfNeeded: id))
        guard index < self.places.count, UInt64(self.places[index].generation) == id >> 32 else { return nil }
        return self.places[index].door
    }

    /// All open doors.
    var all: [Door] { self.places.compactMap(\.door) }

    /// The connections whose time to introduce themselves is over; the caller sees whether they did.
    ///
    /// Every connection gets the same time, so the deadlines are in order and only the first need to be looked at.
    mutating func takeHandshakesOverdue(at now: Instant) -> [InboundConnection] {
        var overdue: [InboundConnection] = []
        while self.handshakesDone < self.handshakes.count, self.handshakes[self.handshakesDone].deadline <= now {
            if case .native(let connection) = self[self.handshakes[self.handshakesDone].id] {
                overdue.append(connection)
            }
            self.handshakesDone += 1
        }
        if self.handshakesDone > 1_024 || self.handshakesDone == self.handshakes.count, self.handshakesDone > 0 {
            self.handshakes.removeFirst(self.handshakesDone)
            self.handshakesDone = 0
        }
        return overdue
    }
}

extension NodeShell {
    /// Lets `change` change the table of doors.
    ///
    /// The table is taken out meanwhile: changed in place over a call, the property would be checked at every look into it.
    func changeDoors<Outcome>(_ change: (inout ConnectionTable) -> Outcome) -> Outcome {
        var table = ConnectionTable()
        swap(&table, &self.connections)
        defer { swap(&table, &self.connections) }
        return change(&table)
    }

    /// The handler of a connection that was just accepted.
    func makeConnection() -> InboundConnection {
        self.readClock()
        let deadline = self.now.instant.advanced(by: self.limits.handshakeTimeout)
        let connection = self.changeDoors { $0.insert(Door.native) { InboundConnection(id: $0, shell: self) } }
        self.changeDoors { $0.expectHandshake(of: connection.id, by: deadline) }
        return connection
    }

    /// The handler of a Redis client's connection that was just accepted.
    func makeRespConnection() -> RespConnection {
        self.readClock()
        self.respConnections += 1
        let number = self.respConnections
        return self.changeDoors { $0.insert(Door.resp) { RespConnection(id: $0, number: number, shell: self) } }
    }

    /// A desk for code of this process.
    func makeDesk(_ limits: DeskLimits) -> DeskDoor {
        self.changeDoors { $0.insert(Door.desk) { DeskDoor(id: $0, shell: self, limits: limits) } }
    }
}
