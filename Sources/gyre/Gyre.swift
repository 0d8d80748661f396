import ArgumentParser
import GyreServer

/// The one executable: nodes, clients and tools are its subcommands.
@main
struct Gyre: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gyre",
        abstract: "A leaderless key-value store that keeps what it acknowledged.",
        discussion: """
            Exit codes: 0 done, 1 key not found, 2 quorum not met or timed out, 3 siblings where one value was asked \
            for, 64 wrong usage, 69 no node reachable, 74 input or output error.
            """,
        version: gyreVersion,
        subcommands: [
            ServeCommand.self,
            PutCommand.self,
            GetCommand.self,
            DeleteCommand.self,
            KeysCommand.self,
            StatusCommand.self,
            RingCommand.self,
            BucketCommand.self,
            ExplainCommand.self,
            RepairCommand.self,
            BenchCommand.self,
            SimulateCommand.self,
        ]
    )
}
