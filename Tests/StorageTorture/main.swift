import Glibc
import GyreLevelDB

// StorageTorture crash DIR FIRST: writes numbered records and prints each acknowledged one, until it is killed.
// StorageTorture rates DIR [SECONDS]: measures updates, merges and reads through `StorageThreads`.
// StorageTorture bloom DIR KEYS: asks for absent keys and prints what the filters said.

let arguments = CommandLine.arguments
do {
    switch (arguments.dropFirst().first, arguments.count) {
    case ("crash", 4): try CrashWriter.run(directory: arguments[2], first: UInt64(arguments[3]) ?? 0)
    case ("rates", 3...):
        try Rates.run(directory: arguments[2], seconds: Double(arguments.dropFirst(3).first ?? "") ?? 3)
    case ("bloom", 4): try BloomReport.run(directory: arguments[2], keys: Int(arguments[3]) ?? 100_000)
    default:
        print("usage: StorageTorture crash DIR FIRST | rates DIR [SECONDS] | bloom DIR KEYS")
        exit(64)
    }
} catch {
    print("error: \(error)")
    exit(74)
}
