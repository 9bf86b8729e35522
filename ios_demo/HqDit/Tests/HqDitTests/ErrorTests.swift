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
    try rewriteManifest(of: bundle, "\"schema_version\": 1", "\"schema_version\": 99")
    await expect("invalidBundle", "schema") { _ = try await HqDit(bundle: bundle) }
    await expect("invalidBundle", "schema") { _ = try HqDit.estimate(bundle: bundle) }
  }

  @Test func moreMemoryThanAllowed() async throws {
    await expect("memoryLimit", "memory") {
      _ = try await HqDit(bundle: tiny, options: OpenOptions(memoryLimitBytes: 999_999))
    }
    _ = try await HqDit(bundle: tiny, options: OpenOptions(memoryLimitBytes: 1_000_000))
  }

  /// tests/ios/test_swift.py has signed a copy of the bundle.
  @Test func signedByAKeyOfTheApps() async throws {
    let environment = ProcessInfo.processInfo.environment
    let ours = try #require(environment["HQDIT_PUBLIC_KEY"])
    let signed = URL(fileURLWithPath: try #require(environment["HQDIT_SIGNED"]), isDirectory: true)
    // Of RFC 8032's first test.
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    _ = try await HqDit(bundle: signed, options: OpenOptions(publicKeys: [other, ours.uppercased()]))
    await expect("invalidSignature", "another key") {
      _ = try await HqDit(bundle: signed, options: OpenOptions(publicKeys: [other]))
    }
    await expect("invalidSignature", "not signed") {
      _ = try await HqDit(bundle: tiny, options: OpenOptions(publicKeys: [ours]))
    }
    await expect("invalidArgument", "verify_sha256") {
      _ = try await HqDit(bundle: signed, options: OpenOptions(verifySHA256: false, publicKeys: [ours]))
    }
    for bad in ["", String(ours.dropFirst()), "+" + ours.dropFirst(), "é" + ours.dropFirst(2)] {
      await expect("invalidArgument", "public") {
        _ = try await HqDit(bundle: tiny, options: OpenOptions(publicKeys: [bad]))
      }
    }
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

  @Test func guidanceWithoutANullClass() async throws {
    let bundle = try folder.copyOfTiny(named: "unguided")
    let file = bundle.appendingPathComponent("manifest.json")
    try String(contentsOf: file, encoding: .utf8)
      .replacingOccurrences(of: "\"null_label\": 5, ", with: "")
      .replacingOccurrences(of: "\"guided\": \"denoise_guided\", ", with: "")
      .replacingOccurrences(of: "\"guidance_scale\": 3.0", with: "\"guidance_scale\": 1")
      .write(to: file, atomically: true, encoding: .utf8)
    let model = try await HqDit(bundle: bundle, options: OpenOptions(threads: 1))
    #expect(model.info.nullLabel == nil && model.info.defaultGuidanceScale == 1)
    var wish = request()
    wish.guidanceScale = 3
    await expect("invalidArgument", "null class") { [wish] in _ = try await model.generate(wish) }
    wish.guidanceScale = 1
    let plain = try await openTiny().draw(wish)
    #expect(try await model.draw(request()) == plain)
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

  /// Actors do not let it come to that; here the engine is asked from inside its own report.
  @Test func aSecondCallOfOneEngine() async throws {
    let engine = try Engine(bundle: tiny, options: OpenOptions(threads: 1))
    let info = try engine.info()
    let inner = ProgressRelay(report: nil) { false }
    let again = { (_: GenerationProgress) in _ = try engine.generate(request(), size: info, relay: inner) }
    let outer = ProgressRelay(report: again) { false }
    await expect("busy", "running") { _ = try engine.generate(request(), size: info, relay: outer) }
    #expect(try engine.generate(request(), size: info, relay: inner).pictures.count == 1)
  }

  @Test func numbersThatAreNotFinite() async throws {
    let model = try await HqDit(bundle: tinyOfNaN, options: OpenOptions(threads: 1))
    await expect("runtimeFailure", "not finite") { _ = try await model.generate(request()) }
  }

  /// All but a fault of the engine itself come from an engine above and in LimitTests; here is each number's kind.
  @Test func everyStatusHasItsKind() throws {
    let kinds = (1...UInt32(11)).map { status in
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
        "runtimeFailure", "internalFault", "ioError", "invalidSignature",
      ])
    #expect(throws: Never.self) { try HqDitError.check(.init(rawValue: 0)) }
  }

  private func rewriteManifest(of bundle: URL, _ old: String, _ new: String) throws {
    let file = bundle.appendingPathComponent("manifest.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    let changed = text.replacingOccurrences(of: old, with: new)
    #expect(changed != text)
    try changed.write(to: file, atomically: true, encoding: .utf8)
  }
}

/// "notFound" of HqDitError.notFound("...").
func kind(of error: any Error) -> String { String("\(error)".prefix { $0 != "(" }) }

/// Fails unless `action` throws this kind of HqDitError, with `word` in the text.
func expect(
  _ name: String, _ word: String, at location: SourceLocation = #_sourceLocation, _ action: () async throws -> Void
) async {
  await #expect(sourceLocation: location) {
    try await action()
  } throws: { error in
    error is HqDitError && kind(of: error) == name && error.localizedDescription.contains(word)
  }
}
