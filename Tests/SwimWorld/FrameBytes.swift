internal import GyreBase
package import GyreMembership

extension MembershipMessage {
    /// The length of the frame that carries it, without encoding it. `SwimWorldTests` compares it with the encoder.
    package var frameBytes: Int {
        // Sixteen bytes of frame, one of kind.
        switch self {
        case .ping(_, let gossip), .ack(_, let gossip): 17 + 8 + Self.bytes(gossip)
        case .pingRequest(_, _, let gossip): 17 + 16 + Self.bytes(gossip)
        case .stateRequest(let records), .state(let records): 17 + Self.bytes(records)
        case .nack: 17 + 8
        case .accusations(let accusations):
            17 + varintBytes(UInt64(accusations.count))
                + accusations.reduce(0) { $0 + 16 + varintBytes($1.incarnation) }
        }
    }

    private static func bytes(_ records: [MemberRecord]) -> Int {
        var sum = varintBytes(UInt64(records.count))
        for record in records {
            // Node, port, state and liveness are of fixed width; the texts are counted in one byte each.
            sum += 8 + 2 + 1 + 1
            sum += 4 + record.name.utf8.count + record.address.host.utf8.count + record.zone.utf8.count
            sum += record.softwareVersion.utf8.count + varintBytes(UInt64(record.weight))
            sum += varintBytes(record.recordVersion) + varintBytes(record.incarnation) + 1
            for label in record.labels { sum += 2 + label.name.utf8.count + label.value.utf8.count }
        }
        return sum
    }
}

private func varintBytes(_ value: UInt64) -> Int { max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7) }
