import ArgumentParser
import GyreServer

/// The one executable: nodes, clients and tools are its subcommands.
struct Gyre: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gyre",
        abstract: "A leaderless key-value store that keeps what it acknowledged.",
        discussion: """
            Nodes form a ring without a leader; every key lives on N of them. A put counts when W nodes have it on disk, a \
            get asks R, and any node answers for all keys.

            FIRST STEPS
              gyre serve --name n1 --data n1 --replicas 1
              gyre put cart pears
              gyre get cart
              gyre status

            WHERE A COMMAND LOOKS FOR A NODE
              --node HOST:PORT, as often as wanted; else GYRE_NODES, with commas; else 127.0.0.1:7400. The nodes are \
            tried in turn, and whichever answers knows the others.

            EXIT CODES
              0 done; 1 key not found, or a promise broken in 'simulate'; 2 quorum not met, timed out, or not all \
            repaired; 3 siblings where one value was asked for; 64 wrong usage; 69 no node reachable; 74 input or output \
            error. With --json a failure is a JSON document, too.

            FILES
              A node keeps everything under its --data: identity.json says who it is, store/ holds the objects. Back up \
            or move the directory as a whole and with the node stopped; never let two nodes have copies of it.

            SHELLS
              gyre --generate-completion-script bash >/etc/bash_completion.d/gyre
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
            JoinCommand.self,
            LeaveCommand.self,
            RemoveCommand.self,
            ReplaceCommand.self,
            PlanCommand.self,
            CommitCommand.self,
            ExplainCommand.self,
            RepairCommand.self,
            BenchCommand.self,
            SimulateCommand.self,
        ]
    )
}
