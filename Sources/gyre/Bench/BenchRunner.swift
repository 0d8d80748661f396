import ArgumentParser
import GyreBase
import GyreCausality
import GyreClient
import GyreMembership
import GyreMessages
import NIOCore

/// Settings of one run, checked.
struct BenchSettings: Sendable {
    var workload = BenchWorkload.mixed
    var distribution = BenchDistribution.uniform
    var clients = 64
    var duration: TimeSpan?
    var operations: UInt64?
    var keys: UInt64 = 100_000
    var valueBytes = 100
    var ratePerSecond: UInt64?
    var seed: UInt64 = 42
    var bucket = "bench"
    var timeout = TimeSpan.seconds(1)
    /// Every client has connections of its own, as the clients of `redis-benchmark` have; else all share one a node, as the
    /// callers of one `GyreClient` do. Either way a client has one request in flight.
    var ownConnections = false
    /// Write every key once instead of measuring the workload.
    var loads = false
    /// How long the workload runs before it is measured.
    var warmUp = TimeSpan.zero
    /// Servers of the Redis protocol to be driven instead of Gyre's own.
    var resp: [PeerAddress] = []
}

/// How one operation ended.
private enum BenchResult {
    case done
    case notFound
    case failed(String)
}

/// Drives the clients of a run. Confined to one event loop.
///
/// Closed loop: each client waits for its answer before it asks again. With a rate, operations have an intended start
/// and their latency counts from there, so that a stall is seen by all that should have run in it.
final class BenchRunner {
    private let settings: BenchSettings
    private let loop: any EventLoop
    private var clients: [RoutedClient] = []
    private var respClients: [RespBenchConnection] = []
    private var random: SeededRandom
    private var chooser: KeyChooser
    private let bucket: ByteBuffer
    private let value: ByteBuffer
    private let clientID: UInt64
    private var sequence: UInt64 = 0
    /// Operations begun, and those among them that are measured.
    private var issued: UInt64 = 0
    private var measured: UInt64 = 0
    private var running = 0
    private var idle: [Int] = []
    private var paceIsScheduled = false
    private var startedAt: UInt64 = 0
    private var measuredFrom: UInt64 = 0
    private var endsAt: UInt64 = .max
    private var finish: ((BenchRunner) -> Void)?

    /// Results by operation.
    private(set) var tallies: [BenchOperation: BenchTally] = [:]
    /// Nanoseconds from the first operation to the last answer.
    private(set) var elapsedNanoseconds: UInt64 = 0

    init(settings: BenchSettings, seeds: [PeerAddress], clientID: UInt64, loop: any EventLoop) {
        self.settings = settings
        self.loop = loop
        self.random = SeededRandom(seed: settings.seed)
        self.clientID = clientID
        self.chooser = KeyChooser(
            workload: settings.workload, distribution: settings.distribution, keyCount: settings.keys)
        self.bucket = ByteBuffer(string: settings.bucket)
        var bytes = SeededRandom(seed: settings.seed).split("value")
        self.value = ByteBuffer(bytes: (0..<settings.valueBytes).map { _ in UInt8(truncatingIfNeeded: bytes.next()) })
        var options = ClientOptions()
        options.name = "gyre-bench"
        let count = settings.ownConnections ? settings.clients : max(1, settings.resp.count)
        if !settings.resp.isEmpty {
            self.respClients = (0..<count).map {
                RespBenchConnection(
                    to: settings.resp[$0 % settings.resp.count], timeout: settings.timeout, loop: loop)
            }
            return
        }
        for _ in 0..<count {
            self.clients.append(
                RoutedClient(seeds: seeds, options: options, loop: loop, sharing: self.clients.first?.view))
        }
    }

    /// Waits until the cluster answers, then runs; `finish` is called once, on the loop.
    func run(_ finish: @escaping (BenchRunner) -> Void, failed: @escaping (any Error) -> Void) {
        self.finish = finish
        guard self.respClients.isEmpty else {
            return self.respClients[0].ping { answer in
                if case .failed(let reason) = answer {
                    failed(CommandFailure(.unreachable, "no answer from \(self.settings.resp[0]): \(reason)"))
                } else {
                    self.start()
                }
            }
        }
        self.clients[0].submit(.status, timeout: .seconds(5)) { result in
            switch result {
            case .success: self.start()
            case .failure(let error): failed(error)
            }
        }
    }

    /// Operations finished so far, for the live line.
    var finished: UInt64 { self.tallies.values.reduce(0) { $0 + $1.count + $1.errorCount + $1.notFound } }

    /// Ends all connections.
    func close() {
        for client in self.clients { client.close() }
        for client in self.respClients { client.close() }
    }

    private var limit: UInt64 { self.settings.loads ? self.settings.keys : self.settings.operations ?? .max }

    private func start() {
        self.startedAt = monotonicNanoseconds()
        self.measuredFrom = self.startedAt
        if !self.settings.loads {
            self.measuredFrom += UInt64(max(0, self.settings.warmUp.nanoseconds))
            if let duration = self.settings.duration { self.endsAt = self.measuredFrom + UInt64(duration.nanoseconds) }
        }
        if self.settings.ratePerSecond == nil || self.settings.loads {
            for client in 0..<self.settings.clients { self.next(client, intended: monotonicNanoseconds()) }
        } else {
            self.idle = Array(0..<self.settings.clients)
            self.pace()
        }
    }

    /// Starts every operation whose intended time has come, as long as a client is free.
    private func pace() {
        let now = monotonicNanoseconds()
        let interval = 1e9 / Double(self.settings.ratePerSecond ?? 1)
        while let client = self.idle.last {
            let intended = self.startedAt + UInt64(Double(self.issued) * interval)
            guard intended <= now, intended < self.endsAt, self.measured < self.limit else { break }
            self.idle.removeLast()
            self.next(client, intended: intended)
        }
        let nextStart = self.startedAt + UInt64(Double(self.issued) * interval)
        if nextStart >= self.endsAt || self.measured >= self.limit {
            if self.running == 0 { self.end() }
            return
        }
        let wait = TimeAmount.nanoseconds(Int64(max(nextStart, now) - now))
        if self.idle.isEmpty || self.paceIsScheduled { return }
        self.paceIsScheduled = true
        self.loop.assumeIsolated().scheduleTask(in: wait) {
            self.paceIsScheduled = false
            self.pace()
        }
    }

    private func next(_ client: Int, intended: UInt64) {
        guard self.measured < self.limit, intended < self.endsAt else {
            if self.running == 0 { self.end() }
            return
        }
        let operation: BenchOperation
        let key: UInt64
        if self.settings.loads {
            operation = .put
            key = self.issued
        } else {
            let reads = self.random.below(100) < self.settings.workload.readPercent
            operation = reads ? .get : self.settings.workload.other
            key = self.chooser.next(operation, random: &self.random)
        }
        self.issued += 1
        if intended >= self.measuredFrom { self.measured += 1 }
        guard let name = try? ObjectName(bucket: self.bucket, key: ByteBuffer(string: "key\(key)")) else { return }
        self.running += 1
        if !self.respClients.isEmpty { return self.submit(name.key, operation, client, intended) }
        switch operation {
        case .put: self.submit(self.put(name, .overwrite), .put, client, intended)
        case .get: self.submit(.get(GetRequest(name: name)), .get, client, intended)
        case .readModifyWrite: self.readModifyWrite(name, client, intended)
        }
    }

    private func put(_ name: ObjectName, _ seen: Seen) -> ClientRequest {
        self.sequence += 1
        let id = RequestID(client: self.clientID, sequence: self.sequence)
        return .put(PutRequest(id: id, name: name, seen: seen, value: self.value))
    }

    private func submit(_ request: ClientRequest, _ operation: BenchOperation, _ client: Int, _ intended: UInt64) {
        let connection = self.clients[client % self.clients.count]
        connection.submit(request, timeout: self.settings.timeout) { result in
            self.done(operation, Self.result(result), client, intended)
        }
    }

    private static func result(_ result: Result<ClientResponse, GyreError>) -> BenchResult {
        switch result {
        case .success(.notFound): .notFound
        case .success: .done
        case .failure(let error): .failed(error.code.rawValue)
        }
    }

    /// The same operations in the Redis protocol.
    private func submit(_ key: ByteBuffer, _ operation: BenchOperation, _ client: Int, _ intended: UInt64) {
        let connection = self.respClients[client % self.respClients.count]
        func finish(_ answer: RespBenchAnswer) {
            switch answer {
            case .done: self.done(operation, .done, client, intended)
            case .nothing: self.done(operation, .notFound, client, intended)
            case .failed(let code): self.done(operation, .failed(code), client, intended)
            }
        }
        switch operation {
        case .put: connection.set(key, self.value, finish)
        case .get: connection.get(key, finish)
        case .readModifyWrite:
            connection.get(key) { answer in
                if case .failed = answer { return finish(answer) }
                connection.set(key, self.value, finish)
            }
        }
    }

    private func readModifyWrite(_ name: ObjectName, _ client: Int, _ intended: UInt64) {
        let connection = self.clients[client % self.clients.count]
        connection.submit(.get(GetRequest(name: name)), timeout: self.settings.timeout) { result in
            switch result {
            case .success(.found(let record)):
                let context = (try? Siblings(encoded: record))?.context ?? VersionVector()
                self.submit(self.put(name, .given(context)), .readModifyWrite, client, intended)
            case .success(.notFound(let context)):
                self.submit(self.put(name, .given(context)), .readModifyWrite, client, intended)
            default:
                self.done(.readModifyWrite, Self.result(result), client, intended)
            }
        }
    }

    private func done(_ operation: BenchOperation, _ result: BenchResult, _ client: Int, _ intended: UInt64) {
        let now = monotonicNanoseconds()
        if intended >= self.measuredFrom {
            switch result {
            case .notFound: self.tallies[operation, default: BenchTally()].notFound += 1
            case .done: self.tallies[operation, default: BenchTally()].record(nanoseconds: now - intended)
            case .failed(let code): self.tallies[operation, default: BenchTally()].record(code)
            }
            self.elapsedNanoseconds = now - self.measuredFrom
        }
        self.running -= 1
        if self.settings.ratePerSecond == nil || self.settings.loads {
            self.next(client, intended: now)
        } else {
            self.idle.append(client)
            self.pace()
        }
    }

    private func end() {
        guard let finish = self.finish else { return }
        self.finish = nil
        finish(self)
    }
}
