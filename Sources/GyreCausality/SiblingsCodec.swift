package import GyreBase
package import NIOCore

/// What the first bytes of encoded siblings say, without a look at the rest.
package struct SiblingsSummary: Hashable, Sendable {
    /// How many versions follow; zero for a tombstone or a key never written.
    package let versionCount: Int
    /// True when one of them has an expiry, so that a reader must look at the clock.
    package let hasExpiry: Bool
}

/// The frozen numbers of the encoding; docs/internals/causality.md shows the bytes. Never renumber.
private enum Format {
    /// The version of the format, in the low four bits of the first byte.
    static let version: UInt8 = 0x01
    /// First byte: at least one version has an expiry.
    static let someExpiry: UInt8 = 0x10
    /// Flags of one version: it has an expiry.
    static let expiry: UInt8 = 0x01
    /// Flags of one version: it has metadata.
    static let metadata: UInt8 = 0x02
    /// The fewest bytes of a version: context index, counter, time, flags and the length of the value.
    static let versionBytesMin = 12
}

extension Siblings {
    /// How many versions encoded siblings hold, from their first bytes; nil when these are of no known form.
    package static func versionCount(of record: ByteBuffer) -> Int? {
        var rest = ByteReader(record)
        return (try? self.readSummary(from: &rest))?.versionCount
    }

    /// The most versions that `init(decoding:)` accepts; concurrent puts may pass `siblingsMax`, never this.
    package static let siblingsDecodedMax = 4_096

    /// Appends the one canonical form; equal values append equal bytes.
    package func encode(into buffer: inout ByteWriter) {
        var bytes = 11 + self.context.encodedBytesMax
        var flags = Format.version
        for version in self.versions {
            bytes += version.encodedBytesMax
            if version.expiry != nil { flags |= Format.someExpiry }
        }
        buffer.reserveCapacity(minimumWritableBytes: bytes)
        buffer.writeInteger(flags)
        buffer.writeVarint(UInt64(self.versions.count))
        self.context.encode(into: &buffer)
        for version in self.versions {
            buffer.writeVarint(UInt64(self.context.position(of: version.dot.node)))
            buffer.writeVarint(version.dot.counter)
            version.encodeContent(into: &buffer)
        }
    }

    /// What `encode` appends, alone.
    package var encoded: ByteBuffer {
        var writer = ByteWriter()
        self.encode(into: &writer)
        return writer.finish()
    }

    /// Reads what `encode` wrote, all of `buffer`.
    package init(encoded buffer: ByteBuffer) throws(DecodeError) {
        var reader = ByteReader(buffer)
        try self.init(decoding: &reader)
        try reader.requireEnd()
    }

    /// Reads what `encode` wrote and leaves the rest of `buffer` unread. Values are slices that share its storage.
    ///
    /// Refuses every other form: an unknown format, versions unsorted or outside the context, flags that say something
    /// else than the versions, anything above its limit.
    package init(decoding buffer: inout ByteReader) throws(DecodeError) {
        let summary = try Self.readSummary(from: &buffer)
        let context = try VersionVector(decoding: &buffer)
        // A forged count must not reserve more memory than the bytes behind it could fill.
        guard summary.versionCount * Format.versionBytesMin <= buffer.readableBytes else { throw .truncated }
        var versions: [Version] = []
        versions.reserveCapacity(summary.versionCount)
        var hasExpiry = false
        for _ in 0..<summary.versionCount {
            let dot = try Self.readDot(from: &buffer, within: context)
            if let last = versions.last, last.dot >= dot { throw .invalid(field: "siblings order") }
            let version = try Version(dot: dot, decodingContent: &buffer)
            if version.expiry != nil { hasExpiry = true }
            versions.append(version)
        }
        guard hasExpiry == summary.hasExpiry else { throw .invalid(field: "siblings flags") }
        self.init(context: context, sorted: versions)
    }

    /// The context of encoded siblings, without a look at the versions behind it, which may still be malformed.
    package static func context(of record: ByteBuffer) throws(DecodeError) -> VersionVector {
        var reader = ByteReader(record)
        _ = try self.readSummary(from: &reader)
        return try VersionVector(decoding: &reader)
    }

    /// Reads only the first bytes of what `encode` wrote: constant time, no allocation. The rest may still be malformed.
    package static func peek(_ buffer: ByteBuffer) throws(DecodeError) -> SiblingsSummary {
        var reader = ByteReader(buffer)
        return try self.readSummary(from: &reader)
    }

    /// The value that a reader of a bucket with `conflicts=lww` sees, a slice of `buffer`; nil for a tombstone and for what cannot be
    /// read. Expiry is not looked at. Allocates nothing for one version, which is the rule.
    package static func latestValue(of buffer: ByteBuffer) -> ByteBuffer? {
        var rest = ByteReader(buffer)
        guard let summary = try? self.readSummary(from: &rest) else { return nil }
        guard summary.versionCount == 1 else {
            rest = ByteReader(buffer)
            return (try? Siblings(decoding: &rest))?.showingLatest().versions.first?.value
        }
        // Behind the context lie the dot, in two integers, and the content.
        guard VersionVector.skip(in: &rest), (try? rest.readVarint()) != nil, (try? rest.readVarint()) != nil
        else { return nil }
        return Version.value(inContent: &rest)
    }

    private static func readSummary(from buffer: inout ByteReader) throws(DecodeError) -> SiblingsSummary {
        let flags = try buffer.readFixed(as: UInt8.self)
        guard flags & ~Format.someExpiry == Format.version else { throw .invalid(field: "siblings format") }
        let count = try buffer.readVarint()
        guard count <= UInt64(self.siblingsDecodedMax) else {
            throw .tooMany(count: count, countMax: UInt64(self.siblingsDecodedMax))
        }
        let hasExpiry = flags & Format.someExpiry != 0
        if hasExpiry, count == 0 { throw .invalid(field: "siblings flags") }
        return SiblingsSummary(versionCount: Int(count), hasExpiry: hasExpiry)
    }

    private static func readDot(
        from buffer: inout ByteReader, within context: VersionVector
    ) throws(DecodeError) -> Dot {
        let index = try buffer.readVarint()
        let counter = try buffer.readVarint()
        guard index < UInt64(context.entries.count) else { throw .invalid(field: "sibling actor") }
        let latest = context.entries[Int(index)]
        guard counter >= 1, counter <= latest.counter else { throw .invalid(field: "sibling counter") }
        return Dot(node: latest.node, counter: counter)
    }
}

extension Version {
    /// The most bytes one version takes, its dot included.
    var encodedBytesMax: Int {
        49 + (self.metadata.isEmpty ? 0 : self.metadata.encodedBytesMax) + self.value.readableBytes
    }

    /// Appends all but the dot: time (8 bytes), flags, then expiry and metadata if the flags say so, then the value.
    func encodeContent(into buffer: inout ByteWriter) {
        let hasMetadata = !self.metadata.isEmpty
        buffer.writeInteger(self.time.rawValue)
        buffer.writeInteger((self.expiry == nil ? 0 : Format.expiry) | (hasMetadata ? Format.metadata : 0))
        if let expiry = self.expiry { buffer.writeVarint(expiry.milliseconds) }
        if hasMetadata { self.metadata.encode(into: &buffer) }
        buffer.writeCounted(self.value)
    }

    /// Reads what `encodeContent` wrote.
    init(dot: Dot, decodingContent buffer: inout ByteReader) throws(DecodeError) {
        let time = HybridTime(rawValue: try buffer.readFixed(as: UInt64.self))
        let flags = try buffer.readFixed(as: UInt8.self)
        guard flags & ~(Format.expiry | Format.metadata) == 0 else { throw .invalid(field: "version flags") }
        var expiry: WallTime?
        if flags & Format.expiry != 0 { expiry = WallTime(milliseconds: try buffer.readVarint()) }
        var metadata = VersionMetadata.none
        if flags & Format.metadata != 0 {
            metadata = try VersionMetadata(decoding: &buffer)
            // Without this, no metadata would have two forms.
            if metadata.isEmpty { throw .invalid(field: "version flags") }
        }
        let value = try buffer.readCounted(bytesMax: Self.valueBytesMax)
        self.init(dot: dot, time: time, expiry: expiry, metadata: metadata, value: value)
    }

    /// The value in what `encodeContent` wrote, without a look at most of the rest; nil for what cannot be read.
    static func value(inContent buffer: inout ByteReader) -> ByteBuffer? {
        guard (try? buffer.readFixed(as: UInt64.self)) != nil, let flags = try? buffer.readFixed(as: UInt8.self) else {
            return nil
        }
        if flags & Format.expiry != 0, (try? buffer.readVarint()) == nil { return nil }
        if flags & Format.metadata != 0, (try? VersionMetadata(decoding: &buffer)) == nil { return nil }
        return try? buffer.readCounted(bytesMax: Self.valueBytesMax)
    }

    /// True when the content of `self` has smaller canonical bytes than that of `other`: the order in which replicas agree
    /// on one of two values under one dot. Allocates; only for that broken case.
    func contentPrecedes(_ other: Version) -> Bool {
        var mine = ByteWriter()
        var theirs = ByteWriter()
        self.encodeContent(into: &mine)
        other.encodeContent(into: &theirs)
        return mine.finish().readableBytesView.lexicographicallyPrecedes(theirs.finish().readableBytesView)
    }
}
