/// Which table an operation's tag belongs to.
enum OperationKind: UInt64 {
    case put = 1
    case get, forward, replica, heal, delivery, exchange, served, inspection, explain, list
}

/// Operations in flight, found by tag without hashing; a tag is never used twice while it could still be answered.
///
/// A tag is kind (4 bits), generation (28 bits) and index (32 bits). A slot's generation moves on when it is freed, so
/// an answer that comes too late finds nothing. It begins anywhere, so that an answer to an earlier life of the node finds
/// nothing either: a peer whose disk is slow sends it over the connection of the next life, and counting it there would
/// acknowledge a write that nobody has. Tag 0 is never given out: it means "no answer wanted".
///
/// The operations lie in memory of the table's own, since a look into an array of optionals copies the whole element, which
/// counts a dozen references up and down. Invariant: a place is initialized exactly while its state says `inUse`.
struct SlotTable<Operation>: ~Copyable {
    private let kind: OperationKind
    private let firstGeneration: UInt64
    private var operations: UnsafeMutablePointer<Operation>
    private var capacity: Int
    /// By place: its generation, and `inUse` while an operation is there.
    private var states: [UInt64] = []
    private var free: [Int] = []

    private static var inUse: UInt64 { 1 << 63 }

    /// How many operations are in flight.
    var count: Int { self.states.count - self.free.count }

    /// An empty table; `life` is a number that no other life of the node is likely to have.
    init(kind: OperationKind, life: UInt64) {
        self.kind = kind
        self.firstGeneration = life % 0xFFF_FFFF + 1
        self.capacity = 8
        self.operations = .allocate(capacity: self.capacity)
    }

    deinit {
        for index in self.states.indices where self.isInUse(index) { (self.operations + index).deinitialize(count: 1) }
        self.operations.deallocate()
    }

    /// Keeps `operation` and returns its tag.
    mutating func insert(_ operation: consuming Operation) -> UInt64 {
        let index: Int
        if let reused = self.free.popLast() {
            index = reused
        } else {
            index = self.states.count
            if index == self.capacity { self.grow() }
            self.states.append(self.firstGeneration)
        }
        precondition(!self.isInUse(index), "slot \(index) is in use")
        (self.operations + index).initialize(to: operation)
        self.states[index] |= Self.inUse
        return self.tag(index)
    }

    /// Twice the places; all are in use when this is called.
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Operation>.allocate(capacity: self.capacity * 2)
        larger.moveInitialize(from: self.operations, count: self.capacity)
        self.operations.deallocate()
        self.operations = larger
        self.capacity *= 2
    }

    /// Where the operation with `tag` lies, or nil when it is over or never was.
    func index(of tag: UInt64) -> Int? {
        let index = Int(tag & 0xFFFF_FFFF)
        guard tag >> 60 == self.kind.rawValue, index < self.states.count,
            self.states[index] == Self.inUse | (tag >> 32) & 0xFFF_FFFF
        else { return nil }
        return index
    }

    /// The tag of the operation at `index`.
    func tag(_ index: Int) -> UInt64 {
        self.kind.rawValue << 60 | (self.states[index] & 0xFFF_FFFF) << 32 | UInt64(index)
    }

    /// The operation at `index`, which must be in use; looked at and changed in place.
    subscript(_ index: Int) -> Operation {
        _read {
            precondition(self.isInUse(index), "slot \(index) is free")
            yield self.operations[index]
        }
        _modify {
            precondition(self.isInUse(index), "slot \(index) is free")
            yield &self.operations[index]
        }
    }

    /// Ends the operation at `index` and returns it.
    mutating func remove(_ index: Int) -> Operation {
        precondition(self.isInUse(index), "slot \(index) is free")
        self.states[index] = (self.states[index] & 0xFFF_FFFF) % 0xFFF_FFFF + 1
        self.free.append(index)
        return (self.operations + index).move()
    }

    /// Places in use, lowest first, appended to `found`; walks all slots ever used at once.
    ///
    /// `matches` only looks; it is lent the place itself because a borrowed operation would be copied for it, with all its
    /// references.
    func indices(into found: inout [Int], where matches: (inout Operation) -> Bool) {
        if self.count == 0 { return }
        for index in self.states.indices where self.isInUse(index) && matches(&self.operations[index]) {
            found.append(index)
        }
    }

    private func isInUse(_ index: Int) -> Bool { self.states[index] & Self.inUse != 0 }
}
