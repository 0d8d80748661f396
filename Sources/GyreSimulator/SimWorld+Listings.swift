import GyreBase
import GyreMessages
import NIOCore

/// What a client that reads a bucket through has seen so far.
struct Listing: Sendable {
    /// The keys that must be shown: a write was acknowledged before the first page was asked for, on so many owners that every read
    /// meets it.
    let due: [Int]
    /// The keys of the pages so far.
    var shown: Set<ByteBuffer> = []
}

/// Listings: now and then a client reads the bucket through, page by page, while others write to it.
extension SimWorld {
    /// In runs that draw it, one operation in sixteen begins a listing.
    func drawListing(_ client: Int) -> ClientOperation? {
        guard self.plan.lists, self.listRandom.chance(1, in: 16) else { return nil }
        let due = self.workload.names.indices.filter(self.isDue)
        return self.page(client, from: .start, Listing(due: due))
    }

    /// Whether every read meets some write of the key; no longer when a lost disk took along what was promised for it alone.
    private func isDue(_ key: Int) -> Bool {
        self.acknowledgedWrites(key).contains { $0.writes + self.plan.reads > self.plan.replicas }
    }

    private func page(_ client: Int, from position: ListPosition, _ listing: Listing) -> ClientOperation {
        let request = ListRequest(
            bucket: self.workload.names.first?.bucket, from: position, limit: UInt32(1 + self.listRandom.below(3)))
        let node = Int(self.listRandom.below(UInt64(self.plan.machineCount)))
        var operation = ClientOperation(client: client, kind: .list, key: 0, request: .list(request), node: node)
        operation.listing = listing
        return operation
    }

    /// A client has a page. False when it asks for the next one, which the operation goes on as.
    func take(_ names: ListedNames, _ operation: ClientOperation) throws(Violation) -> Bool {
        guard var listing = operation.listing, let client = operation.client else { return true }
        for name in names.names {
            guard let key = self.workload.names.firstIndex(where: { $0.key == name }),
                !self.oracle.keys[key].entries.isEmpty
            else { throw Violation("INV 1b", "a listing shows \(String(buffer: name)), which nobody has put") }
            listing.shown.insert(name)
        }
        if let next = names.next {
            self.operations.append(self.page(client, from: next, listing))
            self.ask(self.operations.count - 1)
            return false
        }
        self.mark(.listedWhole)
        for key in listing.due where self.isDue(key) && !self.keysDeleted.contains(key) {
            guard listing.shown.contains(self.workload.names[key].key) else {
                throw Violation(
                    "INV 5", "a listing misses \(String(buffer: self.workload.names[key].key)), written before it began"
                )
            }
        }
        return true
    }
}
