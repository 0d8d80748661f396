import GyreBase
import GyreCausality
import GyreStorage
import NIOCore
import Testing

@Suite("Bytes on disk are frozen")
struct FormatTests {
    private func hex(_ buffer: ByteBuffer) -> String {
        buffer.readableBytesView.map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }.joined()
    }

    private func valueBytes(_ body: ByteBuffer, _ name: ObjectName, versions: Int) -> ByteBuffer {
        var writer = ByteWriter()
        let record = ObjectRecord(
            body: body, digest: RecordDigest(of: body, name: name), versionCount: versions, hasExpiry: false)
        RecordFormat.write(record, into: &writer)
        return writer.finish()
    }

    @Test func storageKeysHaveTheirGoldenBytes() throws {
        let name = try Sample.name("apple", bucket: "carts")
        #expect(
            self.hex(StorageKey.bytes(of: name)) == "01" + name.token.description + "05" + "6361727473" + "6170706c65")
        #expect(self.hex(StorageKey.bytes(of: name)) == Golden.key)
        #expect(try StorageKey.name(from: StorageKey.bytes(of: name)) == name)
    }

    @Test func recordsHaveTheirGoldenBytes() throws {
        let name = try Sample.name("apple", bucket: "carts")
        let live = self.valueBytes(Sample.record(Sample.version(7, "red")), name, versions: 1)
        #expect(self.hex(live) == Golden.live)
        var gone = Siblings()
        gone.put(Sample.version(7, "red"), seen: .blind)
        gone.delete(seen: .overwrite)
        #expect(self.hex(self.valueBytes(Sample.bytes(gone), name, versions: 0)) == Golden.tombstone)
    }

    @Test func nodeRecordsHaveTheirGoldenBytes() throws {
        #expect(
            NodeRecord.allCases.map { self.hex($0.key) } == [
                "0001", "0002", "0003", "0004", "0005", "0006", "0011", "0012", "0013", "0014", "0015",
                "0016",
            ])
        #expect(self.hex(NodeRecord.lease.value(ByteBuffer(integer: UInt64(500)))) == Golden.lease)
        #expect(throws: DecodeError.checksumMismatch) {
            try NodeRecord.owner.body(NodeRecord.lease.value(ByteBuffer(integer: UInt64(500))))
        }
    }

    @Test func storageKeysSortAsTheirNamesDo() throws {
        var random = SeededRandom(seed: 5)
        let names = try (0..<200).map { _ in
            try Sample.name("k\(random.below(50))", bucket: String(repeating: "b", count: Int(random.below(3)) + 1))
        }
        for one in names {
            for other in names {
                let bytes = (StorageKey.bytes(of: one), StorageKey.bytes(of: other))
                let isBefore = bytes.0.readableBytesView.lexicographicallyPrecedes(bytes.1.readableBytesView)
                #expect((one < other) == isBefore)
            }
        }
    }

    @Test func anyFlippedBitOfARecordIsNoticed() throws {
        let name = try Sample.name("apple")
        let value = self.valueBytes(Sample.record(Sample.version(7, "red")), name, versions: 1)
        for bit in 0..<value.readableBytes * 8 {
            var flipped = value
            let byte = flipped.getInteger(at: bit / 8, as: UInt8.self) ?? 0
            flipped.setInteger(byte ^ (1 << UInt8(bit % 8)), at: bit / 8)
            guard case .corrupt = RecordFormat.read(flipped, name: name) else {
                Issue.record("bit \(bit) flipped without notice")
                continue
            }
        }
        for length in 0..<value.readableBytes {
            guard case .corrupt = RecordFormat.read(value.getSlice(at: 0, length: length) ?? value, name: name) else {
                Issue.record("cut to \(length) bytes without notice")
                continue
            }
        }
    }

    @Test func damagedStorageKeysAreRefused() throws {
        let key = StorageKey.bytes(of: try Sample.name("apple"))
        for length in 0..<key.readableBytes {
            #expect(throws: DecodeError.self) { try StorageKey.name(from: key.getSlice(at: 0, length: length) ?? key) }
        }
    }
}

private enum Golden {
    static let key = "013f91eb67a490d6520563617274736170706c65"
    static let live = "01cf85b58cb0ef8dec01010100000000000000a10700070000000003e800000003726564"
    static let tombstone = "014e4d8099cc4785c301000100000000000000a107"
    static let lease = "018a580ede169bf02d00000000000001f4"
}
