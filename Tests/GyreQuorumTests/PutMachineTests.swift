import GyreQuorum
import Testing

struct PutCase: Sendable, CustomTestStringConvertible {
    enum Input: Sendable {
        case ack(Int)
        case failure(Int)
        case deadline
    }
    let testDescription: String
    let inputs: [Input]
    let verdicts: [PutMachine.Verdict]
}

@Suite struct PutMachineTests {
    @Test(arguments: [
        PutCase(
            testDescription: "two acks satisfy W=2", inputs: [.ack(0), .ack(2)], verdicts: [.pending, .stored(acks: 2)]),
        PutCase(
            testDescription: "one replica acking twice is one ack", inputs: [.ack(1), .ack(1)],
            verdicts: [.pending, .pending]),
        PutCase(
            testDescription: "one failure of three leaves hope", inputs: [.failure(1), .ack(0), .ack(2)],
            verdicts: [.pending, .pending, .stored(acks: 2)]),
        PutCase(
            testDescription: "two failures of three end the put as unknown",
            inputs: [.ack(0), .failure(1), .failure(2)],
            verdicts: [.pending, .pending, .unknown(acks: 1)]),
        PutCase(
            testDescription: "a failure after the ack of the same replica is not counted",
            inputs: [.ack(0), .failure(0), .ack(1)], verdicts: [.pending, .pending, .stored(acks: 2)]),
        PutCase(
            testDescription: "the deadline reports what is there", inputs: [.ack(0), .deadline, .ack(1)],
            verdicts: [.pending, .unknown(acks: 1), .pending]),
        PutCase(
            testDescription: "the deadline after the answer says nothing", inputs: [.ack(0), .ack(1), .deadline],
            verdicts: [.pending, .stored(acks: 2), .pending]),
    ])
    func verdictsFollowTheInputs(example: PutCase) {
        var machine = PutMachine(replicas: SlotSet(first: 3), needed: 2)
        let verdicts = example.inputs.map { input in
            switch input {
            case .ack(let slot): machine.onAck(slot)
            case .failure(let slot): machine.onFailure(slot)
            case .deadline: machine.onDeadline()
            }
        }
        #expect(verdicts == example.verdicts)
    }

    @Test(arguments: [(0, 1, 1), (8, 2, 2), (3, 0, 2), (3, 2, 4), (3, 4, 1)])
    func impossibleQuorumsAreRefused(replicas: Int, reads: Int, writes: Int) {
        #expect(throws: QuorumError.self) { try Quorum(replicas: replicas, reads: reads, writes: writes) }
    }

    @Test func majorityIsMoreThanHalf() throws {
        for replicas in 1...Quorum.replicasMax {
            let quorum = try Quorum(replicas: replicas, reads: 1, writes: 1)
            #expect(quorum.majority * 2 > replicas)
            #expect((quorum.majority - 1) * 2 <= replicas)
        }
    }
}

@Suite struct SlotSetTests {
    @Test func everySubsetBehavesAsASet() {
        for bits in 0..<128 {
            let members = (0..<7).filter { bits & (1 << $0) != 0 }
            var slots = SlotSet()
            for slot in members { slots.insert(slot) }
            #expect(Array(slots) == members)
            #expect(slots.count == members.count)
            #expect(slots.first == members.first)
            #expect(slots.subtracting(SlotSet(first: 3)).contains(3) == members.contains(3))
        }
    }
}

@Suite struct PutsWhileTheRingChanges {
    private static func machine(primariesNeeded: Int = 0) -> PutMachine {
        // Places 0, 1 and 2 are the owners that reads go to; 1, 2 and 3 are the next ones.
        let first = SlotSet(first: 3)
        var second = SlotSet(first: 4)
        second.remove(0)
        return PutMachine(
            replicas: SlotSet(first: 4), needed: 2, primariesNeeded: primariesNeeded, lists: (first, second))
    }

    @Test func wantTheirQuorumOfBothLists() {
        var machine = Self.machine()
        #expect(machine.onAck(0) == .pending)
        #expect(machine.onAck(3) == .pending)
        #expect(machine.onAck(1) == .stored(acks: 2))
    }

    @Test func areUnknownWhenOneListCannotBeReachedAnyMore() {
        var machine = Self.machine()
        #expect(machine.onAck(0) == .pending)
        #expect(machine.onAck(1) == .pending)
        #expect(machine.onFailure(2) == .pending)
        #expect(machine.onFailure(3) == .unknown(acks: 1))
    }

    @Test func wantTheirPrimariesInBothLists() {
        var machine = Self.machine(primariesNeeded: 2)
        machine.onStandIn(1)
        // The first list has its primaries 0 and 2 left, the second 2 and 3.
        #expect(machine.onAck(1) == .pending)
        #expect(machine.onAck(0) == .pending)
        #expect(machine.onAck(2) == .pending)
        #expect(machine.onAck(3) == .stored(acks: 3))
    }
}
