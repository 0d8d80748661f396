// swift-tools-version: 6.2
import PackageDescription

// One arrow in `docs/ARCHITECTURE.md` is one entry in `dependencies` below; `TidyTests` compares the imports
// of every file with the same picture.

/// Set by `Tests/steps/20-fuzz`: instruments every module and adds the fuzz target, which no other build needs.
let isFuzzing = Context.environment["GYRE_FUZZ"] == "1"

let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .treatAllWarnings(as: .error),
    ] + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioLocks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let httpServer = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let httpParts = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")

/// A module of the house; `needs` are the arrows that leave it.
func room(_ name: String, _ needs: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: needs, swiftSettings: settings)
}

/// The tests of one module.
func tests(_ name: String, _ needs: [Target.Dependency], data: [String] = []) -> Target {
    .testTarget(name: name, dependencies: needs, exclude: data, swiftSettings: settings)
}

let package = Package(
    name: "gyre",
    products: [
        .executable(name: "gyre", targets: ["gyre"]),
        .library(name: "GyreClient", targets: ["GyreClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .target(name: "CXXHash", publicHeadersPath: "include"),
        .systemLibrary(name: "CLevelDB", providers: [.apt(["libleveldb-dev"])]),
        .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CLevelLog", publicHeadersPath: "include", linkerSettings: [.linkedLibrary("leveldb")]),

        room("GyreBase", ["CXXHash", nioCore]),
        room("GyreCausality", ["GyreBase", nioCore]),
        room("GyreRing", ["GyreBase"]),
        room("GyreMembership", ["GyreBase"]),
        room("GyreMerkle", ["GyreBase", nioCore]),
        room("GyreMessages", ["GyreBase", "GyreCausality", "GyreMembership", "GyreRing", nioCore]),
        room("GyreStorage", ["GyreBase", "GyreCausality", nioCore]),
        room("GyreQuorum", ["GyreBase", "GyreCausality", nioCore]),
        room(
            "GyreNode",
            [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMerkle", "GyreMessages", "GyreStorage",
                "GyreQuorum", nioCore,
            ]
        ),
        room("GyreWire", ["GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", nioCore]),
        room("GyreLevelDB", ["CLevelDB", "CLevelLog", "GyreBase", "GyreCausality", "GyreStorage", nioCore, nioLocks]),
        room(
            "GyreServer",
            [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMessages", "GyreStorage", "GyreQuorum",
                "GyreNode", "GyreWire", "GyreLevelDB", "GyreMetrics", "GyreTracing", nioCore, nioPosix, nioLocks,
                logging,
                coreMetrics, lifecycle, tracing,
            ]
        ),
        room(
            "GyreClient",
            [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMessages", "GyreWire", nioCore,
                nioPosix, nioLocks,
            ]
        ),
        room("GyreMetrics", [coreMetrics]),
        room("GyreTracing", ["GyreBase", lifecycle, tracing]),
        room(
            "GyreReports",
            ["GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", "GyreClient", nioCore]
        ),
        room(
            "GyreHTTP",
            [
                "GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", "GyreServer", "GyreClient",
                "GyreReports",
                "GyreMetrics", "GyreTracing", "GyreRing", httpServer, httpTypes, httpParts, coreMetrics, nioHTTP1,
                nioCore, nioPosix, logging, lifecycle, tracing,
            ]
        ),
        room(
            "GyreSimulator",
            [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMessages", "GyreStorage", "GyreNode",
                "GyreQuorum", "GyreWire", nioCore,
            ]
        ),
        .executableTarget(
            name: "gyre",
            dependencies: [
                "GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", "GyreServer", "GyreClient",
                "GyreReports", "GyreMetrics", "GyreTracing", "GyreHTTP", "GyreSimulator",
                "CYAML", arguments, configuration, histogram, lifecycle, logging, coreMetrics, nioCore, nioPosix,
            ],
            swiftSettings: settings,
            // The archive and not the shared library, which few machines have.
            linkerSettings: [.linkedLibrary(":libyaml.a")]
        ),

        // A target and not a nested package: `package` access ends at a package's border, and what is measured is not public.
        .executableTarget(
            name: "gyre-micro",
            dependencies: [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMerkle", "GyreMessages", "GyreStorage", "GyreWire",
                "GyreLevelDB", nioCore,
            ],
            path: "Benchmarks/Micro",
            swiftSettings: settings
        ),

        tests("GyreBaseTests", ["GyreBase", nioCore]),
        tests("GyreCausalityTests", ["GyreBase", "GyreCausality", nioCore]),
        tests("GyreRingTests", ["GyreBase", "GyreRing"]),
        tests(
            "GyreMembershipTests",
            ["GyreBase", "GyreRing", "GyreMembership", "GyreMessages", "GyreWire", "SwimWorld", nioCore]
        ),
        // Memberships alone on a virtual network, for the tests above and for runs that are too long for them. Never installed.
        .target(
            name: "SwimWorld", dependencies: ["GyreBase", "GyreMembership"], path: "Tests/SwimWorld",
            swiftSettings: settings),
        .executableTarget(
            name: "gyre-swim", dependencies: ["GyreBase", "GyreRing", "GyreMembership", "SwimWorld"],
            path: "Tests/Swim", swiftSettings: settings),
        tests("GyreMerkleTests", ["GyreBase", "GyreMerkle", nioCore]),
        tests("GyreQuorumTests", ["GyreBase", "GyreCausality", "GyreQuorum", nioCore]),
        tests(
            "GyreNodeTests",
            [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMessages", "GyreStorage", "GyreQuorum",
                "GyreNode", nioCore,
            ]
        ),
        tests(
            "GyreWireTests",
            ["GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", "GyreRing", "GyreWire", nioCore]
        ),
        tests(
            "StorageConformanceTests",
            [
                "CLevelDB", "CLevelLog", "GyreBase", "GyreCausality", "GyreStorage", "GyreLevelDB", "StorageTorture",
                nioCore, nioLocks,
            ]
        ),
        // Killed by the tests above in mid-write; also measures the store. Never installed.
        .executableTarget(
            name: "StorageTorture",
            dependencies: ["GyreBase", "GyreCausality", "GyreStorage", "GyreLevelDB", nioCore],
            path: "Tests/StorageTorture",
            swiftSettings: settings
        ),
        tests(
            "GyreServerTests",
            [
                "GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", "GyreWire", "GyreServer", "GyreClient",
                nioCore, nioPosix, nioEmbedded, logging,
            ]
        ),
        tests(
            "SimulationTests",
            [
                "GyreBase", "GyreCausality", "GyreRing", "GyreMembership", "GyreMessages", "GyreStorage", "GyreNode",
                "GyreSimulator", nioCore,
            ],
            data: ["Seeds"]
        ),
        tests("ScenarioTests", ["GyreSimulator"], data: ["Scenarios", "Sweeps"]),
        // Breaks real nodes and checks what they promised (Tests/steps/50 to 55). Never installed.
        .executableTarget(
            name: "gyre-torture",
            dependencies: [
                "CLevelDB", "GyreBase", "GyreCausality", "GyreClient", "GyreLevelDB", "GyreMembership", "GyreMessages",
                "GyreRing", "GyreStorage", nioCore, nioPosix,
            ],
            path: "Tests/Torture",
            swiftSettings: settings
        ),
        tests(
            "GyreHTTPTests",
            [
                "GyreBase", "GyreCausality", "GyreClient", "GyreMembership", "GyreMessages", "GyreServer",
                "GyreReports", "GyreMetrics", "GyreHTTP", nioCore, coreMetrics, logging,
            ]
        ),
        tests("GyreTracingTests", ["GyreBase", "GyreTracing", tracing]),
        tests("CommandTests", []),
        tests("TidyTests", []),
    ]
)

if isFuzzing {
    package.targets.append(
        .executableTarget(
            name: "fuzz-wire",
            dependencies: ["GyreBase", "GyreCausality", "GyreMembership", "GyreMessages", "GyreWire", nioCore],
            path: "Tests/fuzz",
            exclude: ["corpus"],
            swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]
        )
    )
}
