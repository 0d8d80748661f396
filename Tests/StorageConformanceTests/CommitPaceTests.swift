import Foundation
import Glibc
import GyreStorage
import Testing

@testable import GyreLevelDB

/// A commit waits only while writes come faster than they could be synced one by one, and never long.
struct CommitPaceTests {
    /// Commits of `writes` each, one every `period` microseconds, of which each takes `took`; how long the next one is to wait after
    /// the last one began, in microseconds.
    private func rest(period: Int64, took: Int64, writes: Int, commits: Int = 200) -> Int64 {
        var pace = CommitPace()
        var began: Int64 = 5_000_000_000
        for _ in 0..<commits {
            began += period * 1_000
            pace.note(began: began, ended: began + took * 1_000, writes: writes)
        }
        return (pace.earliest - began) / 1_000
    }

    @Test func whoeverWritesAloneNeverWaits() {
        #expect(CommitPace().earliest <= 0)
        // The next write of a client that waits for its answer comes after this node's commit and another's.
        for took in [20, 350, 2_000, 9_000] as [Int64] {
            #expect(self.rest(period: took * 2, took: took, writes: 1) <= 0)
            // With one replica the next write comes as soon as the answer is there.
            #expect(self.rest(period: took + 20, took: took, writes: 1) <= 0)
        }
    }

    @Test func whereManyWriteACommitGathersThem() {
        #expect((900...1_000).contains(self.rest(period: 400, took: 350, writes: 2)))
        #expect((270...300).contains(self.rest(period: 120, took: 100, writes: 3)))
        #expect((900...1_000).contains(self.rest(period: 1_000, took: 400, writes: 8)))
    }

    @Test func aSlowDiskAddsNoMoreThanItTakes() {
        // By the time that such a commit has ended, the next one may begin.
        #expect(self.rest(period: 5_000, took: 5_000, writes: 100) <= 1_000)
        #expect(self.rest(period: 40_000, took: 35_000, writes: 1_000_000) <= 1_000)
    }

    @Test func whenItBecomesQuietTheRestEnds() {
        var pace = CommitPace()
        var began: Int64 = 1_000_000_000
        for _ in 0..<200 {
            began += 400_000
            pace.note(began: began, ended: began + 350_000, writes: 4)
        }
        #expect(pace.earliest > began)
        for _ in 0..<60 {
            began += 900_000
            pace.note(began: began, ended: began + 350_000, writes: 1)
        }
        #expect(pace.earliest == began)
        pace.note(began: .max / 2, ended: .max / 2 + 1, writes: .max)
        #expect(pace.earliest <= .max / 2 + CommitPace.restMax)
    }

    private func leases(_ tags: ClosedRange<UInt64>) -> [StorageRequest] {
        tags.map { .lease(StorageTag(rawValue: $0), ceiling: $0) }
    }

    @Test func whatComesDuringTheRestIsTakenAlong() {
        let mailbox = Mailbox()
        _ = mailbox.append(self.leases(1...2), reads: false)
        let earliest = Mailbox.clock + 1_000_000_000
        Thread.detachNewThread {
            usleep(20_000)
            _ = mailbox.append(self.leases(3...3), reads: false)
            mailbox.close()
        }
        var requests: [StorageRequest] = []
        #expect(mailbox.take(into: &requests, notBefore: earliest, until: nil) == .requests)
        #expect(Mailbox.clock >= earliest)
        #expect(requests.map(\.tag.rawValue) == [1, 2, 3])
        requests = []
        #expect(mailbox.take(into: &requests, notBefore: Mailbox.clock + 1_000_000_000, until: nil) == .closed)
    }

    @Test func enoughWritesNeedNotWaitForMore() {
        let mailbox = Mailbox()
        let began = Mailbox.clock
        let (earliest, moment) = (began + 60_000_000_000, began + 20_000_000)
        _ = mailbox.append(self.leases(1...2), reads: false)
        Thread.detachNewThread {
            // One short of enough wakes nobody; the last one does, whatever came in between.
            _ = mailbox.append(self.leases(3...15), reads: false)
            while Mailbox.clock < moment { usleep(1_000) }
            _ = mailbox.append(self.leases(16...16), reads: false)
        }
        var requests: [StorageRequest] = []
        #expect(mailbox.take(into: &requests, notBefore: earliest, unless: 16, until: nil) == .requests)
        #expect(Mailbox.clock >= moment)
        #expect(Mailbox.clock < earliest)
        #expect(requests.map(\.tag.rawValue) == Array(1...16))
        // What is there already is enough at once.
        requests = []
        _ = mailbox.append(self.leases(17...40), reads: false)
        #expect(mailbox.take(into: &requests, notBefore: earliest, unless: 16, until: nil) == .requests)
        #expect(Mailbox.clock < earliest)
        #expect(requests.count == 24)
    }
}
