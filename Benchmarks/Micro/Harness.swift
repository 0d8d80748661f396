import GyreBase

/// One named workload: fixed seed, fixed number of operations, and a hash of what it computed, so that a faster run that
/// computes something else is noticed.
struct Workload: Sendable {
    /// Its name; options that change the figures are part of it.
    let name: String
    /// Operations in one run at full size.
    let operations: Int
    /// Prepares, then returns the timed body: `operations` in, hash of the results out.
    let prepare: @Sendable (_ operations: Int) throws -> (() throws -> UInt64)
}

/// A folding hash over result words (FNV-1a on 64-bit words).
struct ResultHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func record(_ word: UInt64) { self.value = (self.value ^ word) &* 0x0000_0100_0000_01B3 }
}

/// Runs a workload several times and prints the median, the spread and the result hash.
func measure(_ workload: Workload, repeats: Int, scale: Int) throws {
    let operations = max(1, workload.operations / scale)
    let body = try workload.prepare(operations)
    let clock = ContinuousClock()
    var nanoseconds: [Double] = []
    var result: UInt64 = 0
    for round in 0...repeats {
        let start = clock.now
        let hash = try body()
        let elapsed = start.duration(to: clock.now)
        if round == 0 {
            result = hash
            continue
        }
        guard hash == result else { throw HarnessError.resultsDiffer(workload.name) }
        let whole = Double(elapsed.components.seconds) * 1e9 + Double(elapsed.components.attoseconds) / 1e9
        nanoseconds.append(whole / Double(operations))
    }
    nanoseconds.sort()
    let median = nanoseconds[nanoseconds.count / 2]
    let fields = [
        padded(workload.name, 52), padded(rounded(median), 12), padded(rounded(nanoseconds[0]), 12),
        padded(rounded(nanoseconds[nanoseconds.count - 1]), 12), hexadecimal(result),
    ]
    print(fields.joined(separator: " "))
}

/// What can go wrong in a benchmark.
enum HarnessError: Error {
    /// Two runs with one seed computed different things.
    case resultsDiffer(String)
}

func padded(_ text: String, _ width: Int) -> String {
    text.count >= width ? text : text + String(repeating: " ", count: width - text.count)
}

private func rounded(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}
