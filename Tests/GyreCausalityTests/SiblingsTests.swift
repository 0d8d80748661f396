import GyreBase
import GyreCausality
import NIOCore
import Testing

@Suite struct SiblingsTests {
    @Test func twoPutsWithOneContextAreSiblingsAndAPutWithBothLeavesOne() {
        var atA = Siblings()
        atA.put(version(a, 1, "base"), seen: .blind)
        var atB = atA
        let read = atA.context
        atA.put(version(a, 2, "left"), seen: .given(read))
        atB.put(version(b, 1, "right"), seen: .given(read))
        atA.merge(atB)
        #expect(atA.texts == ["left", "right"])
        atA.put(version(a, 3, "both"), seen: .given(atA.context))
        #expect(atA.texts == ["both"])
        atB.merge(atA)
        #expect(atB == atA)
    }

    @Test func aDeleteConcurrentWithAPutLeavesThePut() {
        var atA = Siblings()
        atA.put(version(a, 1, "old"), seen: .blind)
        var atB = atA
        atB.put(version(b, 1, "new"), seen: .given(atA.context))
        atA.delete(seen: .given(atA.context))
        #expect(atA.isTombstone)
        #expect(atA.merged(atB).texts == ["new"])
        #expect(atB.merged(atA).texts == ["new"])
    }

    @Test func aDeletedValueDoesNotComeBackFromAStaleReplica() {
        var atA = Siblings()
        atA.put(version(a, 1), seen: .blind)
        let stale = atA
        atA.delete(seen: .overwrite)
        atA.merge(stale)
        #expect(atA.isTombstone)
        #expect(!atA.isEmpty)
    }

    @Test func overwriteDropsEverythingAndBlindNothing() {
        var state = Siblings()
        state.put(version(a, 1), seen: .blind)
        state.put(version(a, 2), seen: .blind)
        state.put(version(b, 7), seen: .blind)
        #expect(state.versions.count == 3)
        state.delete(seen: .blind)
        #expect(state.versions.count == 3)
        state.put(version(a, 9, "last"), seen: .overwrite)
        #expect(state.texts == ["last"])
        #expect(state.context == vector((a, 9), (b, 7)))
    }

    @Test func interleavedReadsAndPutsOfTwoClientsLeaveAtMostTwoSiblings() {
        var states = [Siblings(), Siblings()]
        var contexts = [VersionVector(), VersionVector()]
        var random = SeededRandom(seed: 7)
        var most = 0
        for step in 0..<UInt64(10_000) {
            // Each client writes with what it read before the other's latest write, so every context is stale.
            let client = Int(step % 2)
            let coordinator = Int(random.below(2))
            let next = version([a, b][coordinator], step + 1)
            states[coordinator].put(next, seen: .given(contexts[client]))
            states[1 - coordinator].merge(states[coordinator])
            contexts[client] = states[0].context
            most = max(most, states[0].versions.count)
            #expect(states[0] == states[1])
        }
        #expect(most == 2, "\(most) siblings")
    }

    @Test func anAnswerWithoutValuesDoesNotCoverSiblingsItsWriterNeverSaw() {
        var state = Siblings()
        state.put(version(a, 1, "unseen"), seen: .blind)
        let mine = version(b, 1, "mine")
        state.put(mine, seen: .blind)
        let context = state.contextAfterPut(of: mine.dot)
        #expect(context == vector((b, 1)))
        state.put(version(b, 2, "mine again"), seen: .given(context))
        #expect(state.texts == ["unseen", "mine again"])
    }

    @Test func aForgedContextCannotHideLaterPutsOfItsCoordinator() {
        var state = Siblings()
        state.put(version(a, 1), seen: .given(vector((a, .max), (b, 4))))
        #expect(state.context == vector((a, 1), (b, 4)))
        #expect(state.isFresh(Dot(node: a, counter: 2)))
        #expect(!state.isFresh(Dot(node: b, counter: 4)))
    }

    @Test func expiredVersionsAreHiddenUnderTheSameContext() {
        let mortal = Version(
            dot: Dot(node: a, counter: 1), time: .zero, expiry: WallTime(milliseconds: 10), metadata: .none,
            value: ByteBuffer(string: "mortal")
        )
        var state = Siblings()
        state.put(mortal, seen: .blind)
        state.put(version(b, 1, "kept"), seen: .blind)
        #expect(state.hidingExpired(at: WallTime(milliseconds: 9)) == state)
        let seen = state.hidingExpired(at: WallTime(milliseconds: 10))
        #expect(seen.texts == ["kept"])
        #expect(seen.context == state.context)
    }

    @Test func twoValuesUnderOneDotAreReportedAndSettledAlikeOnBothSides() {
        var x = Siblings()
        x.put(version(a, 1, "x"), seen: .blind)
        var y = Siblings()
        y.put(version(a, 1, "y"), seen: .blind)
        let before = (x, y)
        #expect(x.merge(before.1) == MergeOutcome(changed: true, clashed: true))
        #expect(y.merge(before.0) == MergeOutcome(changed: false, clashed: true))
        #expect(x == y)
    }

    @Test func puttingADotAgainTraps() async {
        await #expect(processExitsWith: .failure) {
            var state = Siblings()
            state.put(version(a, 2), seen: .blind)
            state.put(version(a, 2), seen: .blind)
        }
    }
}

@Suite struct SiblingsLawTests {
    @Test(arguments: seeds, [UInt64(1), 2])
    func mergeIsCommutativeAssociativeAndIdempotent(seed: UInt64, variants: UInt64) {
        var source = SiblingsSource(random: SeededRandom(seed: seed), variants: variants)
        for round in 0..<1_500 {
            let (x, y, z) = (source.next(), source.next(), source.next())
            var once = x
            let outcome = once.merge(y)
            let agree =
                once == y.merged(x)
                && once.merged(z) == x.merged(y.merged(z))
                && x.merged(x) == x && once.merged(x) == once && once.merged(y) == once
                && outcome.changed == (once != x)
                && (variants > 1 || !outcome.clashed)
            #expect(agree, "seed \(seed), round \(round): \(x) with \(y) with \(z)")
        }
    }

    @Test(arguments: seeds)
    func mergeKeepsWhatBothHoldOrOneHoldsAndTheOtherNeverSaw(seed: UInt64) {
        var source = SiblingsSource(random: SeededRandom(seed: seed))
        for round in 0..<1_500 {
            let (x, y) = (source.next(), source.next())
            let kept =
                x.versions.filter { y.versions.contains($0) || !y.context.covers($0.dot) }
                + y.versions.filter { !x.versions.contains($0) && !x.context.covers($0.dot) }
            let merged = x.merged(y)
            #expect(merged.versions == kept.sorted { $0.dot < $1.dot }, "seed \(seed), round \(round)")
            var context = x.context
            context.merge(y.context)
            #expect(merged.context == context, "seed \(seed), round \(round)")
        }
    }

    @Test(arguments: seeds)
    func putsAndDeletesOnlyEverAddKnowledge(seed: UInt64) {
        var source = SiblingsSource(random: SeededRandom(seed: seed))
        for round in 0..<1_500 {
            let (before, other) = (source.next(), source.next())
            let seen = [Seen.given(other.context), .overwrite, .blind][round % 3]
            var after = before
            let node = NodeID(rawValue: 1 + source.random.below(5))
            let fresh = version(node, before.context.counter(of: node) + 1 + source.random.below(3))
            if round.isMultiple(of: 2) { after.put(fresh, seen: seen) } else { after.delete(seen: seen) }
            #expect(after.context.descends(from: before.context), "seed \(seed), round \(round)")
            #expect(after.merged(before) == after, "seed \(seed), round \(round): an old state changes a newer one")
            if round.isMultiple(of: 2) {
                let reply = after.contextAfterPut(of: fresh.dot)
                #expect(after.context.descends(from: reply), "seed \(seed), round \(round)")
                #expect(after.versions.allSatisfy { $0.dot == fresh.dot || !reply.covers($0.dot) }, "seed \(seed)")
            }
        }
    }
}
