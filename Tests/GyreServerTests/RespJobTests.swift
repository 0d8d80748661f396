import GyreMessages
import GyreWire
import NIOCore
import Testing

@testable import GyreServer

@Suite("A Redis command of many parts")
struct RespJobTests {
    private static let mebibyte = 1 << 20

    @Test("has few values on their way at once while they may be long, and more while they are short")
    func partsAreBounded() throws {
        func run(_ size: @escaping (Int) -> Int) -> (most: Int, asked: Int, answer: RespAnswer?) {
            var waiting: [Int] = []
            var (most, asked) = (0, 0)
            var answer: RespAnswer?
            let job = RespJob(
                count: 1_000, bytesMax: 32 * Self.mebibyte, combine: { .array($0) },
                plan: { part in
                    .ask(.status) { _ in .answer(.bulk(ByteBuffer(repeating: 1, count: size(part)))) }
                })
            job.begin(
                ask: { _, part in
                    waiting.append(part)
                    asked += 1
                    most = max(most, waiting.count)
                }, done: { answer = $0 })
            while !waiting.isEmpty { job.take(.failed(.timeout), part: waiting.removeFirst()) }
            return (most, asked, answer)
        }
        let long = run { _ in 8 * Self.mebibyte }
        #expect(long.most <= 8 && long.asked <= 12)
        #expect(long.answer == .error("TOOLARGE the values have more than 33554432 bytes; use GET"))
        let short = run { _ in 100 }
        #expect(short.most == 128 && short.asked == 1_000)
        guard case .array(let all) = short.answer else { return #expect(Bool(false)) }
        #expect(all.count == 1_000)
        // Long ones among short ones: what is on its way when the first shows is the most there can be.
        let mixed = run { $0 % 100 == 99 ? Self.mebibyte : 100 }
        #expect(mixed.most <= 128 && mixed.asked == 1_000)
    }
}
