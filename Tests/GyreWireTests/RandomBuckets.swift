import GyreBase
import GyreMessages
import NIOCore

/// What is said about buckets.
extension RandomFrames {
    mutating func buckets() -> BucketMessage {
        self.coin() ? .digest(self.word64()) : .records(self.bucketRecords(), wantsRest: self.coin())
    }

    /// Records with different names, sorted.
    mutating func bucketRecords() -> [BucketRecord] {
        var records: [BucketName: BucketRecord] = [:]
        for _ in 0..<(self.word64() % 5) {
            let name = self.bucket()
            var properties = BucketProperties()
            if self.coin() { properties.reads = self.bucketQuorum() }
            if self.coin() { properties.writes = self.bucketQuorum() }
            if self.coin() { properties.primaryReads = self.bucketQuorum() }
            if self.coin() { properties.primaryWrites = self.bucketQuorum() }
            if self.coin() { properties.siblings = self.coin() ? .showAll : .lastWriteWins }
            if self.coin() { properties.timeToLiveMilliseconds = max(1, self.number()) }
            if self.coin() { properties.sloppy = self.coin() }
            records[name] = BucketRecord(
                name: name, properties: properties, version: BucketVersion(counter: self.number(), node: self.node()))
        }
        return records.values.sorted { $0.name < $1.name }
    }

    mutating func bucket() -> BucketName {
        var bytes = self.bytes(max: 20)
        bytes.writeInteger(UInt8(1))
        guard let name = try? BucketName(bytes) else { preconditionFailure("1 to 21 bytes are within the limits") }
        return name
    }

    mutating func bucketChange() -> BucketChange {
        switch self.word64() % 8 {
        case 0: .replicas(UInt8(truncatingIfNeeded: self.word64()))
        case 1: .reads(self.quorum())
        case 2: .writes(self.quorum())
        case 3: .primaryReads(self.quorum())
        case 4: .primaryWrites(self.quorum())
        case 5: .siblings(self.pick([nil, .showAll, .lastWriteWins]))
        case 6: .timeToLive(self.coin() ? nil : max(1, self.number()))
        default: .sloppy(self.pick([nil, true, false]))
        }
    }

    private mutating func bucketQuorum() -> QuorumSize {
        self.pick([.one, .quorum, .all, .count(1 + UInt8(self.word64() % 255))])
    }
}
