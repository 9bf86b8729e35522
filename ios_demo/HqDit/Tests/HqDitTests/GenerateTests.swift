// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@Suite struct GenerateTests {
  @Test func infoIsTheManifests() async throws {
    let info = try await openTiny().info
    #expect([info.name, info.target] == ["tiny", "desktop"])
    #expect(info.imageWidth == 16 && info.imageHeight == 16)
    #expect(info.nullLabel == 5 && info.numTrainTimesteps == 1000)
    #expect(info.labels == (0..<5).map { "class \($0) \u{1F642}" })
    #expect(info.hasPreview && !info.decodesTiled)
    #expect(info.schedulers == [.ddim, .dpmSolver])
    #expect(info.defaultScheduler == .ddim && info.defaultSteps == 10)
    #expect(info.defaultGuidanceScale == 3 && info.defaultGuidanceInterval == 0...1)
  }

  @Test func estimateIsTheManifests() throws {
    let memory = try HqDit.estimate(bundle: tiny)
    let files = try ["transformer.pte", "vae_decoder.pte"].map {
      try Data(contentsOf: tiny.appendingPathComponent($0)).count
    }
    #expect([memory.weightsBytes, memory.arenaBytes, memory.peakBytes] == [10_000, 200_000, 1_000_000])
    #expect(memory.fileBytes == UInt64(files.reduce(0, +)) && memory.tiledPeakBytes == 0)
  }

  @Test func anOpenModelNeedsWhatTheEstimateSays() async throws {
    let estimate = try HqDit.estimate(bundle: tiny)
    #expect(try await openTiny().memory == estimate)
  }

  @Test func versionHasThreeNumbers() {
    #expect(HqDit.version.split(separator: ".").compactMap { Int($0) }.count == 3)
  }

  /// tests/ios/test_swift.py compares these with the pictures that Python draws with the same engine.
  @Test func picturesForPythonToCompare() async throws {
    let model = try await openTiny()
    let noClass = try #require(model.info.nullLabel)
    let requests = [
      "defaults": GenerationRequest(label: 0, seeds: [5]),
      "dpm": GenerationRequest(label: 2, seeds: [7], scheduler: .dpmSolver, steps: 13, guidanceScale: 2.5),
      "interval": GenerationRequest(label: 4, seeds: [.max], guidanceInterval: 0.25...0.75, eta: 0.5),
      "no-class": GenerationRequest(label: noClass, seeds: [1], guidanceScale: 1),
    ]
    for (name, request) in requests {
      let picture = try await model.generate(request).pictures[0]
      try picture.rgb.write(to: output.appendingPathComponent("\(name).rgb"))
      try picture.png(text: ["Title": "\(name) \u{1F642}", "Software": "HqDit"])
        .write(to: output.appendingPathComponent("\(name).png"))
    }
  }

  @Test func eachSeedHasItsPicture() async throws {
    let model = try await openTiny()
    let result = try await model.generate(request(seeds: [7, 8]))
    #expect(try await model.draw(request(seeds: [7])) == result.pictures[0].rgb)
    #expect(try await model.draw(request(seeds: [8])) == result.pictures[1].rgb)
    #expect(result.pictures[0] != result.pictures[1])
    #expect(result.pictures.allSatisfy { $0.width == 16 && $0.height == 16 })
    #expect(result.evaluations == 2 * 2 * 10)
    #expect(result.totalTime >= result.denoiseTime + result.decodeTime && result.decodeTime > .zero)
    #expect(result.peakMemoryBytes > 10_000_000)
  }

  @Test func progressTellsEachStepAndPreview() async throws {
    let model = try await openTiny()
    var wish = request(steps: 8, previewInterval: 3)
    wish.guidanceInterval = 0.25...0.75
    let log = Log<GenerationProgress>()
    _ = try await model.generate(wish) { log.append($0) }
    let steps = log.entries.filter { $0.phase == .step }
    #expect(log.entries.count == 9 && log.entries.last?.phase == .decode && log.entries.last?.preview == nil)
    #expect(steps.map(\.step) == Array(1...8))
    #expect(steps.map(\.timestep) == [875, 750, 625, 500, 375, 250, 125, 0])
    #expect(steps.map(\.isGuided) == steps.map { (250...750).contains($0.timestep) })
    #expect(steps.filter { $0.preview != nil }.map(\.step) == [3, 6, 8])
    #expect(steps.compactMap(\.preview).allSatisfy { $0.width == 8 && $0.height == 8 })
    #expect(log.entries.allSatisfy { $0.stepCount == 8 && $0.imageIndex == 0 && $0.imageCount == 1 })
    #expect(log.entries.allSatisfy { $0.elapsedTime > .zero && $0.peakMemoryBytes > 0 })
  }

  @Test func requestsCanBeStored() throws {
    let wish = GenerationRequest(label: 3, seeds: [.max], scheduler: .dpmSolver, steps: 9, guidanceInterval: 0.1...0.9)
    #expect(try JSONDecoder().decode(GenerationRequest.self, from: JSONEncoder().encode(wish)) == wish)
  }
}
