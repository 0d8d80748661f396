import Glibc

/// Dates as HTTP writes them: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7). The two obsolete forms are not read.
enum HTTPDate {
    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The text of a moment, to the second; nil when the system cannot say its date.
    static func text(milliseconds: UInt64) -> String? {
        var seconds = time_t(clamping: milliseconds / 1_000)
        var parts = tm()
        guard gmtime_r(&seconds, &parts) != nil, self.days.indices.contains(Int(parts.tm_wday)),
            self.months.indices.contains(Int(parts.tm_mon))
        else { return nil }
        func padded(_ number: Int32, _ width: Int = 2) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let day = "\(self.days[Int(parts.tm_wday)]), \(padded(parts.tm_mday)) \(self.months[Int(parts.tm_mon)])"
        let time = "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
        return "\(day) \(padded(parts.tm_year + 1_900, 4)) \(time) GMT"
    }

    /// Seconds since 1970; nil for anything that is not of the one form.
    static func seconds(_ text: String) -> UInt64? {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 6, words[0].count == 4, words[0].last == ",", words[5] == "GMT",
            let day = Int32(words[1]), (1...31).contains(day), let year = Int32(words[3]), (1970...9999).contains(year),
            let month = self.months.firstIndex(of: String(words[2]))
        else { return nil }
        let clock = words[4].split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3, clock.allSatisfy({ $0.utf8.count == 2 }), let hour = Int32(clock[0]),
            let minute = Int32(clock[1]), let second = Int32(clock[2]), (0...23).contains(hour),
            (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        var parts = tm()
        parts.tm_year = year - 1_900
        parts.tm_mon = Int32(month)
        parts.tm_mday = day
        parts.tm_hour = hour
        parts.tm_min = minute
        parts.tm_sec = second
        let seconds = timegm(&parts)
        return seconds >= 0 ? UInt64(seconds) : nil
    }
}
