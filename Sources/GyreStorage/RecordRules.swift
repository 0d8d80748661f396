package import GyreBase
import GyreCausality
package import NIOCore

/// What one write to an object comes to.
package struct RecordDecision: Sendable {
    /// The reply, once the write below is durable.
    package let outcome: StorageOutcome
    /// The record to write, or nil when what is held stays.
    package let write: ObjectRecord?

    /// Writes nothing.
    init(_ outcome: StorageOutcome) {
        self.outcome = outcome
        self.write = nil
    }

    /// Writes `record`.
    init(_ outcome: StorageOutcome, write record: ObjectRecord) {
        self.outcome = outcome
        self.write = record
    }
}

/// The rules of reading, updating, merging and healing a record, shared by every engine. Pure functions.
package enum RecordRules {
    /// What a read of `depth` answers.
    package static func read(_ held: HeldRecord, depth: ReadDepth) -> StorageOutcome {
        switch (held, depth) {
        case (.absent, _): .absent
        case (.corrupt, _): .refused(.corrupt)
        case (.held(let record), .digest): .digest(record.digest)
        case (.held(let record), .record): .record(record.body, record.digest)
        }
    }

    /// A coordinator's update of its own record.
    ///
    /// Refused over a corrupt record, since a coordinator that forgot what it stored would name a new value with a context
    /// that is too narrow. The sibling limit binds only a put that makes matters worse.
    package static func update(_ held: HeldRecord, _ update: Update, name: ObjectName) -> RecordDecision {
        var siblings: Siblings
        switch held {
        case .absent: siblings = Siblings()
        case .corrupt: return RecordDecision(.refused(.corrupt))
        case .held(let record):
            guard let decoded = self.decoded(record.body) else { return RecordDecision(.refused(.corrupt)) }
            siblings = decoded
        }
        let shown: VersionVector
        switch update {
        case .put(let version, let seen, let ifAbsent, let now, let collecting):
            if let collecting, case .held(let record) = held, record.hasExpiry {
                siblings = siblings.hidingExpired(at: collecting)
            }
            let before = self.liveCount(siblings, at: now)
            if ifAbsent, before > 0 { return RecordDecision(.refused(.exists)) }
            guard siblings.isFresh(version.dot) else { return RecordDecision(.refused(.dotCovered)) }
            siblings.put(version, seen: seen)
            // What has expired waits to be collected, and is no sibling that anybody could merge.
            let after = self.liveCount(siblings, at: now)
            if after > Siblings.siblingsMax, after > before {
                return RecordDecision(.refused(.tooManySiblings(limit: Siblings.siblingsMax)))
            }
            shown = siblings.contextAfterPut(of: version.dot)
        case .delete(let seen):
            let before = siblings
            siblings.delete(seen: seen)
            shown = siblings.contextAfterDelete()
            // Deleting what is not there leaves nothing to keep, and deleting twice changes nothing.
            if siblings == before, case .held(let record) = held {
                return RecordDecision(.updated(record.body, record.digest, context: shown, change: nil))
            }
        }
        if self.isUnreadable(siblings) {
            return RecordDecision(.refused(.tooManySiblings(limit: Siblings.siblingsDecodedMax)))
        }
        let record = self.record(of: siblings, name: name)
        if case .put = update, siblings.versions.count > 1, self.isTooLarge(record, after: held) {
            return RecordDecision(.refused(.recordTooLarge(limit: ObjectRecord.siblingBytesMax)))
        }
        if siblings.isEmpty {
            return RecordDecision(.updated(record.body, record.digest, context: shown, change: nil))
        }
        let change = RecordChange(held, after: record.digest)
        return RecordDecision(
            .updated(record.body, record.digest, context: shown, change: change), write: record)
    }

    /// Takes the versions that expired before `moment` out of a record. Every replica that does so at any time comes to the
    /// same record, since expiry is part of the version and the context stays.
    package static func collect(_ held: HeldRecord, expiredBefore moment: WallTime, name: ObjectName) -> RecordDecision
    {
        switch held {
        case .absent: return RecordDecision(.absent)
        case .corrupt: return RecordDecision(.refused(.corrupt))
        case .held(let record):
            guard record.hasExpiry else {
                return RecordDecision(.merged(record.digest, clash: false, change: nil))
            }
            guard let siblings = self.decoded(record.body) else { return RecordDecision(.refused(.corrupt)) }
            let left = siblings.hidingExpired(at: moment)
            guard left != siblings else {
                return RecordDecision(.merged(record.digest, clash: false, change: nil))
            }
            let collected = self.record(of: left, name: name)
            let change = RecordChange(held, after: collected.digest)
            return RecordDecision(.merged(collected.digest, clash: false, change: change), write: collected)
        }
    }

    /// Merges a replica's record into the one held; with `heals`, also over a corrupt one.
    ///
    /// An empty record (a key never written) teaches nothing and is never stored; it cannot heal.
    package static func merge(
        _ held: HeldRecord, _ incoming: ByteBuffer, name: ObjectName, heals: Bool
    ) -> RecordDecision {
        let digest = RecordDigest(of: incoming, name: name)
        if case .held(let record) = held, record.digest == digest, record.body == incoming {
            return RecordDecision(.merged(digest, clash: false, change: nil))
        }
        if case .corrupt = held, !heals { return RecordDecision(.refused(.corrupt)) }
        let decoded = self.decoded(incoming)
        var mine: Siblings?
        if case .held(let record) = held {
            // The usual case: all is news to this side and known to the other, whose bytes are stored as they came. The versions
            // that they replace are not read.
            if let theirs = decoded, let known = try? Siblings.context(of: record.body), theirs.replacesAll(of: known) {
                return RecordDecision(
                    .merged(digest, clash: false, change: RecordChange(held, after: digest)),
                    write: self.record(of: theirs, as: incoming, digest))
            }
            mine = self.decoded(record.body)
            if mine == nil, !heals { return RecordDecision(.refused(.corrupt)) }
        }
        guard let theirs = decoded else { return RecordDecision(.refused(.malformed)) }
        guard var merged = mine else {
            if theirs.isEmpty {
                if case .absent = held { return RecordDecision(.merged(digest, clash: false, change: nil)) }
                return RecordDecision(.refused(.corrupt))
            }
            let record = self.record(of: theirs, as: incoming, digest)
            return RecordDecision(
                .merged(digest, clash: false, change: RecordChange(held, after: digest)), write: record)
        }
        let result = merged.merge(theirs)
        if !result.changed, case .held(let record) = held {
            return RecordDecision(.merged(record.digest, clash: result.clashed, change: nil))
        }
        if self.isUnreadable(merged) {
            return RecordDecision(.refused(.tooManySiblings(limit: Siblings.siblingsDecodedMax)))
        }
        // Where the other side knows all that is known here, its bytes can be stored as they came.
        let record =
            merged == theirs ? self.record(of: theirs, as: incoming, digest) : self.record(of: merged, name: name)
        return RecordDecision(
            .merged(record.digest, clash: result.clashed, change: RecordChange(held, after: record.digest)),
            write: record)
    }

    /// Heals a corrupt record of which it is still `known` what it was: both together are written in any case.
    package static func restore(_ known: ObjectRecord, _ incoming: ByteBuffer, name: ObjectName) -> RecordDecision {
        let decision = self.merge(.held(known), incoming, name: name, heals: false)
        guard case .merged(let digest, let clash, _) = decision.outcome else { return decision }
        let change = RecordChange(before: .unreadable, after: digest)
        return RecordDecision(
            .merged(digest, clash: clash, change: change), write: decision.write ?? known)
    }

    /// Whether a hint that was delivered with `digest` may go: not when it has learned more since. One that cannot be read may go
    /// with nil; its target finds what it misses by anti-entropy.
    package static func mayDrop(_ held: HeldRecord, _ digest: RecordDigest?) -> Bool {
        switch held {
        case .absent: false
        case .corrupt: digest == nil
        case .held(let record): record.digest == digest
        }
    }

    /// How many values are held that have not expired by then.
    private static func liveCount(_ siblings: Siblings, at now: WallTime) -> Int {
        siblings.versions.count { !$0.isExpired(at: now) }
    }

    /// True when siblings make the record longer than it may be, and longer than it was.
    private static func isTooLarge(_ record: ObjectRecord, after held: HeldRecord) -> Bool {
        guard record.body.readableBytes > ObjectRecord.siblingBytesMax else { return false }
        guard case .held(let before) = held else { return true }
        return record.body.readableBytes > before.body.readableBytes
    }

    /// True when no decoder would take the record back. Out of reach of honest nodes; storing it would lose the object.
    private static func isUnreadable(_ siblings: Siblings) -> Bool {
        siblings.versions.count > Siblings.siblingsDecodedMax
            || siblings.context.entries.count > VersionVector.actorsMax
    }

    private static func decoded(_ body: ByteBuffer) -> Siblings? {
        try? Siblings(encoded: body)
    }

    private static func record(of siblings: Siblings, name: ObjectName) -> ObjectRecord {
        let body = siblings.encoded
        return self.record(of: siblings, as: body, RecordDigest(of: body, name: name))
    }

    /// The record of `siblings` whose canonical bytes and digest are known already.
    private static func record(of siblings: Siblings, as body: ByteBuffer, _ digest: RecordDigest) -> ObjectRecord {
        ObjectRecord(
            body: body, digest: digest, versionCount: siblings.versions.count,
            hasExpiry: siblings.versions.contains { $0.expiry != nil })
    }
}
