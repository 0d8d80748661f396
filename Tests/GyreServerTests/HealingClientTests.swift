import GyreBase
import GyreCausality
import GyreClient
import GyreMembership
import GyreMessages
import NIOCore
import Testing

/// A canonical record without values, with one sibling for each dot.
private func heads(_ dots: [Dot]) -> ByteBuffer {
    var siblings = Siblings()
    for dot in dots {
        let version = Version(
            dot: dot, time: HybridTime(wall: WallTime(milliseconds: 1_000), logical: 0), expiry: nil, metadata: .none,
            value: ByteBuffer()
        )
        siblings.put(version, seen: .blind)
    }
    return siblings.encoded
}

private func inspection(_ dots: [Dot], digest: UInt64, hintsFor: [NodeID] = []) -> Inspection {
    var inspection = Inspection()
    if !dots.isEmpty { inspection.heads = heads(dots) }
    inspection.digest = digest
    inspection.bytes = 100
    inspection.hintsFor = hintsFor
    inspection.leaf = 7
    return inspection
}

private func counts(compared: UInt64) -> RepairCounts {
    var counts = RepairCounts()
    counts.planned = 10
    counts.compared = compared
    return counts
}

/// Two nodes that know each other; each answers about repairs what `answer` says.
private func pair(
    _ answer: @escaping @Sendable (ClientRequest) -> FakeNode.Answer
) async throws -> (FakeNode, FakeNode) {
    let first = try await FakeNode(node: 1) { _ in .silence }
    let second = try await FakeNode(node: 2) { _ in .silence }
    let members = [first, second].map { (node: $0.node, address: $0.address) }
    let reports = [report(of: members), report(of: members.reversed())]
    for (node, own) in zip([first, second], reports) {
        node.follow { request in request == .status ? .response(own) : answer(request) }
    }
    return (first, second)
}

@Suite(.timeLimit(.minutes(2))) struct HealingClientTests {
    @Test func aRepairIsAskedAboutOnlyOnTheNodeThatItWasStartedOn() async throws {
        let (first, second) = try await pair { request in
            switch request {
            case .repair: .response(.repairing(counts(compared: 0), isOver: false, silent: []))
            case .repairCounts: .response(.repairing(counts(compared: 4), isOver: false, silent: []))
            default: .response(.repairing(counts(compared: 4), isOver: true, silent: [NodeID(rawValue: 2)]))
            }
        }
        try await withClient(of: [first.address, second.address]) { client in
            let started = try await client.startRepair()
            #expect(!started.isOver && started.planned == 10 && started.compared == 0)
            let (coordinator, other) = started.id.node == first.node ? (first, second) : (second, first)
            let id = try RepairID(text: started.id.text)
            for _ in 0..<5 { #expect(try await client.repairProgress(id).compared == 4) }
            let stopped = try await client.cancelRepair(id)
            #expect(stopped.isOver && !stopped.isComplete && stopped.silent == ["n2"])
            #expect(coordinator.requests.count == 7)
            #expect(coordinator.requests.last == .repairCancel(id: id.number))
            #expect(other.requests.isEmpty)
            // Another client, at another terminal, learns where to ask from the id.
            try await withClient(of: [other.address]) { second in
                let seen = try await second.repairProgress(id)
                #expect(seen.compared == 4)
            }
            #expect(coordinator.requests.count == 8)
            #expect(other.requests.isEmpty)
        }
    }

    @Test func whenTheCoordinatorIsGoneTheErrorSaysWhoItWasAndWhatIsLeft() async throws {
        let (first, second) = try await pair { request in
            if case .repair = request {
                .response(.repairing(counts(compared: 0), isOver: false, silent: []))
            } else {
                .hangUp
            }
        }
        try await withClient(of: [first.address, second.address]) { client in
            let started = try await client.startRepair()
            do throws(GyreError) {
                _ = try await client.repairProgress(started.id)
                Issue.record("an answer came from nowhere")
            } catch {
                #expect(error.code == .unavailable && error.needed == 1 && error.got == 0)
                #expect(error.message.contains("n\(started.id.node.rawValue), which"))
                #expect(error.message.contains("stays repaired"))
                #expect(!error.mayHaveHappened)
            }
            let stranger = RepairID(node: NodeID(rawValue: 77), number: 1)
            await expect(code: .badRequest) { try await client.repairProgress(stranger) }
        }
    }

    @Test func aRepairOfWhatIsNotThereIsRefusedBeforeItIsSent() async throws {
        let (first, second) = try await pair { _ in .response(stored) }
        try await withClient(of: [first.address]) { client in
            var options = RepairOptions()
            options.partition = 8
            await expect(code: .badRequest) { [options] in try await client.startRepair(options) }
            options.partition = -1
            await expect(code: .badRequest) { [options] in try await client.startRepair(options) }
            options = RepairOptions()
            options.bucket = ""
            await expect(code: .badRequest) { [options] in try await client.startRepair(options) }
            options.bucket = String(repeating: "b", count: 256)
            await expect(code: .badRequest) { [options] in try await client.startRepair(options) }
            options = RepairOptions()
            options.node = "n3"
            await expect(code: .badRequest) { [options] in try await client.startRepair(options) }
        }
        #expect(first.requests.isEmpty && second.requests.isEmpty)
    }

    @Test func aRepairCoversWhatItsOptionsSay() async throws {
        let (first, second) = try await pair { _ in
            .response(.repairing(counts(compared: 0), isOver: false, silent: []))
        }
        try await withClient(of: [first.address, second.address]) { client in
            var options = RepairOptions()
            options.partition = 7
            options.bucket = "b"
            options.node = "n2"
            options.isDry = true
            let started = try await client.startRepair(options)
            let wanted = RepairRequest(
                id: started.id.number, partition: 7, bucket: ByteBuffer(string: "b"), node: second.node, isDry: true
            )
            #expect(first.requests + second.requests == [.repair(wanted)])
        }
    }

    @Test func theIdOfARepairSurvivesItsTextAndNoOtherTextIsRead() throws {
        let id = RepairID(node: NodeID(rawValue: 0xAB), number: 0xCD)
        #expect(id.text == "00000000000000ab-00000000000000cd")
        #expect(try RepairID(text: id.text) == id)
        for text in [
            "", "-", "ab-cd", "00000000000000ab", "0000000000000000-00000000000000cd",
            "00000000000000ab-00000000000000cd-1", "+0000000000000ab-00000000000000cd",
            "00000000000000AB-00000000000000cd", "00000000000000ab 00000000000000cd",
        ] {
            #expect(throws: GyreError.self, "\(text)") { try RepairID(text: text) }
        }
    }

    @Test func anExplanationSaysWhoIsBehindAndForWhomHintsWait() async throws {
        let nodes = (1...4).map { NodeID(rawValue: $0) }
        let old = Dot(node: nodes[0], counter: 1)
        let new = Dot(node: nodes[1], counter: 5)
        let entries: [ExplainReport.Entry] = [
            .init(node: nodes[0], place: 0, inspection: inspection([old, new], digest: 9)),
            .init(node: nodes[1], place: 1, inspection: inspection([old], digest: 8)),
            .init(node: nodes[2], place: 2, inspection: nil),
            .init(node: nodes[3], place: nil, inspection: inspection([], digest: 0, hintsFor: [nodes[2]])),
        ]
        let answer = ExplainReport(
            token: Token(rawValue: 1), partition: 2, leaf: 3, entries: entries, readers: [nodes[0], nodes[1]])
        let (first, _) = try await pair { _ in .response(.explained(answer)) }
        try await withClient(of: [first.address]) { client in
            let explanation = try await client.explain(bucket: "b", key: "k")
            #expect(explanation.partition == 2 && explanation.leaf == 3)
            #expect(explanation.readers == ["n1", "n2"])
            #expect(explanation.nodes.map(\.name) == ["n1", "n2", nodes[2].description, nodes[3].description])
            #expect(explanation.nodes.map(\.role) == [.primary, .primary, .primary, .keeper])
            #expect(explanation.nodes.map(\.isReachable) == [true, true, false, true])
            #expect(explanation.nodes.map(\.isBehind) == [false, true, false, false])
            #expect(explanation.nodes.map(\.hintsWaiting) == [0, 0, 1, 0])
            #expect(explanation.nodes.map(\.digest) == [9, 8, nil, nil])
            #expect(explanation.nodes[0].siblings.map(\.dot) == [old.description, new.description])
            #expect(!explanation.isInSync)
        }
    }

    @Test func aKeyIsInSyncWhenAllPrimariesHoldTheSameAndNoHintWaits() async throws {
        let nodes = (1...2).map { NodeID(rawValue: $0) }
        let dot = Dot(node: nodes[0], counter: 1)
        func explained(_ second: Inspection?) -> ClientResponse {
            let entries: [ExplainReport.Entry] = [
                .init(node: nodes[0], place: 0, inspection: inspection([dot], digest: 9)),
                .init(node: nodes[1], place: 1, inspection: second),
            ]
            return .explained(
                ExplainReport(token: Token(rawValue: 1), partition: 2, leaf: 3, entries: entries, readers: []))
        }
        var corrupt = inspection([], digest: 9)
        corrupt.isCorrupt = true
        let cases: [(Inspection?, Bool)] = [
            (inspection([dot], digest: 9), true), (inspection([dot], digest: 8), false), (nil, false), (corrupt, false),
            (inspection([], digest: 0), false), (inspection([dot], digest: 9, hintsFor: [nodes[0]]), false),
        ]
        for (second, isInSync) in cases {
            let answer = explained(second)
            let (first, _) = try await pair { _ in .response(answer) }
            try await withClient(of: [first.address]) { client in
                let explanation = try await client.explain(bucket: "b", key: "k")
                #expect(explanation.isInSync == isInSync)
            }
        }
    }

    @Test func aStrictWriteAsksForAsManyPrimariesAsW() async throws {
        let (first, second) = try await pair { _ in .response(stored) }
        try await withClient(of: [first.address]) { client in
            var put = PutOptions()
            put.mode = .overwrite
            put.primaryWrites = .matching
            _ = try await client.put(bucket: "b", key: "k", value: ByteBuffer(), options: put)
            var delete = DeleteOptions()
            delete.mode = .overwrite
            delete.primaryWrites = .matching
            _ = try await client.delete(bucket: "b", key: "k", options: delete)
        }
        let sizes = (first.requests + second.requests).map { request in
            switch request {
            case .put(let put): put.primaryWrites
            case .delete(let delete): delete.primaryWrites
            default: QuorumSize.standard
            }
        }
        #expect(sizes == [.matching, .matching])
    }
}
