import Glibc
package import GyreStorage
import NIOCore
import Synchronization

/// Serves a store on two threads of its own: one commits writes in groups, one looks up.
///
/// `submit` is cheap and meant for an event loop: once a tick, with all requests of the tick. Replies come back on the
/// storage threads, a whole group in one call; whoever needs them on a loop hops. Sendable: the queues lock, the rest is
/// atomic or never changes.
package final class StorageThreads: Sendable {
    /// What became of a submission.
    package enum Admission: Equatable, Sendable {
        /// Each request will be answered, unless the store fails first.
        case queued
        /// The first `taken` will be: with one more, more than `queueMax` would be unanswered. Ask again later for the others.
        case full(taken: Int, queueMax: Int)
        /// None will be answered: the store was closed or has failed.
        case stopped

        /// How many of `count` requests need not be submitted again.
        package func taken(of count: Int) -> Int {
            switch self {
            case .queued: count
            case .full(let taken, _): taken
            case .stopped: 0
            }
        }
    }

    /// The store; its reads and scans may be called from any thread.
    package let engine: LevelDBEngine
    private let writes = Mailbox()
    private let reads = Mailbox()
    private let inFlight = Atomic<Int>(0)
    private let hasFailed = Atomic<Bool>(false)
    private let threads = Mutex<[pthread_t]>([])
    private let onReplies: @Sendable ([StorageReply]) -> Void
    private let onFailure: @Sendable (StorageFailure) -> Void

    /// A group of lookups is answered after this many, so that the first need not wait for the last.
    private static let readsPerCallMax = 256

    /// Starts both threads.
    ///
    /// `onFailure` is called at most once, when a write, a sync or a read failed: nothing is answered after that, and the
    /// process must exit (architecture D13). Both callbacks run on storage threads and must not block.
    package init(
        _ engine: LevelDBEngine,
        onReplies: @escaping @Sendable ([StorageReply]) -> Void,
        onFailure: @escaping @Sendable (StorageFailure) -> Void
    ) throws(StorageFailure) {
        self.engine = engine
        self.onReplies = onReplies
        self.onFailure = onFailure
        let first = try Self.start("gyre-writer") { self.serveWrites() }
        self.threads.withLock { $0.append(first) }
        let second = try Self.start("gyre-reader") { self.serveReads() }
        self.threads.withLock { $0.append(second) }
    }

    /// Hands `requests` over, or as many of the first ones as there is room for: whoever had to hand over all at once could gather
    /// more than ever fit. Writes are served in the order they were submitted.
    package func submit(_ requests: [StorageRequest]) -> Admission {
        guard !requests.isEmpty else { return .queued }
        if self.hasFailed.load(ordering: .relaxed) { return .stopped }
        let queueMax = self.engine.options.queueMax
        let (_, total) = self.inFlight.wrappingAdd(requests.count, ordering: .relaxed)
        guard total <= queueMax else {
            let taken = max(0, requests.count - (total - queueMax))
            self.inFlight.wrappingSubtract(requests.count - taken, ordering: .relaxed)
            guard taken > 0 else { return .full(taken: 0, queueMax: queueMax) }
            return self.enqueue(Array(requests[..<taken])) ? .full(taken: taken, queueMax: queueMax) : .stopped
        }
        return self.enqueue(requests) ? .queued : .stopped
    }

    /// False when the store was closed.
    private func enqueue(_ requests: [StorageRequest]) -> Bool {
        var reads = 0
        for request in requests where request.isRead { reads += 1 }
        // Both queues are closed together, and only by `close`, which whoever submits calls afterwards.
        if reads < requests.count, !self.writes.append(requests, reads: false) { return false }
        return reads == 0 || self.reads.append(requests, reads: true)
    }

    /// Serves what is queued, syncs, ends both threads and waits for them. Not from a storage thread; harmless twice.
    /// The database itself closes with the last reference to `engine`.
    package func close() {
        self.writes.close()
        self.reads.close()
        let threads = self.threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    // MARK: - On the writer's thread

    private func serveWrites() {
        let interval =
            self.engine.options.durability == .interval
            ? Int64(self.engine.options.syncIntervalMilliseconds) * 1_000_000 : nil
        var requests: [StorageRequest] = []
        var syncDeadline: Int64?
        do throws(StorageFailure) {
            var writer = try CommitWriter(self.engine)
            let isPaced = self.engine.options.durability == .always
            var pace = CommitPace()
            while true {
                let wake = self.writes.take(
                    into: &requests, notBefore: isPaced ? pace.earliest : 0, unless: CommitPace.enough,
                    until: syncDeadline)
                if self.hasFailed.load(ordering: .relaxed) { return }
                try self.commit(&requests, &writer, &pace)
                if let interval {
                    if wake != .requests || syncDeadline.map({ $0 <= Mailbox.clock }) ?? false {
                        try writer.sync()
                        syncDeadline = nil
                    }
                    if writer.needsSync, syncDeadline == nil { syncDeadline = Mailbox.clock + interval }
                }
                if wake == .closed { return try writer.end() }
            }
        } catch { self.fail(error) }
    }

    private func commit(
        _ requests: inout [StorageRequest], _ writer: inout CommitWriter, _ pace: inout CommitPace
    ) throws(StorageFailure) {
        var start = 0
        while start < requests.count {
            var replies: [StorageReply] = []
            replies.reserveCapacity(min(requests.count - start, self.engine.options.commitMax))
            let began = Mailbox.clock
            start = try writer.commit(requests, from: start, into: &replies)
            let ended = Mailbox.clock
            pace.note(began: began, ended: ended, writes: replies.count)
            self.engine.counters.noteCommit(nanoseconds: ended - began, writes: replies.count)
            self.answer(replies)
        }
        requests.removeAll(keepingCapacity: true)
    }

    // MARK: - On the reader's thread

    private func serveReads() {
        var requests: [StorageRequest] = []
        var scratch = ByteBuffer()
        do throws(StorageFailure) {
            while true {
                let wake = self.reads.take(into: &requests, until: nil)
                if wake == .closed { return }
                var start = 0
                while start < requests.count {
                    if self.hasFailed.load(ordering: .relaxed) { return }
                    let end = min(start + Self.readsPerCallMax, requests.count)
                    var replies: [StorageReply] = []
                    replies.reserveCapacity(end - start)
                    for request in requests[start..<end] {
                        let outcome = try self.outcome(of: request, &scratch)
                        replies.append(StorageReply(tag: request.tag, outcome: outcome))
                    }
                    self.answer(replies)
                    start = end
                }
                requests.removeAll(keepingCapacity: true)
            }
        } catch { self.fail(error) }
    }

    private func outcome(
        of request: StorageRequest, _ scratch: inout ByteBuffer
    ) throws(StorageFailure) -> StorageOutcome {
        switch request {
        case .read(_, let name, let depth):
            return try self.engine.readThrough(name, depth, scratch: &scratch)
        case .hint(_, let hint):
            return try self.engine.outcome(of: hint, scratch: &scratch)
        case .list(_, let range):
            return .listed(try self.engine.list(range))
        case .figures:
            return .figures(self.engine.figures)
        case .update, .merge, .heal, .lease, .keep, .collect, .checkpoint, .remove:
            preconditionFailure("a write among the reads: `Mailbox.append` sorts by `isRead`")
        }
    }

    // MARK: - On either

    private func answer(_ replies: [StorageReply]) {
        // A failure on the other thread means that nothing may be acknowledged any more.
        if self.hasFailed.load(ordering: .acquiring) { return }
        self.inFlight.wrappingSubtract(replies.count, ordering: .relaxed)
        self.onReplies(replies)
    }

    private func fail(_ failure: StorageFailure) {
        if self.hasFailed.exchange(true, ordering: .acquiringAndReleasing) { return }
        self.onFailure(failure)
    }

    // MARK: - Threads

    private final class Body {
        let name: String
        let run: () -> Void
        init(_ name: String, _ run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    private static func start(_ name: String, _ run: @escaping @Sendable () -> Void) throws(StorageFailure) -> pthread_t
    {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name, run))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                Files.nameThread(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw StorageFailure("the thread \(name) cannot be started: \(String(cString: strerror(result)))")
        }
        return thread
    }
}
