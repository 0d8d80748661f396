import GyreBase
import GyreMessages
import GyreStorage
import NIOCore

/// Everything that can be due in a world. `life` says which life of a node is meant; a later one does not get it.
enum WorldEvent {
    /// Time passes for a node.
    case tick(node: Int, life: UInt64)
    /// A frame arrives over connection number `connection` of the pair.
    case frame(from: Int, to: Int, connection: UInt64, ByteBuffer)
    /// A handshake is over.
    case connect(from: Int, to: Int, fromLife: UInt64)
    /// One end notices that a connection is gone.
    case disconnect(at: Int, from: Int, connection: UInt64)
    /// A disk looks at what is asked, and its answer arrives after `rest`.
    case diskRead(node: Int, life: UInt64, StorageRequest, rest: TimeSpan)
    /// The answer to a read arrives.
    case diskAnswer(node: Int, life: UInt64, StorageReply)
    /// The queue of a disk is written.
    case diskWrite(node: Int, life: UInt64)
    /// What a disk has written is synced.
    case diskSync(node: Int, life: UInt64)
    /// A request arrives at a node.
    case request(operation: Int, attempt: Int, node: Int)
    /// An answer arrives at a client.
    case response(operation: Int, ClientResponse)
    /// A client starts its next operation.
    case clientWakes(Int)
    /// A client has waited long enough.
    case clientTimeout(operation: Int, attempt: Int)
    /// A fault of this family strikes.
    case fault(FaultClass)
    /// The partition with this number ends.
    case mend(number: UInt64)
    /// A node starts.
    case start(node: Int)
    /// An operator asks for something, again if need be.
    case operatorSpeaks(OperatorWish)
    /// The clients' phase ends.
    case heal
}
