import GyreBase
import GyreRing
import Testing

/// States of one cluster that may meet: one base, and proposals and marks of several kinds.
private struct StateSource {
    var random: SeededRandom

    init(seed: UInt64) { self.random = SeededRandom(seed: seed) }

    static let base = (1...3).map { RingMember(node: NodeID(rawValue: $0)) }

    mutating func undecided() -> RingState {
        if self.random.chance(1, in: 4) { return RingState(version: 3, base: Self.base, next: nil) }
        let owners =
            Self.base.filter { _ in self.random.chance(3, in: 4) }
            + (4...6).filter { _ in self.random.chance(1, in: 2) }.map { RingMember(node: NodeID(rawValue: $0)) }
        var state = RingState(version: 3, base: Self.base, next: owners)
        // The first owner of before has never said a word, so nothing is decided.
        for node in 2...6 where self.random.chance(1, in: 3) { state.mark(NodeID(rawValue: UInt64(node)), .knows) }
        return state
    }
}

private func isDecided(_ state: RingState) -> Bool {
    state.next != nil && state.participants.allSatisfy { state.stage(of: $0) != nil }
}

private func merged(_ a: RingState, _ b: RingState) -> RingState {
    var result = a
    result.merge(b, isDecided: isDecided)
    return result
}

private func node(_ number: UInt64) -> NodeID { NodeID(rawValue: number) }

@Suite struct RingStates {
    @Test(arguments: UInt64(0)..<300)
    func mergeInAnyOrder(seed: UInt64) {
        var source = StateSource(seed: seed)
        let (a, b) = (source.undecided(), source.undecided())
        #expect(merged(a, b) == merged(b, a))
        #expect(merged(a, a) == a)
        #expect(merged(merged(a, b), b) == merged(a, b))
    }

    @Test(arguments: UInt64(0)..<300)
    func proposeTheSameWhateverOrderThreeMeetIn(seed: UInt64) {
        var source = StateSource(seed: seed)
        let (a, b, c) = (source.undecided(), source.undecided(), source.undecided())
        #expect(merged(merged(a, b), c).next == merged(a, merged(b, c)).next)
    }

    @Test func forgetMarksOfAProposalThatGrew() {
        var mine = RingState(version: 1, base: StateSource.base, next: StateSource.base + [RingMember(node: node(4))])
        mine.mark(node(2), .knows)
        let theirs = RingState(version: 1, base: StateSource.base, next: StateSource.base + [RingMember(node: node(5))])
        let both = merged(mine, theirs)
        #expect(both.next?.map(\.node) == [1, 2, 3, 4, 5].map(node))
        #expect(both.marks.isEmpty)
    }

    @Test func keepADecidedProposalWhateverComesLate() {
        var decided = RingState(version: 1, base: StateSource.base, next: Array(StateSource.base.prefix(2)))
        for number in UInt64(1)...3 { decided.mark(node(number), .knows) }
        let late = RingState(version: 1, base: StateSource.base, next: StateSource.base + [RingMember(node: node(9))])
        #expect(merged(decided, late) == decided)
        #expect(merged(late, decided) == decided)
    }

    @Test func giveWayToALaterVersionAsAWhole() {
        var old = RingState(version: 4, base: StateSource.base, next: [RingMember(node: node(8))])
        old.mark(node(1), .synced)
        let new = RingState(version: 5, base: [RingMember(node: node(8))], next: nil)
        #expect(merged(old, new) == new)
        #expect(merged(new, old) == new)
    }

    @Test func giveTheLargerOfTwoClustersThatWereFoundedApart() {
        let large = RingState(version: 1, base: StateSource.base, next: nil)
        let small = RingState(version: 1, base: [RingMember(node: node(9))], next: nil)
        #expect(merged(small, large) == large)
        #expect(merged(large, small) == large)
    }

    @Test func neverTakeAWordBack() {
        var state = RingState(version: 1, base: StateSource.base, next: StateSource.base)
        state.mark(node(1), .synced)
        state.mark(node(1), .knows)
        #expect(state.stage(of: node(1)) == .synced)
        state.propose([RingMember(node: node(7))])
        #expect(state.next == StateSource.base)
    }

    @Test func becomeTheNextVersionWhenTheChangeIsOver() {
        var state = RingState(version: 1, base: StateSource.base, next: Array(StateSource.base.dropLast()))
        state.mark(node(1), .moved)
        state.commit()
        #expect(state == RingState(version: 2, base: Array(StateSource.base.dropLast()), next: nil))
    }
}
