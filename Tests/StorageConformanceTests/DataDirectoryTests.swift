import Foundation
import GyreBase
import GyreLevelDB
import GyreStorage
import NIOCore
import Testing

@Suite("Data directory")
struct DataDirectoryTests {
    private let directory = TemporaryDirectory()
    private var path: String { self.directory.path + "/deep/data" }

    private func open(cluster: String = "shop", name: String = "n1") throws -> DataDirectory {
        try DataDirectory(path: self.path, cluster: cluster, name: name, options: LevelDBOptions())
    }

    private func refusal(_ body: () throws -> DataDirectory) -> DataDirectoryError? {
        do {
            _ = try body()
            return nil
        } catch { return error as? DataDirectoryError }
    }

    @Test func anIdentityIsDrawnOnceAndKept() throws {
        let first = try { (try self.open().identity, try self.open().origin) }()
        #expect(first.0.node.rawValue != 0)
        let again = try self.open(name: "renamed")
        #expect(again.identity.node == first.0.node)
        #expect(again.identity.name == "renamed")
        #expect(again.origin == .kept)
    }

    @Test func aNewDirectorySaysSo() throws { #expect(try self.open().origin == .created) }

    @Test func aSecondOpenerIsToldThePidOfTheFirst() throws {
        let first = try self.open()
        let error = self.refusal { try self.open() }
        #expect(error == .locked(path: self.path, pid: Int(getpid())))
        #expect(error?.description.contains("pid \(getpid())") == true)
        withExtendedLifetime(first) {}
    }

    @Test func aLostStoreMeansANewIdentity() throws {
        let before = try self.open().identity.node
        try FileManager.default.removeItem(atPath: self.path + "/store")
        let opened = try self.open()
        #expect(opened.origin == .storeWasLost(previous: before))
        #expect(opened.identity.node != before)
    }

    @Test func startsThatFailAfterALostStoreDoNotForgetWhosePlaceItIs() throws {
        let before = try self.open().identity.node
        let store = self.path + "/store"
        try FileManager.default.removeItem(atPath: store)
        // The identity is noted, and then there is no room for a store.
        try Data("x".utf8).write(to: URL(fileURLWithPath: store))
        for _ in 0..<3 {
            guard case .store = self.refusal({ try self.open() }) else {
                Issue.record("a file was taken for a store")
                return
            }
        }
        try FileManager.default.removeItem(atPath: store)
        let opened = try { (try self.open().identity, try self.open().origin) }()
        #expect(opened.0.replaces == before && opened.0.node != before && !opened.0.isPending)
        #expect(opened.1 == .kept, "the first of the two had made the store")
        // The next loss is that of a node that had a store, and may have issued dots.
        try FileManager.default.removeItem(atPath: store)
        #expect(try self.open().identity.replaces == opened.0.node)
    }

    @Test func aLostIdentityMeansANewOneOverTheSameObjects() throws {
        let name = try Sample.name("k")
        let before = try {
            let opened = try self.open()
            var writer = try CommitWriter(opened.engine)
            var replies: [StorageReply] = []
            let record = Sample.record(Sample.version(1, "x"))
            _ = try writer.commit([.merge(StorageTag(rawValue: 1), name, record: record)], from: 0, into: &replies)
            return opened.identity.node
        }()
        try FileManager.default.removeItem(atPath: self.path + "/identity.json")
        let opened = try self.open()
        #expect(opened.origin == .identityWasLost)
        #expect(opened.identity.node != before)
        guard case .record = try opened.engine.read(name, .record) else {
            Issue.record("the object is gone")
            return
        }
    }

    @Test func anExchangedStoreIsRefused() throws {
        let before = try self.open().identity
        try FileManager.default.removeItem(atPath: self.path)
        let after = try self.open().identity
        try Data(before.json.utf8).write(to: URL(fileURLWithPath: self.path + "/identity.json"))
        let error = self.refusal { try self.open() }
        #expect(error == .store(.owner(found: after.node, expected: before.node)))
    }

    @Test func anotherClusterIsRefused() throws {
        _ = try self.open()
        let error = self.refusal { try self.open(cluster: "office") }
        #expect(error == .cluster(path: self.path, found: "shop", expected: "office"))
    }

    @Test func aNewerFormatIsRefused() throws {
        _ = try self.open()
        let file = self.path + "/identity.json"
        let json = #"{"format_version":2,"node":"00000000000000a1","cluster":"shop","name":"n1"}"#
        try Data(json.utf8).write(to: URL(fileURLWithPath: file))
        #expect(self.refusal { try self.open() } == .newerFormat(path: file, found: 2, newestKnown: 1))
    }

    @Test func aFileInPlaceOfTheDirectoryIsRefused() throws {
        try FileManager.default.createDirectory(atPath: self.directory.path, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(fileURLWithPath: self.directory.path + "/deep"))
        #expect(self.refusal { try self.open() } == .notDirectory(path: self.path))
    }

    @Test func aPlaceWhereNothingCanBeWrittenIsRefused() {
        let error = self.refusal {
            try DataDirectory(path: "/proc/gyre", cluster: "c", name: "n", options: LevelDBOptions())
        }
        guard case .inaccessible = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aStoreWithoutItsCurrentFileIsRefused() throws {
        _ = try self.open()
        try FileManager.default.removeItem(atPath: self.path + "/store/CURRENT")
        #expect(self.refusal { try self.open() } == .storeIncomplete(path: self.path + "/store"))
    }

    @Test(arguments: ["plain", "with \"quotes\" and \\", "line\nbreak\u{1}", "snow ☃ and 🛒", ""])
    func identitiesSurviveTheirJSON(_ text: String) throws {
        let identity = NodeIdentity(
            node: NodeID(rawValue: 7), cluster: text, name: text + "!", replaces: NodeID(rawValue: 8), isPending: true)
        #expect(try NodeIdentity(json: Array(identity.json.utf8)) == identity)
        let object = try JSONSerialization.jsonObject(with: Data(identity.json.utf8)) as? [String: Any]
        #expect(object?["cluster"] as? String == text)
    }

    @Test func escapesOfOtherWritersAreRead() throws {
        let json =
            #" { "name" : "\u00e4\ud83d\uded2\/" , "more":3, "node":"00000000000000a1","cluster":"","format_version":1}"#
        let identity = try NodeIdentity(json: Array(json.utf8))
        #expect(identity.name == "ä🛒/")
    }

    @Test(arguments: [
        "", "{", "[]", "{}", "{\"format_version\":1}", #"{"format_version":"1"}"#, #"{"a":1,"a":2}"#, #"{"a":-1}"#,
        #"{"a":99999999999999999999}"#, #"{"a":"\ud800"}"#, #"{"a":"\x"}"#, #"{"a":"#,
        #"{"format_version":1,"node":"0000000000000000","cluster":"c","name":"n"}"#,
        #"{"format_version":1,"node":"00000000000000a1","cluster":"c","name":"n"} x"#,
    ])
    func damagedIdentitiesAreRefused(_ json: String) {
        #expect(throws: NodeIdentity.ParseError.self) { try NodeIdentity(json: Array(json.utf8)) }
    }

    @Test func randomBytesAreNoIdentityAndNoTrap() {
        var random = SeededRandom(seed: 11)
        let good = Array(NodeIdentity(node: NodeID(rawValue: 7), cluster: "c\u{1}", name: "n").json.utf8)
        for _ in 0..<5_000 {
            var bytes = good
            for _ in 0...random.below(4) {
                bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            _ = try? NodeIdentity(json: bytes)
        }
    }
}
