import GyreBase
import GyreMembership
import GyreMessages
import NIOCore

/// Anti-entropy on demand.
extension GyreClient {
    /// Starts to compare the owners of each partition and to mend what differs; returns at once with the first counts.
    ///
    /// The node that happens to be asked coordinates the repair. It goes on without this client, and ends with that node.
    /// - Parameter timeout: how long the start may take; nil for the client's default.
    /// - Throws: `badRequest` for a partition, bucket or node that is not there; `connectionLost` with `mayHaveHappened`
    ///   when it may have started all the same.
    public func startRepair(
        _ options: RepairOptions = RepairOptions(), timeout: Duration? = nil
    ) async throws(GyreError) -> RepairProgress {
        let deadline = NIODeadline.now() + self.amount(timeout)
        let report = try await self.freshReport(until: deadline)
        let request = try Self.request(options, report)
        let id = RepairID(node: report.me, number: request.id)
        let response: ClientResponse
        do throws(GyreError) {
            response = try await self.ask(report.me, .repair(request), until: deadline)
        } catch {
            guard error.mayHaveHappened else { throw error }
            throw GyreError(
                error.code, "no answer came; the repair may have started", try: "gyre repair --watch \(id)",
                mayHaveHappened: true
            )
        }
        return try Self.progress(response, of: id, members: report.members.map(\.record))
    }

    /// How far a repair has come, from the node that coordinates it.
    /// - Parameter timeout: how long the answer may take; nil for the client's default.
    /// - Throws: `unavailable` when that node cannot be reached; `badRequest` when it knows no such repair.
    public func repairProgress(_ id: RepairID, timeout: Duration? = nil) async throws(GyreError) -> RepairProgress {
        try await self.askCoordinator(of: id, .repairCounts(id: id.number), timeout: timeout)
    }

    /// Stops a repair; what it has repaired stays repaired. Stopping one that is over changes nothing.
    /// - Parameter timeout: how long the answer may take; nil for the client's default.
    /// - Throws: as `repairProgress`.
    @discardableResult
    public func cancelRepair(_ id: RepairID, timeout: Duration? = nil) async throws(GyreError) -> RepairProgress {
        try await self.askCoordinator(of: id, .repairCancel(id: id.number), timeout: timeout)
    }

    private func askCoordinator(
        of id: RepairID, _ request: ClientRequest, timeout: Duration?
    ) async throws(GyreError) -> RepairProgress {
        let deadline = NIODeadline.now() + self.amount(timeout)
        let members = try await self.members(with: [id.node], until: deadline)
        guard members.contains(where: { $0.node == id.node }) else {
            throw GyreError(
                .badRequest, "no member of this cluster has started a repair \(id)",
                try: "use the id that 'gyre repair' printed"
            )
        }
        let response: ClientResponse
        do throws(GyreError) {
            response = try await self.ask(id.node, request, until: deadline)
        } catch {
            switch error.code {
            case .noNodeReachable, .connectionLost, .timeout:
                throw GyreError(
                    .unavailable,
                    "\(nodeName(id.node, among: members)), which coordinates the repair, cannot be reached; "
                        + "what was repaired stays repaired",
                    try: "start it again: gyre repair", needed: 1, got: 0
                )
            case .unavailable, .unknown, .overloaded, .tooLarge, .badRequest, .notMember, .corrupt, .exists, .closed:
                throw error
            }
        }
        return try Self.progress(response, of: id, members: members)
    }

    private static func request(_ options: RepairOptions, _ report: StatusReport) throws(GyreError) -> RepairRequest {
        var request = RepairRequest(id: UInt64.random(in: 1...(.max)), isDry: options.isDry)
        if let partition = options.partition {
            guard let exact = UInt32(exactly: partition), exact < report.partitionCount else {
                throw GyreError(
                    .badRequest, "no partition \(partition)", try: "they are 0 to \(max(1, report.partitionCount) - 1)")
            }
            request.partition = exact
        }
        if let bucket = options.bucket {
            guard (1...ObjectName.bucketBytesMax).contains(bucket.utf8.count) else {
                throw GyreError(
                    .badRequest, "a bucket has 1 to \(ObjectName.bucketBytesMax) bytes, this one \(bucket.utf8.count)")
            }
            request.bucket = ByteBuffer(string: bucket)
        }
        if let wanted = options.node {
            let found = report.members.map(\.record).filter { member in
                member.state != .removed && (member.name == wanted || member.node.description == wanted)
            }
            guard found.count == 1, let member = found.first else {
                throw GyreError(
                    .badRequest, found.isEmpty ? "no node is named \(wanted)" : "several nodes are named \(wanted)",
                    try: "'gyre status' shows names, 'gyre ring' NodeIDs, and either will do"
                )
            }
            request.node = member.node
        }
        return request
    }

    private static func progress(
        _ response: ClientResponse, of id: RepairID, members: [MemberRecord]
    ) throws(GyreError) -> RepairProgress {
        guard case .repairing(let counts, let isOver, let silent) = response else { throw Self.nonsense }
        return RepairProgress(
            id: id, isOver: isOver, planned: counts.planned, compared: counts.compared, inSync: counts.inSync,
            failed: counts.failed, keysDiffering: counts.keysDiffering, keysRepaired: counts.keysRepaired,
            bytesSent: counts.bytesSent, rootsBefore: counts.rootsBefore, rootsAfter: counts.rootsAfter,
            silent: silent.map { nodeName($0, among: members) }
        )
    }
}
