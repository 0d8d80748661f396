import GyreBase
import GyreMerkle
import NIOCore
import Testing

@Suite("Checkpoints of hash trees are frozen")
struct MerkleCheckpointTests {
    /// A forest with `count` objects in partition 3 of 8, one in each of the first leaves.
    private func forest(_ count: Int, cluster: String = "gyre", partitionCount: Int = 8) throws -> MerkleForest {
        let salt = MerkleSalt(cluster: cluster)
        var forest = MerkleForest(shape: try Sample.shape(partitionCount), salt: salt)
        forest.markEmpty()
        for leaf in 0..<count { forest.onChange(Token(rawValue: 3 << 61 | UInt64(leaf) << 51), old: nil, new: 7) }
        return forest
    }

    private func checkpoint(_ count: Int) throws -> ByteBuffer {
        try #require(try self.forest(count).checkpoint(of: 3))
    }

    @Test func aSparseTreeHasItsGoldenBytes() throws {
        let head = "01" + "00000008" + "00000003" + "c8938ca75ae286e9" + "00"
        #expect(hex(try self.checkpoint(0)) == head + "0000" + "0e04feb3b85f4155")
        let leaves = "0002" + "0000" + "e9a27e0ad079660a" + "0001" + "7675649b951dddb4"
        #expect(hex(try self.checkpoint(2)) == head + leaves + "5e44f3eb11908e43")
    }

    @Test func aDenseTreeHasItsGoldenBytes() throws {
        let bytes = try self.checkpoint(1_024)
        #expect(bytes.readableBytes == MerkleForest.checkpointBytesMax)
        #expect(hex(bytes).hasPrefix("010000000800000003c8938ca75ae286e901e9a27e0ad079660a"))
        #expect(hexadecimal(StableHash.xxh3(bytes)) == "970cfe469268bdb5")
    }

    @Test(arguments: [0, 1, 2, 500, 818, 819, 820, 1_023, 1_024])
    func aCheckpointReadsBackAndTheShorterFormIsUsed(count: Int) throws {
        let bytes = try self.checkpoint(count)
        #expect(bytes.readableBytes == 26 + min(8_192, 2 + 10 * count))
        var forest = try self.forest(0)
        forest.onChange(Token(rawValue: 3 << 61), old: nil, new: 99)
        #expect(try forest.readCheckpoint(bytes) == 3)
        #expect(forest.tree(of: 3) == (try self.forest(count)).tree(of: 3))
        #expect((forest.treeBytes > 0) == (count > 0))
        #expect(forest.checkpoint(of: 3) == bytes)
    }

    @Test func onlyAReadyPartitionHasACheckpoint() throws {
        var forest = try Sample.forest()
        forest.beginBuild(1)
        for partition in [-1, 0, 1, 8] { #expect(forest.checkpoint(of: partition) == nil) }
    }

    @Test func aCheckpointBehindOtherBytesCoversOnlyItself() throws {
        var buffer = ByteBuffer(string: "before")
        buffer.writeImmutableBuffer(try self.checkpoint(2))
        buffer.moveReaderIndex(forwardBy: 6)
        var forest = try self.forest(0)
        #expect(try forest.readCheckpoint(buffer) == 3)
    }

    @Test func anotherClusterOrAnotherRingIsRefused() throws {
        let bytes = try self.checkpoint(2)
        var stranger = try self.forest(0, cluster: "other")
        #expect(throws: DecodeError.invalid(field: "checkpoint salt")) { try stranger.readCheckpoint(bytes) }
        var larger = try self.forest(0, partitionCount: 16)
        #expect(throws: DecodeError.invalid(field: "checkpoint partition count")) { try larger.readCheckpoint(bytes) }
    }

    @Test(arguments: [0, 3, 1_024])
    func everyTruncationAndEveryFlippedBitIsRefused(count: Int) throws {
        let bytes = try self.checkpoint(count)
        var forest = try self.forest(1)
        let before = forest.tree(of: 3)
        for length in 0..<bytes.readableBytes {
            let cut = try #require(bytes.getSlice(at: 0, length: length))
            #expect(throws: DecodeError.truncated) { try forest.readCheckpoint(cut) }
        }
        var longer = bytes
        longer.writeInteger(UInt8(0))
        #expect(throws: DecodeError.trailing(bytes: 1)) { try forest.readCheckpoint(longer) }
        var accepted: [Int] = []
        var flipped = bytes
        for bit in 0..<bytes.readableBytes * 8 {
            let byte = flipped.getInteger(at: bit / 8, as: UInt8.self) ?? 0
            flipped.setInteger(byte ^ 1 << UInt8(bit % 8), at: bit / 8)
            if (try? forest.readCheckpoint(flipped)) != nil { accepted.append(bit) }
            flipped.setInteger(byte, at: bit / 8)
        }
        #expect(flipped == bytes)
        #expect(accepted == [])
        #expect(forest.tree(of: 3) == before)
    }

    /// What a checksum does not catch: bytes that somebody wrote wrongly on purpose.
    @Test func soundChecksumsDoNotExcuseWrongFields() throws {
        let sparse = try self.checkpoint(2)
        let cases: [(at: Int, bytes: [UInt8], error: DecodeError)] = [
            (0, [0x02], .invalid(field: "checkpoint version")),
            (1, [0, 0, 0, 16], .invalid(field: "checkpoint partition count")),
            (5, [0, 0, 0, 8], .invalid(field: "checkpoint partition")),
            (5, [0xFF, 0xFF, 0xFF, 0xFF], .invalid(field: "checkpoint partition")),
            (9, [0, 0, 0, 0], .invalid(field: "checkpoint salt")),
            (17, [0x02], .invalid(field: "checkpoint form")),
            (18, [0xFF, 0xFF], .tooMany(count: 65_535, countMax: 819)),
            (18, [0, 3], .truncated),
            (18, [0, 1], .trailing(bytes: 10)),
            (20, [0, 1], .invalid(field: "checkpoint leaf")),
            (30, [4, 0], .invalid(field: "checkpoint leaf")),
            (32, [0, 0, 0, 0, 0, 0, 0, 0], .invalid(field: "checkpoint leaf")),
        ]
        var forest = try self.forest(0)
        for example in cases {
            let forged = self.forged(sparse, example.at, example.bytes)
            #expect(throws: example.error, "at \(example.at)") { try forest.readCheckpoint(forged) }
        }
        let dense = self.forged(try self.checkpoint(820), 18, [UInt8](repeating: 0, count: 16))
        #expect(throws: DecodeError.invalid(field: "checkpoint form")) { try forest.readCheckpoint(dense) }
    }

    private func forged(_ bytes: ByteBuffer, _ index: Int, _ patch: [UInt8]) -> ByteBuffer {
        var body = bytes.getSlice(at: 0, length: bytes.readableBytes - 8) ?? ByteBuffer()
        body.setBytes(patch, at: index)
        body.writeInteger(StableHash.xxh3(body))
        return body
    }
}
