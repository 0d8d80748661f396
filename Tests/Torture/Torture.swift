import Foundation
import Glibc

/// Breaks real nodes in real ways and checks what they promised. One subcommand a promise; see `Torture.usage`.
///
/// Runs `GYRE_BINARY`, or the `gyre` beside this program. Exit code 0: it held; 1: it did not; 64: wrong usage.
@main
enum Torture {
    static let usage = """
        usage: gyre-torture durability [--seconds 60] [--clients 64] [--kill-every 5] [--all-kills 5]
                                       [--lose 0] [--seed S]
               gyre-torture availability
               gyre-torture conflicts [--writes 10000]
               gyre-torture corruption [--keys 200]
               gyre-torture start
               gyre-torture handoff [--nodes 5] [--seconds 60] [--rate 2000] [--signal 15]
               gyre-torture damage [--keys 100000] [--full 0]
               gyre-torture refill [--keys 1000000]
               gyre-torture ring [--keys 1000000] [--value 1000] [--rate 1000] [--timed 1]
               gyre-torture cancel [--kills 10] [--rate 500] [--seed S]
        Each starts nodes of its own on loopback, and ends them. --keep leaves data and logs where they are.
        ring: --timed 0 only tells what depends on the machine's speed. handoff: --signal 9 kills. damage: --full 1 lets 100,000 keys differ as well.
        """

    private static let commands = [
        "durability", "availability", "conflicts", "corruption", "start", "handoff", "damage", "refill", "cancel",
        "ring",
    ]

    static func main() async {
        ChildProcess.endAllOnSignals()
        guard let words = Words(CommandLine.arguments.dropFirst()) else { return self.refuse() }
        guard let code = await self.run(words) else { return self.refuse() }
        exit(code)
    }

    /// The exit code; nil when there is no such subcommand.
    private nonisolated static func run(_ words: Words) async -> Int32? {
        guard self.commands.contains(words.command) else { return nil }
        do {
            let count =
                switch words.command {
                case "handoff": max(4, words.number("nodes", or: 5))
                case "ring": RingChange.most
                default: 3
                }
            let cluster = try TestCluster(name: words.command, count: count)
            let result = await Result.catching { try await self.run(words, cluster) }
            var hasHeld = true
            if case .failure(let error) = result {
                say("\(words.command): DOES NOT HOLD: \(error)")
                cluster.printLogs()
                hasHeld = false
            }
            await cluster.end(keeping: words.isKept || (!hasHeld && words.number("lose", or: 0) == 0))
            if hasHeld { say("\(words.command): held") }
            return hasHeld ? 0 : 1
        } catch {
            say("\(words.command): could not begin: \(error)")
            return 1
        }
    }

    private nonisolated static func run(_ words: Words, _ cluster: TestCluster) async throws {
        switch words.command {
        case "durability": try await Durability(words, cluster).run()
        case "availability": try await Availability(cluster).run()
        case "conflicts": try await Conflicts(words, cluster).run()
        case "corruption": try await Corruption(words, cluster).run()
        case "handoff": try await Handoff(words, cluster).run()
        case "damage": try await Damage(words, cluster).run()
        case "refill": try await Refill(words, cluster).run()
        case "ring": try await RingChange(words, cluster).run()
        case "cancel": try await Cancel(words, cluster).run()
        default: try await Start(cluster).run()
        }
    }

    private static func refuse() {
        say(self.usage)
        exit(64)
    }
}

/// The command line: a subcommand, then numbers by name.
struct Words {
    let command: String
    let isKept: Bool
    private let numbers: [String: UInt64]

    /// Nil when it is not of that shape.
    init?(_ arguments: ArraySlice<String>) {
        guard let command = arguments.first else { return nil }
        var numbers: [String: UInt64] = [:]
        var isKept = false
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            if word == "--keep" {
                isKept = true
                continue
            }
            guard word.hasPrefix("--"), let text = rest.popFirst(), let number = UInt64(text) else { return nil }
            numbers[String(word.dropFirst(2))] = number
        }
        self.command = command
        self.isKept = isKept
        self.numbers = numbers
    }

    /// The number after `--name`.
    func number(_ name: String, or other: Int) -> Int { self.numbers[name].flatMap { Int(exactly: $0) } ?? other }

    /// The seed that was given, else a new one.
    var seed: UInt64 { self.numbers["seed"] ?? UInt64.random(in: 0...999_999_999) }
}

/// What was promised and does not hold.
struct Broken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Throws unless `condition` holds.
func demand(_ condition: Bool, _ otherwise: @autoclosure () -> String) throws {
    if !condition { throw Broken(otherwise()) }
}

/// Milliseconds of `duration`, for people.
func milliseconds(_ duration: Duration) -> Int {
    Int(duration.components.seconds) * 1_000 + Int(duration.components.attoseconds / 1_000_000_000_000_000)
}

/// Milliseconds of `duration` with one decimal, for people.
func tenths(_ duration: Duration) -> String {
    let tenths = Int(duration / .microseconds(100))
    return "\(tenths / 10).\(tenths % 10)"
}

/// Asks `condition` after every `pause` until it holds, and says how long that took; throws when `limit` passes first.
@discardableResult
func wait(
    _ limit: Duration, every pause: Duration = .milliseconds(25), until what: @autoclosure () -> String,
    _ condition: () async throws -> Bool
) async throws -> Duration {
    let began = ContinuousClock.now
    while !(try await condition()) {
        let passed = ContinuousClock.now - began
        try demand(passed <= limit, "not within \(milliseconds(limit)) ms: \(what())")
        try await Task.sleep(for: pause)
    }
    return ContinuousClock.now - began
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
