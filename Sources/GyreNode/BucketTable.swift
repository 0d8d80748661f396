package import GyreBase
package import GyreMessages
package import NIOCore

/// The kept bucket properties cannot be read although their checksum is right.
package struct BucketDocumentError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with the bytes.
    package let reason: DecodeError

    /// Wraps what a decoder threw.
    package init(reason: DecodeError) { self.reason = reason }

    /// For a person.
    package var description: String {
        "the kept bucket properties cannot be read (\(self.reason)); a newer version of Gyre wrote them, or it is a bug"
    }
}

/// The properties of all buckets that one node knows: a map from names to their latest records.
///
/// Merging is commutative, associative and idempotent, so nodes that have heard the same are equal and have equal hashes.
/// Pure value with one owner, the node.
package struct BucketTable: Equatable, Sendable {
    /// With this many records, a set of one more bucket is refused.
    package static let recordsMax = 1_024

    /// The records, sorted by name, at most `BucketRecord.countMax`.
    package private(set) var records: [BucketRecord] = []
    /// The stable hash of all records; equal on nodes that agree.
    package private(set) var hash: UInt64
    /// Only looked into: its order reaches nothing.
    private var properties: [ByteBuffer: BucketProperties] = [:]

    /// The first byte of the document.
    private static let documentVersion: UInt8 = 0x01

    /// No bucket has properties.
    package init() { self.hash = Self.hash(of: []) }

    /// What `records`, sorted by name, say.
    package init(sorted records: [BucketRecord]) {
        self.init()
        self.merge(sorted: records)
    }

    /// What requests for `bucket` do differently; nil as a rule. Costs nothing while no bucket has properties.
    package func properties(of bucket: ByteBuffer) -> BucketProperties? {
        self.properties.isEmpty ? nil : self.properties[bucket]
    }

    /// The record of a bucket, set or not.
    package subscript(_ name: BucketName) -> BucketRecord? {
        let index = self.index(of: name)
        return index < self.records.count && self.records[index].name == name ? self.records[index] : nil
    }

    /// Takes records in, sorted by name; true when something is news.
    ///
    /// More than `BucketRecord.countMax` buckets can only come from sets through many nodes that did not hear of each other;
    /// then the ones with the first names are kept, which every order of merging ends with.
    @discardableResult
    package mutating func merge(sorted news: [BucketRecord]) -> Bool {
        var merged: [BucketRecord] = []
        merged.reserveCapacity(self.records.count + news.count)
        var mine = self.records[...]
        for record in news {
            while let next = mine.first, next.name < record.name { merged.append(mine.removeFirst()) }
            if let known = mine.first, known.name == record.name {
                merged.append(known.merged(with: record))
                mine.removeFirst()
            } else {
                merged.append(record)
            }
        }
        merged.append(contentsOf: mine)
        if merged.count > BucketRecord.countMax { merged.removeLast(merged.count - BucketRecord.countMax) }
        guard merged != self.records else { return false }
        self.records = merged
        self.hash = Self.hash(of: merged)
        self.properties = [:]
        for record in merged where !record.properties.isEmpty {
            self.properties[record.name.bytes] = record.properties
        }
        return true
    }

    private func index(of name: BucketName) -> Int {
        var low = 0
        var high = self.records.count
        while low < high {
            let middle = (low + high) / 2
            if self.records[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func hash(of records: [BucketRecord]) -> UInt64 { StableHash.xxh3(self.document(of: records)) }

    // MARK: - On disk

    /// The bytes that keep the table: a version byte, then the records.
    package var document: ByteBuffer { Self.document(of: self.records) }

    private static func document(of records: [BucketRecord]) -> ByteBuffer {
        var buffer = ByteWriter()
        buffer.writeInteger(Self.documentVersion)
        do { try BucketRecord.encode(records, into: &buffer) } catch {
            preconditionFailure("a table holds \(records.count) records, more than it may")
        }
        return buffer.finish()
    }

    /// Reads what `document` wrote; an empty table when nothing was kept.
    package init(document: ByteBuffer?) throws(BucketDocumentError) {
        self.init()
        guard let document else { return }
        var rest = ByteReader(document)
        do throws(DecodeError) {
            guard try rest.readFixed(as: UInt8.self) == Self.documentVersion else {
                throw .invalid(field: "document version")
            }
            let records = try BucketRecord.list(decoding: &rest)
            try rest.requireEnd()
            self.merge(sorted: records)
        } catch { throw BucketDocumentError(reason: error) }
    }
}
