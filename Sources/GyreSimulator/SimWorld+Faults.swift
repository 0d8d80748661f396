import GyreBase

/// Faults: what breaks, for how long, and how it heals.
extension SimWorld {
    /// Schedules the first fault of every family that the plan has.
    func scheduleFaults() {
        for fault in self.plan.faults { self.queue.schedule(.fault(fault), after: self.drawFaultInterval()) }
    }

    private func drawFaultInterval() -> TimeSpan {
        let mean = self.plan.faultInterval.nanoseconds
        return TimeSpan(nanoseconds: self.faultRandom.within(mean / 4...mean * 7 / 4))
    }

    /// A fault strikes, and the next of its family is scheduled.
    func onFault(_ fault: FaultClass) throws(Violation) {
        guard self.isServing else { return }
        self.hash.record(StableHash.xxh3(fault.rawValue))
        switch fault {
        case .network: self.breakNetwork()
        case .crash: try self.stopSome(losingPower: false)
        case .power: try self.stopSome(losingPower: true)
        case .clock:
            let victim = Int(self.faultRandom.below(UInt64(self.nodes.count)))
            let jump = self.faultRandom.within(-86_400_000...86_400_000)
            if jump < 0 { self.mark(.clockJumpedBack) }
            self.nodes[victim].wallOffset += jump
        case .disk: try self.damageDisk()
        case .membership: try self.changeMembership()
        }
        self.queue.schedule(.fault(fault), after: self.drawFaultInterval())
    }

    /// Rots a record, or takes the whole disk of one node: of one node only in a run, and once.
    private func damageDisk() throws(Violation) {
        guard self.nodes.count > 1, self.plan.replicas > 1, !self.hasLostDisk else { return }
        let index = self.victim ?? Int(self.faultRandom.below(UInt64(self.nodes.count)))
        guard self.nodes[index].role == .member else { return }
        guard self.faultRandom.chance(1, in: 3) else { return try self.rot(at: index) }
        try self.loseDisk(of: index)
        self.queue.schedule(.start(node: index), after: .milliseconds(self.faultRandom.within(1...5_000)))
    }

    /// The disk of a node is gone for good; the node is down until it is started, and then has a new identity.
    func loseDisk(of index: Int) throws(Violation) {
        self.victim = index
        self.hasLostDisk = true
        try self.stop(index, losingPower: true)
        for key in self.workload.names.indices { try self.loseRecord(of: key, at: index, withHints: true) }
        self.oracle.onDiskLost(node: index)
        try self.loseBuckets(of: index, hasLeft: false)
        let number = UInt64(index)
        let disk = SimDisk(
            bug: self.options.plantedBug, syncMost: self.plan.syncMost, hintBytesMax: self.plan.hintBytesMax,
            random: self.faultRandom.split("disk", index: number))
        self.nodes[index].loseDisk(disk, newID: NodeID(rawValue: self.faultRandom.next() | 1))
        self.mark(.diskLost)
    }

    private func rot(at index: Int) throws(Violation) {
        self.victim = index
        let key = Int(self.faultRandom.below(UInt64(self.workload.names.count)))
        let bit = self.faultRandom.next()
        let name = self.workload.names[key]
        guard self.nodes[index].disk.held(name) != nil, self.owners(of: name, at: index).count > 1 else { return }
        try self.rot(key, at: index, bit: bit)
    }

    /// One bit of what a node has of a key turns over, and no other node may lose anything in this run.
    func rot(_ key: Int, at index: Int, bit: UInt64) throws(Violation) {
        self.victim = index
        try self.loseRecord(of: key, at: index, withHints: false)
        self.rotted.insert(key)
        self.oracle.onRotted(node: index, key: key)
        self.nodes[index].disk.rot(self.workload.names[key], bit: bit)
        self.mark(.recordRotted)
    }

    private func breakNetwork() {
        guard self.nodes.count > 1 else { return }
        let order = Array(self.nodes.indices).shuffled(using: &self.faultRandom)
        switch self.faultRandom.below(8) {
        case 0:
            let until = self.queue.now.advanced(by: .milliseconds(self.faultRandom.within(10...2_000)))
            self.links.clog(from: order[0], to: order[1], until: until)
        case 1:
            self.breakConnection(order[0], order[1], after: .zero)
        default:
            let shapes = PartitionShape.allCases
            self.links.cut(shapes[Int(self.faultRandom.below(UInt64(shapes.count)))], random: &self.faultRandom)
            self.partitionNumber += 1
            self.queue.schedule(
                .mend(number: self.partitionNumber), after: .milliseconds(self.faultRandom.within(100...8_000)))
            for a in self.nodes.indices {
                for b in self.nodes.indices where a < b && !self.links.joins(a, b) {
                    self.breakConnection(a, b, after: .milliseconds(self.faultRandom.within(1_000...8_000)))
                }
            }
        }
    }

    /// Both ends notice, each in its own time, that their connection is gone.
    func breakConnection(_ a: Int, _ b: Int, after span: TimeSpan) {
        for (node, other) in [(a, b), (b, a)] {
            let number = self.connections.number(at: node, to: other)
            guard number != 0 else { continue }
            let extra = self.faultRandom.within(0...500_000_000)
            self.queue.schedule(
                .disconnect(at: node, from: other, connection: number),
                after: TimeSpan(nanoseconds: span.nanoseconds + extra))
        }
    }

    private func stopSome(losingPower: Bool) throws(Violation) {
        let order = Array(self.nodes.indices).shuffled(using: &self.faultRandom)
        let count: Int
        switch self.faultRandom.below(6) {
        case 0: count = order.count
        case 1: count = 1 + Int(self.faultRandom.below(UInt64(order.count)))
        default: count = 1
        }
        for victim in order.prefix(count) {
            try self.stop(victim, losingPower: losingPower)
            // A fifth of all restarts come at once, so that a node is hit again while it starts.
            let most: Int64 = self.faultRandom.chance(1, in: 5) ? 50 : 5_000
            self.queue.schedule(.start(node: victim), after: .milliseconds(self.faultRandom.within(1...most)))
        }
    }

    /// Ends all faults and starts every node that is down.
    func heal() throws(Violation) {
        self.isServing = false
        self.partitionNumber += 1
        self.links.mendAll()
        self.links.rates = LinkRates()
        for index in self.nodes.indices { try self.start(index) }
    }
}
