import GyreBase

/// How far a partition of which next to nothing is held has been copied from another owner, page by page in storage order.
///
/// What is written here meanwhile does no harm, since pages are merged; what the peer gets behind the last page is left to the next
/// exchange, and so is what only this side has. Pure value; not shared between threads.
struct CopyProgress: Sendable {
    /// All tokens of the partition.
    let tokens: ClosedRange<Token>
    /// The inners that differed before, to be compared when the copy changes nothing.
    let mask: UInt32
    /// The last name that came.
    var last: ObjectName?
    /// Nothing comes behind it.
    var isComplete = false
    /// A page is on its way.
    var isAsked = false
    /// Objects that changed something here.
    var changed = 0

    init(tokens: ClosedRange<Token>, mask: UInt32) {
        self.tokens = tokens
        self.mask = mask
    }

    /// What to ask for next.
    var listing: Listing { Listing(tokens: self.tokens, after: self.last) }

    /// Notes a page that came, or says what is wrong with it.
    mutating func take(_ page: KeyPage, entriesMax: Int) -> PageFault? {
        if let fault = page.fault(for: self.listing, entriesMax: entriesMax) { return fault }
        self.last = page.entries.last?.name ?? self.last
        self.isComplete = page.complete
        self.isAsked = false
        return nil
    }
}
