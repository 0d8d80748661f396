import Glibc
import GyreBase
import GyreMembership
import GyreRing
import SwimWorld

/// Measures the membership protocol at sizes and times that are too long for a test (Tests/steps/40-membership).
@main
struct Swim {
    static func main() {
        var failures: [String] = []
        let arguments = CommandLine.arguments.dropFirst()
        let seconds = Int64(arguments.first { $0.hasPrefix("seconds=") }?.dropFirst(8) ?? "86400") ?? 86_400
        let nodes = arguments.first { $0.hasPrefix("nodes=") }?.dropFirst(6).split(separator: ",").compactMap {
            Int($0)
        }
        let only = arguments.first { !$0.contains("=") }
        let parts = Self.parts(seconds: seconds, nodes: nodes ?? [5, 10, 30, 100])
        for (name, part) in parts where only == nil || only == name {
            failures += part()
            fflush(nil)
        }
        for failure in failures { print("FAILED: \(failure)") }
        print("\(only == nil ? parts.count : 1) parts measured, \(failures.count) claims broken")
        if !failures.isEmpty { exit(1) }
    }

    private static func parts(seconds: Int64, nodes: [Int]) -> [(String, () -> [String])] {
        [
            ("detection", Self.detection), ("day", { Self.day(seconds: seconds, nodes: nodes) }),
            ("traffic", Self.traffic),
            ("thousand", Self.thousand),
        ]
    }
}

extension Swim {
    /// A dead node is known everywhere: p50 at most 6 s, p99 at most 15 s.
    private static func detection() -> [String] {
        var failures: [String] = []
        for lossPerMille in [UInt64(0), 50] {
            for (count, kills) in [(5, 400), (10, 400), (30, 200), (100, 200)] {
                guard let times = SwimRuns.detections(count: count, seed: 1, kills: kills, lossPerMille: lossPerMille)
                else {
                    failures.append("\(count) nodes did not become whole again")
                    continue
                }
                let p50 = times[times.count / 2]
                let p99 = times[times.count * 99 / 100]
                print(
                    "detection: \(count) nodes, \(lossPerMille) ‰ lost, \(kills) deaths:"
                        + " p50 \(p50) ms, p99 \(p99) ms, most \(times.last ?? 0) ms")
                if p50 > 6_000 || p99 > 15_000 { failures.append("detection with \(count) nodes") }
            }
        }
        return failures
    }

    private struct DayCase {
        let what: String
        let lossPerMille: UInt64
        let slowness: SwimWorld.Slowness?
        /// Whether this is the run in which Lifeguard makes the difference that is claimed.
        var showsLifeguard = false
    }

    private static let dayCases = [
        DayCase(what: "5 % lost", lossPerMille: 50, slowness: nil),
        DayCase(what: "10 of 100 ms", lossPerMille: 0, slowness: .pauses(period: 100, run: 10)),
        DayCase(what: "0.1 of 1 s", lossPerMille: 0, slowness: .pauses(period: 1_000, run: 100)),
        DayCase(what: "0.2 of 2 s", lossPerMille: 0, slowness: .pauses(period: 2_000, run: 200)),
        DayCase(what: "0.1 of 1 s, 5 % lost", lossPerMille: 50, slowness: .pauses(period: 1_000, run: 100)),
        DayCase(what: "1.5 s behind", lossPerMille: 0, slowness: .queues(upTo: 1_500), showsLifeguard: true),
    ]

    /// Nobody who lives is declared dead at 5 % loss, nor with a tenth of a processor; without Lifeguard many are suspected.
    private static func day(seconds: Int64, nodes: [Int]) -> [String] {
        var failures: [String] = []
        for count in nodes {
            for one in Self.dayCases {
                func run(_ isLifeguardOn: Bool) -> SwimRuns.Verdicts {
                    SwimRuns.verdicts(
                        count: count, seed: 1, seconds: seconds, lossPerMille: one.lossPerMille, slowness: one.slowness,
                        isLifeguardOn: isLifeguardOn)
                }
                let (on, off) = (run(true), run(false))
                print(
                    "day: \(count) nodes, \(seconds) s, \(one.what): \(on.deaths) dead, \(on.suspicions) suspected, the slow"
                        + " one \(on.slowSuspicions) times; without Lifeguard \(off.deaths), \(off.suspicions),"
                        + " \(off.slowSuspicions)")
                fflush(nil)
                if on.deaths > 0 { failures.append("\(count) nodes, \(one.what): \(on.deaths) declared dead") }
                if one.showsLifeguard, off.suspicions < 10 * max(1, on.suspicions) {
                    failures.append("\(count) nodes: \(off.suspicions) suspicions without, \(on.suspicions) with")
                }
            }
        }
        return failures
    }

    /// What a node sends does not grow with the cluster.
    private static func traffic() -> [String] {
        var failures: [String] = []
        for lossPerMille in [UInt64(0), 50] {
            var ten: SwimRuns.Traffic?
            for count in [3, 5, 9, 10, 30, 100, 300] {
                let traffic = SwimRuns.traffic(count: count, seed: 1, seconds: 300, lossPerMille: lossPerMille)
                print(
                    "traffic: \(count) nodes, \(lossPerMille) ‰ lost: \(tenths(traffic.messages)) messages/s,"
                        + " \(tenths(traffic.bytes)) bytes/s a node, at most \(traffic.piggybackMost) records on one")
                if count == 10 { ten = traffic }
                guard lossPerMille == 0, let ten else { continue }
                if traffic.messages > 1.5 * ten.messages || traffic.bytes > 2 * ten.bytes {
                    failures.append("traffic with \(count) nodes")
                }
            }
        }
        return failures
    }

    /// A thousand nodes form one ring, and all know of one more within 20 rounds of gossip.
    private static func thousand() -> [String] {
        var failures: [String] = []
        for count in [100, 300, 1_000] {
            let growth = SwimRuns.growth(count: count, seed: 1)
            let rings = Set(growth.views.map { RingOf.hash($0) })
            let sets = Set(growth.views)
            print(
                "growth: \(count) nodes agree after \(growth.formation ?? -1) ms; one more is known everywhere after"
                    + " \(growth.join ?? -1) ms, \(growth.joinRecords) records, \(growth.joinBytes) bytes;"
                    + " \(sets.count) member set, \(rings.count) ring hash")
            if growth.formation == nil || sets.count != 1 || rings.count != 1 {
                failures.append("\(count) nodes do not agree")
            }
            if growth.joinRecords > 80 * count {
                failures.append("\(growth.joinRecords) records for a join among \(count)")
            }
            if growth.join ?? .max > 20 * 200 { failures.append("a join among \(count) took \(growth.join ?? -1) ms") }
        }
        return failures
    }

    private static func tenths(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}

/// The ring that follows from members, as a node computes it.
enum RingOf {
    static func hash(_ members: [MemberRecord]) -> UInt64 {
        let owners = RingPlaces.owners(of: members).map { member in
            RingMember(
                node: member.record.node, place: member.place, weight: member.record.weight, zone: member.record.zone)
        }
        let ring = try? Ring(members: owners, options: RingOptions(partitionCount: 4_096, replicas: 3))
        return ring?.hash ?? 0
    }
}
