import GyreBase
import GyreClient
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

    @Test func aChangeIsToldOfWithoutIt() {
        #expect(StatusSummary(Self.status(ringChanging: 1)).problems == ["the ring is changing"])
        #expect(StatusSummary(Self.status(ringChanging: 0)).problems == [])
    }
}
