// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@testable import HqDitStudio

@MainActor @Suite struct StudioTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func studio(
    packed: URL? = tiny, memory: MemoryGuard = roomy, rest: @escaping @Sendable (Duration) -> Void = { _ in }
  ) async -> Studio {
    let pictures = RecentPictures(folder: folder.url.appendingPathComponent("pictures"))
    let studio = Studio(
      store: folder.store(packed: packed, memory: memory), pictures: pictures, memory: memory, rest: rest)
    #expect(studio.stage == .loading)
    await studio.load()
    return studio
  }

  @Test func withoutABundleItAsksForOne() async throws {
    let studio = await studio(packed: nil)
    #expect(studio.stage == .noBundle && studio.model == nil && studio.notice == nil)
    await studio.importBundle(from: FolderSource(folder.url))
    #expect(studio.stage == .noBundle)
    #expect(studio.notice?.problem?.contains("manifest.json") == true)
    await studio.importBundle(from: FolderSource(tiny))
    #expect(studio.stage == .ready && studio.notice == .imported && studio.model?.info.name == "tiny")
    #expect(studio.model?.catalog.subjects == (0..<5).map { "class \($0)" })
  }

  @Test func aPictureIsTheEngines() async throws {
    let studio = await studio()
    await studio.draw(wish, seeds: [7])
    let expected = try await HqDit(bundle: tiny).generate(
      GenerationRequest(label: 2, seeds: [7], steps: 10, guidanceScale: 3))
    #expect(studio.finished.map(\.picture) == expected.pictures && studio.finished[0].wish == wish)
    #expect(studio.stage == .ready && studio.drawing == nil && studio.notice == nil)
    let numbers = try #require(studio.numbers)
    #expect(numbers.stepTime * 10 <= numbers.firstPictureTime && numbers.peakMemoryBytes > 0)
    #expect(studio.recent.map(\.wish) == [wish] && studio.finished[0].file == studio.recent[0].file)
    #expect(PictureFile.wish(of: try studio.finished[0].png()) == wish)
  }

  @Test func fourSeedsInOneGo() async throws {
    let studio = await studio()
    let time = await ContinuousClock().measure { await studio.draw(wish, seeds: [1, 2, 3, 4]) }
    let numbers = try #require(studio.numbers)
    #expect(numbers.firstPictureTime > numbers.stepTime * 5 && numbers.firstPictureTime < time)
    #expect(studio.finished.map(\.wish.seed) == [1, 2, 3, 4] && Set(studio.finished.map(\.picture)).count == 4)
    #expect(studio.recent.map(\.wish.seed) == [4, 3, 2, 1])
  }

  @Test func previewsStayUntilThePictureIsThere() async throws {
    var drawing = Drawing([wish])
    let model = try await HqDit(bundle: tiny)
    for try await event in model.events(GenerationRequest(label: 2, seeds: [7], steps: 4, previewInterval: 1)) {
      guard case .step(let progress) = event else { continue }
      drawing.show(progress)
      #expect(drawing.previews[0] != nil && drawing.fraction == Double(progress.step) / 4)
    }
    #expect(drawing.progress?.phase == .decode)
  }

  @Test func cancellingLeavesTheModelReady() async throws {
    let gate = Gate()
    let studio = await studio(rest: { _ in gate.rest() })
    studio.pace = .slow
    let drawing = Task { _ = await studio.draw(wish, seeds: Array(0..<100)) }
    try await until { studio.drawing?.progress != nil }
    #expect(studio.stage == .drawing && studio.notice == .slow)
    studio.cancel()
    gate.open()
    await drawing.value
    #expect(studio.stage == .ready && studio.notice == .cancelled && studio.finished.isEmpty)
    studio.pace = .full
    await studio.draw(wish, seeds: [7])
    #expect(studio.finished.count == 1)
  }

  @Test func heatSlowsAndStops() async throws {
    let rests = Counter()
    let studio = await studio(rest: { _ in rests.add() })
    studio.pace = .slow
    await studio.draw(wish, seeds: [7])
    #expect(rests.count == 10, "after each step")
    studio.pace = .stop
    await studio.draw(wish, seeds: [8])
    #expect(studio.notice == .tooHot && studio.finished[0].wish.seed == 7)
  }

  @Test func heatWhileDrawingStopsIt() async throws {
    let gate = Gate()
    let studio = await studio(rest: { _ in gate.rest() })
    studio.pace = .slow
    let drawing = Task { _ = await studio.draw(wish, seeds: Array(0..<100)) }
    try await until { studio.drawing?.progress != nil }
    studio.pace = .stop
    gate.open()
    await drawing.value
    #expect(studio.notice == .tooHot && studio.stage == .ready)
  }

  @Test func lowMemoryStopsWithASentence() async throws {
    let asked = Counter()
    // Enough to open, and short of it in the third step.
    let memory = MemoryGuard { asked.add() > 12 ? 1 << 20 : 4 << 30 }
    let studio = await studio(memory: memory)
    await studio.draw(wish, seeds: Array(0..<20))
    #expect(studio.notice == .lowMemory && studio.stage == .ready && studio.finished.isEmpty)
  }

  @Test func memoryGivenBackIsTakenAgain() async throws {
    let gate = Gate()
    let studio = await studio(rest: { _ in gate.rest() })
    studio.pace = .slow
    let drawing = Task { _ = await studio.draw(wish, seeds: Array(0..<100)) }
    try await until { studio.drawing?.progress != nil }
    let leaving = Task { await studio.releaseMemory(.leftApp) }
    gate.open()
    await leaving.value
    await drawing.value
    #expect(studio.notice == .leftApp && studio.stage == .ready)
    studio.pace = .full
    await studio.draw(wish, seeds: [7])
    #expect(studio.finished.count == 1 && studio.notice == nil)
  }

  @Test func leavingTheAppLetsAPictureBeFinished() async throws {
    let gate = Gate()
    let studio = await studio(rest: { _ in gate.rest() })
    studio.pace = .slow
    let drawing = Task { _ = await studio.draw(wish, seeds: [7]) }
    try await until { studio.drawing?.progress != nil }
    let (never, _) = AsyncStream.makeStream(of: Void.self)
    let leaving = Task { await studio.finishOrStop(when: never) }
    gate.open()
    await leaving.value
    await drawing.value
    #expect(studio.finished.count == 1 && studio.notice == nil)
  }

  @Test func leavingTheAppStopsAPictureWhenTheTimeIsOver() async throws {
    let gate = Gate()
    let studio = await studio(rest: { _ in gate.rest() })
    studio.pace = .slow
    let drawing = Task { _ = await studio.draw(wish, seeds: Array(0..<100)) }
    try await until { studio.drawing?.progress != nil }
    let (isOver, over) = AsyncStream.makeStream(of: Void.self)
    over.yield()
    let leaving = Task { await studio.finishOrStop(when: isOver) }
    gate.open()
    await leaving.value
    await drawing.value
    #expect(studio.finished.isEmpty && studio.notice == .leftApp && studio.stage == .ready)
  }

  @Test func aBadImportLeavesTheOldModel() async throws {
    let studio = await studio()
    let damaged = try folder.copyOfTiny(named: "damaged")
    try Data([1]).write(to: damaged.appendingPathComponent("vae_decoder.pte"))
    await studio.importBundle(from: FolderSource(damaged))
    #expect(studio.stage == .ready)
    #expect(studio.notice?.problem?.contains("vae_decoder.pte") == true)
    await studio.draw(wish, seeds: [7])
    #expect(studio.finished.count == 1)
  }

  @Test func aBundleOfTheUsersCanBeRemoved() async throws {
    let studio = await studio(packed: nil)
    await studio.importBundle(from: FolderSource(tiny))
    await studio.removeBundle()
    #expect(studio.stage == .noBundle && studio.model == nil)
  }
}

extension Notice {
  fileprivate var problem: String? { if case .problem(let text) = self { text } else { nil } }
}

private final class Counter: @unchecked Sendable {
  private let lock = NSLock()
  private var value = 0

  var count: Int { lock.withLock { value } }

  @discardableResult func add() -> Int {
    lock.withLock {
      value += 1
      return value
    }
  }
}
