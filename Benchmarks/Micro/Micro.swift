/// Micro workloads: `swift run -c release gyre-micro [--tiny] [NAME-PART]`.
///
/// Prints nanoseconds an operation: median, least and most of five runs after a warm-up, and the hash of the results.
@main
struct Micro {
    static func main() throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        let tiny = arguments.contains("--tiny")
        arguments.removeAll { $0 == "--tiny" }
        let wanted = arguments.first
        print(
            [padded("workload", 52), padded("ns/op", 12), padded("least", 12), padded("most", 12), "result"]
                .joined(separator: " "))
        for workload in ringWorkloads + causalityWorkloads + merkleWorkloads + wireWorkloads + storageWorkloads {
            if let wanted, !workload.name.contains(wanted) { continue }
            try measure(workload, repeats: tiny ? 1 : 5, scale: tiny ? 200 : 1)
        }
    }
}
