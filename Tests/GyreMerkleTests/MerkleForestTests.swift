import GyreBase
import GyreMerkle
import Testing

@Suite struct MerkleForestTests {
    @Test func aNewForestIsUnbuiltAndIgnoresChanges() throws {
        var forest = try Sample.forest()
        forest.onChange(Token(rawValue: 1), old: nil, new: 5)
        #expect(forest.state(of: 0) == .unbuilt)
        #expect(forest.root(of: 0) == nil)
        #expect(forest.inners(of: 0) == nil)
        #expect(forest.leaves(of: 0, under: 0) == nil)
        #expect(forest.treeBytes == 0)
    }

    @Test(arguments: [-1, 8, Int.max, Int.min])
    func anIndexOutsideTheRingIsUnbuilt(partition: Int) throws {
        var forest = try Sample.forest()
        forest.markEmpty()
        #expect(forest.state(of: partition) == .unbuilt)
        #expect(forest.tree(of: partition) == nil)
        #expect(forest.answer(root: 0, of: partition) == .notReady)
        #expect(forest.leaves(of: partition, mask: .max) == nil)
        forest.drop(partition)
        #expect(throws: MerkleError.notBuilt(partition: partition)) {
            try forest.onScanned(partition, leaves: 0..<1, objects: [])
        }
        #expect(throws: MerkleError.notBuilt(partition: partition)) {
            try forest.rebuildLeaf(partition, leaf: 0, objects: [])
        }
    }

    @Test func aTreeIsAllocatedWithTheFirstObjectAndGivenBackWithDrop() throws {
        var forest = try Sample.forest(65_536)
        forest.markEmpty()
        #expect(forest.isReady(65_535))
        #expect(forest.root(of: 65_535) == 0)
        #expect(forest.inners(of: 65_535) == [UInt64](repeating: 0, count: 32))
        #expect(forest.leaves(of: 65_535, under: 32) == nil)
        #expect(forest.treeBytes == 0)
        forest.onChange(Token(rawValue: .max), old: nil, new: 5)
        let element = Sample.salt.element(Token(rawValue: .max), digest: 5)
        #expect(forest.root(of: 65_535) == element)
        #expect(forest.leaves(of: 65_535, under: 31)?.last == element)
        #expect((1...MerkleTree.bytesMax).contains(forest.treeBytes))
        forest.drop(65_535)
        #expect(forest.state(of: 65_535) == .unbuilt)
        #expect(forest.treeBytes == 0)
    }

    @Test func aScanOutOfPlaceIsRefusedAndChangesNothing() throws {
        var forest = try Sample.forest()
        let object = ScannedObject(token: Token(rawValue: 0), digest: 1)
        #expect(throws: MerkleError.notBuilt(partition: 0)) {
            try forest.onScanned(0, leaves: 0..<4, objects: [object])
        }
        forest.beginBuild(0)
        for leaves in [1..<2, 0..<0, 0..<1_025] {
            #expect(throws: MerkleError.wrongLeaves(leaves, next: 0)) {
                try forest.onScanned(0, leaves: leaves, objects: [])
            }
        }
        for stray in [UInt64.max, 4 << 51] {
            let token = Token(rawValue: stray)
            #expect(throws: MerkleError.outsideLeaves(token)) {
                try forest.onScanned(0, leaves: 0..<4, objects: [object, ScannedObject(token: token, digest: 1)])
            }
        }
        #expect(forest.state(of: 0) == .building(nextLeaf: 0))
        #expect(forest.treeBytes == 0)
        try forest.onScanned(0, leaves: 0..<1_024, objects: [object])
        #expect(forest.root(of: 0) == Sample.salt.element(object.token, digest: 1))
    }

    @Test(arguments: UInt64(0)..<200)
    func aForestBuiltWhileChangesGoOnEqualsOneHashedFromScratch(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let shape = try Sample.shape()
        var forest = try Sample.forest()
        var store: [Token: UInt64] = [:]
        var naive = NaiveForest()
        // Tokens of partitions 2 and 3, in some forty leaves each.
        let tokens = (0..<80).map { _ in Token(rawValue: (2 + random.below(2)) << 61 | random.below(40) << 56) }
        func change(_ random: inout SeededRandom) {
            let token = tokens[Int(random.below(UInt64(tokens.count)))]
            let digest = random.chance(1, in: 4) ? nil : random.next()
            forest.onChange(token, old: store[token], new: digest)
            store[token] = digest
            naive.set(token, digest)
        }
        for _ in 0..<40 { change(&random) }
        for partition in [2, 3] { forest.beginBuild(partition) }
        while !(forest.isReady(2) && forest.isReady(3)) {
            for _ in 0..<random.below(6) { change(&random) }
            if random.chance(1, in: 40) { forest.beginBuild(2) }
            let partition = Int(2 + random.below(2))
            guard case .building(let next) = forest.state(of: partition) else { continue }
            let leaves = next..<min(1_024, next + 1 + Int(random.below(200)))
            let range = shape.tokens(of: partition, leaves: leaves)
            let found = store.filter { range.contains($0.key) }.map { ScannedObject(token: $0.key, digest: $0.value) }
            try forest.onScanned(partition, leaves: leaves, objects: found)
        }
        for _ in 0..<40 { change(&random) }
        for partition in [2, 3] {
            #expect(forest.tree(of: partition) == naive.tree(of: partition, shape), "seed \(seed)")
        }
        #expect(forest.leavesCorrected == 0)
    }

    @Test func aWrongLeafIsRebuiltAndCounted() throws {
        var forest = try Sample.forest()
        forest.markEmpty()
        let token = Token(rawValue: 9 << 51)
        forest.onChange(token, old: nil, new: 5)
        let right = forest.root(of: 0)
        forest.onChange(token, old: nil, new: 5)
        #expect(forest.root(of: 0) != right)
        let objects = [ScannedObject(token: token, digest: 5)]
        #expect(try forest.rebuildLeaf(0, leaf: 9, objects: objects))
        #expect(forest.root(of: 0) == right)
        #expect(try !forest.rebuildLeaf(0, leaf: 9, objects: objects))
        #expect(forest.leavesCorrected == 1)
        #expect(throws: MerkleError.outsideLeaves(token)) { try forest.rebuildLeaf(0, leaf: 8, objects: objects) }
        #expect(throws: MerkleError.notBuilt(partition: 0)) { try forest.rebuildLeaf(0, leaf: 1_024, objects: []) }
        #expect(throws: MerkleError.notBuilt(partition: 0)) { try forest.rebuildLeaf(0, leaf: -1, objects: []) }
    }

    @Test func aPeersQuestionsAreAnsweredFromTheTree() throws {
        var forest = try Sample.forest()
        forest.markEmpty()
        forest.onChange(Token(rawValue: 1), old: nil, new: 5)
        let tree = try #require(forest.tree(of: 0))
        #expect(forest.answer(root: tree.root, of: 0) == .same)
        #expect(forest.answer(root: tree.root &+ 1, of: 0) == .inners(tree.inners))
        #expect(forest.leaves(of: 0, mask: 1 << 31 | 1)?.map(\.inner) == [0, 31])
        #expect(forest.leaves(of: 0, mask: 1)?.first?.leaves == tree.leaves(under: 0))
        #expect(forest.leaves(of: 0, mask: 0) == [])
    }
}
