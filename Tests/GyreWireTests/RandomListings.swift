import GyreBase
import GyreMessages
import NIOCore

/// What is said about listings.
extension RandomFrames {
    mutating func listing() -> PeerMessage {
        let tag = self.number()
        guard self.coin() else {
            return .list(
                tag: tag,
                ListQuestion(
                    from: self.position(), last: Token(rawValue: self.number()),
                    bucket: self.coin() ? self.bytes(max: 40) : nil, prefix: self.bytes(max: 40)))
        }
        guard self.coin() else { return .listed(tag: tag, .refused) }
        let entries = (0..<self.below(5)).map { _ in NamedRecord(name: self.name(), record: self.bytes(max: 60)) }
        return .listed(tag: tag, .page(entries, next: self.coin() ? self.position() : nil))
    }

    mutating func listRequest() -> ListRequest {
        ListRequest(
            bucket: self.coin() ? self.bytes(max: 40) : nil, prefix: self.bytes(max: 40), from: self.position(),
            limit: self.word32())
    }

    mutating func listedNames() -> ListedNames {
        ListedNames(
            names: (0..<self.below(6)).map { _ in self.bytes(max: 60) }, next: self.coin() ? self.position() : nil)
    }

    private mutating func position() -> ListPosition { ListPosition(of: Token(rawValue: self.number())) }
}
