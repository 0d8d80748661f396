import GyreBase
import GyreMembership
import GyreMessages
import NIOCore

/// Questions to one certain node, and the names of nodes.
extension GyreClient {
    /// The members that this client knows of, asked for when one of `wanted` is not among them.
    func members(with wanted: [NodeID], until deadline: NIODeadline) async throws(GyreError) -> [MemberRecord] {
        let known = await self.knownMembers()
        if wanted.allSatisfy({ node in known.contains { $0.node == node } }) { return known }
        _ = try await self.freshReport(until: deadline)
        return await self.knownMembers()
    }

    /// A report of any node, which is also taken into this client's view of the cluster.
    func freshReport(until deadline: NIODeadline) async throws(GyreError) -> StatusReport {
        guard case .status(let report) = try await self.call(.status, until: deadline) else { throw Self.nonsense }
        let core = self.core
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            self.loop.execute {
                core.value?.view.learn(report)
                continuation.resume()
            }
        }
        return report
    }

    /// Asks exactly `node`.
    func ask(
        _ node: NodeID, _ request: ClientRequest, until deadline: NIODeadline
    ) async throws(GyreError) -> ClientResponse {
        let core = self.core
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<ClientResponse, GyreError>, Never>) in
            self.loop.execute {
                guard let client = core.value else {
                    return continuation.resume(returning: .failure(GyreError(.closed, "this client was closed")))
                }
                let left = TimeSpan(nanoseconds: (deadline - NIODeadline.now()).nanoseconds)
                client.submit(request, to: node, timeout: left) { continuation.resume(returning: $0) }
            }
        }
        return try result.get()
    }

    private func knownMembers() async -> [MemberRecord] {
        let core = self.core
        return await withCheckedContinuation { continuation in
            self.loop.execute { continuation.resume(returning: core.value?.view.members ?? []) }
        }
    }
}

/// What to call `node`: its name, or its NodeID when nobody knows one.
func nodeName(_ node: NodeID, among members: [MemberRecord]) -> String {
    members.first { $0.node == node }?.name ?? node.description
}
