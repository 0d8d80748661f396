import GyreBase
import GyreCausality
import GyreMembership
import GyreMessages
import GyreNode
import GyreQuorum
import GyreRing
import GyreStorage
import NIOCore

/// A disk that answers when told to.
struct TestDisk {
    private(set) var engine = MemoryEngine()

    mutating func answer(_ request: StorageRequest) -> StorageReply {
        var replies: [StorageReply] = []
        self.engine.stage([request], into: &replies)
        self.engine.sync()
        return replies[0]
    }

    /// What is held under `name`, decoded; nil when there is nothing or nothing sound.
    func siblings(_ name: ObjectName) -> Siblings? { self.siblings(RecordPlace(name)) }

    /// What is kept of `name` for `target`.
    func hint(_ name: ObjectName, for target: NodeID) -> Siblings? {
        self.siblings(RecordPlace(name, hintFor: target))
    }

    mutating func corrupt(_ name: ObjectName) { self.engine.corrupt(name) }

    private func siblings(_ place: RecordPlace) -> Siblings? {
        guard case .held(let record) = self.engine.held(place) else { return nil }
        return try? Siblings(encoded: record.body)
    }
}

/// One node with its disk and what it did.
final class TestNode {
    var node: Node
    var disk = TestDisk()
    var random: SeededRandom
    var answers: [(ReplyAddress, ClientResponse)] = []
    var events: [NodeEvent] = []
    /// Storage requests the disk has not answered; nothing is answered while `diskStuck`.
    var pending: [StorageRequest] = []
    var diskStuck = false

    init(node: consuming Node, seed: UInt64) {
        self.node = node
        self.random = SeededRandom(seed: seed)
    }
}

/// Nodes that deliver to each other at once and in order, under a hand-driven clock.
final class TestCluster {
    let nodes: [TestNode]
    let ids: [NodeID]
    private let records: [MemberRecord]
    private(set) var now = Now(instant: Instant(nanoseconds: 0), wall: WallTime(milliseconds: 1_700_000_000_000))
    /// Nodes whose messages are swallowed in both directions, without anyone being told.
    var silent: Set<NodeID> = []
    /// Messages sent between nodes so far, as text, for claims about order.
    var sent: [(from: NodeID, to: NodeID, message: PeerMessage)] = []

    /// With a `founder` the nodes know nothing of each other and are not connected; the others have its address as their seed.
    /// One that is `held` was started to wait. With `waits` the founder has a seed as well, and does not begin alone at once.
    init(
        count: Int, replicas: Int = 3, reads: Int = 2, writes: Int = 2, founder: Int? = nil, held: Int? = nil,
        waits: Bool = false
    ) throws {
        let records = try (0..<count).map { index in
            var record = try Self.record(index)
            if founder != nil { record.state = .joining }
            if index == held { record.labels = [MemberLabel(name: MemberRecord.holdLabel, value: "yes")] }
            return record
        }
        self.records = records
        self.ids = records.map(\.node)
        let quorum = try Quorum(replicas: replicas, reads: reads, writes: writes)
        var options = NodeOptions(quorum: quorum, cluster: "test")
        options.partitionCount = 16
        // Where nodes know each other, their cluster was founded in an earlier life.
        var recovered = RecoveredState()
        if founder == nil {
            let base = records.map { RingMember(node: $0.node, place: $0.node, weight: $0.weight, zone: $0.zone) }
            recovered.ring = RingState(version: 1, base: base, next: nil).document
        }
        var nodes: [TestNode] = []
        for record in records {
            options.membership.formsCluster = !record.isHeld
            let node = try Node(
                options: options, me: record,
                seeds: founder.map { [records[$0].address, records[waits ? ($0 + 1) % count : $0].address] }?
                    .filter { $0 != record.address } ?? [],
                known: founder == nil ? records.filter { $0.node != record.node } : [],
                recovered: recovered, now: self.now)
            nodes.append(TestNode(node: node, seed: record.node.rawValue))
        }
        self.nodes = nodes
        for index in nodes.indices {
            self.run(index) { node, now, effects in node.start(at: now, into: &effects) }
        }
        if founder == nil { self.connect() }
    }

    /// Links every node to every other one.
    func connect() {
        for a in self.nodes.indices {
            for b in self.nodes.indices where a != b {
                self.deliver(a, .peerUp(self.ids[b], self.records[b].address))
            }
        }
    }

    static func record(_ index: Int) throws -> MemberRecord {
        guard let address = PeerAddress(parsing: "127.0.0.1:\(7_000 + index)") else { throw DecodeError.truncated }
        return MemberRecord(
            node: NodeID(rawValue: UInt64(index + 1)), name: "n\(index + 1)", address: address, zone: "", weight: 1,
            state: .normal, recordVersion: 1, incarnation: 1, liveness: .alive, softwareVersion: "test", labels: [])
    }

    func deliver(_ index: Int, _ input: NodeInput) {
        self.run(index) { [random = self.nodes[index]] node, now, effects in
            node.step(input, at: now, random: &random.random, into: &effects)
        }
    }

    private func run(_ index: Int, _ body: (inout Node, Now, inout [NodeEffect]) -> Void) {
        var effects: [NodeEffect] = []
        body(&self.nodes[index].node, self.now, &effects)
        for effect in effects {
            switch effect {
            case .reply(let address, let response): self.nodes[index].answers.append((address, response))
            case .event(let event): self.nodes[index].events.append(event)
            case .store(let request): self.nodes[index].pending.append(request)
            case .send(let target, let message):
                self.sent.append((self.ids[index], target, message))
                guard let other = self.ids.firstIndex(of: target), !self.silent.contains(target),
                    !self.silent.contains(self.ids[index])
                else { continue }
                self.deliver(other, .peer(self.ids[index], message))
            case .dial, .persist, .visit: break
            }
        }
        self.flush(index)
    }

    /// Lets the disk of a node answer all it was asked.
    func flush(_ index: Int) {
        while !self.nodes[index].diskStuck, !self.nodes[index].pending.isEmpty {
            let request = self.nodes[index].pending.removeFirst()
            let reply = self.nodes[index].disk.answer(request)
            self.deliver(index, .storage(reply))
        }
    }

    /// Moves all clocks on, in ticks.
    func advance(_ span: TimeSpan) {
        let end = self.now.instant.advanced(by: span)
        while self.now.instant < end {
            let step = TimeSpan.milliseconds(10)
            self.now = Now(
                instant: self.now.instant.advanced(by: step),
                wall: WallTime(milliseconds: self.now.wall.milliseconds + 10))
            for index in self.nodes.indices where !self.silent.contains(self.ids[index]) { self.deliver(index, .tick) }
        }
    }

    private var requests: UInt64 = 0

    /// Sends a request to a node and returns the answer, if it came at once.
    @discardableResult
    func ask(_ index: Int, _ request: ClientRequest, timeout: TimeSpan = .seconds(1)) -> ClientResponse? {
        self.requests += 1
        let address = ReplyAddress(connection: 1, request: self.requests)
        self.deliver(index, .client(address, request, timeout: timeout))
        return self.answer(index, to: address)
    }

    /// The answer to the newest request, if it has come.
    func latestAnswer(_ index: Int) -> ClientResponse? {
        self.answer(index, to: ReplyAddress(connection: 1, request: self.requests))
    }

    private func answer(_ index: Int, to address: ReplyAddress) -> ClientResponse? {
        self.nodes[index].answers.first { $0.0 == address }?.1
    }

    private var sequence: UInt64 = 0

    func put(_ text: String, _ key: String, seen: Seen, writes: QuorumSize = .standard) throws -> ClientRequest {
        self.sequence += 1
        return .put(
            PutRequest(
                id: RequestID(client: 1, sequence: self.sequence), name: try self.name(key), seen: seen,
                value: ByteBuffer(string: text), writes: writes))
    }

    func name(_ key: String) throws -> ObjectName {
        try ObjectName(bucket: ByteBuffer(string: "default"), key: ByteBuffer(string: key))
    }
}

/// The values of a found record, sorted.
func values(_ response: ClientResponse?) -> [String] {
    guard case .found(let record) = response, let siblings = try? Siblings(encoded: record) else { return [] }
    return siblings.versions.map { String(buffer: $0.value) }.sorted()
}

/// The context of a found record.
func context(_ response: ClientResponse?) -> VersionVector {
    switch response {
    case .found(let record): (try? Siblings(encoded: record))?.context ?? VersionVector()
    case .notFound(let context): context
    case .stored(let context, _, _): context
    default: VersionVector()
    }
}
