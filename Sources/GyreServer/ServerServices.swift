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
    package var services: [any Service] { [StorageService(server: self), NodeService(server: self)] }
}
