import NIOCore

/// Runs tasks on an event loop: a client's calls that come from its own loop need no other thread, whose waking would take from
/// the processors what the nodes under test are to have.
final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
