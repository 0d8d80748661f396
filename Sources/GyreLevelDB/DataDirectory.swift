import Glibc
package import GyreBase

/// Why a data directory cannot be used; each says what was wrong and what to do.
package enum DataDirectoryError: Error, Equatable, CustomStringConvertible {
    /// There is something at the path, but no directory.
    case notDirectory(path: String)
    /// The system refuses to create, read or write in it.
    case inaccessible(path: String, reason: String)
    /// Another process uses it; 0 when its pid is not known.
    case locked(path: String, pid: Int)
    /// It belongs to another cluster.
    case cluster(path: String, found: String, expected: String)
    /// A later version of Gyre wrote it.
    case newerFormat(path: String, found: UInt64, newestKnown: UInt64)
    /// `identity.json` is not what it should be.
    case identity(path: String, reason: String)
    /// There are tables, but LevelDB's `CURRENT`, which names them, is gone.
    case storeIncomplete(path: String)
    /// The store in it cannot be opened.
    case store(StoreOpenError)

    /// The explanation, for a person.
    package var description: String {
        switch self {
        case .notDirectory(let path):
            "\(path) is not a directory; choose another place with --data"
        case .inaccessible(let path, let reason):
            "the data directory \(path) cannot be used: \(reason); make it writable for this user or choose another "
                + "place with --data"
        case .locked(let path, let pid):
            "the data directory \(path) is in use by the process with pid \(pid); stop that one first, or choose "
                + "another place with --data"
        case .cluster(let path, let found, let expected):
            "the data directory \(path) belongs to the cluster \"\(found)\", not \"\(expected)\"; start with --cluster "
                + "\(found), or choose another place with --data"
        case .newerFormat(let path, let found, let newestKnown):
            "the data directory \(path) has format \(found), and this version reads up to \(newestKnown); start a newer "
                + "version of gyre"
        case .identity(let path, let reason):
            "\(path) cannot be read: \(reason); restore it from a backup, or remove it: the node then takes a new "
                + "identity and keeps the data"
        case .storeIncomplete(let path):
            "the store in \(path) has lost its file CURRENT; restore it from a backup, or move the store away: the node "
                + "then takes a new identity and is refilled"
        case .store(let error): error.description
        }
    }
}

/// How the identity of an opened directory came about; anything but `kept` is worth a line in the log.
package enum IdentityOrigin: Hashable, Sendable {
    /// Read from `identity.json`.
    case kept
    /// The directory is new.
    case created
    /// The store was gone: a new identity, since nobody knows which dots `previous` had issued (architecture D4).
    case storeWasLost(previous: NodeID)
    /// `identity.json` was gone: a new identity over the objects that were there.
    case identityWasLost
}

/// A node's data directory, locked and opened: `identity.json`, `LOCK`, `store/`.
///
/// The lock is held until the last reference goes.
package final class DataDirectory: Sendable {
    /// Where it is.
    package let path: String
    /// Who lives in it.
    package let identity: NodeIdentity
    /// How that was decided.
    package let origin: IdentityOrigin
    /// Its store.
    package let engine: LevelDBEngine
    private let lock: DirectoryLock

    /// Opens the directory, or creates it on first use.
    ///
    /// A `name` other than the one noted replaces it; a `cluster` other than the one noted is refused.
    package init(
        path: String, cluster: String, name: String, options: LevelDBOptions
    ) throws(DataDirectoryError) {
        self.path = path
        if Files.exists(path), !Files.isDirectory(path) { throw .notDirectory(path: path) }
        do throws(SystemError) { try Files.makeDirectory(path) } catch {
            throw error.code == ENOTDIR
                ? .notDirectory(path: path) : .inaccessible(path: path, reason: error.description)
        }
        self.lock = try DirectoryLock(path)
        let store = path + "/store"
        let file = path + "/identity.json"
        let noted = try Self.notedIdentity(file)
        if let noted, noted.cluster != cluster {
            throw .cluster(path: path, found: noted.cluster, expected: cluster)
        }
        let hasStore = Files.exists(store + "/CURRENT")
        if !hasStore, Files.holdsTables(store) { throw .storeIncomplete(path: store) }
        switch (noted, hasStore) {
        case (let noted?, true): (self.origin, self.identity) = (.kept, noted.settled(name))
        case (let noted?, false) where noted.isPending:
            // The start that drew it had no store yet, so it has issued no dot; one more would forget whose place this is.
            self.origin = noted.replaces.map { .storeWasLost(previous: $0) } ?? .created
            self.identity = noted.settled(name)
        case (let noted?, false):
            self.origin = .storeWasLost(previous: noted.node)
            self.identity = Self.drawnIdentity(cluster, name, replaces: noted.node)
        case (nil, true): (self.origin, self.identity) = (.identityWasLost, Self.drawnIdentity(cluster, name))
        case (nil, false): (self.origin, self.identity) = (.created, Self.drawnIdentity(cluster, name))
        }
        // Either half may be the last thing before a power cut, and the next start must not find a store whose owner is
        // somebody else. So a lost store is made anew after the identity is noted, and a store without an identity is
        // adopted before.
        let pending = self.identity.pending
        if noted != nil, !hasStore, noted != pending { try Self.write(pending, file, path) }
        let adopting = self.origin == .identityWasLost
        do throws(StoreOpenError) {
            self.engine = try LevelDBEngine(
                path: store, owner: self.identity.node, adopting: adopting, options: options)
        } catch { throw .store(error) }
        if noted != self.identity { try Self.write(self.identity, file, path) }
        do throws(SystemError) { try Files.syncDirectory(path) } catch {
            throw .inaccessible(path: path, reason: error.description)
        }
    }

    private static func drawnIdentity(
        _ cluster: String, _ name: String, replaces: NodeID? = nil
    ) -> NodeIdentity {
        let node = NodeID(rawValue: UInt64.random(in: 1...UInt64.max))
        return NodeIdentity(node: node, cluster: cluster, name: name, replaces: replaces)
    }

    private static func notedIdentity(_ file: String) throws(DataDirectoryError) -> NodeIdentity? {
        let bytes: [UInt8]?
        do throws(SystemError) { bytes = try Files.read(file, bytesMax: NodeIdentity.fileBytesMax) } catch {
            throw .inaccessible(path: file, reason: error.description)
        }
        guard let bytes else { return nil }
        do throws(NodeIdentity.ParseError) { return try NodeIdentity(json: bytes) } catch {
            switch error {
            case .malformed(let reason): throw .identity(path: file, reason: reason)
            case .newerFormat(let found):
                throw .newerFormat(path: file, found: found, newestKnown: NodeIdentity.formatVersion)
            }
        }
    }

    private static func write(
        _ identity: NodeIdentity, _ file: String, _ directory: String
    ) throws(DataDirectoryError) {
        do throws(SystemError) {
            try Files.replace(file, with: Array(identity.json.utf8), inDirectory: directory)
        } catch { throw .inaccessible(path: file, reason: error.description) }
    }
}

extension NodeIdentity {
    /// The same node under this name, once it has a store.
    fileprivate func settled(_ name: String) -> NodeIdentity {
        NodeIdentity(node: self.node, cluster: self.cluster, name: name, replaces: self.replaces)
    }

    /// The same before it has one.
    fileprivate var pending: NodeIdentity {
        NodeIdentity(
            node: self.node, cluster: self.cluster, name: self.name, replaces: self.replaces, isPending: true)
    }
}

/// The lock on a data directory: the file `LOCK`, held with `flock`, with the holder's pid in it.
///
/// The system lets go of it when the process ends in any way. Sendable: the descriptor never changes.
final class DirectoryLock: Sendable {
    private let descriptor: Int32

    init(_ directory: String) throws(DataDirectoryError) {
        let path = directory + "/LOCK"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw .inaccessible(path: directory, reason: SystemError("open", path).description)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            defer { Glibc.close(descriptor) }
            guard code == EWOULDBLOCK else {
                throw .inaccessible(path: directory, reason: SystemError("flock", path).description)
            }
            let text = (try? Files.read(path, bytesMax: 32)) ?? []
            let digits = String(decoding: text.prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self)
            throw .locked(path: directory, pid: Int(digits) ?? 0)
        }
        do throws(SystemError) {
            guard ftruncate(descriptor, 0) == 0 else { throw SystemError("truncate", path) }
            try Files.write(Array("\(getpid())\n".utf8), to: descriptor, path)
        } catch {
            Glibc.close(descriptor)
            throw .inaccessible(path: directory, reason: error.description)
        }
        self.descriptor = descriptor
    }

    deinit { close(self.descriptor) }
}
