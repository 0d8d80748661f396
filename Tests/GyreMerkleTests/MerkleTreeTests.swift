import GyreBase
import GyreMerkle
import Testing

@Suite struct MerkleShapeTests {
    @Test(arguments: [0, 4, 7, 12, 131_072, -8])
    func anOddPartitionCountIsRefused(count: Int) {
        #expect(throws: MerkleError.invalidPartitionCount(count, allowed: 8...65_536)) {
            try MerkleShape(partitionCount: count)
        }
    }

    @Test(arguments: [8, 1_024, 65_536])
    func rangesOfLeavesTileTheTokenSpace(partitionCount: Int) throws {
        let shape = try MerkleShape(partitionCount: partitionCount)
        var next: UInt64 = 0
        for partition in [0, 1] {
            for leaf in 0..<MerkleShape.leavesPerPartition {
                let tokens = shape.tokens(of: partition, leaves: leaf..<leaf + 1)
                #expect(tokens.lowerBound.rawValue == next)
                next = tokens.upperBound.rawValue + 1
                for token in [tokens.lowerBound, tokens.upperBound] {
                    #expect(shape.partition(of: token) == partition)
                    #expect(shape.leaf(of: token) == leaf)
                }
            }
        }
        let end = shape.tokens(of: partitionCount - 1, leaves: 1_000..<1_024)
        #expect(end.upperBound.rawValue == .max)
        #expect(shape.leaf(of: end.lowerBound) == 1_000)
        #expect(shape.partition(of: end.upperBound) == partitionCount - 1)
        #expect(shape.tokens(of: 0, leaves: 0..<1_024).lowerBound.rawValue == 0)
    }

    @Test func leavesAndPartitionsAgreeWithDivision() throws {
        var random = SeededRandom(seed: 1)
        for partitionCount in [8, 64, 65_536] {
            let shape = try MerkleShape(partitionCount: partitionCount)
            let width = UInt64.max / UInt64(partitionCount * MerkleShape.leavesPerPartition) + 1
            for _ in 0..<500 {
                let token = Token(rawValue: random.next())
                let leaf = Int(token.rawValue / width)
                #expect(shape.partition(of: token) == leaf / 1_024)
                #expect(shape.leaf(of: token) == leaf % 1_024)
            }
        }
    }
}

@Suite struct MerkleSaltTests {
    @Test func elementsAreFrozen() {
        let salt = MerkleSalt(cluster: "gyre")
        #expect(hexadecimal(salt.fingerprint) == "c8938ca75ae286e9")
        #expect(hexadecimal(salt.element(Token(rawValue: 1), digest: 2)) == "9da7f9273af389f6")
    }

    @Test func anElementDependsOnSaltTokenAndDigest() {
        let token = Token(rawValue: 7)
        let element = Sample.salt.element(token, digest: 9)
        #expect(element != MerkleSalt(cluster: "test").element(token, digest: 9))
        #expect(element != Sample.salt.element(Token(rawValue: 8), digest: 9))
        #expect(element != Sample.salt.element(token, digest: 8))
        #expect(element != Sample.salt.element(Token(rawValue: 9), digest: 7))
        #expect(Sample.salt.element(token, digest: nil) == 0)
        #expect(Sample.salt.fingerprint != MerkleSalt(cluster: "test").fingerprint)
    }

    @Test func aFlippedBitOfTheInputFlipsHalfOfTheElement() {
        var random = SeededRandom(seed: 2)
        var flipped = 0
        let draws = 200
        for _ in 0..<draws {
            let (token, digest) = (random.next(), random.next())
            let element = Sample.salt.element(Token(rawValue: token), digest: digest)
            for bit in UInt64(0)..<64 {
                let other = Sample.salt.element(Token(rawValue: token ^ 1 << bit), digest: digest)
                let another = Sample.salt.element(Token(rawValue: token), digest: digest ^ 1 << bit)
                flipped += (element ^ other).nonzeroBitCount + (element ^ another).nonzeroBitCount
            }
        }
        let mean = Double(flipped) / Double(draws * 128)
        #expect((31.5...32.5).contains(mean), "\(mean) of 64 bits")
    }
}

@Suite struct MerkleTreeTests {
    @Test func aTreeStaysWithinItsBudget() {
        var tree = MerkleTree()
        tree.add(1, to: 0)
        #expect(tree.bytes >= 8 * MerkleTree.wordCount)
        #expect(tree.bytes <= 9 * MerkleShape.leavesPerPartition, "\(tree.bytes) bytes, 8.3 a leaf are documented")
        #expect(tree.bytes <= MerkleTree.bytesMax)
    }

    @Test(arguments: UInt64(0)..<200)
    func anyOrderOfChangesGivesTheTreeHashedFromScratch(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let shape = try Sample.shape()
        var naive = NaiveForest()
        var changes: [(leaf: Int, old: UInt64, new: UInt64)] = []
        var digests: [Token: UInt64] = [:]
        // Few tokens, all in partition 0, so that objects are overwritten and removed.
        for _ in 0..<120 {
            let token = Token(rawValue: random.below(30) << 55 | random.below(2))
            let digest = random.chance(1, in: 4) ? nil : random.next()
            let old = Sample.salt.element(token, digest: digests[token])
            changes.append((shape.leaf(of: token), old, Sample.salt.element(token, digest: digest)))
            digests[token] = digest
            naive.set(token, digest)
        }
        var forward = MerkleTree()
        for change in changes { forward.replace(change.leaf, old: change.old, new: change.new) }
        var shuffled = MerkleTree()
        for change in changes.shuffled(using: &random) {
            shuffled.replace(change.leaf, old: change.old, new: change.new)
        }
        let scratch = naive.tree(of: 0, shape)
        #expect(forward == scratch)
        #expect(shuffled == scratch)
        #expect(forward.root == scratch.inners.reduce(0, &+))
        for inner in 0..<MerkleShape.fanOut {
            #expect(forward.inners[inner] == forward.leaves(under: inner).reduce(0, &+))
        }
    }

    @Test func anObjectAppliedTwiceShows() {
        var tree = MerkleTree()
        tree.replace(5, old: 0, new: 77)
        tree.replace(5, old: 0, new: 77)
        #expect(tree.leaf(5) == 154)
        tree.set(5, to: 77)
        #expect(tree.root == 77)
        tree.replace(5, old: 77, new: 0)
        #expect(tree == MerkleTree())
    }
}
