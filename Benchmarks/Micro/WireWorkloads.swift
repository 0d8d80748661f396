import GyreBase
import GyreCausality
import GyreMessages
import GyreWire
import NIOCore

private func sampleMessage() throws -> PeerMessage {
    var random = SeededRandom(seed: 42)
    let record = sampleSiblings(versions: 1, random: &random).encoded
    let name = try ObjectName(bucket: ByteBuffer(string: "default"), key: ByteBuffer(string: "key-000042"))
    return .replicate(tag: 42, name: name, record: record)
}

let wireWorkloads: [Workload] = [
    Workload(name: "frame/encode/replicate,100B/seed=42", operations: 500_000) { operations in
        let message = try sampleMessage()
        return {
            var buffer = ByteBuffer()
            var hash = ResultHash()
            for _ in 0..<operations {
                buffer.clear()
                try FrameEncoder.encode(message, into: &buffer)
                hash.record(UInt64(buffer.readableBytes))
            }
            hash.record(StableHash.xxh3(buffer))
            return hash.value
        }
    },
    Workload(name: "frame/decode/replicate,100B,32-a-read/seed=42", operations: 500_000) { operations in
        var batch = ByteBuffer()
        for _ in 0..<32 { try FrameEncoder.encode(sampleMessage(), into: &batch) }
        return { [batch] in
            var hash = ResultHash()
            var decoder = FrameDecoder(handshakeDone: true)
            var decoded = 0
            while decoded < operations {
                decoder.append(batch)
                while let frame = try decoder.next() {
                    decoded += 1
                    if case .peer(.replicate(let tag, let name, _)) = frame {
                        hash.record(tag)
                        hash.record(name.token.rawValue)
                    }
                }
            }
            return hash.value
        }
    },
]
