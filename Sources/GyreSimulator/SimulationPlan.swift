import GyreBase
import GyreNode

/// The cluster, the workload and the rates of faults that one seed draws (swarm testing, Groce et al., ISSTA 2012: runs
/// that leave features out find more than runs that use all of them a little).
struct SimulationPlan: Sendable {
    /// How many nodes there are.
    var nodeCount = 3
    /// How many machines there are that may join later.
    var spareCount = 0
    /// The points of a change of the ring at which a node ends, once each.
    var armedSteps: [RingStep] = []
    /// Nothing goes wrong but that nodes join and leave: then no client may be left without an answer.
    var isGentle = false
    /// How long owners wait before they propose a change, and leave it to each other: no promise may hang on it.
    var ringChange = RingChangeOptions()
    /// N.
    var replicas = 3
    /// R.
    var reads = 2
    /// W.
    var writes = 2
    /// Q.
    var partitionCount = 16
    /// Over how long the first starts of the nodes are spread. Where that is long, some found the cluster before others come.
    var startSpread = TimeSpan.milliseconds(300)
    /// Whether clients come while the cluster is being founded, and a node may end meanwhile and be away for a while.
    var opensEarly = false
    /// The families of faults that happen.
    var faults: [FaultClass] = []
    /// How the links misbehave while faults go on.
    var links = LinkRates()
    /// The mean time between two faults of one family.
    var faultInterval = TimeSpan.seconds(5)
    /// How long a sync usually takes at most.
    var syncMost = TimeSpan.milliseconds(4)
    /// How many clients there are.
    var clientCount = 6
    /// How many keys they use.
    var keyCount = 6
    /// The mean pause between two operations of one client.
    var thinkTime = TimeSpan.milliseconds(150)
    /// Of 100 operations, how many are gets.
    var getPercent: UInt64 = 40
    /// Of 100 operations, how many are deletes.
    var deletePercent: UInt64 = 8
    /// Whether healthy nodes stand in for owners that cannot be reached.
    var isSloppy = true
    /// How many bytes of hints a node takes.
    var hintBytesMax: UInt64 = 1 << 30
    /// How often each partition is compared with its other owners.
    var exchangeInterval = TimeSpan.seconds(10)
    /// Whether clients change properties of buckets now and then.
    var setsBuckets = false
    /// Whether clients list the bucket now and then.
    var lists = false
    /// How many dots a node leases at once: few, so that leases are renewed within a run.
    var leaseBlock: UInt64 = 64

    /// All machines.
    var machineCount: Int { self.nodeCount + self.spareCount }

    /// A plan in which nothing is drawn: no faults, and one client that does what it is told.
    init(nodeCount: Int) {
        self.nodeCount = nodeCount
        self.clientCount = 1
    }

    /// Draws a plan.
    init(options: SimulationOptions, random: inout SeededRandom) {
        self.nodeCount = options.nodes ?? 1 + Int(random.below(7))
        self.replicas = [1, 3, 3, 3, 5][Int(random.below(5))]
        let most = UInt64(min(self.replicas, self.nodeCount))
        self.reads = 1 + Int(random.below(most))
        self.writes = 1 + Int(random.below(most))
        if random.chance(1, in: 2) {
            // Half of all runs overlap reads and writes, as clusters in use do.
            self.reads = self.replicas / 2 + 1
            self.writes = self.replicas / 2 + 1
        }
        self.partitionCount = 8 << Int(random.below(4))
        self.faults = FaultClass.ofMachines.filter { random.chance(3, in: 4) && options.faults.contains($0) }
        if self.faults.contains(.network) { self.drawLinks(&random) }
        self.faultInterval = .milliseconds(random.within(1_000...8_000))
        self.syncMost = .microseconds([500, 4_000, 20_000][Int(random.below(3))])
        self.clientCount = Int(random.within(3...8))
        self.keyCount = Int(random.within(2...8))
        self.thinkTime = .milliseconds(random.within(80...200))
        self.getPercent = UInt64(random.within(25...60))
        self.deletePercent = UInt64(random.within(0...15))
        self.leaseBlock = [16, 64, 4_096][Int(random.below(3))]
        self.isSloppy = random.chance(3, in: 4)
        if random.chance(1, in: 6) { self.hintBytesMax = 400 }
        self.exchangeInterval = .seconds([5, 15, 30][Int(random.below(3))])
        if options.plantedBug == .readBeforeSync { self.sharpen() }
        // Drawn last, so that runs without it are what they were.
        if options.faults.contains(.membership), random.chance(3, in: 4) { self.drawMembership(options, &random) }
    }

    /// A cluster that can lose a node, machines that may join, and points at which nodes end.
    private mutating func drawMembership(_ options: SimulationOptions, _ random: inout SeededRandom) {
        self.faults.append(.membership)
        if options.nodes == nil { self.nodeCount = max(3, min(5, self.nodeCount)) }
        self.replicas = min(self.replicas, 3)
        self.reads = min(self.reads, self.replicas)
        self.writes = min(self.writes, self.replicas)
        self.spareCount = 2 + Int(random.below(4))
        let steps = RingStep.allCases.shuffled(using: &random)
        self.armedSteps = Array(steps.prefix(random.chance(1, in: 4) ? steps.count : Int(random.below(7))))
        if options.faults == [.membership], random.chance(1, in: 2) {
            self.isGentle = true
            self.armedSteps = []
        }
        guard random.chance(1, in: 4) else { return }
        self.ringChange.settleDelay = .milliseconds(random.within(0...50))
        self.ringChange.patience = .milliseconds(random.within(0...20))
        // Pages wait for their turn, across whatever happens meanwhile.
        self.ringChange.fetchRate = 2_000
        self.ringChange.fetchRateOfSeveral = 2_000
    }

    /// Exchanges and hints mend within seconds what this mistake leaves, so it takes slow disks, few keys and many power cuts to see.
    private mutating func sharpen() {
        self.syncMost = .milliseconds(20)
        self.faultInterval = .milliseconds(1_000)
        self.keyCount = 2
        self.thinkTime = .milliseconds(30)
        self.getPercent = 60
        self.exchangeInterval = .seconds(30)
    }

    private mutating func drawLinks(_ random: inout SeededRandom) {
        if random.chance(1, in: 2) { self.links.lossPerMille = random.below(60) }
        if random.chance(1, in: 2) { self.links.duplicatePerMille = random.below(60) }
        if random.chance(1, in: 2) { self.links.reorderPerMille = random.below(100) }
        self.links.latencySpread = .microseconds(random.within(200...3_000))
    }

    /// One line for people.
    var summary: String {
        let faults = self.faults.isEmpty ? "none" : self.faults.map(\.rawValue).joined(separator: ",")
        return
            "nodes=\(self.nodeCount)\(self.spareCount > 0 ? "+\(self.spareCount)" : "") n=\(self.replicas) r=\(self.reads) w=\(self.writes) "
            + "sloppy=\(self.isSloppy ? "on" : "off") partitions=\(self.partitionCount) clients=\(self.clientCount) "
            + "keys=\(self.keyCount) faults=\(faults)" + (self.setsBuckets ? " buckets" : "")
            + (self.lists ? " lists" : "") + (self.isGentle ? " gentle" : "")
            + (self.startSpread > .seconds(1) ? " slowstart" : "") + (self.opensEarly ? " early" : "")
    }
}
