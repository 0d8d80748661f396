/// The points of a change of the ring at which something would be left half done if the node ended there.
///
/// The node says when it passes one. The server ignores that; the simulator ends nodes at these points, and a test shows that it
/// reached each of them.
package enum RingStep: String, Hashable, Sendable, CaseIterable {
    // How a cluster begins, and how a ring is heard of.
    case clusterFormed, foundingProposed, foundingKept, newerRingLearned, newerRingKept, proposalsUnited

    // A change is proposed.
    case changeProposed, proposalLearned, proposalKept

    // Everybody writes to both rings.
    case knowsMarking, knowsKept, everybodyKnows
    case writeToBothBegun, writeToBothOwnDisk, writeToBothAnswered, standInForNewOwner
    case foreignRequestRefused, requestSentElsewhere

    // Whoever gains something fetches it.
    case syncPlanned, syncPlannedEmpty, comparisonBegun, comparisonPostponed, rootAsked, keysAsked
    case recordsAsked, objectsAsked, recordsFetched, recordMerged, comparisonDone, comparisonFailed, partitionSynced
    case syncedMarking, syncedKept, everybodySynced

    // Reads move, then writes.
    case readsMoved, movedMarking, movedKept, everybodyMoved, changeCommitted, commitKept

    // What is owned no longer is handed over and removed.
    case foreignPartitionFound, handoverBegun, handoverRecordsRead, handoverRecordsSent, handoverRecordsMerged
    case handoverCompared, handoverFailed, handoverSpoilt, handoverVerified, removalListed, removalAsked, removalDone
    case partitionHandedOver

    // Joining, leaving, removing, replacing.
    case joinerInRing, leaveAsked, leaverOutOfRing, leaverHandedOver, leaverRemoved
    case memberRemoved, removalHeard, placeAsked, placeTaken
}
