// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@testable import HqDitStudio

@MainActor @Suite struct ChoicesTests {
  private func choices(labels: [String], of bundle: URL = tiny) async throws -> Choices {
    let info = try await HqDit(bundle: bundle).info
    let memory = try HqDit.estimate(bundle: bundle)
    let model = LoadedModel(info: info, memory: memory, catalog: LabelCatalog(labels), openTime: .zero, card: nil)
    let choices = Choices()
    choices.use(model)
    return choices
  }

  @Test func theModelsDefaults() async throws {
    let choices = try await choices(labels: ["face noto", "face flat", "heart noto", "heart flat", "sun noto"])
    #expect(choices.wish == Wish(subject: "face", style: "noto", seed: 7, steps: 10, guidanceScale: 3))
    #expect(choices.subjects == ["face", "heart", "sun"] && choices.maxSteps == 50)
  }

  @Test func aModelWithoutANullClassHasNoGuidance() async throws {
    let temporary = try TemporaryFolder()
    let bundle = try temporary.copyOfTiny()
    let file = bundle.appendingPathComponent("manifest.json")
    try String(contentsOf: file, encoding: .utf8)
      .replacingOccurrences(of: "\"null_label\": 5, ", with: "")
      .replacingOccurrences(of: "\"guided\": \"denoise_guided\", ", with: "")
      .replacingOccurrences(of: "\"guidance_scale\": 3.0", with: "\"guidance_scale\": 1")
      .write(to: file, atomically: true, encoding: .utf8)
    let choices = try await choices(labels: ["face", "heart", "sun", "star", "moon"], of: bundle)
    choices.take(Wish(subject: "sun", style: nil, seed: 1, steps: 5, guidanceScale: 4))
    #expect(!choices.isGuided && choices.wish.guidanceScale == 1)
    withExtendedLifetime(temporary) {}
  }

  @Test func aStyleComesBackWhereItExists() async throws {
    let choices = try await choices(labels: ["face noto", "face flat", "heart noto", "heart flat", "sun noto"])
    choices.choose(style: "flat")
    choices.choose(subject: "sun")
    #expect(choices.style == "noto" && choices.styles == ["noto"])
    choices.choose(subject: "heart")
    #expect(choices.style == "flat")
    choices.choose(style: "none of these")
    choices.choose(subject: "nor this")
    #expect(choices.subject == "face" && choices.style == "flat")
  }

  @Test func aPicturesSettingsComeBack() async throws {
    let choices = try await choices(labels: ["face noto", "face flat", "heart noto", "heart flat"])
    let old = Wish(subject: "heart", style: "flat", seed: .max, steps: 23, guidanceScale: 1.5)
    choices.take(old)
    #expect(choices.wish == old && choices.fourSeeds == [.max, 0, 1, 2])
    choices.take(Wish(subject: "gone", style: "gone", seed: 1, steps: 900, guidanceScale: 2))
    #expect(choices.wish == Wish(subject: "face", style: "noto", seed: 1, steps: 50, guidanceScale: 2))
  }

  @Test func seedsAreWholeNumbers() async throws {
    let choices = Choices()
    #expect(choices.setSeed(" 18446744073709551615\n") && choices.seed == .max)
    #expect(!choices.setSeed("18446744073709551616") && !choices.setSeed("-1") && !choices.setSeed(""))
    #expect(choices.seed == .max)
    choices.shuffleSeed()
    #expect(choices.seed < 1_000_000)
  }

  @Test func stepsStayInRange() {
    let choices = Choices()
    choices.steps = 0
    #expect(choices.steps == 1)
    choices.steps = 99
    #expect(choices.steps == 50)
  }
}
