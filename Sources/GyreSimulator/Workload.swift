import GyreBase
import GyreCausality
import GyreMessages
import NIOCore

/// One operation of a simulated client, from its first attempt to its end.
struct ClientOperation: Sendable {
    /// What it does.
    enum Kind: Sendable {
        case put(write: UInt64)
        case delete
        case get
        case bucketSet
        case list
    }

    /// The client; nil for the reads that the end of a run demands.
    let client: Int?
    /// What it does.
    let kind: Kind
    /// The key's index.
    let key: Int
    /// What is asked.
    let request: ClientRequest
    /// The node asked.
    let node: Int
    /// Counts the attempts; 1 for the first.
    var attempt = 1
    /// Whether the client has its answer, or has given up.
    var isOver = false
    /// Whether some attempt may have taken effect although it was not acknowledged.
    var isUncertain = false
    /// Whether the attempt came to a machine that does not run.
    var isUnheard = false
    /// Writes of the key acknowledged before this began, with the W each had.
    var before: [(write: UInt64, writes: Int)] = []
    /// What an acknowledged delete must have removed, by its context.
    var declared = BitSet()
    /// The listing that this is a page of.
    var listing: Listing?
}

/// What one client remembers.
struct SimClient: Sendable {
    /// Draws for this client.
    var random: SeededRandom
    /// The client's number in request identities.
    let id: UInt64
    /// Counts its writes.
    var sequence: UInt64 = 0
    /// By key: contexts that gets returned, newest last.
    var contexts: [[VersionVector]]

    /// The most contexts remembered of one key.
    static let contextsMax = 4

    /// Remembers a context.
    mutating func learn(_ context: VersionVector, key: Int) {
        self.contexts[key].append(context)
        if self.contexts[key].count > Self.contextsMax { self.contexts[key].removeFirst() }
    }
}

/// Draws what clients do.
struct Workload: Sendable {
    /// The objects that all clients share.
    let names: [ObjectName]
    /// The clients.
    var clients: [SimClient]
    /// Counts the writes of all clients; a write's number is unique and its value begins with it.
    private var writes: UInt64 = 0
    private let plan: SimulationPlan

    init(plan: SimulationPlan, keys: [String], random: SeededRandom) {
        self.plan = plan
        var names: [ObjectName] = []
        for key in keys {
            guard let name = try? ObjectName(bucket: ByteBuffer(string: "b"), key: ByteBuffer(string: key)) else {
                preconditionFailure("a key of \(key.utf8.count) bytes was let in")
            }
            names.append(name)
        }
        self.names = names
        self.clients = (0..<plan.clientCount).map { index in
            var own = random.split("client", index: UInt64(index))
            let id = own.next()
            return SimClient(random: own, id: id, contexts: Array(repeating: [], count: names.count))
        }
    }

    /// The pause before the next operation of `client`.
    mutating func drawPause(_ client: Int) -> TimeSpan {
        let mean = self.plan.thinkTime.nanoseconds
        return TimeSpan(nanoseconds: self.clients[client].random.within(mean / 4...mean * 7 / 4))
    }

    /// The next operation of `client`. Marks say what is rare about it.
    mutating func drawOperation(_ client: Int, marks: inout [CoverageMark: UInt64]) -> ClientOperation {
        let key = Int(self.clients[client].random.below(UInt64(self.names.count)))
        let node = Int(self.clients[client].random.below(UInt64(self.plan.machineCount)))
        let roll = self.clients[client].random.below(100)
        if roll < self.plan.getPercent {
            let reads = self.drawSize(client)
            return ClientOperation(
                client: client, kind: .get, key: key,
                request: .get(
                    GetRequest(name: self.names[key], reads: reads, primaryReads: self.drawPrimaries(client))),
                node: node)
        }
        self.clients[client].sequence += 1
        let id = RequestID(client: self.clients[client].id, sequence: self.clients[client].sequence)
        let writes = self.drawSize(client)
        let seen = self.drawSeen(client, key: key, marks: &marks)
        if roll < self.plan.getPercent + self.plan.deletePercent {
            return ClientOperation(
                client: client, kind: .delete, key: key,
                request: .delete(DeleteRequest(id: id, name: self.names[key], seen: seen, writes: writes)), node: node)
        }
        self.writes += 1
        var value = ByteBuffer()
        value.writeInteger(self.writes)
        value.writeRepeatingByte(UInt8(truncatingIfNeeded: self.writes), count: Int(self.writes % 64))
        return ClientOperation(
            client: client, kind: .put(write: self.writes), key: key,
            request: .put(
                PutRequest(
                    id: id, name: self.names[key], seen: seen, value: value, writes: writes,
                    primaryWrites: self.drawPrimaries(client))),
            node: node)
    }

    /// Half of all operations let no stand-in count, so that what they promise can be checked.
    private mutating func drawPrimaries(_ client: Int) -> QuorumSize {
        guard self.plan.isSloppy else { return .standard }
        return self.clients[client].random.chance(1, in: 2) ? .matching : .standard
    }

    private mutating func drawSize(_ client: Int) -> QuorumSize {
        switch self.clients[client].random.below(10) {
        case 0: .one
        case 1: .quorum
        case 2: .all
        case 3: .count(UInt8(1 + self.clients[client].random.below(UInt64(self.plan.replicas))))
        default: .standard
        }
    }

    private mutating func drawSeen(_ client: Int, key: Int, marks: inout [CoverageMark: UInt64]) -> Seen {
        let roll = self.clients[client].random.below(100)
        if roll < 20 { return .overwrite }
        if roll < 30 { return .blind }
        let known = self.clients[client].contexts[key]
        guard let newest = known.last else { return .given(VersionVector()) }
        guard roll < 50 else { return .given(newest) }
        marks[.staleContextUsed, default: 0] += 1
        return .given(known[Int(self.clients[client].random.below(UInt64(known.count)))])
    }

    /// How many replicas `size` asks for.
    func count(_ size: QuorumSize, standard: Int) -> Int {
        switch size {
        case .standard: standard
        case .one: 1
        case .quorum: self.plan.replicas / 2 + 1
        case .all: self.plan.replicas
        case .count(let count): Int(count)
        case .matching: 0
        }
    }
}
