import GyreBase
import GyreMessages
import NIOCore

extension ExchangeQuestion {
    private enum Kind {
        // On the wire; never renumber.
        static let root: UInt8 = 1
        static let leaves: UInt8 = 2
        static let keys: UInt8 = 3
        static let records: UInt8 = 4
        static let merge: UInt8 = 5
        static let suspect: UInt8 = 6
        static let objects: UInt8 = 7
    }

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .root(let root):
            buffer.writeInteger(Kind.root)
            buffer.writeInteger(root)
        case .leaves(let mask):
            buffer.writeInteger(Kind.leaves)
            buffer.writeInteger(mask)
        case .keys(let first, let last, let after):
            buffer.writeInteger(Kind.keys)
            buffer.writeRange(first, last, after)
        case .records(let names):
            buffer.writeInteger(Kind.records)
            try buffer.writeCount(names.count, countMax: Self.objectsMax)
            for name in names { name.encode(into: &buffer) }
        case .merge(let records):
            buffer.writeInteger(Kind.merge)
            try buffer.writeRecords(records)
        case .suspect(let leaf):
            buffer.writeInteger(Kind.suspect)
            buffer.writeInteger(leaf)
        case .objects(let first, let last, let after):
            buffer.writeInteger(Kind.objects)
            buffer.writeRange(first, last, after)
        }
    }

    /// Reads what `encode` wrote; records are slices, not looked into.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.root: self = .root(try buffer.readFixed(as: UInt64.self))
        case Kind.leaves: self = .leaves(mask: try buffer.readFixed(as: UInt32.self))
        case Kind.keys:
            let (first, last, after) = try buffer.readRange()
            self = .keys(first: first, last: last, after: after)
        case Kind.records:
            let count = try buffer.readCount(countMax: Self.objectsMax, elementBytesMin: 4)
            var names: [ObjectName] = []
            names.reserveCapacity(count)
            for _ in 0..<count { names.append(try ObjectName(decoding: &buffer)) }
            self = .records(names)
        case Kind.merge: self = .merge(try buffer.readRecords())
        case Kind.suspect: self = .suspect(leaf: try buffer.readFixed(as: UInt16.self))
        case Kind.objects:
            let (first, last, after) = try buffer.readRange()
            self = .objects(first: first, last: last, after: after)
        default: throw .invalid(field: "exchange question")
        }
    }
}

extension ExchangeAnswer {
    private enum Kind {
        // On the wire; never renumber.
        static let same: UInt8 = 1
        static let inners: UInt8 = 2
        static let notReady: UInt8 = 3
        static let leaves: UInt8 = 4
        static let keys: UInt8 = 5
        static let records: UInt8 = 6
        static let merged: UInt8 = 7
        static let overloaded: UInt8 = 8
        static let mergedInPart: UInt8 = 9
        static let objects: UInt8 = 10
    }

    /// The most words in one answer: all leaves of a partition.
    private static let wordsMax = 1_024

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .same: buffer.writeInteger(Kind.same)
        case .inners(let words):
            buffer.writeInteger(Kind.inners)
            try buffer.writeWords(words, countMax: Self.wordsMax)
        case .notReady: buffer.writeInteger(Kind.notReady)
        case .leaves(let words):
            buffer.writeInteger(Kind.leaves)
            try buffer.writeWords(words, countMax: Self.wordsMax)
        case .keys(let entries, let isComplete):
            buffer.writeInteger(Kind.keys)
            buffer.writeFlag(isComplete)
            try buffer.writeCount(entries.count, countMax: ExchangeQuestion.objectsMax)
            for entry in entries {
                entry.name.encode(into: &buffer)
                buffer.writeInteger(entry.digest)
            }
        case .records(let records):
            buffer.writeInteger(Kind.records)
            try buffer.writeRecords(records)
        case .merged(let count):
            buffer.writeInteger(Kind.merged)
            buffer.writeInteger(count)
        case .mergedInPart(let count):
            buffer.writeInteger(Kind.mergedInPart)
            buffer.writeInteger(count)
        case .overloaded: buffer.writeInteger(Kind.overloaded)
        case .objects(let records, let isComplete):
            buffer.writeInteger(Kind.objects)
            buffer.writeFlag(isComplete)
            try buffer.writeRecords(records)
        }
    }

    /// Reads what `encode` wrote; records are slices, not looked into.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.same: self = .same
        case Kind.inners: self = .inners(try buffer.readWords(countMax: Self.wordsMax))
        case Kind.notReady: self = .notReady
        case Kind.leaves: self = .leaves(try buffer.readWords(countMax: Self.wordsMax))
        case Kind.keys:
            let isComplete = try buffer.readFlag()
            let count = try buffer.readCount(countMax: ExchangeQuestion.objectsMax, elementBytesMin: 12)
            var entries: [NamedDigest] = []
            entries.reserveCapacity(count)
            for _ in 0..<count {
                let name = try ObjectName(decoding: &buffer)
                entries.append(NamedDigest(name: name, digest: try buffer.readFixed(as: UInt64.self)))
            }
            self = .keys(entries, isComplete: isComplete)
        case Kind.records: self = .records(try buffer.readRecords())
        case Kind.merged: self = .merged(count: try buffer.readFixed(as: UInt32.self))
        case Kind.mergedInPart: self = .mergedInPart(count: try buffer.readFixed(as: UInt32.self))
        case Kind.overloaded: self = .overloaded
        case Kind.objects:
            let isComplete = try buffer.readFlag()
            self = .objects(try buffer.readRecords(), isComplete: isComplete)
        default: throw .invalid(field: "exchange answer")
        }
    }
}

extension RepairMessage {
    private enum Kind {
        // On the wire; never renumber.
        static let start: UInt8 = 1
        static let counts: UInt8 = 2
        static let cancel: UInt8 = 3
    }

    /// Appends the kind, then what belongs to it.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        switch self {
        case .start(let request):
            buffer.writeInteger(Kind.start)
            try request.encode(into: &buffer)
        case .counts(let id, let counts, let isOver):
            buffer.writeInteger(Kind.counts)
            buffer.writeInteger(id)
            counts.encode(into: &buffer)
            buffer.writeFlag(isOver)
        case .cancel(let id):
            buffer.writeInteger(Kind.cancel)
            buffer.writeInteger(id)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        switch try buffer.readFixed(as: UInt8.self) {
        case Kind.start: self = .start(try RepairRequest(decoding: &buffer))
        case Kind.counts:
            let id = try buffer.readFixed(as: UInt64.self)
            let counts = try RepairCounts(decoding: &buffer)
            self = .counts(id: id, counts, isOver: try buffer.readFlag())
        case Kind.cancel: self = .cancel(id: try buffer.readFixed(as: UInt64.self))
        default: throw .invalid(field: "repair message")
        }
    }
}

extension RepairRequest {
    /// Appends id, dry, then partition, bucket and node, each behind a flag.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeInteger(self.id)
        buffer.writeFlag(self.isDry)
        buffer.writeFlag(self.partition != nil)
        if let partition = self.partition { buffer.writeInteger(partition) }
        buffer.writeFlag(self.bucket != nil)
        if let bucket = self.bucket { buffer.writeCounted(bucket) }
        buffer.writeFlag(self.node != nil)
        if let node = self.node { try buffer.writeNode(node) }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let id = try buffer.readFixed(as: UInt64.self)
        let isDry = try buffer.readFlag()
        let partition = try buffer.readFlag() ? try buffer.readFixed(as: UInt32.self) : nil
        let bucket = try buffer.readFlag() ? try buffer.readCounted(bytesMax: ObjectName.bucketBytesMax) : nil
        let node = try buffer.readFlag() ? try buffer.readNode() : nil
        self.init(id: id, partition: partition, bucket: bucket, node: node, isDry: isDry)
    }
}

extension RepairCounts {
    /// Appends all numbers in the order of their declaration, 8 bytes each.
    func encode(into buffer: inout ByteWriter) {
        for word in [
            self.planned, self.compared, self.inSync, self.failed, self.keysDiffering, self.keysRepaired,
            self.bytesSent, self.rootsBefore, self.rootsAfter,
        ] {
            buffer.writeInteger(word)
        }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        self.init()
        self.planned = try buffer.readFixed(as: UInt64.self)
        self.compared = try buffer.readFixed(as: UInt64.self)
        self.inSync = try buffer.readFixed(as: UInt64.self)
        self.failed = try buffer.readFixed(as: UInt64.self)
        self.keysDiffering = try buffer.readFixed(as: UInt64.self)
        self.keysRepaired = try buffer.readFixed(as: UInt64.self)
        self.bytesSent = try buffer.readFixed(as: UInt64.self)
        self.rootsBefore = try buffer.readFixed(as: UInt64.self)
        self.rootsAfter = try buffer.readFixed(as: UInt64.self)
    }
}

extension Inspection {
    /// Appends heads, digest, bytes, corrupt, targets of hints, and the leaf behind a flag.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeCounted(self.heads)
        buffer.writeInteger(self.digest)
        buffer.writeInteger(self.bytes)
        buffer.writeFlag(self.isCorrupt)
        try buffer.writeCount(self.hintsFor.count, countMax: WireLimits.ownersMax)
        for node in self.hintsFor { try buffer.writeNode(node) }
        buffer.writeFlag(self.leaf != nil)
        if let leaf = self.leaf { buffer.writeInteger(leaf) }
    }

    /// Reads what `encode` wrote; the heads are a slice, not looked into.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        self.init()
        self.heads = try buffer.readCounted(bytesMax: WireLimits.recordFrameBytesMax)
        self.digest = try buffer.readFixed(as: UInt64.self)
        self.bytes = try buffer.readFixed(as: UInt64.self)
        self.isCorrupt = try buffer.readFlag()
        let count = try buffer.readCount(countMax: WireLimits.ownersMax, elementBytesMin: 8)
        for _ in 0..<count { self.hintsFor.append(try buffer.readNode()) }
        self.leaf = try buffer.readFlag() ? try buffer.readFixed(as: UInt64.self) : nil
    }
}

extension ExplainReport {
    /// Appends token, partition, leaf, entries, readers.
    func encode(into buffer: inout ByteWriter) throws(DecodeError) {
        buffer.writeInteger(self.token.rawValue)
        buffer.writeInteger(self.partition)
        buffer.writeInteger(self.leaf)
        try buffer.writeCount(self.entries.count, countMax: WireLimits.ownersMax)
        for entry in self.entries {
            try buffer.writeNode(entry.node)
            buffer.writeFlag(entry.place != nil)
            if let place = entry.place { buffer.writeInteger(place) }
            buffer.writeFlag(entry.inspection != nil)
            try entry.inspection?.encode(into: &buffer)
        }
        try buffer.writeCount(self.readers.count, countMax: WireLimits.ownersMax)
        for reader in self.readers { try buffer.writeNode(reader) }
    }

    /// Reads what `encode` wrote.
    init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let token = Token(rawValue: try buffer.readFixed(as: UInt64.self))
        let partition = try buffer.readFixed(as: UInt32.self)
        let leaf = try buffer.readFixed(as: UInt16.self)
        var entries: [Entry] = []
        for _ in 0..<(try buffer.readCount(countMax: WireLimits.ownersMax, elementBytesMin: 10)) {
            let node = try buffer.readNode()
            let place = try buffer.readFlag() ? try buffer.readFixed(as: UInt8.self) : nil
            let inspection = try buffer.readFlag() ? try Inspection(decoding: &buffer) : nil
            entries.append(Entry(node: node, place: place, inspection: inspection))
        }
        var readers: [NodeID] = []
        for _ in 0..<(try buffer.readCount(countMax: WireLimits.ownersMax, elementBytesMin: 8)) {
            readers.append(try buffer.readNode())
        }
        self.init(token: token, partition: partition, leaf: leaf, entries: entries, readers: readers)
    }
}

extension ByteWriter {
    fileprivate mutating func writeWords(_ words: [UInt64], countMax: Int) throws(DecodeError) {
        try self.writeCount(words.count, countMax: countMax)
        for word in words { self.writeInteger(word) }
    }

    fileprivate mutating func writeRange(_ first: Token, _ last: Token, _ after: ObjectName?) {
        self.writeInteger(first.rawValue)
        self.writeInteger(last.rawValue)
        self.writeFlag(after != nil)
        after?.encode(into: &self)
    }

    fileprivate mutating func writeRecords(_ records: [NamedRecord]) throws(DecodeError) {
        try self.writeCount(records.count, countMax: ExchangeQuestion.objectsMax)
        for entry in records {
            entry.name.encode(into: &self)
            self.writeCounted(entry.record)
        }
    }
}

extension ByteReader {
    fileprivate mutating func readWords(countMax: Int) throws(DecodeError) -> [UInt64] {
        let count = try self.readCount(countMax: countMax, elementBytesMin: 8)
        var words: [UInt64] = []
        words.reserveCapacity(count)
        for _ in 0..<count { words.append(try self.readFixed(as: UInt64.self)) }
        return words
    }

    fileprivate mutating func readRange() throws(DecodeError) -> (first: Token, last: Token, after: ObjectName?) {
        let first = Token(rawValue: try self.readFixed(as: UInt64.self))
        let last = Token(rawValue: try self.readFixed(as: UInt64.self))
        return (first, last, try self.readFlag() ? try ObjectName(decoding: &self) : nil)
    }

    fileprivate mutating func readRecords() throws(DecodeError) -> [NamedRecord] {
        let count = try self.readCount(countMax: ExchangeQuestion.objectsMax, elementBytesMin: 5)
        var records: [NamedRecord] = []
        records.reserveCapacity(count)
        for _ in 0..<count {
            let name = try ObjectName(decoding: &self)
            records.append(
                NamedRecord(name: name, record: try self.readCounted(bytesMax: WireLimits.recordFrameBytesMax)))
        }
        return records
    }
}
