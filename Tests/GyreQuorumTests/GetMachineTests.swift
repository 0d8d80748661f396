import GyreBase
import GyreQuorum
import NIOCore
import Testing

private let record = ByteBuffer(string: "record")
private let other = ByteBuffer(string: "other")

private func slots(_ members: Int...) -> SlotSet {
    var set = SlotSet()
    for slot in members { set.insert(slot) }
    return set
}

@Suite struct GetMachineTests {
    @Test func oneRecordAndOneDigestThatAgreeEndTheRead() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 2)
        #expect(machine.start(own: 1) == .askDigest(slots(0)))
        #expect(machine.onDigest(0, 7) == .wait)
        #expect(machine.onRecord(1, record, 7) == .agreed(record))
        #expect(machine.stale(against: 7).isEmpty)
    }

    @Test func absentEverywhereIsAgreedAsEmpty() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 2)
        _ = machine.start(own: 0)
        #expect(machine.onRecord(0, ByteBuffer(), 0) == .wait)
        #expect(machine.onDigest(1, 0) == .agreed(ByteBuffer()))
    }

    @Test func differentDigestsFetchOneRecordForEach() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 3)
        #expect(machine.start(own: 0) == .askDigest(slots(1, 2)))
        #expect(machine.onRecord(0, record, 7) == .wait)
        #expect(machine.onDigest(1, 9) == .wait)
        #expect(machine.onDigest(2, 9) == .askRecord(slots(1)))
        #expect(machine.onRecord(1, other, 9) == .differ)
        #expect(machine.records.count == 2)
        #expect(machine.stale(against: 11) == slots(0, 1, 2))
        #expect(machine.stale(against: 9) == slots(0))
    }

    @Test func absentHereAndPresentThereIsFetched() {
        var machine = GetMachine(reachable: slots(0, 1), needed: 2)
        _ = machine.start(own: 0)
        _ = machine.onRecord(0, ByteBuffer(), 0)
        #expect(machine.onDigest(1, 9) == .askRecord(slots(1)))
        #expect(machine.onRecord(1, other, 9) == .differ)
        #expect(machine.stale(against: 9) == slots(0))
    }

    @Test func failedReplicaIsReplacedWhileOneIsLeft() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 2)
        #expect(machine.start(own: 0) == .askDigest(slots(1)))
        #expect(machine.onFailure(1) == .askDigest(slots(2)))
        #expect(machine.onRecord(0, record, 7) == .wait)
        #expect(machine.onFailure(2) == .short(got: 1))
    }

    @Test func corruptOwnRecordIsReadFromTheOthers() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 2)
        _ = machine.start(own: 0)
        #expect(machine.onFailure(0) == .askDigest(slots(2)))
        #expect(machine.onDigest(1, 7) == .wait)
        #expect(machine.onDigest(2, 7) == .askRecord(slots(1)))
        #expect(machine.onRecord(1, record, 7) == .agreed(record))
    }

    @Test func slowReplicaIsHedgedOnce() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 2)
        _ = machine.start(own: 0)
        _ = machine.onRecord(0, record, 7)
        #expect(machine.onSlow() == .askDigest(slots(2)))
        #expect(machine.onSlow() == .wait)
        #expect(machine.onDigest(2, 7) == .agreed(record))
    }

    @Test func slowOwnDiskIsHedgedWithAWholeRecord() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 2)
        _ = machine.start(own: 0)
        _ = machine.onDigest(1, 7)
        #expect(machine.onSlow() == .askRecord(slots(2)))
        #expect(machine.onRecord(2, record, 7) == .agreed(record))
    }

    @Test func repeatedAnswersCountOnce() {
        var machine = GetMachine(reachable: slots(0, 1, 2), needed: 3)
        _ = machine.start(own: 0)
        #expect(machine.onDigest(1, 7) == .wait)
        #expect(machine.onDigest(1, 7) == .wait)
        #expect(machine.onRecord(0, record, 7) == .wait)
        #expect(machine.onDigest(2, 7) == .agreed(record))
    }

    /// Whatever order answers, failures and hedges come in, the machine ends, never with fewer than R answers, and never
    /// with a record whose digest the counted replicas do not share.
    @Test(arguments: UInt64(0)..<200)
    func everyOrderEnds(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let replicas = 1 + Int(random.below(7))
        let needed = 1 + Int(random.below(UInt64(replicas)))
        let held = (0..<replicas).map { _ in random.below(3) }
        var machine = GetMachine(reachable: SlotSet(first: replicas), needed: needed)
        var step = machine.start(own: Int(random.below(UInt64(replicas))))
        for _ in 0..<100 {
            switch step {
            case .agreed(let answer):
                #expect(machine.answered.count >= needed, "seed \(seed)")
                let digests = Set(machine.answered.map { held[$0] })
                #expect(digests.count == 1, "seed \(seed)")
                #expect(answer == (digests.first == 0 ? ByteBuffer() : ByteBuffer(integer: digests.first ?? 0)))
                return
            case .differ:
                #expect(machine.answered.count >= needed, "seed \(seed)")
                #expect(
                    Set(machine.records.map { held[$0.slot] }).union([0])
                        == Set(machine.answered.map { held[$0] }).union([0]))
                return
            case .short(let got):
                #expect(got < needed, "seed \(seed)")
                return
            case .wait, .askDigest, .askRecord: break
            }
            guard let slot = Array(machine.waiting).randomElement(using: &random) else {
                Issue.record("seed \(seed): nothing is awaited and nothing is decided")
                return
            }
            switch random.below(10) {
            case 0: step = machine.onFailure(slot)
            case 1: step = machine.onSlow()
            default:
                if machine.recordAsked.contains(slot) {
                    let bytes = held[slot] == 0 ? ByteBuffer() : ByteBuffer(integer: held[slot])
                    step = machine.onRecord(slot, bytes, held[slot])
                } else {
                    step = machine.onDigest(slot, held[slot])
                }
            }
        }
        Issue.record("seed \(seed): no end after 100 steps")
    }
}
