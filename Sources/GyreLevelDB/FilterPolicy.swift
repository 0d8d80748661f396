import CLevelDB
import Glibc
import GyreBase
import Synchronization

/// How often the Bloom filters were asked, and what they said.
package struct FilterFigures: Hashable, Sendable {
    /// Questions asked of a filter since the store was opened.
    package let checks: UInt64
    /// Questions answered "certainly not here", each of which saved a data block.
    package let negatives: UInt64
    /// Questions answered "maybe" during lookups that found nothing: an estimate, because lookups on several threads
    /// at once may count each other's questions.
    package let falsePositives: UInt64
}

/// `BloomFilter` as LevelDB calls it; also counts the questions.
///
/// LevelDB hands over user keys: its own wrapper strips the sequence numbers of internal keys. Called from every thread
/// that reads and from LevelDB's compaction thread, so the counters are atomic and nothing else changes after `init`.
final class FilterPolicy: Sendable {
    let checks = Atomic<UInt64>(0)
    let negatives = Atomic<UInt64>(0)
    let bitsPerKey: Int
    let probes: Int

    init(bitsPerKey: Int) {
        self.bitsPerKey = bitsPerKey
        self.probes = BloomFilter.probes(bitsPerKey: bitsPerKey)
    }

    /// The policy as a C value; holds `self` until LevelDB destroys it.
    func makePolicy() -> OpaquePointer? {
        leveldb_filterpolicy_create(
            Unmanaged.passRetained(self).toOpaque(),
            { state in
                if let state { Unmanaged<FilterPolicy>.fromOpaque(state).release() }
            },
            { state, keys, lengths, count, size in
                FilterPolicy.makeFilter(state, keys, lengths, count, size)
            },
            { state, key, length, filter, filterLength in
                guard let state, let key, let filter else { return 1 }
                let hash = BloomFilter.hash(UnsafeRawBufferPointer(start: key, count: length))
                let found = BloomFilter.mayContain(hash, in: UnsafeRawBufferPointer(start: filter, count: filterLength))
                Unmanaged<FilterPolicy>.fromOpaque(state)._withUnsafeGuaranteedRef { policy in
                    policy.checks.wrappingAdd(1, ordering: .relaxed)
                    if !found { policy.negatives.wrappingAdd(1, ordering: .relaxed) }
                }
                return found ? 1 : 0
            },
            { _ in UnsafeRawPointer(BloomFilter.name.utf8Start).assumingMemoryBound(to: CChar.self) }
        )
    }

    /// Memory from `malloc`, which LevelDB frees.
    private static func makeFilter(
        _ state: UnsafeMutableRawPointer?, _ keys: UnsafePointer<UnsafePointer<CChar>?>?,
        _ lengths: UnsafePointer<Int>?, _ count: Int32, _ size: UnsafeMutablePointer<Int>?
    ) -> UnsafeMutablePointer<CChar>? {
        guard let state, let size else { return nil }
        let policy = Unmanaged<FilterPolicy>.fromOpaque(state).takeUnretainedValue()
        let bytes = BloomFilter.byteCount(keys: Int(count), bitsPerKey: policy.bitsPerKey)
        guard let memory = calloc(bytes, 1) else { preconditionFailure("no memory for a filter of \(bytes) bytes") }
        let filter = UnsafeMutableRawBufferPointer(start: memory, count: bytes)
        BloomFilter.prepare(filter, probes: policy.probes)
        if let keys, let lengths {
            for index in 0..<Int(count) {
                let key = UnsafeRawBufferPointer(start: keys[index], count: lengths[index])
                BloomFilter.insert(BloomFilter.hash(key), into: filter)
            }
        }
        size.pointee = bytes
        return memory.assumingMemoryBound(to: CChar.self)
    }
}
