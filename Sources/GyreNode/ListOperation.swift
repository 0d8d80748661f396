import GyreBase
import GyreMessages
import NIOCore

/// A part of a listing that is being put together for a client.
struct ListOperation {
    /// Listings at once; more are refused as overloaded.
    static let countMax = 64
    /// Questions to owners, one after another, after which a page is answered although it is not full.
    static let roundsMax = 64
    /// Bytes of names after which a page is answered although it is not full.
    static let bytesMax = 2 << 20
    /// The share of the client's time after which an owner that is silent is left out.
    static let patienceDivisor: Int64 = 4

    let target: ReplyTarget
    let request: ListRequest
    /// R.
    let needed: Int
    let deadline: Instant
    /// How long one round may take before those who are silent are left out.
    let patience: TimeSpan
    /// All groups before this one were looked at.
    var position: ListPosition
    /// What is to be shown, so far.
    var names: [ByteBuffer] = []
    var bytes = 0
    var rounds = 0
    /// Owners that refused, were silent, or went away.
    var leftOut: [NodeID] = []
    /// Where the run of tokens ends that the round under way is about.
    var last = Token(rawValue: 0)
    var roundEnds: Instant
    /// Who has not answered the round under way.
    var waiting: [NodeID] = []
    /// What the others answered.
    var pages: [(entries: [NamedRecord], next: ListPosition?)] = []

    /// Whether a client can go on from here.
    var hasComeForward: Bool { self.position > self.request.from }

    /// Notes a live object; names of buckets once each, sorted.
    mutating func show(_ name: ObjectName) {
        guard self.request.bucket == nil else {
            self.names.append(name.key)
            self.bytes += name.key.readableBytes + 8
            return
        }
        var low = 0
        var high = self.names.count
        let bucket = name.bucket.readableBytesView
        while low < high {
            let middle = (low + high) / 2
            let isBefore = self.names[middle].readableBytesView.lexicographicallyPrecedes(bucket)
            if isBefore { low = middle + 1 } else { high = middle }
        }
        guard low == self.names.count || self.names[low] != name.bucket else { return }
        self.names.insert(name.bucket, at: low)
        self.bytes += name.bucket.readableBytes + 8
    }
}
