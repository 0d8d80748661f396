import GyreBase
import GyreStorage
import Synchronization

/// Reads that asked the cache of records since the store was opened.
package struct CacheFigures: Sendable {
    /// Answered by it.
    package var hits: UInt64 = 0
    /// Asked of LevelDB.
    package var misses: UInt64 = 0
}

/// The records written or read last, so that most lookups need no LevelDB: the writer's, and those of whoever serves clients.
///
/// The writer alone changes records, and what it writes it keeps here or forgets. A reader sees only what is committed,
/// and may add what it found in LevelDB as long as the writer touched nothing of the kind meanwhile. Sendable: one lock,
/// held for the copy of at most 16 KiB, of sixteen times that when entries are spared, and for dropping what makes room.
final class RecordCache: Sendable {
    /// What a look found.
    enum Look {
        /// The answer.
        case found(StorageOutcome)
        /// Nothing. With a ticket, what LevelDB says may be added; without, a write to this very name is under way.
        case missed(Ticket?)
    }

    /// The state of the writes at a look; what was read before a later write is not added.
    struct Ticket {
        fileprivate let changes: UInt32
    }

    private struct State: ~Copyable {
        var slab: RecordSlab
        /// By the low bits of a token: counts what the writer did to names of that kind.
        var changes = [UInt32](repeating: 0, count: 1_024)
        var figures = CacheFigures()

        init(bytesMax: Int) { self.slab = RecordSlab(bytesMax: bytesMax) }

        func kind(_ name: ObjectName) -> Int { Int(name.token.rawValue & 1_023) }

        mutating func outcome(_ name: ObjectName, _ depth: ReadDepth) -> StorageOutcome? {
            let outcome: StorageOutcome?
            switch depth {
            case .digest: outcome = self.slab.committedDigest(name).map(StorageOutcome.digest)
            case .record: outcome = self.slab.record(name, isCommitted: true).map { .record($0.body, $0.digest) }
            }
            if outcome != nil { self.figures.hits &+= 1 }
            return outcome
        }
    }

    private let state: Mutex<State>

    /// An empty cache of `bytesMax` bytes.
    init(bytesMax: Int) { self.state = Mutex(State(bytesMax: bytesMax)) }

    /// How many records there are.
    var count: Int { self.state.withLock { $0.slab.count } }

    /// What readers asked so far.
    var figures: CacheFigures { self.state.withLock { $0.figures } }

    // MARK: - The writer

    /// What the writer knows to stand under `name`, the commit under way included; nil when LevelDB must be asked.
    func record(_ name: ObjectName) -> ObjectRecord? {
        self.state.withLock { $0.slab.record(name, isCommitted: false) }
    }

    /// Keeps what the commit under way writes. False when it is not kept; then nothing is known of `name`, and the writer
    /// must `forget` it once more when the commit is in the store.
    func keep(_ name: ObjectName, _ record: ObjectRecord) -> Bool {
        self.state.withLock { state in
            state.changes[state.kind(name)] &+= 1
            return state.slab.keep(name, record, isCommitted: false)
        }
    }

    /// Forgets what was known of `name`, which the commit under way changed; called when that is in the store.
    func forget(_ name: ObjectName) {
        self.state.withLock { state in
            state.changes[state.kind(name)] &+= 1
            state.slab.forget(name)
        }
    }

    /// The commit under way is in the store, and what it changed and could not keep was forgotten once more since then: a
    /// reader may have read what stood there before, and added it.
    func endCommit() { self.state.withLock { $0.slab.endCommit() } }

    // MARK: - Readers

    /// The answer to a read of what is committed under `name`; nil when it must be looked for with `look`.
    func outcome(_ name: ObjectName, _ depth: ReadDepth) -> StorageOutcome? {
        self.state.withLock { $0.outcome(name, depth) }
    }

    /// The answer, or leave to add what LevelDB says. Called before LevelDB is asked.
    func look(_ name: ObjectName, _ depth: ReadDepth) -> Look {
        self.state.withLock { state in
            if let outcome = state.outcome(name, depth) { return .found(outcome) }
            state.figures.misses &+= 1
            if state.slab.holds(name) { return .missed(nil) }
            return .missed(Ticket(changes: state.changes[state.kind(name)]))
        }
    }

    /// Adds what LevelDB had under `name` after the look that gave `ticket`, unless it may be out of date.
    func add(_ name: ObjectName, _ record: ObjectRecord, _ ticket: Ticket) {
        self.state.withLock { state in
            guard state.changes[state.kind(name)] == ticket.changes, !state.slab.holds(name) else { return }
            _ = state.slab.keep(name, record, isCommitted: true)
        }
    }
}
