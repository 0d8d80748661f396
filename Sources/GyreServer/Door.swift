import GyreMessages

/// Whoever asked the node something and is to be answered: one case for each kind of door.
///
/// A closed list instead of a protocol, so that the native path stays free of existentials. Confined to the shell's loop.
enum Door {
    /// A client or peer that speaks Gyre's own protocol.
    case native(InboundConnection)
    /// A client that speaks the Redis protocol.
    case resp(RespConnection)
    /// Code of this process, like the HTTP server.
    case desk(DeskDoor)

    /// Takes the answer to one request in.
    func reply(_ response: ClientResponse, to request: UInt64) {
        switch self {
        case .native(let connection): connection.reply(response, to: request)
        case .resp(let connection): connection.reply(response, to: request)
        case .desk(let desk): desk.reply(response, to: request)
        }
    }

    /// Writes what this turn produced.
    func flush() {
        switch self {
        case .native(let connection): connection.flush()
        case .resp(let connection): connection.flush()
        // A desk's answers are promises, which are kept at once.
        case .desk: break
        }
    }

    /// Ends it; what is to be written already still leaves.
    func close() {
        switch self {
        case .native(let connection): connection.close()
        case .resp(let connection): connection.close()
        case .desk(let desk): desk.close()
        }
    }

    /// Whether it is a socket, which counts among the connections.
    var isConnection: Bool {
        switch self {
        case .native, .resp: true
        case .desk: false
        }
    }
}
