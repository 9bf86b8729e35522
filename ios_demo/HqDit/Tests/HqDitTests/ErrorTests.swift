// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import HqDit

@Suite struct ErrorTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func aMissingBundle() async throws {
    let missing = folder.url.appendingPathComponent("nowhere")
    await expect("notFound", "nowhere") { _ = try await HqDit(bundle: missing) }
    await expect("notFound", "nowhere") { _ = try HqDit.estimate(bundle: missing) }
  }

  @Test func aCutFile() async throws {
    let bundle = try folder.copyOfTiny(named: "cut")
    let file = bundle.appendingPathComponent("transformer.pte")
    try Data(contentsOf: file).prefix(100).write(to: file)
    await expect("invalidBundle", "transformer.pte") { _ = try await HqDit(bundle: bundle) }
  }

  @Test func aChangedFile() async throws {
    let bundle = try folder.copyOfTiny(named: "changed")
    let file = bundle.appendingPathComponent("vae_decoder.pte")
    var content = try Data(contentsOf: file)
    content[content.count - 1] &+= 1
    try content.write(to: file)
    await expect("invalidBundle", "vae_decoder.pte") { _ = try await HqDit(bundle: bundle) }
  }

  @Test func anotherSchema() async throws {
    let bundle = try folder.copyOfTiny(named: "later")
    let file = bundle.appendingPathComponent("manifest.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    let later = text.replacingOccurrences(of: "\"schema_version\": 1", with: "\"schema_version\": 99")
    #expect(later != text)
    try later.write(to: file, atomically: true, encoding: .utf8)
    await expect("invalidBundle", "schema") { _ = try await HqDit(bundle: bundle) }
    await expect("invalidBundle", "schema") { _ = try HqDit.estimate(bundle: bundle) }
  }

  @Test func moreMemoryThanAllowed() async throws {
    await expect("memoryLimit", "memory") {
      _ = try await HqDit(bundle: tiny, options: OpenOptions(memoryLimitBytes: 999_999))
    }
    _ = try await HqDit(bundle: tiny, options: OpenOptions(memoryLimitBytes: 1_000_000))
  }

  @Test(arguments: [
    ("step", GenerationRequest(label: 1, seeds: [1], steps: 0)),
    ("label", GenerationRequest(label: 99, seeds: [1])),
    ("label", GenerationRequest(label: .max, seeds: [1])),
    ("seed", GenerationRequest(label: 1, seeds: [])),
    ("guidance", GenerationRequest(label: 1, seeds: [1], guidanceScale: .nan)),
    ("eta", GenerationRequest(label: 1, seeds: [1], eta: 2)),
  ])
  func aValueOutOfRange(word: String, wrong: GenerationRequest) async throws {
    let model = try await openTiny()
    await expect("invalidArgument", word) { _ = try await model.generate(wrong) }
    #expect(try await !model.draw(request()).isEmpty, "the model still draws")
  }

  @Test func notAFolderOfThisDevice() async throws {
    let url = try #require(URL(string: "https://example.com/bundle"))
    await expect("invalidArgument", "example.com") { _ = try await HqDit(bundle: url) }
  }

  @Test func aPathInAnyScript() async throws {
    let bundle = try folder.copyOfTiny(named: "b\u{fc}ndel \u{6a21}\u{578b} \u{1F642}")
    let model = try await HqDit(bundle: bundle, options: OpenOptions(threads: 1))
    #expect(try await model.draw(request()) == openTiny().draw(request()))
  }

  @Test func filesCanBeReadInsteadOfMapped() async throws {
    let model = try await HqDit(bundle: tiny, options: OpenOptions(threads: 1, loadMode: .read))
    #expect(try await model.draw(request()) == openTiny().draw(request()))
  }

  @Test func morePicturesThanMemory() async throws {
    await expect("outOfMemory", "pictures") { _ = try PixelBuffer(width: 1 << 20, height: 1 << 20, count: .max) }
  }

  /// Those that a healthy engine never gives are made from their C numbers.
  @Test func everyStatusHasItsKind() throws {
    let kinds = (1...UInt32(10)).map { status in
      do {
        try HqDitError.check(.init(rawValue: status))
        return "none"
      } catch {
        return kind(of: error)
      }
    }
    #expect(
      kinds == [
        "CancellationError", "busy", "invalidArgument", "notFound", "invalidBundle", "memoryLimit", "outOfMemory",
        "runtimeFailure", "internalFault", "ioError",
      ])
    #expect(throws: Never.self) { try HqDitError.check(.init(rawValue: 0)) }
  }

  /// "notFound" of HqDitError.notFound("...").
  private func kind(of error: any Error) -> String { String("\(error)".prefix { $0 != "(" }) }

  /// Fails unless `action` throws this kind of HqDitError, with `word` in the text.
  private func expect(
    _ name: String, _ word: String, at location: SourceLocation = #_sourceLocation,
    _ action: () async throws -> Void
  ) async {
    await #expect(sourceLocation: location) {
      try await action()
    } throws: { error in
      error is HqDitError && kind(of: error) == name && error.localizedDescription.contains(word)
    }
  }
}
