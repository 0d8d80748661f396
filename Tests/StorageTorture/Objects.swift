import Glibc
import GyreBase
import GyreCausality
import GyreStorage
import NIOCore

/// Names and versions for the tools of this target.
enum Objects {
    static let node = NodeID(rawValue: 0x1111)

    static func name(_ number: UInt64, bucket: String = "torture") throws -> ObjectName {
        try ObjectName(bucket: ByteBuffer(string: bucket), key: ByteBuffer(string: "key-\(number)"))
    }

    static func version(_ counter: UInt64, node: NodeID = Self.node, value: ByteBuffer) -> Version {
        Version(
            dot: Dot(node: node, counter: counter),
            time: HybridTime(wall: WallTime(milliseconds: 1_700_000_000_000 + counter), logical: 0), expiry: nil,
            metadata: .none, value: value)
    }

    static func record(_ version: Version) -> ByteBuffer {
        var siblings = Siblings()
        siblings.put(version, seen: .blind)
        return siblings.encoded
    }

    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
