import GyreBase
import GyreMembership
import GyreMerkle
import GyreStorage
import NIOCore

/// The hash trees: following every change, building what a crash took, reading everything through now and then
/// (docs/internals/anti-entropy.md).
extension Node {
    /// A write changed the record of an object here. Told in the order in which the store changed.
    mutating func noteChange(_ change: RecordChange?, of name: ObjectName) {
        guard let change, self.trees.options.isOn else { return }
        // A node on its way out must look once more at a partition that it has seen empty.
        if self.membership.me.state == .leaving { self.ringKeeper.cleanCount = 0 }
        if !self.ringKeeper.handovers.isEmpty { self.ringKeeper.spoilHandover(of: self.leaf(of: name.token).partition) }
        switch change.before {
        case .absent: self.trees.forest.onChange(name.token, old: nil, new: change.after.rawValue)
        case .record(let old):
            self.trees.forest.onChange(name.token, old: old.rawValue, new: change.after.rawValue)
        case .unreadable:
            // Nobody knows any more what the tree counts for it.
            self.trees.suspect(self.leaf(of: name.token))
        }
    }

    /// How many partitions have a whole hash tree, of Q; the disk is still being read for the others.
    package var treesBuilt: Int {
        (0..<self.options.partitionCount).count { self.trees.forest.isReady($0) }
    }

    /// The leaf that a token lies in.
    func leaf(of token: Token) -> LeafID {
        let shape = self.trees.forest.shape
        return LeafID(partition: shape.partition(of: token), leaf: shape.leaf(of: token))
    }

    /// What the disk kept over a clean stop, or what a new one holds.
    mutating func recoverTrees(_ recovered: RecoveredState) {
        if !recovered.holdsObjects { return self.trees.forest.markEmpty() }
        for checkpoint in recovered.trees {
            // One that cannot be read is built anew.
            if (try? self.trees.forest.readCheckpoint(checkpoint)) == nil { self.counters.checkpointsRefused += 1 }
        }
    }

    /// Writes the trees down for the next life; only right when nothing is written afterwards.
    mutating func checkpointTrees(into effects: inout [NodeEffect]) {
        guard self.trees.options.isOn else { return }
        var checkpoints: [ByteBuffer] = []
        for partition in 0..<self.trees.forest.shape.partitionCount {
            if let checkpoint = self.trees.forest.checkpoint(of: partition) { checkpoints.append(checkpoint) }
        }
        let tag = self.replicas.insert(.note)
        effects.append(.store(.checkpoint(StorageTag(rawValue: tag), trees: checkpoints)))
    }

    /// Begins the next scan, if one is due.
    mutating func continueScan(at now: Now, into effects: inout [NodeEffect]) {
        guard let scan = self.trees.nextScan(at: now.instant) else { return }
        self.trees.scan = scan
        let tokens = self.trees.forest.shape.tokens(of: scan.partition, leaves: scan.leaves)
        var range = ObjectRange(first: tokens.lowerBound, last: tokens.upperBound)
        range.countMax = self.trees.countMax
        range.bytesMax = .max
        range.isOrdered = true
        let tag = self.replicas.insert(.scan)
        effects.append(.store(.list(StorageTag(rawValue: tag), range)))
    }

    /// A scan has its answer.
    mutating func onScanned(_ outcome: StorageOutcome, at now: Now, into effects: inout [NodeEffect]) {
        guard let scan = self.trees.scan, case .listed(let page) = outcome else { return }
        self.trees.scan = nil
        let shape = self.trees.forest.shape
        var leaves = scan.leaves
        if !page.isComplete, let last = page.entries.last {
            // The last leaf may go on behind the page, so it belongs to the next scan.
            leaves = leaves.lowerBound..<shape.leaf(of: last.name.token)
        }
        guard !leaves.isEmpty else {
            self.trees.countMax *= 2
            return self.continueScan(at: now, into: &effects)
        }
        self.trees.countMax = self.trees.options.scanCountMax
        var objects: [ScannedObject] = []
        objects.reserveCapacity(page.entries.count)
        for entry in page.entries where leaves.contains(shape.leaf(of: entry.name.token)) {
            if let digest = entry.digest {
                objects.append(ScannedObject(token: entry.name.token, digest: digest.rawValue))
            } else {
                self.beginHeal(entry.name, at: now, into: &effects)
            }
            if entry.hasExpiry, scan.purpose == .scrub, self.clockWatch.isSteady(at: now) {
                self.collect(entry.name, at: now, into: &effects)
            }
        }
        self.counters.leavesCorrected += UInt64(
            self.trees.take(scan, leaves: leaves, objects, at: now.instant))
        self.counters.objectsScanned += UInt64(objects.count)
        if scan.purpose == .build, now.instant < self.trees.burstUntil {
            return self.continueScan(at: now, into: &effects)
        }
        // Scans hold the writer up, so they may take half of the time at most.
        self.trees.nextAt = now.instant.advanced(by: now.instant.since(scan.began))
    }

    /// What expired before this is removed, where the clock can be believed.
    func collectedBefore(_ now: Now) -> WallTime {
        let delay = UInt64(max(0, self.trees.options.collectDelay.wholeMilliseconds))
        return WallTime(milliseconds: now.wall.milliseconds - min(now.wall.milliseconds, delay))
    }

    private mutating func collect(_ name: ObjectName, at now: Now, into effects: inout [NodeEffect]) {
        let moment = self.collectedBefore(now)
        let tag = self.replicas.insert(.collect(name))
        effects.append(.store(.collect(StorageTag(rawValue: tag), name, expiredBefore: moment)))
    }
}
