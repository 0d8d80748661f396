/// A set of small whole numbers, for the naive histories of the checkers.
///
/// Pure value; not shared between threads.
struct BitSet: Hashable, Sendable {
    private var words: [UInt64] = []

    init() {}

    /// Whether `index` is in the set.
    func contains(_ index: Int) -> Bool {
        let word = index >> 6
        return word < self.words.count && self.words[word] & (1 << UInt64(index & 63)) != 0
    }

    /// Adds `index`.
    mutating func insert(_ index: Int) {
        let word = index >> 6
        while self.words.count <= word { self.words.append(0) }
        self.words[word] |= 1 << UInt64(index & 63)
    }

    /// Adds all of `other`.
    mutating func formUnion(_ other: BitSet) {
        while self.words.count < other.words.count { self.words.append(0) }
        for index in other.words.indices { self.words[index] |= other.words[index] }
    }

    /// Takes out all of `other`.
    mutating func subtract(_ other: BitSet) {
        for index in 0..<min(self.words.count, other.words.count) { self.words[index] &= ~other.words[index] }
    }

    /// Keeps what is also in `other`.
    mutating func formIntersection(_ other: BitSet) {
        for index in self.words.indices { self.words[index] &= index < other.words.count ? other.words[index] : 0 }
    }

    /// `self` without `other`.
    func subtracting(_ other: BitSet) -> BitSet {
        var copy = self
        copy.subtract(other)
        return copy
    }

    /// What is in both.
    func intersection(_ other: BitSet) -> BitSet {
        var copy = self
        copy.formIntersection(other)
        return copy
    }

    /// Whether nothing is in both.
    func isDisjoint(with other: BitSet) -> Bool {
        for index in 0..<min(self.words.count, other.words.count) where self.words[index] & other.words[index] != 0 {
            return false
        }
        return true
    }

    /// The least number in the set.
    var first: Int? {
        for (index, word) in self.words.enumerated() where word != 0 { return index << 6 | word.trailingZeroBitCount }
        return nil
    }

    /// Whether the set is empty.
    var isEmpty: Bool { self.words.allSatisfy { $0 == 0 } }

    /// Calls `body` with each member, lowest first.
    func visit(_ body: (Int) -> Void) {
        for (index, word) in self.words.enumerated() {
            var rest = word
            while rest != 0 {
                body(index << 6 | rest.trailingZeroBitCount)
                rest &= rest &- 1
            }
        }
    }

    /// Equal when the members are.
    static func == (a: BitSet, b: BitSet) -> Bool {
        for index in 0..<max(a.words.count, b.words.count) {
            let left = index < a.words.count ? a.words[index] : 0
            let right = index < b.words.count ? b.words[index] : 0
            if left != right { return false }
        }
        return true
    }

    /// Hashes the members.
    func hash(into hasher: inout Hasher) {
        for (index, word) in self.words.enumerated() where word != 0 {
            hasher.combine(index)
            hasher.combine(word)
        }
    }
}
