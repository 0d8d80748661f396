import Dispatch
import Glibc
import Synchronization

/// SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once.
///
/// Signals are caught from the end of `init` until `cancel`.
final class StopSignals {
    private let sources: [any DispatchSourceSignal]

    /// Calls `stop` on the first signal, on a task of its own. Returns once signals are really caught, because
    /// whoever reads the `ready` line may send one at once.
    init(_ stop: @escaping @Sendable () async -> Void) async {
        let seen = SeenSignals()
        let queue = DispatchQueue(label: "gyre.signals")
        self.sources = [SIGTERM, SIGINT].map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                guard seen.count.wrappingAdd(1, ordering: .relaxed).newValue == 1 else { _exit(128 + number) }
                Task { await stop() }
            }
            return source
        }
        for source in self.sources {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                source.setRegistrationHandler { continuation.resume() }
                source.resume()
            }
        }
    }

    /// Leaves signals to the system again.
    func cancel() { for source in self.sources { source.cancel() } }

    private final class SeenSignals: Sendable {
        let count = Atomic<Int>(0)
    }
}
