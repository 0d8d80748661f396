import Glibc
import GyreBase
import GyreCausality
import NIOCore

/// The seeds of every random test: fixed ones, and one more from `GYRE_TEST_SEED` when it is set.
let seeds: [UInt64] = {
    let fixed: [UInt64] = [1, 2, 3, 5, 8, 13, 21, 34]
    guard let text = getenv("GYRE_TEST_SEED"), let seed = UInt64(String(cString: text)) else { return fixed }
    return fixed + [seed]
}()

let a = NodeID(rawValue: 0xA)
let b = NodeID(rawValue: 0xB)
let c = NodeID(rawValue: 0xC)

func vector(_ entries: (NodeID, UInt64)...) -> VersionVector {
    VersionVector(entries.map { Dot(node: $0.0, counter: $0.1) })
}

func version(_ node: NodeID, _ counter: UInt64, _ text: String = "v") -> Version {
    Version(
        dot: Dot(node: node, counter: counter),
        time: HybridTime(wall: WallTime(milliseconds: counter), logical: 0),
        expiry: nil,
        metadata: .none,
        value: ByteBuffer(string: text)
    )
}

extension Siblings {
    var texts: [String] { self.versions.map { String(buffer: $0.value) } }

    func merged(_ other: Siblings) -> Siblings {
        var copy = self
        copy.merge(other)
        return copy
    }
}

/// Random replica states in which a dot names one value, or one of `variants` when INV 3 is to be broken.
struct SiblingsSource {
    var random: SeededRandom
    var variants: UInt64 = 1

    mutating func next() -> Siblings {
        var past = VersionVector()
        var versions: [Version] = []
        for node in UInt64(1)...4 where self.random.chance(2, in: 3) {
            let last = 1 + self.random.below(4)
            past.record(Dot(node: NodeID(rawValue: node), counter: last))
            for counter in 1...last where self.random.chance(1, in: 2) {
                versions.append(self.makeVersion(Dot(node: NodeID(rawValue: node), counter: counter)))
            }
        }
        return Siblings(context: past, sorted: versions)
    }

    private mutating func makeVersion(_ dot: Dot) -> Version {
        let variant = self.random.below(self.variants)
        let shape = dot.counter &+ dot.node.rawValue
        return Version(
            dot: dot,
            time: HybridTime(rawValue: shape &* 0x1_0001),
            expiry: shape.isMultiple(of: 3) ? WallTime(milliseconds: shape &* 1_000) : nil,
            metadata: shape.isMultiple(of: 2) ? Self.metadata : .none,
            value: ByteBuffer(string: "\(dot) \(variant)")
        )
    }

    private static let metadata: VersionMetadata = {
        let field = MetadataField(name: ByteBuffer(string: "owner"), value: ByteBuffer(string: "cart"))
        let type = ByteBuffer(string: "text/plain")
        return (try? VersionMetadata(contentType: type, fields: [field, field])) ?? .none
    }()
}
