import ArgumentParser
import GyreBase
import GyreClient
import GyreMembership
import GyreMessages
import GyreReports
import NIOCore

/// Shows who owns what.
struct RingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Show the owners of the ring, or of one key."
    )

    @OptionGroup var cluster: ClusterOptions
    @Option(help: "The bucket.") var bucket = "default"
    @Argument(help: "A key: shows its token, its partition and its preference list.") var key: String?

    func run() async throws {
        try await self.cluster.withClient { client in
            guard case .status(let report) = try await client.call(.status) else {
                throw CommandFailure(.quorumMissed, "the node gave an answer of another kind")
            }
            guard let key = self.key else { return self.printRing(report) }
            let name: ObjectName
            do {
                name = try ObjectName(bucket: ByteBuffer(string: self.bucket), key: ByteBuffer(string: key))
            } catch {
                throw CommandFailure(
                    .usage,
                    "a bucket has 1 to \(ObjectName.bucketBytesMax) bytes, a key 1 to \(ObjectName.keyBytesMax)")
            }
            guard case .location(let location) = try await client.call(.locate(name)) else {
                throw CommandFailure(.quorumMissed, "the node gave an answer of another kind")
            }
            self.printLocation(location, of: key, report)
        }
    }

    private func printRing(_ report: StatusReport) {
        if self.cluster.json { return StandardStreams.writeLine(report.ringJSON.line) }
        let owners = report.ringOwners
        let slots = UInt64(report.partitionCount) * UInt64(report.replicas)
        StandardStreams.writeLine(
            "\(report.partitionCount) partitions, \(report.replicas) replicas, epoch \(report.ringEpoch),"
                + " hash \(hexadecimal(report.ringHash))")
        var table = TextTable([
            .init("NAME"), .init("NODE"), .init("PARTITIONS", isNumber: true), .init("SHARE", isNumber: true),
        ])
        for member in owners {
            let share = Double(member.ownedSlots) / Double(max(1, slots))
            table.add([
                member.record.name, member.record.node.description, String(member.ownedSlots),
                "\((share * 1_000).rounded() / 10)%",
            ])
        }
        for line in table.lines { StandardStreams.writeLine(line) }
    }

    private func printLocation(_ location: LocationReport, of key: String, _ report: StatusReport) {
        if self.cluster.json {
            return StandardStreams.writeLine(location.json(bucket: self.bucket, key: key, report).line)
        }
        let owners = location.namedOwners(report)
        StandardStreams.writeLine("token      \(location.token)")
        StandardStreams.writeLine("partition  \(location.partition)")
        for (index, owner) in owners.enumerated() {
            StandardStreams.writeLine("primary \(index + 1)  \(owner.name)  \(owner.node)")
        }
    }
}
