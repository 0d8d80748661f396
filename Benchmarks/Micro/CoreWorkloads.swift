import GyreBase
import GyreCausality
import GyreRing
import NIOCore

let ringWorkloads: [Workload] = [3, 30].map { nodes in
    Workload(name: "ring/owners/nodes=\(nodes),Q=1024,N=3/seed=42", operations: 1_000_000) { operations in
        let members = (1...nodes).map { RingMember(node: NodeID(rawValue: UInt64($0) &* 0x9E37_79B9_7F4A_7C15)) }
        let ring = try Ring(members: members, options: RingOptions())
        return {
            var random = SeededRandom(seed: 42)
            var hash = ResultHash()
            for _ in 0..<operations {
                let owners = ring.owners(of: ring.partition(of: Token(rawValue: random.next())))
                hash.record(owners[owners.startIndex].rawValue)
            }
            return hash.value
        }
    }
}

/// A record with `versions` siblings of 100 bytes, each of another node.
func sampleSiblings(versions: Int, random: inout SeededRandom) -> Siblings {
    var siblings = Siblings()
    for index in 0..<versions {
        let dot = Dot(node: NodeID(rawValue: UInt64(index + 1)), counter: 1 + random.below(1_000_000))
        let version = Version(
            dot: dot, time: HybridTime(rawValue: 1 << 40), expiry: nil, metadata: .none,
            value: ByteBuffer(repeating: UInt8(index), count: 100))
        siblings.put(version, seen: .blind)
    }
    return siblings
}

let causalityWorkloads: [Workload] = [
    Workload(name: "siblings/merge/2x2-concurrent,100B/seed=42", operations: 200_000) { operations in
        var random = SeededRandom(seed: 42)
        let a = sampleSiblings(versions: 2, random: &random)
        let b = sampleSiblings(versions: 2, random: &random)
        return {
            var hash = ResultHash()
            for _ in 0..<operations {
                var merged = a
                merged.merge(b)
                hash.record(UInt64(merged.versions.count))
            }
            return hash.value
        }
    },
    Workload(name: "siblings/overwrite/1,100B/seed=42", operations: 200_000) { operations in
        return {
            var siblings = Siblings()
            var hash = ResultHash()
            let value = ByteBuffer(repeating: 7, count: 100)
            for counter in 1...operations {
                let dot = Dot(node: NodeID(rawValue: 1), counter: UInt64(counter))
                siblings.put(
                    Version(dot: dot, time: .zero, expiry: nil, metadata: .none, value: value), seen: .overwrite)
                hash.record(UInt64(siblings.versions.count))
            }
            return hash.value
        }
    },
    Workload(name: "record/encode/1,100B/seed=42", operations: 500_000) { operations in
        var random = SeededRandom(seed: 42)
        let siblings = sampleSiblings(versions: 1, random: &random)
        return {
            var buffer = ByteBuffer()
            var hash = ResultHash()
            for _ in 0..<operations {
                buffer.clear()
                var writer = ByteWriter(taking: &buffer)
                siblings.encode(into: &writer)
                buffer = writer.finish()
                hash.record(UInt64(buffer.readableBytes))
            }
            hash.record(StableHash.xxh3(buffer))
            return hash.value
        }
    },
    Workload(name: "record/decode/1,100B/seed=42", operations: 500_000) { operations in
        var random = SeededRandom(seed: 42)
        let buffer = sampleSiblings(versions: 1, random: &random).encoded
        return { [buffer] in
            var hash = ResultHash()
            for _ in 0..<operations {
                let siblings = try Siblings(encoded: buffer)
                hash.record(siblings.versions[0].dot.counter)
            }
            return hash.value
        }
    },
]
