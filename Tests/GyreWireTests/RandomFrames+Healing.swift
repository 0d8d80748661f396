import GyreBase
import GyreMessages
import NIOCore

/// Exchanges, repairs and inspections.
extension RandomFrames {
    mutating func exchange() -> PeerMessage {
        let tag = self.number()
        let step = self.word32()
        return self.coin()
            ? .exchange(tag: tag, step: step, partition: self.word32(), self.question())
            : .exchanged(tag: tag, step: step, self.exchangeAnswer())
    }

    mutating func repairMessage() -> RepairMessage {
        let id = self.number()
        return self.pick([
            .start(self.repairRequest()), .counts(id: id, self.repairCounts(), isOver: self.coin()), .cancel(id: id),
        ])
    }

    mutating func inspect() -> PeerMessage {
        let tag = self.number()
        return self.coin() ? .inspect(tag: tag, name: self.name()) : .inspected(tag: tag, self.inspection())
    }

    mutating func repairRequest() -> RepairRequest {
        RepairRequest(
            id: self.number(), partition: self.coin() ? self.word32() : nil,
            bucket: self.coin() ? self.bytes(max: 40) : nil, node: self.coin() ? self.node() : nil,
            isDry: self.coin()
        )
    }

    mutating func repairCounts() -> RepairCounts {
        var counts = RepairCounts()
        counts.planned = self.number()
        counts.compared = self.number()
        counts.inSync = self.number()
        counts.failed = self.number()
        counts.keysDiffering = self.number()
        counts.keysRepaired = self.number()
        counts.bytesSent = self.number()
        counts.rootsBefore = self.number()
        counts.rootsAfter = self.number()
        return counts
    }

    mutating func explanation() -> ExplainReport {
        ExplainReport(
            token: Token(rawValue: self.number()), partition: self.word32(),
            leaf: UInt16(truncatingIfNeeded: self.number()),
            entries: (0..<self.below(5)).map { place in
                ExplainReport.Entry(
                    node: self.node(), place: self.coin() ? UInt8(place) : nil,
                    inspection: self.coin() ? self.inspection() : nil
                )
            },
            readers: (0..<self.below(4)).map { _ in self.node() }
        )
    }

    private mutating func inspection() -> Inspection {
        var inspection = Inspection()
        inspection.heads = self.bytes(max: 200)
        inspection.digest = self.number()
        inspection.bytes = self.number()
        inspection.isCorrupt = self.coin()
        inspection.hintsFor = (0..<self.below(4)).map { _ in self.node() }
        inspection.leaf = self.coin() ? self.number() : nil
        return inspection
    }

    private mutating func question() -> ExchangeQuestion {
        let first = Token(rawValue: self.number())
        return self.pick([
            .root(self.number()), .leaves(mask: self.word32()),
            .keys(
                first: first, last: Token(rawValue: self.number()), after: self.coin() ? self.name() : nil),
            .records((0..<self.below(5)).map { _ in self.name() }), .merge(self.records()),
            .suspect(leaf: UInt16(truncatingIfNeeded: self.number())),
            .objects(
                first: first, last: Token(rawValue: self.number()), after: self.coin() ? self.name() : nil),
        ])
    }

    private mutating func exchangeAnswer() -> ExchangeAnswer {
        let entries = (0..<self.below(5)).map { _ in NamedDigest(name: self.name(), digest: self.number()) }
        return self.pick([
            .same, .inners((0..<32).map { _ in self.number() }), .notReady,
            .leaves((0..<self.below(65)).map { _ in self.number() }), .keys(entries, isComplete: self.coin()),
            .records(self.records()), .merged(count: self.word32()), .mergedInPart(count: self.word32()),
            .overloaded, .objects(self.records(), isComplete: self.coin()),
        ])
    }

    private mutating func records() -> [NamedRecord] {
        (0..<self.below(4)).map { _ in NamedRecord(name: self.name(), record: self.bytes(max: 100)) }
    }

    mutating func below(_ bound: UInt64) -> Int { Int(self.number() % bound) }
}
