import GyreBase

/// Why a scenario cannot be read: its line, counted from 1, and what is wrong there, for people.
package struct ScenarioError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line, counted from 1.
    package let line: Int
    /// What is wrong, and what would be right.
    package let reason: String

    init(_ line: Int, _ reason: String) {
        self.line = line
        self.reason = reason
    }

    /// As a compiler would say it.
    package var description: String { "line \(self.line): \(self.reason)" }
}

/// A story as text: one cluster, one step a line, and behind `->` what the step must print.
///
/// `docs/internals/simulator.md` lists the verbs. Pure value; safe from any thread.
package struct Scenario: Sendable {
    /// The longest text that is read, in bytes.
    package static let bytesMax = 64 << 10
    /// The most lines, empty ones and comments included.
    package static let linesMax = 200
    /// The most keys of all steps together.
    package static let keysMax = 1_000
    /// How often a put may be repeated at most.
    package static let timesMax = 1_000
    /// How much virtual time one line may let pass, in seconds.
    package static let secondsMax: Int64 = 3_600

    /// One line of the text.
    struct Line: Sendable {
        /// What stands before `->`, with the spaces that lead to it.
        let text: String
        /// What stands behind `->`.
        let expected: String?
        /// What is to be done; nil for empty lines, comments and the first line.
        let step: ScenarioStep?
    }

    /// Decides what the text leaves open: identities, latencies, who answers first.
    let seed: UInt64
    /// The names of the nodes.
    let nodes: [String]
    /// The cluster, without faults and clients of its own.
    let plan: SimulationPlan
    /// All keys, sorted.
    let keys: [String]
    /// All lines in their order.
    let lines: [Line]
}

/// A put or a delete of a scenario.
struct ScenarioWrite: Sendable {
    /// What a writer says it has seen.
    enum Stance: Sendable {
        /// What the answer to its last operation on the key said.
        case remembered
        /// Whatever is there.
        case overwrite
        /// Nothing.
        case blind
    }

    /// The key; `#` in it stands for the number of the repetition.
    var key: String
    /// The value; nil for a delete.
    var value: String?
    /// The node asked, by index.
    var node: Int
    /// W; nil for the standard.
    var writes: UInt8?
    /// Whether only primaries count.
    var isStrict = false
    /// What the writer has seen.
    var stance = Stance.remembered
    /// Whether all writers read the key before each round of writes.
    var isReading = false
    /// Who writes, in turn.
    var writers = [ScenarioStep.someone]
    /// How often.
    var times = 1

    /// The key of a repetition, counted from 1.
    func key(_ time: Int) -> String { ScenarioWrite.key(self.key, time) }

    /// `pattern` with the number of a repetition in the place of `#`.
    static func key(_ pattern: String, _ time: Int) -> String {
        pattern.split(separator: "#", omittingEmptySubsequences: false).joined(separator: String(time))
    }
}

/// What one line of a scenario asks for. Nodes are indices, keys are written out.
enum ScenarioStep: Sendable {
    /// Who reads and writes when no name is given.
    static let someone = "someone"

    case write(ScenarioWrite)
    case get(key: String, node: Int, reads: UInt8?, isStrict: Bool, reader: String)
    case kill([Int], losingPower: Bool)
    case start([Int])
    /// The nodes named stay together and lose all others.
    case cut([Int])
    case mend
    /// The disk is lost; the node is down.
    case wipe(Int)
    /// A bit of the record turns over.
    case rot(key: String, node: Int)
    /// The record is gone and nothing says so.
    case lose(key: String, node: Int)
    case run(TimeSpan)
    case hints
    case held(key: String)
    /// All keys when nil.
    case equal(key: String?)
    case repair(node: Int)
    case progress(node: Int)
    case trees(node: Int)
    case counter(name: String, node: Int)
    case events
    /// Heal everything and check every promise.
    case converge
    /// A machine that was never started joins; or is started to wait for a place.
    case join(Int, isHeld: Bool)
    /// An operator asks a node that another one, or itself, leaves.
    case leave(Int, via: Int)
    /// An operator asks a node to ban one that is dead.
    case remove(Int, via: Int)
    /// An operator gives the place of one node to another.
    case replace(Int, with: Int)
    /// Who owns ranges, as a node sees it.
    case ring(at: Int)

    /// The key or the keys that the step speaks of.
    var keys: [String] {
        switch self {
        case .write(let write): write.key.contains("#") ? (1...write.times).map { write.key($0) } : [write.key]
        case .get(let key, _, _, _, _), .rot(let key, _), .lose(let key, _), .held(let key): [key]
        case .equal(let key): key.map { [$0] } ?? []
        case .kill, .start, .cut, .mend, .wipe, .run, .hints, .repair, .progress, .trees, .counter, .events, .converge,
            .join, .leave, .remove, .replace, .ring:
            []
        }
    }
}
