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

    /// A node that was started to wait gets nothing while the cluster is being founded either, and holds nobody up.
    @Test(arguments: 0..<40, 0..<2)
    func leavesOutWhoWaits(step: Int, founder: Int) throws {
        let cluster = try TestCluster(
            count: 2, replicas: 1, reads: 1, writes: 1, founder: founder, held: 1 - founder)
        cluster.advance(.milliseconds(900 + 10 * Int64(step)))
        cluster.connect()
        cluster.advance(.seconds(8))
        let isSettled = cluster.nodes[founder].node.isRingSettled
        #expect(isSettled)
        for node in cluster.nodes {
            let owners = node.node.ringOwners.map(\.node)
            #expect(owners == [cluster.ids[founder]])
        }
    }

    /// Whatever the cluster is at when an operator lets in a node that waits, it gets its share.
    @Test(arguments: 0..<40, 0..<2)
    func takesInWhoIsToldToJoin(step: Int, founder: Int) throws {
        let cluster = try TestCluster(
            count: 2, replicas: 1, reads: 1, writes: 1, founder: founder, held: 1 - founder)
        cluster.advance(.milliseconds(900))
        cluster.connect()
        cluster.advance(.milliseconds(40 * Int64(step)))
        let address = ReplyAddress(connection: 1, request: 1)
        let join = RingRequest.join(cluster.ids[1 - founder])
        cluster.deliver(1 - founder, .client(address, .ring(join), timeout: .seconds(1)))
        cluster.advance(.seconds(8))
        for node in cluster.nodes {
            let isSettled = node.node.isRingSettled
            let owners = node.node.ringOwners.map(\.node).sorted()
            #expect(isSettled && owners == cluster.ids)
        }
    }
}
