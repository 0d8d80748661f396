import GyreBase
import GyreNode
import Logging
import NIOCore

extension SlowRequest {
    /// What a line about the request says; docs/operations.md explains each word. The key is named by its token only.
    var metadata: Logger.Metadata {
        func milliseconds(_ span: TimeSpan) -> Logger.MetadataValue { "\(Double(span.nanoseconds / 1_000) / 1_000)" }
        var metadata: Logger.Metadata = [
            "operation": "\(self.operation.rawValue)", "bucket": "\(Self.printable(self.bucket))",
            "token": "\(self.token)",
            "outcome": "\(self.isDone ? "done" : "failed")", "needed": "\(self.needed)", "got": "\(self.got)",
            "owners": "\(self.asked.map(\.description).joined(separator: ","))", "total_ms": milliseconds(self.total),
        ]
        if let owner = self.handedTo {
            metadata["handed_to"] = "\(owner)"
        } else if let ownDisk = self.ownDisk {
            metadata["own_disk_ms"] = milliseconds(ownDisk)
            // A put goes out once the own disk has it; a get asks everybody at once.
            let others =
                self.operation == .get
                ? self.total : TimeSpan(nanoseconds: self.total.nanoseconds - ownDisk.nanoseconds)
            metadata["replicas_ms"] = milliseconds(others)
        } else {
            metadata["own_disk_ms"] = "waiting"
        }
        if self.wasHedged { metadata["hedged"] = "true" }
        return metadata
    }

    /// The bucket as one word of at most 64 characters: what is not printable ASCII becomes a question mark.
    private static func printable(_ bytes: ByteBuffer) -> String {
        let shown = bytes.readableBytesView.prefix(64).map { (0x21...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: shown, as: UTF8.self)
    }
}
