import GyreBase
import GyreMessages
import GyreWire
import NIOCore

/// A command that is not answered, or whose answer waits for an earlier one.
struct RespSlot {
    let shape: RespShape
    let access: RespAccess
    /// Bytes of its request that are charged to the connection and the shell.
    var bytes: Int
    /// Bytes of an answer that waits for an earlier one.
    var answerBytes = 0
    /// Values that are likely to be in the answer, or on their way because of it.
    let values: Int
    let started: Instant
    let operation: OperationLabel
    /// What the client spoke when it asked; it may have changed that since.
    let version: RespVersion
    var job: RespJob?
    var state = State.waiting

    enum State {
        case waiting
        case answered(ClientResponse)
        case done(RespAnswer)

        /// About how many bytes the answer has.
        var bytes: Int {
            switch self {
            case .answered(.found(let record)): record.readableBytes
            case .waiting, .answered: 16
            case .done(let answer): answer.bytesExpected
            }
        }
    }
}
