import GyreBase

extension Scenario {
    /// Reads a scenario.
    ///
    /// - Throws: `ScenarioError` with the first line that makes no sense or passes a limit.
    package init(parsing text: String) throws(ScenarioError) {
        guard text.utf8.count <= Self.bytesMax else {
            throw ScenarioError(1, "the text is longer than \(Self.bytesMax) bytes")
        }
        var rows = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if rows.last == "" { rows.removeLast() }
        guard rows.count <= Self.linesMax else {
            throw ScenarioError(Self.linesMax + 1, "a scenario has \(Self.linesMax) lines at most")
        }
        var head: ScenarioHead?
        var lines: [Line] = []
        var keys: Set<String> = []
        for (index, row) in rows.enumerated() {
            let (before, expected) = Self.halves(of: row)
            let words = before.split(separator: " ").map(String.init)
            guard let first = words.first, !first.hasPrefix("#") else {
                lines.append(Line(text: row, expected: nil, step: nil))
                continue
            }
            guard let known = head else {
                head = try ScenarioHead(words, line: index + 1)
                lines.append(Line(text: row, expected: nil, step: nil))
                continue
            }
            var reader = ScenarioWords(words, nodes: known.nodes, line: index + 1)
            let step = try reader.step()
            keys.formUnion(step.keys)
            guard keys.count <= Self.keysMax else {
                throw ScenarioError(index + 1, "a scenario has \(Self.keysMax) keys at most")
            }
            lines.append(Line(text: before, expected: expected, step: step))
        }
        guard let head else { throw ScenarioError(1, "a scenario begins with 'nodes a b c n=3 r=2 w=2 seed=7'") }
        self.seed = head.seed
        self.nodes = head.nodes
        self.plan = head.plan
        // A request that concerns no key is booked under the first one.
        self.keys = keys.isEmpty ? ["none"] : keys.sorted()
        self.lines = lines
    }

    /// What stands before the arrow of a line, and what behind it.
    private static func halves(of row: String) -> (String, String?) {
        guard !row.hasPrefix("#"), let arrow = row.firstRange(of: "->") else { return (row, nil) }
        let rest = row[arrow.upperBound...].drop { $0 == " " }
        return (String(row[..<arrow.lowerBound]), String(rest))
    }
}

/// The first line of a scenario: nodes and settings.
private struct ScenarioHead {
    var nodes: [String] = []
    var plan = SimulationPlan(nodeCount: 0)
    var seed: UInt64 = 1

    init(_ words: [String], line: Int) throws(ScenarioError) {
        guard words.first == "nodes" else {
            throw ScenarioError(line, "'\(words.first ?? "")' comes before 'nodes a b c n=3 r=2 w=2 seed=7'")
        }
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 1 {
                // A plus sign says that the machine is not started yet; such ones come last.
                let isSpare = word.hasPrefix("+")
                let name = isSpare ? String(word.dropFirst()) : word
                guard !self.nodes.contains(name) else { throw ScenarioError(line, "two nodes are called \(name)") }
                guard isSpare || self.plan.spareCount == 0 else {
                    throw ScenarioError(line, "\(name) comes behind machines with a plus sign")
                }
                self.nodes.append(name)
                if isSpare { self.plan.spareCount += 1 }
            } else {
                try self.set(parts[0], parts[1], line)
            }
        }
        let range = SimulationOptions.nodesRange
        guard range.contains(self.nodes.count) else {
            throw ScenarioError(line, "\(range.lowerBound) to \(range.upperBound) nodes, not \(self.nodes.count)")
        }
        self.plan.nodeCount = self.nodes.count - self.plan.spareCount
        guard self.plan.nodeCount > 0 else { throw ScenarioError(line, "one node at least has no plus sign") }
        guard (1...7).contains(self.plan.replicas), (1...self.plan.replicas).contains(self.plan.reads),
            (1...self.plan.replicas).contains(self.plan.writes)
        else { throw ScenarioError(line, "n must be 1 to 7, r and w 1 to n") }
    }

    private mutating func set(_ name: String, _ text: String, _ line: Int) throws(ScenarioError) {
        let number = UInt64(text)
        switch (name, number) {
        case ("n", .some(1...7)): self.plan.replicas = Int(text) ?? 0
        case ("r", .some(1...7)): self.plan.reads = Int(text) ?? 0
        case ("w", .some(1...7)): self.plan.writes = Int(text) ?? 0
        case ("seed", .some(let seed)): self.seed = seed
        case ("hint-bytes", .some(let bytes)): self.plan.hintBytesMax = bytes
        case ("exchange", nil): self.plan.exchangeInterval = try ScenarioWords.span(text, line)
        case ("sloppy", nil) where text == "on" || text == "off": self.plan.isSloppy = text == "on"
        default:
            throw ScenarioError(
                line, "'\(name)=\(text)' is none of n=, r=, w= (1 to 7), seed=, hint-bytes=, exchange=10s, sloppy=off")
        }
    }
}

/// The words of one line, from which the verb takes what it needs.
private struct ScenarioWords {
    private var words: [String]
    private var settings: [(name: String, text: String)] = []
    private let nodes: [String]
    private let line: Int

    init(_ words: [String], nodes: [String], line: Int) {
        self.words = []
        self.nodes = nodes
        self.line = line
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { self.settings.append((parts[0], parts[1])) } else { self.words.append(word) }
        }
    }

    /// The step; nothing may be left over.
    mutating func step() throws(ScenarioError) -> ScenarioStep {
        let verb = try self.word("a verb")
        let step = try self.step(verb)
        if let rest = self.words.first { throw self.wrong("'\(rest)' is not understood after '\(verb)'") }
        if let rest = self.settings.first { throw self.wrong("'\(verb)' knows no \(rest.name)=") }
        return step
    }

    private mutating func step(_ verb: String) throws(ScenarioError) -> ScenarioStep {
        switch verb {
        case "put": return .write(try self.write(hasValue: true))
        case "delete": return .write(try self.write(hasValue: false))
        case "get":
            let key = try self.word("a key")
            return .get(
                key: key, node: try self.node(after: "via"), reads: try self.size("r"),
                isStrict: self.takes("strict"), reader: self.setting("by") ?? ScenarioStep.someone)
        case "kill": return .kill(try self.allNodes(), losingPower: false)
        case "cut-power": return .kill(try self.allNodes(), losingPower: true)
        case "start": return .start(try self.allNodes())
        case "cut": return .cut(try self.allNodes())
        case "mend": return .mend
        case "wipe": return .wipe(try self.node())
        case "rot": return .rot(key: try self.word("a key"), node: try self.node(after: "at"))
        case "lose": return .lose(key: try self.word("a key"), node: try self.node(after: "at"))
        case "run": return .run(try Self.span(try self.word("a time such as 30s"), self.line))
        case "hints": return .hints
        case "held": return .held(key: try self.word("a key"))
        case "equal":
            let key = try self.word("a key, or all")
            return .equal(key: key == "all" ? nil : key)
        case "repair": return .repair(node: try self.node(after: "via"))
        case "progress": return .progress(node: try self.node(after: "via"))
        case "trees": return .trees(node: try self.node(after: "at"))
        case "counter": return .counter(name: try self.word("a counter"), node: try self.node(after: "at"))
        case "events": return .events
        case "converge": return .converge
        case "join": return .join(try self.node(), isHeld: self.takes("held"))
        case "leave": return .leave(try self.node(), via: try self.node(after: "via"))
        case "remove": return .remove(try self.node(), via: try self.node(after: "via"))
        case "replace": return .replace(try self.node(), with: try self.node(after: "with"))
        case "ring": return .ring(at: try self.node(after: "at"))
        default: throw self.wrong("'\(verb)' is no verb; docs/internals/simulator.md lists them")
        }
    }

    private mutating func write(hasValue: Bool) throws(ScenarioError) -> ScenarioWrite {
        let key = try self.word("a key")
        let value = hasValue ? try self.word("a value") : nil
        var write = ScenarioWrite(key: key, value: value, node: try self.node(after: "via"))
        write.writes = try self.size("w")
        write.isStrict = self.takes("strict")
        if self.takes("blind") { write.stance = .blind }
        write.isReading = self.takes("reading")
        if self.takes("overwrite") { write.stance = .overwrite }
        if let names = self.setting("by") { write.writers = names.split(separator: ",").map(String.init) }
        if let text = self.setting("times") {
            guard hasValue, let times = Int(text), (1...Scenario.timesMax).contains(times) else {
                throw self.wrong("times= of a put must be 1 to \(Scenario.timesMax)")
            }
            write.times = times
        }
        guard !write.writers.isEmpty else { throw self.wrong("by= names at least one writer") }
        guard key.utf8.count <= 255 else { throw self.wrong("a key of a scenario has 255 bytes at most") }
        return write
    }

    // MARK: - Words

    private func wrong(_ reason: String) -> ScenarioError { ScenarioError(self.line, reason) }

    private mutating func word(_ what: String) throws(ScenarioError) -> String {
        guard !self.words.isEmpty else { throw self.wrong("\(what) is missing") }
        return self.words.removeFirst()
    }

    private mutating func takes(_ flag: String) -> Bool {
        guard let index = self.words.firstIndex(of: flag) else { return false }
        self.words.remove(at: index)
        return true
    }

    private mutating func setting(_ name: String) -> String? {
        guard let index = self.settings.firstIndex(where: { $0.name == name }) else { return nil }
        return self.settings.remove(at: index).text
    }

    private mutating func size(_ name: String) throws(ScenarioError) -> UInt8? {
        guard let text = self.setting(name) else { return nil }
        guard let size = UInt8(text), (1...7).contains(size) else { throw self.wrong("\(name)= must be 1 to 7") }
        return size
    }

    private mutating func node() throws(ScenarioError) -> Int {
        let name = try self.word("a node")
        guard let index = self.nodes.firstIndex(of: name) else {
            throw self.wrong("'\(name)' is none of the nodes \(self.nodes.joined(separator: " "))")
        }
        return index
    }

    private mutating func node(after preposition: String) throws(ScenarioError) -> Int {
        guard try self.word("'\(preposition) NODE'") == preposition else {
            throw self.wrong("'\(preposition) NODE' is expected here")
        }
        return try self.node()
    }

    private mutating func allNodes() throws(ScenarioError) -> [Int] {
        var found = [try self.node()]
        while !self.words.isEmpty { found.append(try self.node()) }
        return found
    }

    /// A time such as `500ms`, `30s` or `10m`, up to the limit of one line.
    static func span(_ text: String, _ line: Int) throws(ScenarioError) -> TimeSpan {
        let units: [(suffix: String, milliseconds: Int64)] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let count = Int64(text.dropLast(unit.suffix.count)), count > 0,
                count <= Scenario.secondsMax * 1_000 / unit.milliseconds
            else { continue }
            return .milliseconds(count * unit.milliseconds)
        }
        throw ScenarioError(line, "'\(text)' must be a time such as 500ms, 30s or 10m, \(Scenario.secondsMax)s at most")
    }
}
