package import GyreBase

/// What will happen, ordered by time and, at one time, by the order of being scheduled.
///
/// A binary heap of small entries over a pool of events, so that sifting moves three words and never a payload.
/// The tie-break by sequence is what makes equal runs equal: a heap alone does not order its ties.
/// Pure value; not shared between threads.
package struct EventQueue<Event> {
    private struct Entry {
        let time: Instant
        let sequence: UInt64
        let slot: Int

        static func < (a: Entry, b: Entry) -> Bool {
            a.time == b.time ? a.sequence < b.sequence : a.time < b.time
        }
    }

    private var heap: [Entry] = []
    private var pool: [Event?] = []
    private var freeSlots: [Int] = []
    private var nextSequence: UInt64 = 0
    /// The time of the event taken last: the world's clock, which never goes back.
    package private(set) var now: Instant = .start

    /// Nothing is going to happen.
    package init() {}

    /// How many events are waiting.
    package var count: Int { self.heap.count }
    /// When the next event is due; nil when there is none.
    package var nextTime: Instant? { self.heap.first?.time }

    /// Lets `event` happen at `time`, or now when that has passed.
    package mutating func schedule(_ event: Event, at time: Instant) {
        let slot: Int
        if let free = self.freeSlots.popLast() {
            slot = free
            self.pool[slot] = event
        } else {
            slot = self.pool.count
            self.pool.append(event)
        }
        self.heap.append(Entry(time: max(time, self.now), sequence: self.nextSequence, slot: slot))
        self.nextSequence += 1
        self.siftUp(from: self.heap.count - 1)
    }

    /// Lets `event` happen after `span`.
    package mutating func schedule(_ event: Event, after span: TimeSpan) {
        self.schedule(event, at: self.now.advanced(by: span))
    }

    /// Takes the next event and moves the clock to its time; nil when nothing is due by `limit`.
    package mutating func next(until limit: Instant) -> Event? {
        guard let first = self.heap.first, first.time <= limit else { return nil }
        assert(first.time >= self.now, "event at \(first.time) before \(self.now)")
        self.now = first.time
        let last = self.heap.removeLast()
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.siftDown()
        }
        let event = self.pool[first.slot]
        self.pool[first.slot] = nil
        self.freeSlots.append(first.slot)
        return event
    }

    private mutating func siftUp(from start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard self.heap[index] < self.heap[parent] else { return }
            self.heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < self.heap.count {
                if self.heap[child] < self.heap[least] { least = child }
            }
            if least == index { return }
            self.heap.swapAt(index, least)
            index = least
        }
    }
}
