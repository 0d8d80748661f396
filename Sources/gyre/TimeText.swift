import ArgumentParser

/// A length of time as people write it: `500ms`, `1s`, `1.5s`, `5m`, `2h`, `7d`; a bare number means seconds.
struct TimeText: ExpressibleByArgument, Hashable, Sendable {
    /// The length, positive.
    let duration: Duration

    /// Whole milliseconds, at least 1.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = self.duration.components
        return max(1, UInt64(clamping: seconds) &* 1_000 &+ UInt64(clamping: attoseconds / 1_000_000_000_000_000))
    }

    /// Reads the forms above; nil for anything else, for zero and for more than a hundred years.
    init?(argument: String) {
        let units: [(String, Double)] = [
            ("ms", 0.001), ("us", 0.000_001), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1),
        ]
        for (unit, seconds) in units where argument.hasSuffix(unit) {
            let digits = argument.dropLast(unit.count)
            guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
                let count = Double(digits), count > 0, count * seconds <= 100 * 366 * 86_400
            else { continue }
            self.duration = .nanoseconds(Int64(count * seconds * 1_000_000_000))
            return
        }
        return nil
    }
}

extension TimeText {
    /// Whole seconds.
    init(seconds: Int) { self.duration = .seconds(seconds) }

    /// Shown as a default in help.
    var defaultValueDescription: String { "\(self.duration)" }
}
