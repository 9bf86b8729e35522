// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@Suite struct ThreadTests {
  @Test func callersOfOneModelTakeTurns() async throws {
    let model = try await openTiny()
    let expected = try await model.draw(request(seeds: [1]))
    let log = Log<UInt64>()
    let pictures = try await withThrowingTaskGroup(of: Data.self) { group in
      for caller in 0..<8 {
        group.addTask {
          try await model.generate(request(seeds: [1])) { _ in log.append(UInt64(caller)) }.pictures[0].rgb
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(pictures == Array(repeating: expected, count: 8))
    // 11 reports each, never mixed with another caller's.
    let runs = stride(from: 0, to: log.entries.count, by: 11).map { Set(log.entries[$0..<$0 + 11]) }
    #expect(runs.count == 8 && runs.allSatisfy { $0.count == 1 })
  }

  @Test func twoModelsWorkSideBySide() async throws {
    let gate = Gate()
    let (held, free) = (try await openTiny(), try await openTiny())
    let waiting = Task { try await held.generate(request()) { _ in gate.arriveAndWait() }.pictures[0].rgb }
    await gate.arrival()
    let picture = try await free.draw(request())
    gate.open()
    #expect(try await waiting.value == picture)
  }

  @Test func theRuntimesThreadsStayFree() async throws {
    let models = try await (0..<8).asyncMap { _ in try await openTiny() }
    let gates = models.map { _ in Gate() }
    let drawing = zip(models, gates).map { model, gate in
      Task { try await model.generate(request()) { _ in gate.arriveAndWait() } }
    }
    for gate in gates { await gate.arrival() }
    // More engines wait than there are processors; another task still runs.
    #expect(await Task { 42 }.value == 42)
    for gate in gates { gate.open() }
    for task in drawing { _ = try await task.value }
  }
}

extension Sequence {
  fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
    var values: [Value] = []
    for element in self { values.append(try await transform(element)) }
    return values
  }
}
