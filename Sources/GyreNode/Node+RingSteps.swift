import GyreBase
import GyreRing

/// What happens when a state of the ring comes into force, told step by step.
extension Node {
    /// Says that a point was passed.
    func visit(_ step: RingStep, into effects: inout [NodeEffect]) { effects.append(.visit(step)) }

    /// Says which word is about to be given.
    func visitMark(_ stage: RingStage, into effects: inout [NodeEffect]) {
        switch stage {
        case .knows: self.visit(.knowsMarking, into: &effects)
        case .synced: self.visit(.syncedMarking, into: &effects)
        case .moved: self.visit(.movedMarking, into: &effects)
        }
    }

    /// Says what is different with the state that the disk has now.
    func visitKept(_ before: RingState, _ state: RingState, into effects: inout [NodeEffect]) {
        if state.version > before.version { return self.visitVersion(before, state, into: &effects) }
        if before.next == nil, state.next != nil {
            self.visit(state.version == 0 ? .foundingKept : .proposalKept, into: &effects)
        }
        if before.stage(of: self.me) != state.stage(of: self.me) {
            switch state.stage(of: self.me) {
            case .knows: self.visit(.knowsKept, into: &effects)
            case .synced: self.visit(.syncedKept, into: &effects)
            case .moved: self.visit(.movedKept, into: &effects)
            case nil: break
            }
        }
        func isNew(_ stage: RingStage) -> Bool {
            self.ringKeeper.hasReached(stage, state) && !self.ringKeeper.hasReached(stage, before)
        }
        if isNew(.knows) { self.visit(.everybodyKnows, into: &effects) }
        if isNew(.synced) { self.visit(.everybodySynced, into: &effects) }
        if isNew(.moved) { self.visit(.everybodyMoved, into: &effects) }
    }

    private func visitVersion(_ before: RingState, _ state: RingState, into effects: inout [NodeEffect]) {
        self.visit(state.version == before.version + 1 ? .commitKept : .newerRingKept, into: &effects)
        let mine = state.base.first { self.ringKeeper.whoActs(for: $0.node) == self.me }
        let wasOwner = before.base.contains { self.ringKeeper.whoActs(for: $0.node) == self.me }
        if let mine, !wasOwner {
            self.visit(.joinerInRing, into: &effects)
            if mine.place != self.me { self.visit(.placeTaken, into: &effects) }
        } else if mine == nil, wasOwner {
            self.visit(.leaverOutOfRing, into: &effects)
        }
    }
}
