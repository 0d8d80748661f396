import GyreBase
import GyreMembership
import GyreMessages
import GyreNode
import GyreQuorum
import GyreRing
import Testing

/// A cluster comes to be while more nodes arrive.
@Suite struct Founding {
    /// The first node founds its cluster alone a second after its start; whatever it is at when another one comes, both share.
    @Test(arguments: 0..<40, 0..<2)
    func takesInWhoComesAtAnyMoment(step: Int, founder: Int) throws {
        let cluster = try TestCluster(count: 2, replicas: 1, reads: 1, writes: 1, founder: founder)
        cluster.advance(.milliseconds(900 + 10 * Int64(step)))
        cluster.connect()
        cluster.advance(.seconds(8))
        for node in cluster.nodes {
            let isSettled = node.node.isRingSettled
            let owners = node.node.ringOwners.map(\.node).sorted()
            #expect(isSettled && owners == cluster.ids)
        }
    }
}
