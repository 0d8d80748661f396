import GyreBase
import GyreMembership
import GyreStorage
import Logging
import NIOCore

extension NodeShell {
    /// Notes on disk that the node takes part; if that is in doubt, asks those it has met since it started.
    func continuePresence() {
        guard self.isServing, !self.isStopping else { return }
        if let document = self.presence.due(at: self.now, every: self.limits.presenceInterval) {
            // The node waits for no answer to this one either.
            self.store(.keep(StorageTag(rawValue: .max), document: .presence, document))
        }
        guard let check = self.presence.question(), !self.links.isEmpty else { return }
        self.presence.isAsking = true
        let (addresses, now, loop) = (Array(self.linksByAddress.keys), self.now.wall, self.loop)
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.makeFutureWithTask { try await check.runLate(asking: addresses, at: now, on: loop) }
            .whenComplete { bound.value.onPresence($0) }
    }

    private func onPresence(_ answer: Result<Bool, any Error>) {
        self.presence.isAsking = false
        switch answer {
        case .success(let isAnswered): if isAnswered { self.presence.isConfirmed = true }
        case .failure(let error):
            self.log.critical("node ends", metadata: ["reason": "\(error)"])
            self.finish(.failure(error))
        }
    }

    /// A node can meet itself under another name of its address, which is no reason to alarm anybody.
    func onDuplicateIdentity(_ address: PeerAddress) {
        if self.linksByAddress[address]?.isLoop == true || address == self.identity.address {
            self.log.info("a seed is this node itself", metadata: ["address": "\(address)"])
            return
        }
        self.notice("another process may use this node's identity", ["address": "\(address)"], level: .error)
    }
}
