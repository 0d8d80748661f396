import GyreBase
import GyreCausality
import NIOCore
import Testing

private func version(_ node: UInt64, _ counter: UInt64, _ text: String) -> Version {
    Version(
        dot: Dot(node: NodeID(rawValue: node), counter: counter), time: .zero, expiry: nil, metadata: .none,
        value: ByteBuffer(string: text))
}

@Suite struct ShownContextTests {
    @Test func aDeleteIsToldOfNoSiblingThatItLeft() {
        var state = Siblings()
        state.put(version(1, 1, "seen"), seen: .blind)
        let seen = state.context
        state.put(version(2, 1, "unseen"), seen: .blind)
        state.delete(seen: .given(seen))
        let told = state.contextAfterDelete()
        #expect(told.covers(Dot(node: NodeID(rawValue: 1), counter: 1)))
        #expect(!told.covers(Dot(node: NodeID(rawValue: 2), counter: 1)))
    }

    @Test func headOnlyKeepsContextAndDotsAndDropsValues() {
        var state = Siblings()
        state.put(version(1, 1, "value"), seen: .blind)
        let head = state.withoutValues()
        #expect(head.context == state.context)
        #expect(head.versions.map(\.dot) == state.versions.map(\.dot))
        #expect(head.versions.allSatisfy { $0.value.readableBytes == 0 })
    }
}
