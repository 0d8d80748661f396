import GyreBase
import GyreMerkle
import GyreMessages
import GyreRing
import NIOCore

/// When partitions are compared: by rounds that nobody asks for, and by repairs that an operator asks for.
extension Node {
    /// Of two owners of a partition one leads their exchange, so that they do not meet in the middle.
    private func leads(_ partition: Int, against peer: NodeID) -> Bool {
        partition.isMultiple(of: 2) == (self.me < peer)
    }

    /// The other owners of a partition with whom this node leads the exchange; none unless it is an owner itself.
    private func peersLed(_ partition: Int) -> [NodeID] {
        guard !self.ring.members.isEmpty else { return [] }
        let owners = self.ring.owners(of: PartitionID(index: partition))
        guard owners.contains(self.me) else { return [] }
        return owners.filter { $0 != self.me && self.leads(partition, against: $0) }
    }

    /// Begins the next exchanges of the rounds that are always going on.
    mutating func continueRounds(at now: Now, random: inout SeededRandom, into effects: inout [NodeEffect]) {
        guard self.trees.options.isOn, self.options.exchange.hasRounds, now.instant >= self.roundAt,
            !self.ring.members.isEmpty, !self.draining, !self.mustRefill
        else {
            return
        }
        let partitions = self.options.partitionCount
        if self.roundAt == .start {
            // Nodes that start together do not compare together.
            self.roundPartition = Int(random.below(UInt64(partitions)))
        }
        let pause = self.options.exchange.interval.nanoseconds / Int64(partitions)
        // Between half and one and a half of the pause, which on average is the pause.
        let jittered = pause / 2 + random.within(0...max(0, pause))
        self.roundAt = now.instant.advanced(by: TimeSpan(nanoseconds: max(1, jittered)))
        guard self.exchanges.count < self.options.exchange.backgroundMax, !self.mustYield else { return }
        let partition = self.roundPartition
        self.roundPartition = (partition + 1) % partitions
        // A lost disk is filled by its own comparisons, which its operator reads the count of.
        for peer in self.peersLed(partition) where self.isReachable(peer) && !self.isPeerRefilling(peer) {
            _ = self.beginExchange(partition, with: peer, repair: nil, at: now, into: &effects)
        }
    }

    // MARK: - Repairs

    /// A client starts a repair on this node.
    mutating func startRepair(
        _ request: RepairRequest, _ target: ReplyTarget, at now: Now, into effects: inout [NodeEffect]
    ) {
        if RepairPart.isReserved(request.id) {
            return self.answer(
                target, .failed(.badRequest("a repair's id is not zero, nor the highest")), into: &effects)
        }
        if let partition = request.partition, Int(partition) >= self.options.partitionCount {
            let reason = "partition \(partition) is none of 0 to \(self.options.partitionCount - 1)"
            return self.answer(target, .failed(.badRequest(reason)), into: &effects)
        }
        if let node = request.node, !self.ring.members.contains(where: { $0.node == node }) {
            return self.answer(target, .failed(.badRequest("\(node) is no member with ranges")), into: &effects)
        }
        guard self.trees.options.isOn else {
            return self.answer(target, .failed(.badRequest("this node keeps no trees")), into: &effects)
        }
        if !self.repairRuns.contains(where: { $0.request.id == request.id }) {
            if self.repairRuns.count >= RepairRun.runsMax { self.repairRuns.removeFirst() }
            let parts = self.ring.members.map { RepairRun.Part(node: $0.node, heardAt: now.instant) }
            self.repairRuns.append(RepairRun(request: request, parts: parts, began: now.instant))
            for member in self.ring.members where member.node != self.me {
                effects.append(.send(member.node, .repair(.start(request))))
            }
            self.joinRepair(request, for: self.me, at: now, into: &effects)
        }
        self.answerRepair(request.id, target, at: now, into: &effects)
    }

    /// Tells a client how far a repair is.
    func answerRepair(_ id: UInt64, _ target: ReplyTarget, at now: Now, into effects: inout [NodeEffect]) {
        guard let run = self.repairRuns.first(where: { $0.request.id == id }) else {
            let reason = "no repair of that id was started on this node, or it was forgotten"
            return self.answer(target, .failed(.badRequest(reason)), into: &effects)
        }
        let silent = run.parts.filter { !$0.isOver && !self.isReachable($0.node) }
        let isOver = run.parts.allSatisfy { part in
            part.isOver || !self.isReachable(part.node) && now.instant.since(part.heardAt) > RepairRun.absence
        }
        self.answer(target, .repairing(run.counts, isOver: isOver, silent: silent.map(\.node)), into: &effects)
    }

    /// A client stops a repair.
    mutating func cancelRepair(
        _ id: UInt64, _ target: ReplyTarget, at now: Now, into effects: inout [NodeEffect]
    ) {
        for member in self.ring.members where member.node != self.me && !RepairPart.isReserved(id) {
            effects.append(.send(member.node, .repair(.cancel(id: id))))
        }
        self.leaveRepair(id)
        self.answerRepair(id, target, at: now, into: &effects)
    }

    /// Another node says something about a repair.
    mutating func onRepair(
        from node: NodeID, _ message: RepairMessage, at now: Now, into effects: inout [NodeEffect]
    ) {
        switch message {
        case .start(let request): self.joinRepair(request, for: node, at: now, into: &effects)
        case .cancel(let id): self.leaveRepair(id)
        case .counts(let id, let counts, let isOver):
            guard let run = self.repairRuns.firstIndex(where: { $0.request.id == id }),
                let part = self.repairRuns[run].parts.firstIndex(where: { $0.node == node })
            else { return }
            self.repairRuns[run].parts[part] = RepairRun.Part(
                node: node, counts: counts, isOver: isOver, heardAt: now.instant)
        }
    }

    private mutating func joinRepair(
        _ request: RepairRequest, for coordinator: NodeID, at now: Now, into effects: inout [NodeEffect]
    ) {
        if let done = self.repairsDone.first(where: { $0.id == request.id }) {
            let message = RepairMessage.counts(id: done.id, done.counts, isOver: true)
            return effects.append(.send(coordinator, .repair(message)))
        }
        guard !self.repairParts.contains(where: { $0.request.id == request.id }),
            self.repairParts.count < RepairRun.runsMax
        else { return }
        var part = RepairPart(
            request: request, coordinator: coordinator, pairs: [],
            patientUntil: now.instant.advanced(by: self.options.exchange.buildPatience))
        part.absenceUntil = now.instant.advanced(by: RepairRun.absence)
        let wanted = request.partition.map { Int($0)..<Int($0) + 1 } ?? 0..<self.options.partitionCount
        for partition in wanted.clamped(to: 0..<self.options.partitionCount) {
            for peer in self.peersLed(partition) where request.node.map({ $0 == self.me || $0 == peer }) ?? true {
                part.pairs.append((partition, peer))
            }
        }
        // The last is the first to be compared.
        part.pairs = part.pairs.map { (turn: self.turn($0), pair: $0) }
            .sorted { ($0.turn, $0.pair.partition, $0.pair.peer) > ($1.turn, $1.pair.partition, $1.pair.peer) }
            .map(\.pair)
        part.counts.planned = UInt64(part.pairs.count)
        part.counts.rootsBefore = self.sumOfRoots
        self.takeRefill(into: &part)
        self.repairParts.append(part)
        self.continueRepairs(at: now, into: &effects)
    }

    /// When a comparison's turn comes in a repair of everything, 0 to Q − 1. Comparisons of one partition are far apart, on
    /// whatever nodes they are led: at the same time, two of them would send a third owner the same objects.
    private func turn(_ pair: (partition: Int, peer: NodeID)) -> Int {
        let owners = self.ring.owners(of: PartitionID(index: pair.partition))
        let places = owners.enumerated().filter { $0.element == self.me || $0.element == pair.peer }.map(\.offset)
        let kind = places.reduce(0, +) % max(1, owners.count)
        let distance = self.options.partitionCount / max(1, owners.count)
        return (pair.partition + kind * distance) % self.options.partitionCount
    }

    private mutating func leaveRepair(_ id: UInt64) {
        guard !RepairPart.isReserved(id) else { return }
        for run in self.repairRuns.indices where self.repairRuns[run].request.id == id {
            for part in self.repairRuns[run].parts.indices { self.repairRuns[run].parts[part].isOver = true }
        }
        guard let index = self.repairParts.firstIndex(where: { $0.request.id == id }) else { return }
        // They stay planned: that they were not done is how everybody sees that the repair was stopped.
        self.repairParts[index].pairs = []
    }

    /// The roots of all owned partitions in one number: equal before and after when nothing changed.
    private var sumOfRoots: UInt64 {
        var sum: UInt64 = 0
        for partition in 0..<self.options.partitionCount {
            sum = sum &+ StableHash.xxh3(self.trees.forest.root(of: partition) ?? 0, seed: UInt64(partition))
        }
        return sum
    }

    /// Begins comparisons of repairs as far as their limit allows, and reports.
    mutating func continueRepairs(at now: Now, into effects: inout [NodeEffect]) {
        self.remindParts(at: now, into: &effects)
        guard !self.repairParts.isEmpty else { return }
        for index in self.repairParts.indices {
            self.beginPairs(of: index, at: now, into: &effects)
            self.report(index, at: now, into: &effects)
        }
        for part in self.repairParts where self.isOver(part, at: now) && !RepairPart.isReserved(part.request.id) {
            if self.repairsDone.count >= RepairRun.runsMax { self.repairsDone.removeFirst() }
            self.repairsDone.append((part.request.id, self.countsNow(of: part)))
        }
        let over = self.repairParts.filter { self.isOver($0, at: now) }.map(\.request.id)
        self.repairParts.removeAll { over.contains($0.request.id) }
    }

    /// Asks nodes again that owe a word about their part of a repair.
    private mutating func remindParts(at now: Now, into effects: inout [NodeEffect]) {
        for run in self.repairRuns.indices {
            for part in self.repairRuns[run].parts.indices {
                let known = self.repairRuns[run].parts[part]
                guard !known.isOver, known.node != self.me, self.isReachable(known.node),
                    now.instant.since(known.heardAt) > RepairRun.patience
                else { continue }
                self.repairRuns[run].parts[part].heardAt = now.instant
                effects.append(.send(known.node, .repair(.start(self.repairRuns[run].request))))
            }
        }
    }

    private mutating func beginPairs(of index: Int, at now: Now, into effects: inout [NodeEffect]) {
        guard now.instant >= self.repairParts[index].retryAt, !self.draining else { return }
        let activeMax = self.activeMax(of: self.repairParts[index].request.id)
        while self.repairParts[index].active < activeMax, !self.mustYield,
            let pair = self.repairParts[index].pairs.popLast()
        {
            let request = self.repairParts[index].request
            let isForRing = request.id != Refill.repairID && RepairPart.isReserved(request.id)
            if request.id == Refill.repairID, self.isRefillPairStale(pair) {
                self.repairParts[index].counts.planned &-= min(1, self.repairParts[index].counts.planned)
            } else if !self.isReachable(pair.peer) || (isForRing && self.isPeerRefilling(pair.peer)) {
                if isForRing { self.visit(.comparisonPostponed, into: &effects) }
                if RepairPart.isReserved(request.id) || now.instant < self.repairParts[index].absenceUntil {
                    return self.postpone(index, pair, at: now)
                }
                self.repairParts[index].counts.failed += 1
            } else if self.beginExchange(pair.partition, with: pair.peer, repair: request, at: now, into: &effects) {
                self.repairParts[index].active += 1
                if isForRing { self.visit(.comparisonBegun, into: &effects) }
            } else {
                return self.postpone(index, pair, at: now)
            }
        }
    }

    private func activeMax(of id: UInt64) -> Int {
        guard let sync = self.ringKeeper.sync, sync.id == id else { return self.options.exchange.repairMax }
        return sync.activeMax
    }

    /// A tree is not built yet: the comparison is tried again later, as long as patience lasts.
    private mutating func postpone(_ index: Int, _ pair: (partition: Int, peer: NodeID), at now: Now) {
        if now.instant < self.repairParts[index].patientUntil {
            self.repairParts[index].pairs.insert(pair, at: 0)
            self.repairParts[index].retryAt = now.instant.advanced(by: .milliseconds(200))
        } else {
            self.repairParts[index].counts.failed += 1
        }
    }

    private mutating func report(_ index: Int, at now: Now, into effects: inout [NodeEffect]) {
        let isOver = self.isOver(self.repairParts[index], at: now)
        guard isOver || now.instant >= self.repairParts[index].reportAt else { return }
        self.repairParts[index].reportAt = now.instant.advanced(by: .milliseconds(200))
        if isOver { self.repairParts[index].counts.rootsAfter = self.sumOfRoots }
        let part = self.repairParts[index]
        let message = RepairMessage.counts(id: part.request.id, self.countsNow(of: part), isOver: isOver)
        if part.coordinator == self.me {
            self.onRepair(from: self.me, message, at: now, into: &effects)
        } else {
            effects.append(.send(part.coordinator, .repair(message)))
        }
    }

    /// An exchange is over, however it ended.
    mutating func onExchangeOver(
        _ operation: ExchangeOperation, inSync: Bool, failure: ExchangeFailure?, at now: Now,
        into effects: inout [NodeEffect]
    ) {
        if operation.isHandover {
            return self.noteHandedOver(operation, succeeded: failure == nil, at: now, into: &effects)
        }
        guard let id = operation.repair,
            let index = self.repairParts.firstIndex(where: { $0.request.id == id })
        else { return }
        self.repairParts[index].active -= 1
        for part in self.repairParts.indices
        where part == index || id == Refill.repairID && self.repairParts[part].takesRefill {
            self.repairParts[part].counts.add(operation)
        }
        switch failure {
        case nil:
            if RepairPart.isReserved(id) {
                guard !operation.hasLeftOut else {
                    self.postpone(index, (operation.partition, operation.peer), at: now)
                    break
                }
                if id == Refill.repairID {
                    self.noteRefilled(operation.partition, from: operation.peer, at: now, into: &effects)
                } else {
                    self.noteSynced(operation, into: &effects)
                }
            }
            self.repairParts[index].counts.compared += 1
            if inSync { self.repairParts[index].counts.inSync += 1 }
        case .notReady: self.postpone(index, (operation.partition, operation.peer), at: now)
        default:
            if id != Refill.repairID, RepairPart.isReserved(id) { self.visit(.comparisonFailed, into: &effects) }
            // What was settled stays settled; another attempt goes on from there.
            if self.isReachable(operation.peer) || RepairPart.isReserved(id) {
                self.postpone(index, (operation.partition, operation.peer), at: now)
            } else {
                self.repairParts[index].counts.failed += 1
            }
        }
        self.continueRepairs(at: now, into: &effects)
    }
}
