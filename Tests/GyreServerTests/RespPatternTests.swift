import GyreBase
import NIOCore
import Testing

@testable import GyreServer

@Suite("A pattern of a Redis client")
struct RespPatternTests {
    /// The same without a plan: tries everything.
    private func matches(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        if first == UInt8(ascii: "*") {
            return self.matches(rest, text) || !text.isEmpty && self.matches(pattern, text.dropFirst())
        }
        guard let byte = text.first else { return false }
        switch first {
        case UInt8(ascii: "?"): return self.matches(rest, text.dropFirst())
        case UInt8(ascii: "["):
            let (isIn, after) = self.set(rest, byte)
            return isIn && self.matches(after, text.dropFirst())
        case UInt8(ascii: "\\") where !rest.isEmpty:
            return rest.first == byte && self.matches(rest.dropFirst(), text.dropFirst())
        default: return first == byte && self.matches(rest, text.dropFirst())
        }
    }

    private func set(_ pattern: ArraySlice<UInt8>, _ byte: UInt8) -> (Bool, after: ArraySlice<UInt8>) {
        var rest = pattern
        let isNegated = rest.first == UInt8(ascii: "^")
        if isNegated { rest = rest.dropFirst() }
        var isIn = false
        while let first = rest.first, first != UInt8(ascii: "]") {
            if first == UInt8(ascii: "\\"), rest.count > 1 { rest = rest.dropFirst() }
            let three = Array(rest.prefix(3))
            if three.count == 3, three[1] == UInt8(ascii: "-"), three[2] != UInt8(ascii: "]") {
                isIn = isIn || (min(three[0], three[2])...max(three[0], three[2])).contains(byte)
                rest = rest.dropFirst(3)
            } else {
                isIn = isIn || three[0] == byte
                rest = rest.dropFirst()
            }
        }
        return (isIn != isNegated, rest.dropFirst())
    }

    @Test("matches what trying everything matches", arguments: UInt64(0)..<8)
    func twin(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func drawn(_ letters: String, max: UInt64) -> [UInt8] {
            let letters = Array(letters.utf8)
            return (0..<random.next() % (max + 1)).map { _ in letters[Int(random.next() % UInt64(letters.count))] }
        }
        for _ in 0..<2_000 {
            let pattern = drawn("aab*?[]^-\\c", max: 9)
            let text = drawn("aabc-]^\\", max: 7)
            let fast = RespPattern(ByteBuffer(bytes: pattern))?.matches(ByteBuffer(bytes: text))
            let words = "\(String(decoding: pattern, as: UTF8.self)) on \(String(decoding: text, as: UTF8.self))"
            #expect(fast == self.matches(pattern[...], text[...]), "seed \(seed): \(words)")
        }
    }

    @Test("has at most 4,096 bytes, and takes no longer for many stars or a long set")
    func isBounded() {
        #expect(RespPattern(ByteBuffer(repeating: UInt8(ascii: "a"), count: 4_097)) == nil)
        let text = ByteBuffer(repeating: UInt8(ascii: "a"), count: 4_096)
        // Trying everything would take more steps than there are atoms.
        let stars = ByteBuffer(string: String(repeating: "*a", count: 1_000) + "*b")
        #expect(RespPattern(stars)?.matches(text) == false)
        let set = ByteBuffer(string: "*[" + String(repeating: "b", count: 4_093) + "]")
        #expect(RespPattern(set)?.filter([ByteBuffer](repeating: text, count: 500)) == [])
        let costly = ByteBuffer(string: "*" + String(repeating: "a", count: 2_000) + "b")
        #expect(RespPattern(costly)?.filter([ByteBuffer](repeating: text, count: 5_000)) == nil)
    }
}
