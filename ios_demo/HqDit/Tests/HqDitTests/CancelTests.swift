// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@Suite struct CancelTests {
  @Test func beforeItBegins() async throws {
    let model = try await openTiny()
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await model.generate(request()) { _ in Issue.record("a step ran") }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try await !model.draw(request()).isEmpty)
  }

  @Test(arguments: [1, 3, 10])
  func withinOneStep(last: Int) async throws {
    let model = try await openTiny()
    let steps = Log<Int>()
    let task = Task {
      try await model.generate(request()) { progress in
        steps.append(progress.step)
        if progress.step == last { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(steps.entries == Array(1...last))
    #expect(try await model.draw(request()) == openTiny().draw(request()))
  }

  @Test func fromAnotherThread() async throws {
    let model = try await openTiny()
    let gate = Gate()
    let steps = Log<Int>()
    let task = Task {
      try await model.generate(request()) { progress in
        steps.append(progress.step)
        gate.arriveAndWait()
      }
    }
    await gate.arrival()
    task.cancel()
    gate.open()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(steps.entries == [1])
  }

  @Test func afterItEnded() async throws {
    let model = try await openTiny()
    let task = Task { try await model.draw(request()) }
    let picture = try await task.value
    task.cancel()
    #expect(try await task.value == picture)
    #expect(try await model.draw(request()) == picture)
  }

  @Test func whileItWaitsForItsTurn() async throws {
    let model = try await openTiny()
    let gate = Gate()
    let first = Task { try await model.generate(request()) { _ in gate.arriveAndWait() } }
    await gate.arrival()
    let second = Task { try await model.generate(request()) { _ in Issue.record("a step ran") } }
    second.cancel()
    gate.open()
    await #expect(throws: CancellationError.self) { try await second.value }
    #expect(try await first.value.pictures.count == 1)
  }

  @Test func byWhatTheListenerThrows() async throws {
    struct Mine: Error, Equatable { let step: Int }
    let model = try await openTiny()
    await #expect(throws: Mine(step: 4)) {
      try await model.generate(request()) { if $0.step == 4 { throw Mine(step: $0.step) } }
    }
    #expect(try await !model.draw(request()).isEmpty)
  }

  @Test func closingStopsAGenerationAndRefusesMore() async throws {
    let model = try await openTiny()
    let gate = Gate()
    let steps = Log<Int>()
    let drawing = Task {
      try await model.generate(request()) { progress in
        steps.append(progress.step)
        gate.arriveAndWait()
      }
    }
    await gate.arrival()
    let closing = Task { await model.close() }
    // The flag is raised before close() waits; the step cannot end earlier, since it waits, too.
    try await Task.sleep(for: .milliseconds(50))
    gate.open()
    await #expect(throws: HqDitError.closed) { try await drawing.value }
    await closing.value
    #expect(steps.entries == [1])
    await #expect(throws: HqDitError.closed) { try await model.draw(request()) }
    await model.close()
  }
}
