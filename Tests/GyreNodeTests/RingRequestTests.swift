import GyreBase
import GyreMessages
import GyreNode
import Testing

/// What operators may ask for.
@Suite struct RingRequestTests {
    private func reason(_ response: ClientResponse?) -> String {
        if case .failed(.badRequest(let reason)) = response { reason } else { "\(String(describing: response))" }
    }

    @Test func theLastNodeThatStaysMayNotLeave() throws {
        let cluster = try TestCluster(count: 3)
        // So that nobody is gone before all have asked.
        cluster.nodes[2].diskStuck = true
        for index in 0..<2 {
            let answer = cluster.ask(index, .ring(.leave(cluster.ids[index], isForced: true)))
            guard case .ring = answer else {
                Issue.record("\(String(describing: answer))")
                return
            }
            // Everybody hears of it.
            cluster.advance(.seconds(1))
        }
        let last = self.reason(cluster.ask(2, .ring(.leave(cluster.ids[2], isForced: true))))
        #expect(last.contains("last node that stays"), "\(last)")
    }

    @Test func leavingCannotBeTakenBack() throws {
        let cluster = try TestCluster(count: 3)
        cluster.nodes[1].diskStuck = true
        _ = cluster.ask(0, .ring(.leave(cluster.ids[0], isForced: true)))
        let again = self.reason(cluster.ask(0, .ring(.join(cluster.ids[0]))))
        #expect(again.contains("is leaving, which cannot be taken back"), "\(again)")
    }
}
