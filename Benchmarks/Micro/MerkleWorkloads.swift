import GyreBase
import GyreMerkle

/// What anti-entropy costs a put.
let merkleWorkloads: [Workload] = [
    Workload(name: "merkle/element/seed=42", operations: 10_000_000) { operations in
        let salt = MerkleSalt(cluster: "micro")
        return {
            var sum: UInt64 = 0
            for index in 0..<UInt64(operations) { sum &+= salt.element(Token(rawValue: index), digest: sum) }
            return sum
        }
    },
    Workload(name: "merkle/onChange/overwrite,Q=1024/seed=42", operations: 10_000_000) { operations in
        let shape = try MerkleShape(partitionCount: 1_024)
        return {
            var random = SeededRandom(seed: 42)
            var forest = MerkleForest(shape: shape, salt: MerkleSalt(cluster: "micro"))
            forest.markEmpty()
            var old: UInt64?
            for _ in 0..<operations {
                let new = random.next()
                // All in one partition of many, as the cache would see a busy one.
                forest.onChange(Token(rawValue: new >> 10), old: old, new: new)
                old = new
            }
            return forest.root(of: 0) ?? 0
        }
    },
]
