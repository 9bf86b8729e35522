// SPDX-License-Identifier: Apache-2.0
import HqDit
import Testing

@Suite struct EventTests {
  @Test func stepsAndThenThePicture() async throws {
    let model = try await openTiny()
    var steps: [Int] = []
    var result: GenerationResult?
    for try await event in model.events(request(previewInterval: 1)) {
      switch event {
      case .step(let progress): steps.append(progress.step)
      case .done(let done): result = done
      }
    }
    #expect(steps == Array(1...10) + [10], "the last is the decoding's")
    #expect(try await result?.pictures[0].rgb == model.draw(request()))
  }

  @Test func leavingTheLoopStopsTheEngine() async throws {
    let model = try await openTiny()
    let one = try await model.generate(request(steps: 1000)).totalTime
    for try await _ in model.events(request(seeds: Array(0..<50), steps: 1000)) { break }
    let clock = ContinuousClock()
    let wait = try await clock.measure { _ = try await model.draw(request(steps: 1)) }
    #expect(wait < one * 10, "of the fifty pictures that nobody waits for, most were drawn")
  }

  @Test func cancellingTheReaderStopsTheEngine() async throws {
    let model = try await openTiny()
    let steps = Log<Int>()
    let reader = Task {
      for try await event in model.events(request(seeds: Array(0..<50), steps: 1000)) {
        guard case .step(let progress) = event else { continue }
        steps.append(progress.step)
        if steps.entries.count == 2 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    try? await reader.value
    #expect(steps.entries.count < 10_000, "those that were drawn before still come out, of 50,050 in all")
  }

  @Test func errorsComeOut() async throws {
    let model = try await openTiny()
    await #expect(throws: HqDitError.self) {
      for try await _ in model.events(GenerationRequest(label: 99, seeds: [1])) {}
    }
  }
}
