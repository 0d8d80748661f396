import Glibc
import GyreStorage

/// Requests on their way to a storage thread: a queue with one lock and one condition.
///
/// Patient requests wait apart and come in pieces, one behind all that else is queued: a comparison brings hundreds of records at
/// once, and a client's write should wait for three milliseconds of them and not for twenty.
///
/// `@unchecked Sendable`: everything below the pointers is touched only with the mutex held.
final class Mailbox: @unchecked Sendable {
    /// Why `take` returned.
    enum Wake: Equatable {
        /// There are requests.
        case requests
        /// The time is up and there are none.
        case deadline
        /// Closed, and all that was queued has been taken.
        case closed
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var waiting: [StorageRequest] = []
    private var patient: [StorageRequest] = []
    /// Where in `patient` the next piece begins.
    private var patientNext = 0
    private var isClosed = false
    /// How many requests must be there before the taker is woken; nil while it is awake.
    private var wakesAt: Int?

    init() {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_mutex_init(self.mutex, nil)
        pthread_cond_init(self.condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(self.condition)
        pthread_mutex_destroy(self.mutex)
        self.condition.deallocate()
        self.mutex.deallocate()
    }

    /// Appends those of `requests` that are reads, or those that are not. False when closed.
    func append(_ requests: [StorageRequest], reads: Bool) -> Bool {
        pthread_mutex_lock(self.mutex)
        if self.isClosed {
            pthread_mutex_unlock(self.mutex)
            return false
        }
        if self.waiting.isEmpty, requests.allSatisfy({ $0.isRead == reads && !$0.isPatient }) {
            // As a rule all are of one kind, and nothing waits: then none need be copied.
            self.waiting = requests
        } else {
            for request in requests where request.isRead == reads {
                if request.isPatient { self.patient.append(request) } else { self.waiting.append(request) }
            }
        }
        let wakes = self.wakesAt.map { self.count >= $0 } ?? false
        if wakes { self.wakesAt = nil }
        pthread_mutex_unlock(self.mutex)
        // A signal is a system call; a taker that is awake looks again by itself.
        if wakes { pthread_cond_signal(self.condition) }
        return true
    }

    /// Moves everything queued into `requests`, which must be empty, of the patient ones a piece; waits for it until `deadline`
    /// (monotonic nanoseconds), or for ever. What is there before `earliest` waits for what else comes: until then, or until `enough`
    /// are there, patient ones counted as one.
    func take(
        into requests: inout [StorageRequest], notBefore earliest: Int64 = 0, unless enough: Int = .max,
        until deadline: Int64?
    ) -> Wake {
        precondition(requests.isEmpty, "\(requests.count) requests not served yet")
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        while self.count == 0 {
            if self.isClosed { return .closed }
            guard let deadline else {
                self.wait(for: 1)
                continue
            }
            if self.wait(for: 1, until: deadline), self.count == 0 { return self.isClosed ? .closed : .deadline }
        }
        while self.count < enough, Self.clock < earliest { self.wait(for: enough, until: earliest) }
        swap(&self.waiting, &requests)
        if !self.patient.isEmpty { self.movePiece(into: &requests) }
        return .requests
    }

    /// What is queued; patient requests count as one, of which the next `take` takes a piece. With the mutex held.
    private var count: Int { self.waiting.count + (self.patient.isEmpty ? 0 : 1) }

    /// Lets the mutex go until there are `count` requests, the mailbox was closed or `moment` has come, which is then true; or for no
    /// reason, as conditions do.
    @discardableResult
    private func wait(for count: Int, until moment: Int64? = nil) -> Bool {
        self.wakesAt = count
        defer { self.wakesAt = nil }
        guard let moment else {
            pthread_cond_wait(self.condition, self.mutex)
            return false
        }
        var time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
        return pthread_cond_timedwait(self.condition, self.mutex, &time) == ETIMEDOUT
    }

    private func movePiece(into requests: inout [StorageRequest]) {
        var weight = 0
        repeat {
            let request = self.patient[self.patientNext]
            weight += request.weight
            guard weight <= StorageRequest.pieceMax || weight == request.weight else { break }
            requests.append(request)
            self.patientNext += 1
        } while self.patientNext < self.patient.count
        // What was taken makes room when it is all, or as much as is left.
        guard self.patientNext * 2 >= self.patient.count else { return }
        self.patient.removeFirst(self.patientNext)
        self.patientNext = 0
    }

    /// Refuses further requests; what is queued can still be taken.
    func close() {
        pthread_mutex_lock(self.mutex)
        self.isClosed = true
        pthread_mutex_unlock(self.mutex)
        pthread_cond_signal(self.condition)
    }

    /// The monotonic clock in nanoseconds, on which deadlines are measured.
    static var clock: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
