import GyreBase
import GyreCausality
import GyreMessages
import GyreNode
import GyreRing
import GyreStorage
import NIOCore

/// Mistakes made on purpose between a node and its world; those of the disk are in `SimDisk`.
extension SimWorld {
    /// A message that was sent to one node and goes to another, which answers in its name.
    struct Redirection {
        /// Who gets it.
        let substitute: Int
        /// Who should have got it.
        let original: NodeID
        /// Whether the substitute also gets, and answers, the same message for itself.
        let answersForBoth: Bool
        /// Answers so far.
        var answers = 0
    }

    /// One message awaiting an answer: who asked, and under which tag.
    struct RedirectionKey: Hashable {
        /// The asking node.
        let node: Int
        /// Its tag.
        let tag: UInt64
    }

    /// Where a message really goes.
    func misdirected(_ message: PeerMessage, from index: Int, to intended: Int) -> Int {
        guard let bug = self.options.plantedBug, bug == .twoReplicasOnOneNode || bug == .skipWrapAround else {
            return intended
        }
        let tag: UInt64
        let name: ObjectName
        switch message {
        case .replicate(let number, let object, _), .fetch(let number, let object, _): (tag, name) = (number, object)
        default: return intended
        }
        guard let ring = self.nodes[index].life?.node.ring else { return intended }
        let partition = ring.partition(of: name.token)
        let owners = Array(ring.owners(of: partition))
        guard owners.last == self.nodes[intended].id else { return intended }
        let substitute: Int?
        if bug == .twoReplicasOnOneNode {
            substitute = self.nodes.firstIndex { $0.id != owners.last && $0.index != index && owners.contains($0.id) }
        } else {
            let isAtEnd = index == 0 && partition.index >= self.plan.partitionCount - self.plan.replicas
            substitute = isAtEnd ? self.nodes.firstIndex { !owners.contains($0.id) } : nil
        }
        guard let substitute else { return intended }
        self.redirections[RedirectionKey(node: index, tag: tag)] = Redirection(
            substitute: substitute, original: self.nodes[intended].id, answersForBoth: bug == .twoReplicasOnOneNode)
        return substitute
    }

    /// In whose name a message arrives.
    func apparentSender(of message: PeerMessage, from: Int, to: Int) -> NodeID {
        let tag: UInt64
        switch message {
        case .replicated(let number, _), .fetched(let number, _): tag = number
        default: return self.nodes[from].id
        }
        let key = RedirectionKey(node: to, tag: tag)
        guard var redirection = self.redirections[key], redirection.substitute == from else {
            return self.nodes[from].id
        }
        redirection.answers += 1
        self.redirections[key] = redirection
        let isForOriginal = !redirection.answersForBoth || redirection.answers % 2 == 0
        return isForOriginal ? redirection.original : self.nodes[from].id
    }

    /// Hides one of several siblings and leaves their common context. A coordinator that lets others acknowledge before its
    /// own disk has the record has no context to tell yet, so the one that the client gave is told.
    func tampered(_ response: ClientResponse, to operation: ClientOperation) -> ClientResponse {
        if self.options.plantedBug == .sendBeforeOwnDisk, case .stored(let context, let acks, let needed) = response,
            context.isEmpty, case .put(let put) = operation.request, case .given(let given) = put.seen
        {
            return .stored(context: given, acks: acks, needed: needed)
        }
        guard self.options.plantedBug == .contextTooWide, case .found(let bytes) = response,
            let siblings = try? Siblings(encoded: bytes), siblings.versions.count > 1,
            let fewer = Siblings(context: siblings.context, versions: Array(siblings.versions.dropLast()))
        else { return response }
        return .found(record: fewer.encoded)
    }

    /// Sends what was only just written to the other owners.
    func sendEarly(_ request: StorageRequest, _ outcome: StorageOutcome, of index: Int, _ effects: inout [NodeEffect]) {
        guard case .update(let tag, let name, _) = request, case .updated(let record, _, _, _) = outcome,
            let ring = self.nodes[index].life?.node.ring
        else { return }
        for owner in ring.owners(of: ring.partition(of: name.token)) where owner != self.nodes[index].id {
            effects.append(.send(owner, .replicate(tag: tag.rawValue, name: name, record: record)))
        }
    }
}
