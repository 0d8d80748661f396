/// Who may import whom: the drawing of `docs/ARCHITECTURE.md`, one room a line, bottom first.
enum Arrows {
    /// Rooms without a socket, file, clock, task, lock or logger.
    static let pure: Set<String> = [
        "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMerkle", "GyreQuorum", "GyreMessages",
        "GyreStorage", "GyreNode", "GyreSimulator",
    ]

    /// What a room may import besides the standard library.
    static let allowed: [String: Set<String>] = [
        "GyreBase": words("CXXHash NIOCore"),
        "GyreCausality": words("GyreBase NIOCore"),
        "GyreRing": words("GyreBase GyreCausality"),
        "GyreMembership": words("GyreBase GyreCausality NIOCore"),
        "GyreMerkle": words("GyreBase GyreCausality NIOCore"),
        "GyreQuorum": words("GyreBase GyreCausality NIOCore"),
        "GyreMessages": words("GyreBase GyreCausality GyreMembership GyreRing NIOCore"),
        "GyreStorage": words("GyreBase GyreCausality NIOCore"),
        "GyreNode": words(
            "GyreBase GyreCausality GyreRing GyreMembership GyreMerkle GyreMessages GyreStorage GyreQuorum NIOCore"
        ),
        "GyreWire": words("GyreBase GyreCausality GyreMembership GyreMessages NIOCore"),
        "GyreLevelDB": words("CLevelDB CLevelLog GyreBase GyreCausality GyreStorage NIOCore NIOConcurrencyHelpers")
            .union(platform),
        "GyreServer": words(
            "GyreBase GyreCausality GyreRing GyreMembership GyreMerkle GyreMessages GyreStorage GyreQuorum GyreNode GyreWire"
                + " GyreLevelDB GyreMetrics GyreTracing Tracing NIOCore NIOPosix NIOConcurrencyHelpers Logging CoreMetrics ServiceLifecycle"
        ).union(platform),
        "GyreClient": words(
            "GyreBase GyreCausality GyreRing GyreMembership GyreMessages GyreWire NIOCore NIOPosix"
                + " NIOConcurrencyHelpers"
        ).union(platform),
        "GyreMetrics": words("CoreMetrics").union(platform),
        "GyreTracing": words("GyreBase Tracing ServiceLifecycle").union(platform),
        "GyreReports": words("GyreBase GyreCausality GyreMembership GyreMessages GyreClient NIOCore"),
        "GyreHTTP": words(
            "GyreBase GyreCausality GyreRing GyreMembership GyreMessages GyreServer GyreClient GyreReports GyreMetrics"
                + " GyreTracing Tracing HummingbirdCore HTTPTypes NIOHTTPTypes NIOHTTP1 NIOCore NIOPosix CoreMetrics Logging ServiceLifecycle"
        ).union(platform),
        "GyreSimulator": words(
            "GyreBase GyreCausality GyreRing GyreMembership GyreMessages GyreStorage GyreQuorum GyreNode GyreWire"
                + " NIOCore"
        ),
        "gyre": words(
            "GyreBase GyreCausality GyreMembership GyreMessages GyreServer GyreClient GyreReports GyreMetrics GyreHTTP"
                + " GyreTracing GyreSimulator CYAML ArgumentParser Configuration Histogram ServiceLifecycle Logging CoreMetrics NIOCore NIOPosix"
        ).union(platform),
    ]

    /// What the operating system brings; for the rooms that touch the world.
    static let platform = words("Foundation FoundationEssentials Glibc Musl Dispatch Synchronization")

    private static func words(_ text: String) -> Set<String> { Set(text.split(separator: " ").map(String.init)) }
}
