internal import GyreBase
package import GyreMembership

/// The runs that tests do small and `gyre-swim` does large.
package enum SwimRuns {
    /// What a run under load or loss came to.
    package struct Verdicts: Sendable {
        /// Suspicions of live, reachable nodes with their whole processor, at all nodes together.
        package var suspicions: Int
        /// Suspicions of the slow node.
        package var slowSuspicions: Int
        /// Deaths of live, reachable nodes, at all nodes together.
        package var deaths: Int
    }

    /// What a node sends in a second.
    package struct Traffic: Sendable {
        /// Messages.
        package var messages: Double
        /// Bytes of their frames.
        package var bytes: Double
        /// The most records that rode on one message.
        package var piggybackMost: Int
    }

    /// Kills one node after the other in a cluster at rest, each back before the next: milliseconds until all others know,
    /// sorted; one that took longer than a minute counts as a minute. Nil if the cluster did not become whole again.
    package static func detections(
        count: Int, seed: UInt64, kills: Int, lossPerMille: UInt64
    ) -> [Int64]? {
        var settings = SwimWorld.Settings(count: count, seed: seed)
        settings.lossPerMille = lossPerMille
        var world = SwimWorld(settings)
        var random = SeededRandom(seed: seed).split("kills")
        world.startAllKnown()
        world.run(5_000)
        var times: [Int64] = []
        for _ in 0..<kills {
            let victim = Int(random.below(UInt64(count)))
            world.run(random.within(0...2_000))
            world.kill(victim)
            times.append(world.run(until: 60_000) { $0.allSee(victim, .dead) } ?? 60_000)
            world.start(victim, seeds: [])
            guard world.run(until: 60_000, { $0.allSee(victim, .alive) }) != nil else { return nil }
            world.run(2_000)
        }
        return times.sorted()
    }

    /// Lets a cluster be for `seconds`, with loss, and with one node that is short of processor time, if so.
    package static func verdicts(
        count: Int, seed: UInt64, seconds: Int64, lossPerMille: UInt64, slowness: SwimWorld.Slowness?,
        isLifeguardOn: Bool
    ) -> Verdicts {
        var settings = SwimWorld.Settings(count: count, seed: seed)
        settings.lossPerMille = lossPerMille
        settings.options.isLifeguardOn = isLifeguardOn
        var world = SwimWorld(settings)
        world.startAllKnown()
        world.run(5_000)
        world.tally = SwimWorld.Tally()
        if let slowness { world.slow(count / 2, slowness) }
        world.run(seconds * 1_000)
        return Verdicts(
            suspicions: world.tally.falseSuspicions, slowSuspicions: world.tally.slowSuspicions,
            deaths: world.tally.falseDeaths)
    }

    /// What each node sends in a cluster at rest.
    package static func traffic(count: Int, seed: UInt64, seconds: Int64, lossPerMille: UInt64 = 0) -> Traffic {
        var settings = SwimWorld.Settings(count: count, seed: seed)
        settings.lossPerMille = lossPerMille
        var world = SwimWorld(settings)
        world.startAllKnown()
        world.run(20_000)
        world.tally = SwimWorld.Tally()
        world.run(seconds * 1_000)
        let share = Double(count) * Double(seconds)
        return Traffic(
            messages: Double(world.tally.messages) / share, bytes: Double(world.tally.bytes) / share,
            piggybackMost: world.tally.piggybackMost)
    }

    /// What it takes for many nodes to become one cluster, and for one more to join it.
    package struct Growth: Sendable {
        /// Milliseconds until all agreed on everything; nil when they did not within five minutes.
        package var formation: Int64?
        /// Milliseconds from the start of one more node until every node knew it as a normal member; nil as above.
        package var join: Int64?
        /// Records sent by all nodes together in that time and five seconds more.
        package var joinRecords = 0
        /// Bytes sent by all nodes together in that time, probes included.
        package var joinBytes = 0
        /// The members as each node knew them when all agreed, in the order of nodes.
        package var views: [[MemberRecord]] = []
    }

    /// Starts `count` nodes that know three seeds and nothing else until they agree; then, in a cluster of that size that has
    /// come to rest, one more.
    package static func growth(count: Int, seed: UInt64, lossPerMille: UInt64 = 0) -> Growth {
        var settings = SwimWorld.Settings(count: count, seed: seed)
        settings.lossPerMille = lossPerMille
        var forming = SwimWorld(settings)
        for number in 0..<count { forming.start(number, seeds: [0, 1, 2]) }
        var growth = Growth()
        growth.formation = forming.run(until: 300_000, every: 200) { $0.allAgree }
        growth.views = (0..<count).map { forming.machine($0)?.members ?? [] }
        settings.count = count + 1
        var world = SwimWorld(settings)
        world.startAllKnown(count)
        // Each start is news, and that of a thousand goes round for a while; a join has a price of its own only after that.
        for _ in 0..<60 {
            world.tally = SwimWorld.Tally()
            world.run(5_000)
            if world.tally.piggybackMost == 0 { break }
        }
        world.tally = SwimWorld.Tally()
        world.start(count, seeds: [0, 1, 2])
        growth.join = world.run(until: 300_000, every: 50) { $0.allSeeNormal(count) }
        // News goes on for a while after everybody has heard it, which belongs to its price.
        world.run(5_000)
        growth.joinRecords = world.tally.records
        growth.joinBytes = world.tally.bytes
        return growth
    }
}

extension SwimWorld {
    /// Whether every running node knows `number` as a normal member.
    package func allSeeNormal(_ number: Int) -> Bool {
        self.machines.allSatisfy { node in
            node.machine.map { $0.record(of: self.machines[number].id)?.state == .normal } ?? true
        }
    }
}
