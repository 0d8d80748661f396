import GyreBase
import GyreMessages

/// Writes this coordinator has seen, so that a client's retry is answered and not done again (invariant 11).
///
/// Bounded by count and age; a retry that comes later than both is a new write. A value inside the node.
struct RequestLog {
    /// What is known of one write.
    enum Entry {
        /// Still under way, under this tag.
        case running(tag: UInt64)
        /// Over, with this answer.
        case finished(ClientResponse)
    }

    private let entriesMax: Int
    private let age: TimeSpan
    private var entries: [RequestID: Entry] = [:]
    /// Finished requests in the order they ended: a ring buffer of `entriesMax` places.
    private var finished: [(id: RequestID, at: Instant)] = []
    private var oldest = 0

    init(entriesMax: Int, age: TimeSpan) {
        self.entriesMax = entriesMax
        self.age = age
    }

    /// What is known of `id`, unless it ended too long ago.
    subscript(_ id: RequestID) -> Entry? { self.entries[id] }

    /// `id` has begun under `tag`.
    mutating func begin(_ id: RequestID, tag: UInt64) { self.entries[id] = .running(tag: tag) }

    /// `id` had no effect; a retry may try again.
    mutating func forget(_ id: RequestID) { self.entries[id] = nil }

    /// `id` ended with `response`; the oldest ended request gives up its place when all are taken.
    mutating func finish(_ id: RequestID, _ response: ClientResponse, at now: Instant) {
        self.entries[id] = .finished(response)
        if self.finished.count - self.oldest >= self.entriesMax { self.dropOldest() }
        self.finished.append((id, now))
        self.compact()
    }

    /// Drops what ended more than `age` ago.
    mutating func expire(at now: Instant) {
        while self.oldest < self.finished.count, now.since(self.finished[self.oldest].at) > self.age {
            self.dropOldest()
        }
        self.compact()
    }

    private mutating func dropOldest() {
        self.entries[self.finished[self.oldest].id] = nil
        self.oldest += 1
    }

    private mutating func compact() {
        guard self.oldest > self.entriesMax else { return }
        self.finished.removeFirst(self.oldest)
        self.oldest = 0
    }
}
