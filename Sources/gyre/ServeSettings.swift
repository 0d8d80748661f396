import ArgumentParser
import Configuration
import GyreMembership
import GyreServer

/// The settings of `gyre serve`, found in three places: a flag wins over the environment (`GYRE_…`), which wins over
/// the configuration file.
struct ServeSettings {
    /// Every name that a configuration file may contain.
    private static let names: Set<String> = [
        "name", "data", "listen", "advertise", "seed", "cluster", "zone", "weight", "partitions", "replicas", "reads",
        "writes", "durability", "http", "resp", "log-level", "anti-entropy", "scrub", "hints", "sloppy", "slow",
        "trace-file", "trace-file-max", "away-max",
    ]

    private let reader: ConfigReader

    /// Reads the environment, and the file if there is one; refuses names that mean nothing.
    init(file: String?) throws {
        var providers: [any ConfigProvider] = [EnvironmentVariablesProvider().prefixKeys(with: "gyre")]
        if let file {
            let bytes: [UInt8]
            do { bytes = try StandardStreams.read(file, bytesMax: 1 << 20) } catch {
                throw CommandFailure(.inputOutput, "\(error)")
            }
            let settings: [String: ConfigValue]
            do { settings = try YAMLSettings.parsed(bytes) } catch {
                throw CommandFailure(.usage, "\(file) is not a YAML file of settings: \(error)")
            }
            try Self.check(settings.keys, file)
            // A list in the place of one value would be passed over.
            for (name, value) in settings where name != "seed" {
                guard case .stringArray = value.content else { continue }
                throw CommandFailure(.usage, "\(file): '\(name)' takes one value, not a list")
            }
            let named = settings.map { (AbsoluteConfigKey([$0.key]), $0.value) }
            providers.append(InMemoryProvider(values: Dictionary(uniqueKeysWithValues: named)))
        }
        self.reader = ConfigReader(providers: providers)
    }

    /// A setting's text.
    func text(_ flag: String?, _ name: String) throws -> String? {
        if let flag { return flag }
        guard let value = self.reader.string(forKey: ConfigKey([name])) else { return nil }
        return value
    }

    /// A setting's whole number.
    func integer(_ flag: Int?, _ name: String) throws -> Int? {
        if let flag { return flag }
        guard let text = try self.text(nil, name) else { return nil }
        guard let value = Int(text) else {
            throw CommandFailure(.usage, "\(name) must be a whole number, not '\(text)'")
        }
        return value
    }

    /// A setting's length of time; nil inside for `off`, where that is allowed.
    func duration(_ flag: String?, _ name: String, mayBeOff: Bool) throws -> Duration?? {
        guard let text = try self.text(flag, name) else { return nil }
        if mayBeOff, text == "off" { return .some(nil) }
        guard let time = TimeText(argument: text) else {
            let off = mayBeOff ? ", or off" : ""
            throw CommandFailure(.usage, "\(name) must be a time such as 10m\(off), not '\(text)'")
        }
        return time.duration
    }

    /// A setting's address.
    func address(_ flag: String?, _ name: String) throws -> PeerAddress? {
        guard let text = try self.text(flag, name) else { return nil }
        return try Self.parsedAddress(text, name)
    }

    /// A setting's addresses: flags repeated, a YAML list, or one text with commas.
    func addresses(_ flags: [String], _ name: String) throws -> [PeerAddress] {
        var texts = flags
        if texts.isEmpty { texts = self.reader.stringArray(forKey: ConfigKey([name])) ?? [] }
        if texts.isEmpty, let text = try self.text(nil, name) { texts = text.split(separator: ",").map(String.init) }
        return try texts.map { try Self.parsedAddress($0, name) }
    }

    private static func parsedAddress(_ text: String, _ name: String) throws -> PeerAddress {
        guard let address = PeerAddress(parsing: text) else {
            throw CommandFailure(.usage, "\(name) must be HOST:PORT, not '\(text)'")
        }
        return address
    }

    /// A misspelt setting would otherwise be a default in disguise.
    private static func check(_ found: some Sequence<String>, _ file: String) throws {
        guard let name = found.filter({ !self.names.contains($0) }).min() else { return }
        throw CommandFailure(
            .usage, "\(file): there is no setting '\(name)'; known are \(self.names.sorted().joined(separator: ", "))")
    }
}
