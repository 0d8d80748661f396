import Foundation
import GyreBase
import GyreCausality
import GyreLevelDB
import GyreStorage
import NIOCore
import Testing

@Suite("Killed in mid-write")
struct CrashTests {
    /// The helper lies beside the test binary.
    private var helper: String {
        let binary = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return String(binary.prefix(upTo: binary.lastIndex(of: "/") ?? binary.startIndex)) + "/StorageTorture"
    }

    /// What a writer acknowledged before it was killed.
    private struct Acknowledged {
        var puts: [UInt64] = []
        var ceiling: UInt64 = 0
        var complaints: [String] = []

        mutating func take(_ text: String) {
            // The last line may be cut off by the signal; a cut number was not said.
            for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
                let words = line.split(separator: " ")
                if words.count == 2, words[0] == "put", let number = UInt64(words[1]) {
                    self.puts.append(number)
                } else if words.count == 2, words[0] == "lease", let ceiling = UInt64(words[1]) {
                    self.ceiling = max(self.ceiling, ceiling)
                } else {
                    self.complaints.append(String(line))
                }
            }
        }
    }

    /// Kills a writer after a while, counted from its start or from its first acknowledgement: a busy machine may take longer to
    /// start a process than a fixed time allows.
    private func runAndKill(
        _ path: String, first: UInt64, afterMilliseconds: UInt64, ofWriting: Bool
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.helper)
        process.arguments = ["crash", path, "\(first)"]
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = environment
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let pid = process.processIdentifier
        var output = ofWriting ? pipe.fileHandleForReading.availableData : Data()
        let killer = Thread {
            Thread.sleep(forTimeInterval: Double(afterMilliseconds) / 1_000)
            kill(pid, SIGKILL)
        }
        killer.start()
        output += pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }

    @Test func everyAcknowledgedRecordIsThereAndLeasesNeverFall() throws {
        let directory = TemporaryDirectory()
        var random = SeededRandom(seed: 20)
        var acknowledged = Acknowledged()
        var floor: UInt64 = 1
        for round in 0..<20 as Range<UInt64> {
            let delay = 15 + random.below(150)
            let first = (round + 1) * 1_000_000
            let text = try self.runAndKill(
                directory.path, first: first, afterMilliseconds: delay, ofWriting: !round.isMultiple(of: 3))
            acknowledged.take(text)
            #expect(acknowledged.complaints == [], "round \(round), seed 20")
            let data = try DataDirectory(path: directory.path, cluster: "torture", name: "t", options: LevelDBOptions())
            #expect(data.engine.recovered.counterFloor >= max(floor, acknowledged.ceiling), "round \(round)")
            floor = data.engine.recovered.counterFloor
            var missing: [UInt64] = []
            for number in acknowledged.puts where try !self.holds(number, data.engine) { missing.append(number) }
            #expect(missing == [], "round \(round)")
            #expect(data.engine.figures.keys == UInt64(try self.count(data.engine)), "round \(round)")
        }
        #expect(acknowledged.puts.count > 100)
    }

    private func holds(_ number: UInt64, _ engine: LevelDBEngine) throws -> Bool {
        let name = try Sample.name("key-\(number)", bucket: "torture")
        guard case .record(let bytes, _) = try engine.read(name, .record) else { return false }
        let siblings = try Siblings(encoded: bytes)
        return siblings.versions.count == 1 && siblings.versions[0].dot.counter == number
            && siblings.versions[0].value.readableBytesView.allSatisfy { $0 == UInt8(truncatingIfNeeded: number) }
    }

    private func count(_ engine: LevelDBEngine) throws -> Int {
        var range = ObjectRange(first: Token(rawValue: 0), last: Token(rawValue: .max))
        (range.countMax, range.bytesMax) = (.max, .max)
        return try engine.list(range).entries.count
    }
}
