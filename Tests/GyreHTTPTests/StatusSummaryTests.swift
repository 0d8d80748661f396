import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreReports
import Testing

/// What an operator reads when the question whom a change waits for stays without an answer.
@Suite struct StatusSummaryTests {
    private static func status(ringChanging: UInt64) -> ClusterStatus {
        ClusterStatus(reports: [
            StatusReport(
                me: NodeID(rawValue: 1), cluster: "gyre", members: [], partitionCount: 64, replicas: 0, ringEpoch: 1,
                ringHash: 7, keys: 0, diskBytes: 0,
                counters: [StatusReport.Counter(name: StatusReport.ringChanging, value: ringChanging)])
        ])
    }

    /// Two founders of four are up: nobody is served, and the reason is who is down.
    @Test func aClusterThatCannotBeFoundedSaysWhomItNeeds() {
        func member(_ number: UInt64, _ state: MemberState, _ liveness: Liveness) -> MemberView {
            var record = MemberRecord(
                node: NodeID(rawValue: number), name: "n\(number)", address: PeerAddress(host: "10.0.0.1", port: 7_400),
                state: state)
            record.liveness = liveness
            return MemberView(record: record, ownedSlots: 0)
        }
        func problems(_ third: MemberState) -> [String] {
            let members = [
                member(1, .joining, .alive), member(2, .joining, .alive), member(3, third, .dead),
                member(4, .joining, .dead),
            ]
            let reports = (1...2).map { number in
                StatusReport(
                    me: NodeID(rawValue: UInt64(number)), cluster: "gyre", members: members, partitionCount: 64,
                    replicas: 0, ringEpoch: 0, ringHash: 7, keys: 0, diskBytes: 0, counters: [])
            }
            return StatusSummary(ClusterStatus(reports: reports)).problems.filter { $0.contains("founded") }
        }
        let words = "the cluster is not founded, and answers no client, before most of its nodes are up: start "
        #expect(problems(.joining) == [words + "n3, n4, or gyre remove what is gone"])
        #expect(problems(.removed) == [words + "n4, or gyre remove what is gone"])
    }

    @Test func aChangeIsToldOfWithoutIt() {
        #expect(StatusSummary(Self.status(ringChanging: 1)).problems == ["the ring is changing"])
        #expect(StatusSummary(Self.status(ringChanging: 0)).problems == [])
    }
}
