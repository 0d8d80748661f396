import GyreMessages
import HTTPTypes
import HummingbirdCore
import NIOCore
import Synchronization

/// Bytes of all bodies that are being received or stored. Sendable: atomic.
final class BodyBudget: Sendable {
    private let taken = Atomic<Int>(0)
    private let most: Int

    init(most: Int) { self.most = most }

    /// Takes room; false when there is none, and then nothing was taken.
    func take(_ bytes: Int) -> Bool {
        guard self.taken.wrappingAdd(bytes, ordering: .relaxed).newValue <= self.most else {
            self.give(bytes)
            return false
        }
        return true
    }

    /// Gives room back.
    func give(_ bytes: Int) { self.taken.wrappingSubtract(bytes, ordering: .relaxed) }
}

/// One body with its room in the budget, which it gives back at its end. Sendable: only changed by the task that reads it.
struct ReceivedBody: ~Copyable {
    private(set) var bytes = ByteBuffer()
    private let budget: BodyBudget
    private var taken = 0

    private init(_ budget: BodyBudget) { self.budget = budget }

    deinit { self.budget.give(self.taken) }

    /// Bytes of a refused body that are taken and thrown away, so that a client that reads only after it has written everything
    /// hears why; of a longer one, it does not.
    private static let refusedBytesMax = 64 << 20

    /// Reads all of a request's body, which has to be done for every request: whoever answers before leaves the rest in the way.
    /// - Throws: 413 above `bytesMax`, 503 when the budget is used up; and what the connection throws.
    static func receive(
        _ request: Request, bytesMax: Int, _ budget: BodyBudget
    ) async throws -> ReceivedBody {
        var body = ReceivedBody(budget)
        var refusal: Refusal?
        var refusedBytes = 0
        for try await part in request.body {
            if refusal == nil, part.readableBytes > bytesMax - body.bytes.readableBytes {
                refusal = Refusal(.tooLarge(limit: UInt64(bytesMax)))
            } else if refusal == nil, !budget.take(part.readableBytes) {
                refusal = Refusal(.overloaded)
            }
            guard refusal == nil else {
                body.release()
                refusedBytes += part.readableBytes
                if refusedBytes > Self.refusedBytesMax { break }
                continue
            }
            body.taken += part.readableBytes
            body.bytes.writeImmutableBuffer(part)
        }
        if let refusal { throw refusal }
        return body
    }

    /// Takes a body that was refused unread, so that the client can read the answer behind it.
    static func discard(_ request: Request) async throws {
        var bytes = 0
        for try await part in request.body {
            bytes += part.readableBytes
            if bytes > Self.refusedBytesMax { return }
        }
    }

    /// Gives everything back.
    private mutating func release() {
        self.budget.give(self.taken)
        self.taken = 0
        self.bytes = ByteBuffer()
    }
}
