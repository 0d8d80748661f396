import Glibc
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore
import Synchronization

/// Requests a second through `StorageThreads`, at a fixed number in flight, with 100-byte values and 100,000 keys.
enum Rates {
    static func run(directory: String, seconds: Double) throws {
        let settings: [(Durability, mebibytes: Int, isCompressed: Bool)] = [
            (.always, 16, false), (.interval, 16, false), (.none, 16, false), (.none, 16, true), (.none, 4, false),
            (.none, 64, false),
        ]
        for (durability, mebibytes, isCompressed) in settings {
            var options = LevelDBOptions()
            options.durability = durability
            options.writeBufferBytes = mebibytes << 20
            options.isCompressed = isCompressed
            let path = directory + "/rates-\(durability)-\(mebibytes)-\(isCompressed)"
            let engine = try LevelDBEngine(path: path, owner: Objects.node, options: options)
            print("durability=\(durability) buffer=\(mebibytes) MiB compressed=\(isCompressed)")
            try self.measure(engine, seconds: seconds)
            print("  disk: \(engine.figures.diskBytes) bytes")
        }
    }

    private static func measure(_ engine: LevelDBEngine, seconds: Double) throws {
        let names = try (0..<100_000).map { try Objects.name(UInt64($0)) }
        let value = ByteBuffer(bytes: (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) })
        var counter: UInt64 = 0
        for inFlight in [64, 1_024] {
            var random = SeededRandom(seed: UInt64(inFlight))
            try self.loop("update", engine, inFlight: inFlight, seconds: seconds) { tag in
                counter += 1
                let name = names[Int(random.below(UInt64(names.count)))]
                let version = Objects.version(counter, value: value)
                return .update(StorageTag(rawValue: tag), name, .put(version, seen: .overwrite, ifAbsent: false))
            }
            try self.loop("merge", engine, inFlight: inFlight, seconds: seconds) { tag in
                counter += 1
                let name = names[Int(random.below(UInt64(names.count)))]
                let record = Objects.record(Objects.version(counter, value: value))
                return .merge(StorageTag(rawValue: tag), name, record: record)
            }
            try self.loop("read", engine, inFlight: inFlight, seconds: seconds) { tag in
                .read(StorageTag(rawValue: tag), names[Int(random.below(UInt64(names.count)))], .record)
            }
        }
        var scratch = ByteBuffer()
        var random = SeededRandom(seed: 9)
        let start = Objects.seconds
        for _ in 0..<200_000 {
            _ = try engine.held(
                RecordPlace(names[Int(random.below(UInt64(names.count)))]), scratch: &scratch)
        }
        print("  read on the calling thread: \(Int(200_000 / (Objects.seconds - start)))/s")
    }

    private static func loop(
        _ what: String, _ engine: LevelDBEngine, inFlight: Int, seconds: Double,
        _ make: (UInt64) -> StorageRequest
    ) throws {
        let answered = Atomic<Int>(0)
        let threads = try StorageThreads(
            engine, onReplies: { answered.wrappingAdd($0.count, ordering: .relaxed) }, onFailure: { print("\($0)") })
        let before = engine.figures
        let usageBefore = self.processorSeconds
        let start = Objects.seconds
        var submitted = 0
        while Objects.seconds - start < seconds {
            let free = inFlight - (submitted - answered.load(ordering: .relaxed))
            if free < inFlight / 4 {
                usleep(20)
                continue
            }
            var batch: [StorageRequest] = []
            batch.reserveCapacity(free)
            for index in 0..<free { batch.append(make(UInt64(submitted + index))) }
            submitted += free
            _ = threads.submit(batch)
        }
        threads.close()
        let elapsed = Objects.seconds - start
        let commits = max(1, engine.figures.commits - before.commits)
        let processor = self.processorSeconds - usageBefore
        print(
            "  \(what) in flight \(inFlight): \(Int(Double(submitted) / elapsed))/s, "
                + "\(Int(Double(submitted) / processor))/s of processor time, \(submitted / Int(commits)) a commit")
    }

    /// User and system time of this process (`RUSAGE_SELF`, which is 0).
    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(0, &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}
