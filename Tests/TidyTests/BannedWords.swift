/// Words that may not appear, each with what to write instead.
enum BannedWords {
    static let inPureRooms: [(word: String, instead: String)] = [
        ("Date()", "`now: Now`"),
        ("ContinuousClock", "`now: Now`"),
        ("SuspendingClock", "`now: Now`"),
        ("DispatchTime", "`now: Now`"),
        ("Task", "an effect, whose completion is an input"),
        ("async", "an effect, whose completion is an input"),
        ("await", "an effect, whose completion is an input"),
        ("actor", "a value that its owner confines"),
        ("Foundation", "GyreBase"),
        ("NIOPosix", "an effect that the shell interprets"),
        ("Logging", "an effect or a counter; only shells log"),
        ("Logger", "an effect or a counter; only shells log"),
        ("print(", "an effect or a counter; only shells print"),
        ("NIOLock", "a value that its owner confines"),
        ("NIOLockedValueBox", "a value that its owner confines"),
        ("Mutex", "a value that its owner confines"),
        ("DispatchQueue", "an effect that the shell interprets"),
        ("Thread", "an effect that the shell interprets"),
        ("getenv", "an option of the type"),
        ("ProcessInfo", "an option of the type"),
        ("FileManager", "a storage effect"),
        (".randomElement()", "`randomElement(using: &random)`"),
        (".shuffled()", "`shuffled(using: &random)`"),
        (".shuffle()", "`shuffle(using: &random)`"),
        ("SystemRandomNumberGenerator", "SeededRandom"),
        ("Hasher()", "StableHash; Hasher differs from process to process"),
        (".hashValue", "StableHash; hashValue differs from process to process"),
    ]

    static let everywhere: [(word: String, instead: String)] = [
        ("try!", "do and catch, or a typed throw"),
        ("as!", "as? and a typed error"),
        ("unowned(unsafe)", "a strong reference"),
        ("fatalError", "precondition for our own bugs, a typed error for the rest"),
    ]

    /// Lower case; the glossary has the words to use.
    static let ofOtherFields = ["master", "slave"]

    /// True for a `.now` of a clock type (`ContinuousClock.now`, `.now`), not of a value that was passed in.
    static func readsClock(_ line: String) -> Bool {
        let isBefore = line.ranges(of: ".now").map { range in
            let after = line[range.upperBound...].first
            guard !(after?.isIdentifierPart ?? false) else { return false }
            let owner = line[..<range.lowerBound].reversed().prefix { $0.isIdentifierPart }.last
            return owner?.isUppercase ?? true || after == "("
        }
        return isBefore.contains(true)
    }
}

extension StringProtocol {
    /// True if `word` occurs, not as a part of a longer identifier.
    func containsWord(_ word: String) -> Bool {
        self.ranges(of: word).contains { range in
            let before = self[..<range.lowerBound].last
            let after = self[range.upperBound...].first
            let startsInside = word.first?.isIdentifierPart ?? false && before?.isIdentifierPart ?? false
            let endsInside = word.last?.isIdentifierPart ?? false && after?.isIdentifierPart ?? false
            return !startsInside && !endsInside
        }
    }

    /// Without the spaces at its start.
    var trimmed: SubSequence { self.drop { $0 == " " } }
}

extension Character {
    var isIdentifierPart: Bool { self.isLetter || self.isNumber || self == "_" }
}
