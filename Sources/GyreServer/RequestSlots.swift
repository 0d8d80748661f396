/// The requests of one door that are not answered yet, each with a number that is used again afterwards. A value inside the door.
struct RequestSlots<Entry> {
    private var entries: [Entry?] = []
    private var free: [Int] = []

    /// Keeps `entry` and returns its number.
    mutating func insert(_ entry: Entry) -> UInt64 {
        guard let slot = self.free.popLast() else {
            self.entries.append(entry)
            return UInt64(self.entries.count - 1)
        }
        self.entries[slot] = entry
        return UInt64(slot)
    }

    /// Ends the request with that number; nil when there is none.
    mutating func take(_ number: UInt64) -> Entry? {
        guard let slot = Int(exactly: number), slot < self.entries.count, let entry = self.entries[slot] else {
            assertionFailure("answer to request \(number), which is not in flight")
            return nil
        }
        self.entries[slot] = nil
        self.free.append(slot)
        return entry
    }

    /// Ends all requests and returns them.
    mutating func takeAll() -> [Entry] {
        defer { self = RequestSlots() }
        return self.entries.compactMap(\.self)
    }
}
