import GyreBase
import GyreCausality
import GyreMessages
import GyreWire
import NIOCore

/// The golden frames of exchanges, repairs and inspections.
extension Golden {
    /// Each frame with a name for the list.
    static func healing(_ name: ObjectName) -> [(name: String, frame: Frame)] {
        func request(_ request: ClientRequest) -> Frame { .request(tag: 1, timeoutMilliseconds: 1_000, request) }
        func response(_ response: ClientResponse) -> Frame { .response(tag: 1, response) }
        let everything = RepairRequest(id: 2)
        let part = RepairRequest(id: 2, partition: 3, bucket: ByteBuffer(string: "b"), node: Self.node, isDry: true)
        let explained = ExplainReport(
            token: Token(rawValue: 12), partition: 13, leaf: 14,
            entries: [
                ExplainReport.Entry(node: Self.node, place: 0, inspection: Self.inspection),
                ExplainReport.Entry(node: Self.node, place: nil, inspection: nil),
            ],
            readers: [Self.node]
        )
        return Self.exchanges(name) + [
            ("repair-start", .peer(.repair(.start(part)))),
            ("repair-counts", .peer(.repair(.counts(id: 2, Self.counts, isOver: true)))),
            ("repair-cancel", .peer(.repair(.cancel(id: 2)))),
            ("inspect", .peer(.inspect(tag: 1, name: name))),
            ("inspected", .peer(.inspected(tag: 1, Self.inspection))),
            ("inspected-nothing", .peer(.inspected(tag: 1, Inspection()))),
            ("request-explain", request(.explain(name))), ("request-repair", request(.repair(everything))),
            ("request-repair-part", request(.repair(part))),
            ("request-repair-counts", request(.repairCounts(id: 2))),
            ("request-repair-cancel", request(.repairCancel(id: 2))),
            ("explained", response(.explained(explained))),
            ("repairing", response(.repairing(Self.counts, isOver: false, silent: [Self.node]))),
            ("get-strict", request(.get(GetRequest(name: name, primaryReads: .matching)))),
        ]
    }

    private static func exchanges(_ name: ObjectName) -> [(name: String, frame: Frame)] {
        func ask(_ question: ExchangeQuestion) -> Frame {
            .peer(.exchange(tag: 1, step: 2, partition: 3, question))
        }
        func answer(_ answer: ExchangeAnswer) -> Frame { .peer(.exchanged(tag: 1, step: 2, answer)) }
        let records = [NamedRecord(name: name, record: ByteBuffer(string: "record"))]
        let first = Token(rawValue: 4)
        let last = Token(rawValue: 5)
        return [
            ("ask-root", ask(.root(6))), ("ask-leaves", ask(.leaves(mask: 0x8000_0001))),
            ("ask-keys", ask(.keys(first: first, last: last, after: nil))),
            ("ask-keys-after", ask(.keys(first: first, last: last, after: name))),
            ("ask-records", ask(.records([name]))), ("ask-merge", ask(.merge(records))),
            ("ask-suspect", ask(.suspect(leaf: 7))), ("answer-same", answer(.same)),
            ("answer-inners", answer(.inners([8, 9]))), ("answer-not-ready", answer(.notReady)),
            ("answer-leaves", answer(.leaves([10, 11]))),
            ("answer-keys", answer(.keys([NamedDigest(name: name, digest: 12)], isComplete: true))),
            ("answer-records", answer(.records(records))), ("answer-merged", answer(.merged(count: 1))),
            ("answer-overloaded", answer(.overloaded)),
            ("ask-objects", ask(.objects(first: first, last: last, after: nil))),
            ("ask-objects-after", ask(.objects(first: first, last: last, after: name))),
            ("answer-objects", answer(.objects(records, isComplete: true))),
        ]
    }

    private static var counts: RepairCounts {
        var counts = RepairCounts()
        counts.planned = 3
        counts.compared = 4
        counts.inSync = 5
        counts.failed = 6
        counts.keysDiffering = 7
        counts.keysRepaired = 8
        counts.bytesSent = 9
        counts.rootsBefore = 10
        counts.rootsAfter = 11
        return counts
    }

    private static var inspection: Inspection {
        var inspection = Inspection()
        inspection.heads = ByteBuffer(string: "heads")
        inspection.digest = 15
        inspection.bytes = 16
        inspection.isCorrupt = true
        inspection.hintsFor = [Self.node]
        inspection.leaf = 17
        return inspection
    }
}
