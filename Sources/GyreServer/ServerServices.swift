import NIOCore
package import ServiceLifecycle

/// The disk threads as a service: stopped last, because what is in flight needs them.
struct StorageService: Service {
    let server: GyreServer

    func run() async throws {
        try await gracefulShutdown()
        await self.server.close()
    }
}

/// Listener and node as a service: a graceful shutdown drains it; a failing disk ends it with an error.
struct NodeService: Service {
    let server: GyreServer

    func run() async throws {
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await self.server.waitUntilStopped()
            } onGracefulShutdown: {
                self.server.beginStop()
            }
        } onCancel: {
            self.server.beginStop()
        }
    }
}

extension GyreServer {
    /// The services of a running server, in the order in which they are started; stopped in reverse.
    ///
    /// `doors` stop after the node, so that what the node still answers reaches those who asked through them, and so that they
    /// can say that it drains.
    package func services(doors: [any Service]) -> [any Service] {
        [StorageService(server: self)] + doors + [NodeService(server: self)]
    }
}
