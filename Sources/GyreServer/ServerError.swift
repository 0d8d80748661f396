/// Why a node does not start, or stops by itself. The text is one line for a person: what happened and what to try.
package enum ServerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A setting makes no sense; the operator must change it.
    case invalidOption(String)
    /// The address cannot be listened on.
    case cannotListen(String)
    /// The data directory cannot be opened, is in use, or no longer does what it is told.
    case storage(String)
    /// The node may not be who its data directory says it is: it was removed, runs already, or has an older disk.
    case refused(String)

    /// The line for a person.
    package var description: String {
        switch self {
        case .invalidOption(let text), .cannotListen(let text), .storage(let text), .refused(let text): text
        }
    }
}
