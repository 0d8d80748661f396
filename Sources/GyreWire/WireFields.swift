import GyreBase
import NIOCore

extension ByteWriter {
    /// Appends text of at most `bytesMax` UTF-8 bytes, counted; the other side would refuse a longer one.
    mutating func writeText(_ text: String, bytesMax: Int) throws(DecodeError) {
        let bytes = text.utf8.count
        guard bytes <= bytesMax else { throw .tooLong(bytes: UInt64(bytes), bytesMax: UInt64(bytesMax)) }
        self.writeCounted(text)
    }

    /// Appends an explanation for people, cut to `WireLimits.reasonBytesMax` between two characters.
    mutating func writeReason(_ reason: String) {
        guard reason.utf8.count > WireLimits.reasonBytesMax else { return self.writeCounted(reason) }
        let bytes = Array(reason.utf8.prefix(WireLimits.reasonBytesMax + 1))
        var end = WireLimits.reasonBytesMax
        // A byte 10xxxxxx continues a character; cut before the one that begins it.
        while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        self.writeVarint(UInt64(end))
        bytes[..<end].withUnsafeBytes { self.writeBytes($0) }
    }

    /// Appends the count of a list of at most `countMax`.
    mutating func writeCount(_ count: Int, countMax: Int) throws(DecodeError) {
        guard count <= countMax else { throw .tooMany(count: UInt64(count), countMax: UInt64(countMax)) }
        self.writeVarint(UInt64(count))
    }

    /// Appends one byte, 1 for true and 0 for false.
    mutating func writeFlag(_ flag: Bool) { self.writeInteger(flag ? UInt8(1) : 0) }

    /// Appends a NodeID, which is never zero.
    mutating func writeNode(_ node: NodeID) throws(DecodeError) {
        guard node.rawValue != 0 else { throw .invalid(field: "node") }
        self.writeInteger(node.rawValue)
    }
}

extension ByteReader {
    /// Reads what `writeReason` wrote.
    mutating func readReason() throws(DecodeError) -> String {
        try self.readCountedString(bytesMax: WireLimits.reasonBytesMax)
    }

    /// Reads the count of a list whose elements take at least `elementBytesMin` bytes each, so that a forged count
    /// reserves no more memory than the bytes behind it justify.
    mutating func readCount(countMax: Int, elementBytesMin: Int) throws(DecodeError) -> Int {
        let count = try self.readVarint()
        guard count <= UInt64(countMax) else { throw .tooMany(count: count, countMax: UInt64(countMax)) }
        guard Int(count) * elementBytesMin <= self.readableBytes else { throw .truncated }
        return Int(count)
    }

    /// Reads what `writeFlag` wrote; refuses any other byte.
    mutating func readFlag() throws(DecodeError) -> Bool {
        switch try self.readFixed(as: UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw .invalid(field: "flag")
        }
    }

    /// Reads a NodeID, which is never zero.
    mutating func readNode() throws(DecodeError) -> NodeID {
        let value = try self.readFixed(as: UInt64.self)
        guard value != 0 else { throw .invalid(field: "node") }
        return NodeID(rawValue: value)
    }
}
