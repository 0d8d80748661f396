import Glibc

/// A system call that failed, for messages.
struct SystemError: Error, CustomStringConvertible {
    let call: String
    let path: String
    let code: Int32

    /// The last call's error; read at once after it.
    init(_ call: String, _ path: String) {
        self.code = errno
        self.call = call
        self.path = path
    }

    var description: String { "\(self.call) \(self.path): \(String(cString: strerror(self.code)))" }
}

/// The few file operations this room needs, without Foundation.
enum Files {
    /// The sizes of the files in a directory, added up; what cannot be read counts as nothing.
    static func bytes(inDirectory path: String) -> UInt64 {
        guard let directory = opendir(path) else { return 0 }
        defer { closedir(directory) }
        var sum: UInt64 = 0
        while let entry = readdir(directory) {
            var status = stat()
            let found = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { fstatat(dirfd(directory), $0, &status, 0) }
            }
            if found == 0, status.st_mode & S_IFMT == S_IFREG { sum += UInt64(clamping: status.st_size) }
        }
        return sum
    }

    /// True when anything exists at `path`.
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    /// True when `path` is a directory.
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// True when a directory holds LevelDB's tables or logs.
    static func holdsTables(_ path: String) -> Bool {
        guard let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".ldb") || name.hasSuffix(".log") { return true }
        }
        return false
    }

    /// Makes a directory and the missing ones above it, durably.
    static func makeDirectory(_ path: String) throws(SystemError) {
        if self.isDirectory(path) { return }
        let parent = self.parent(of: path)
        if mkdir(path, 0o755) != 0 {
            guard errno == ENOENT, parent != path else { throw SystemError("mkdir", path) }
            try self.makeDirectory(parent)
            guard mkdir(path, 0o755) == 0 else { throw SystemError("mkdir", path) }
        }
        try self.syncDirectory(parent)
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The whole file, at most `bytesMax` bytes of it; nil when there is none.
    static func read(_ path: String, bytesMax: Int) throws(SystemError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw SystemError("open", path)
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        var filled = 0
        while filled < bytesMax {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress?.advanced(by: filled), bytesMax - filled)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", path)
            }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes[..<filled])
    }

    /// Replaces a file so that after a power cut either the old or the new one is there, whole.
    static func replace(_ path: String, with bytes: [UInt8], inDirectory directory: String) throws(SystemError) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemError("create", temporary) }
        defer { close(descriptor) }
        try self.write(bytes, to: descriptor, temporary)
        guard fsync(descriptor) == 0 else { throw SystemError("fsync", temporary) }
        guard rename(temporary, path) == 0 else { throw SystemError("rename", path) }
        try self.syncDirectory(directory)
    }

    /// Writes all of `bytes` at the descriptor's position.
    static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("write", path)
            }
            written += count
        }
    }

    /// Gives the calling thread a name of at most 15 bytes, for debuggers and `top -H`; in vain when /proc is missing.
    static func nameThread(_ name: String) {
        let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = name.withCString { Glibc.write(descriptor, $0, strlen($0)) }
        close(descriptor)
    }

    /// Makes the entries of a directory durable.
    static func syncDirectory(_ path: String) throws(SystemError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw SystemError("fsync", path) }
    }
}
