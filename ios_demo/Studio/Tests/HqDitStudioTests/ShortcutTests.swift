// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@testable import HqDitStudio

@MainActor @Suite struct ShortcutTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// As the system starts the app for a shortcut: nothing is loaded yet.
  private func studio(packed: URL? = tiny, rest: @escaping @Sendable (Duration) -> Void = { _ in }) -> Studio {
    let pictures = RecentPictures(folder: folder.url.appendingPathComponent("pictures"))
    return Studio(store: folder.store(packed: packed), pictures: pictures, memory: roomy, rest: rest)
  }

  @Test(arguments: ["class 2 \u{1F642}", "Class 2"])
  func aNameIsDrawn(name: String) async throws {
    let studio = studio()
    let finished = try await studio.picture(of: name, seed: 7)
    let expected = try await HqDit(bundle: tiny).generate(GenerationRequest(label: 2, seeds: [7]))
    #expect([finished.picture] == expected.pictures && finished.wish.seed == 7)
    #expect(studio.recent.map(\.wish) == [finished.wish], "the app shows it among the others")
    #expect(try await studio.picture(of: name, seed: 7).picture == finished.picture)
  }

  @Test func seedsOfChanceDiffer() async throws {
    let studio = studio()
    var seeds: Set<UInt64> = []
    for _ in 0..<4 { seeds.insert(try await studio.picture(of: "class 1").wish.seed) }
    #expect(seeds.count > 1)
  }

  @Test func whatCannotBeDrawnIsRefused() async throws {
    await #expect(throws: ShortcutRefusal.noModel) { try await studio(packed: nil).picture(of: "class 1") }
    await #expect(throws: ShortcutRefusal.unknown("unicorn")) { try await studio().picture(of: "unicorn") }
    let hot = studio()
    hot.pace = .stop
    await #expect(throws: ShortcutRefusal.stopped(.tooHot)) { try await hot.picture(of: "class 1") }
  }

  @Test func oneAtATimeAndCancelled() async throws {
    let gate = Gate()
    let studio = studio(rest: { _ in gate.rest() })
    studio.pace = .slow
    let drawing = Task { try await studio.picture(of: "class 1") }
    try await until { studio.drawing?.progress != nil }
    await #expect(throws: ShortcutRefusal.busy) { try await studio.picture(of: "class 2") }
    drawing.cancel()
    gate.open()
    await #expect(throws: CancellationError.self) { try await drawing.value }
    #expect(studio.stage == .ready)
  }
}
