import NIOCore

/// Patterns as Redis has them: `*` for any bytes, `?` for one, `[a-c]` and `[^a-c]` for one of a set, `\` before a byte that
/// means itself. Pure value.
///
/// Matching goes back to the last star only, so it takes at most pattern times text steps, whatever stars there are; all are
/// taken on the event loop, so there is a bound to them as well.
struct RespPattern {
    /// The longest pattern; no key is longer either.
    static let bytesMax = 4_096
    /// Steps that matching the names of one page may take; a few hundredths of a second.
    private static let stepsMax = 32 << 20

    private enum Element {
        case many
        case any
        case byte(UInt8)
        case set(ByteSet)
    }

    /// Which of the 256 bytes are in a set.
    private struct ByteSet {
        private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

        mutating func insert(_ byte: UInt8) {
            let bit: UInt64 = 1 << UInt64(byte & 63)
            switch byte >> 6 {
            case 0: self.words.0 |= bit
            case 1: self.words.1 |= bit
            case 2: self.words.2 |= bit
            default: self.words.3 |= bit
            }
        }

        mutating func invert() { self.words = (~self.words.0, ~self.words.1, ~self.words.2, ~self.words.3) }

        func contains(_ byte: UInt8) -> Bool {
            let word =
                switch byte >> 6 {
                case 0: self.words.0
                case 1: self.words.1
                case 2: self.words.2
                default: self.words.3
                }
            return word >> UInt64(byte & 63) & 1 == 1
        }
    }

    private var elements: [Element] = []
    /// What every text that matches begins with.
    let prefix: ByteBuffer

    /// Reads a pattern of at most `bytesMax` bytes; nil for a longer one.
    init?(_ pattern: ByteBuffer) {
        guard pattern.readableBytes <= Self.bytesMax else { return nil }
        let bytes = Array(pattern.readableBytesView)
        self.prefix = ByteBuffer(bytes: bytes.prefix { !"*?[\\".utf8.contains($0) })
        self.elements.reserveCapacity(bytes.count)
        var place = 0
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            switch byte {
            case UInt8(ascii: "*"): self.elements.append(.many)
            case UInt8(ascii: "?"): self.elements.append(.any)
            case UInt8(ascii: "["): self.elements.append(.set(Self.set(in: bytes, at: &place)))
            case UInt8(ascii: "\\") where place < bytes.count:
                self.elements.append(.byte(bytes[place]))
                place += 1
            default: self.elements.append(.byte(byte))
            }
        }
    }

    /// Reads a set, whose bracket was read. One that is not closed ends with the pattern.
    private static func set(in bytes: [UInt8], at place: inout Int) -> ByteSet {
        var set = ByteSet()
        let isNegated = place < bytes.count && bytes[place] == UInt8(ascii: "^")
        if isNegated { place += 1 }
        while place < bytes.count, bytes[place] != UInt8(ascii: "]") {
            if bytes[place] == UInt8(ascii: "\\"), place + 1 < bytes.count { place += 1 }
            let low = bytes[place]
            if place + 2 < bytes.count, bytes[place + 1] == UInt8(ascii: "-"), bytes[place + 2] != UInt8(ascii: "]") {
                let high = bytes[place + 2]
                for byte in min(low, high)...max(low, high) { set.insert(byte) }
                place += 3
            } else {
                set.insert(low)
                place += 1
            }
        }
        place = min(place + 1, bytes.count)
        if isNegated { set.invert() }
        return set
    }

    /// Whether every text matches.
    var matchesAll: Bool {
        !self.elements.isEmpty && self.elements.allSatisfy { if case .many = $0 { true } else { false } }
    }

    /// Whether all of `text` matches.
    func matches(_ text: ByteBuffer) -> Bool {
        var steps = 0
        return self.matches(text, &steps)
    }

    /// Those of `names` that match; nil when it would take too long to tell.
    func filter(_ names: [ByteBuffer]) -> [ByteBuffer]? {
        if self.matchesAll { return names }
        var found: [ByteBuffer] = []
        var steps = 0
        for name in names {
            if self.matches(name, &steps) { found.append(name) }
            guard steps <= Self.stepsMax else { return nil }
        }
        return found
    }

    private func matches(_ text: ByteBuffer, _ steps: inout Int) -> Bool {
        text.withUnsafeReadableBytes { text in
            var place = 0
            var index = 0
            // Where the last star was, and how much it has taken so far.
            var star: (place: Int, index: Int)?
            while index < text.count {
                steps += 1
                if place < self.elements.count, case .many = self.elements[place] {
                    place += 1
                    star = (place, index)
                } else if place < self.elements.count, self.matchesOne(text[index], at: place) {
                    place += 1
                    index += 1
                } else if let last = star {
                    star = (last.place, last.index + 1)
                    (place, index) = (last.place, last.index + 1)
                } else {
                    return false
                }
            }
            return self.elements[place...].allSatisfy { if case .many = $0 { true } else { false } }
        }
    }

    private func matchesOne(_ byte: UInt8, at place: Int) -> Bool {
        switch self.elements[place] {
        case .many: false
        case .any: true
        case .byte(let own): own == byte
        case .set(let set): set.contains(byte)
        }
    }
}
