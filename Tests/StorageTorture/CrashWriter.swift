import Glibc
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore
import Synchronization

/// Writes records first, first + 1, … and a lease every hundred, in batches of changing size. Prints `put N` and
/// `lease N` when the store has acknowledged them. Ends only by a signal or a failure.
enum CrashWriter {
    static func run(directory: String, first: UInt64) throws {
        let data = try DataDirectory(path: directory, cluster: "torture", name: "t", options: LevelDBOptions())
        let acknowledged = Atomic<UInt64>(0)
        let threads = try StorageThreads(
            data.engine,
            onReplies: { replies in
                var lines = ""
                for reply in replies {
                    switch reply.outcome {
                    case .leased(let ceiling): lines += "lease \(ceiling)\n"
                    case .updated: lines += "put \(reply.tag.rawValue)\n"
                    default: lines += "unexpected \(reply.outcome)\n"
                    }
                }
                self.say(lines)
                acknowledged.wrappingAdd(UInt64(replies.count), ordering: .relaxed)
            },
            onFailure: { failure in
                self.say("failure \(failure)\n")
                exit(74)
            })
        var random = SeededRandom(seed: first)
        var next = first
        var submitted: UInt64 = 0
        while true {
            var batch: [StorageRequest] = []
            for _ in 0...random.below(40) {
                next += 1
                let value = ByteBuffer(repeating: UInt8(truncatingIfNeeded: next), count: Int(random.below(3_000)))
                let version = Objects.version(next, node: data.identity.node, value: value)
                let update = Update.put(version, seen: .overwrite, ifAbsent: false)
                batch.append(.update(StorageTag(rawValue: next), try Objects.name(next), update))
                if next % 100 == 0 { batch.append(.lease(StorageTag(rawValue: next), ceiling: next + 1_000)) }
            }
            submitted += UInt64(batch.count)
            guard threads.submit(batch) == .queued else { throw StorageFailure("not queued") }
            while submitted &- acknowledged.load(ordering: .relaxed) > 200 { usleep(200) }
        }
    }

    /// Unbuffered, so that a killed process has said all that it acknowledged or less.
    private static func say(_ text: String) {
        _ = text.withCString { write(1, $0, strlen($0)) }
    }
}
