import GyreBase
import GyreMembership
import Testing

/// A record that breaks no limit.
func makeRecord(_ node: UInt64, host: String = "10.0.0.1", state: MemberState = .normal) -> MemberRecord {
    MemberRecord(
        node: NodeID(rawValue: node), name: "n\(node)", address: PeerAddress(host: host, port: 7_400), state: state)
}

/// Records: limits and merge.
@Suite struct RecordTests {
    @Test(
        arguments: [
            ("127.0.0.1:7400", "127.0.0.1", 7_400), ("localhost:0", "localhost", 0), ("[::1]:65535", "::1", 65_535),
            ("a-b_c.example:1", "a-b_c.example", 1), ("[fe80::1%eth0]:7400", "fe80::1%eth0", 7_400),
        ] as [(String, String, UInt16)])
    func addressesAreReadAndWrittenBack(text: String, host: String, port: UInt16) {
        let address = PeerAddress(parsing: text)
        #expect(address == PeerAddress(host: host, port: port))
        #expect(address?.description == text)
    }

    @Test(arguments: [
        "", ":", "host", "host:", ":7400", "host:65536", "host:-1", "host:+1", "host:7400 ", "::1:7400", "[::1]",
        "[]:7400", "[host]:7400", "ho st:7400", "host:74x", "hö:7400", "[::1:7400", "host:000001",
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(PeerAddress(parsing: text) == nil)
    }

    @Test func everyLimitIsATypedRefusal() throws {
        _ = try makeRecord(1).validated()
        func refused(_ error: MembershipError, _ change: (inout MemberRecord) -> Void) {
            var record = makeRecord(1)
            change(&record)
            #expect(throws: error) { try record.validated() }
        }
        #expect(throws: MembershipError.zeroNode) { try makeRecord(0).validated() }
        let long = String(repeating: "x", count: 300)
        refused(.invalidName("", bytesMax: 64)) { $0.name = "" }
        refused(.invalidName("a b", bytesMax: 64)) { $0.name = "a b" }
        refused(.invalidName(long, bytesMax: 64)) { $0.name = long }
        refused(.invalidHost(long, bytesMax: 255)) { $0.address = PeerAddress(host: long, port: 1) }
        refused(.zeroPort) { $0.address = PeerAddress(host: "h", port: 0) }
        refused(.tooLong(field: .zone, bytes: 300, bytesMax: 64)) { $0.zone = long }
        refused(.tooLong(field: .softwareVersion, bytes: 300, bytesMax: 64)) { $0.softwareVersion = long }
        for weight in [0, -1, 1_001, .max, .min] {
            refused(.invalidWeight(weight, weightMax: 1_000)) { $0.weight = weight }
        }
        let most = MemberRecord.counterMax
        refused(.tooHigh(field: .recordVersion, value: .max, valueMax: most)) { $0.recordVersion = .max }
        refused(.tooHigh(field: .incarnation, value: .max, valueMax: most)) { $0.incarnation = .max }
        refused(.tooManyLabels(count: 17, countMax: 16)) {
            $0.labels = (10..<27).map { MemberLabel(name: "\($0)", value: "") }
        }
        refused(.tooLong(field: .label, bytes: 301, bytesMax: 128)) {
            $0.labels = [MemberLabel(name: "a", value: long)]
        }
        refused(.unsortedLabels) {
            $0.labels = [MemberLabel(name: "a", value: "1"), MemberLabel(name: "a", value: "2")]
        }
    }

    @Test(arguments: UInt64(0)..<300)
    func mergeIsCommutativeAssociativeAndIdempotent(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func draw() -> MemberRecord {
            MemberRecord(
                node: NodeID(rawValue: 1),
                name: "n\(random.below(2))",
                address: PeerAddress(host: "h\(random.below(2))", port: 1),
                zone: "z\(random.below(2))",
                weight: 1 + Int(random.below(2)),
                state: MemberState.allCases[Int(random.below(4))],
                recordVersion: random.below(3),
                incarnation: random.below(3),
                liveness: Liveness.allCases[Int(random.below(3))],
                labels: random.chance(1, in: 2) ? [] : [MemberLabel(name: "a", value: "\(random.below(2))")]
            )
        }
        for _ in 0..<20 {
            let (a, b, c) = (draw(), draw(), draw())
            #expect(a.merged(with: b) == b.merged(with: a), "seed \(seed)")
            #expect(a.merged(with: b).merged(with: c) == a.merged(with: b.merged(with: c)), "seed \(seed)")
            #expect(a.merged(with: a) == a, "seed \(seed)")
        }
    }

    @Test func removedWinsOverEveryVersion() {
        var later = makeRecord(1)
        later.recordVersion = 1_000
        #expect(makeRecord(1, state: .removed).merged(with: later).state == .removed)
    }

    @Test func optionsThatCannotWorkAreRefused() throws {
        try MembershipOptions().validate()
        var options = MembershipOptions()
        options.probeTimeout = .zero
        #expect(throws: MembershipError.invalidOption(.probeTimeout, value: 0, least: 10, most: 60_000)) {
            try options.validate()
        }
        options = MembershipOptions()
        options.dialDelayMost = .milliseconds(50)
        #expect(throws: MembershipError.invalidOption(.dialDelayMost, value: 50, least: 100, most: 60_000)) {
            try options.validate()
        }
    }
}
