// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@testable import HqDitStudio

/// The bundle of tests/tiny_model.py: 5 classes "class 0 🙂", pictures of 16 x 16, 10 steps at guidance 3.
let tiny = folder(of: "HQDIT_TINY")

/// What tests/ios_zips.py wrote: "good-*.zip" with the tiny bundle, "bad-*.zip" with a "bad-*.txt" each.
let zips = folder(of: "HQDIT_ZIPS")

private func folder(of variable: String) -> URL {
  guard let path = ProcessInfo.processInfo.environment[variable] else { fatalError("\(variable) is not set") }
  return URL(fileURLWithPath: path, isDirectory: true)
}

func zipFiles(_ prefix: String) -> [URL] {
  let names = (try? FileManager.default.contentsOfDirectory(atPath: zips.path)) ?? []
  return names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".zip") }.sorted().map { zips.appendingPathComponent($0) }
}

let picture = Picture(width: 2, height: 1, rgb: Data([255, 0, 0, 0, 0, 255]))
let wish = Wish(subject: "class 2", style: "\u{1F642}", seed: 7, steps: 10, guidanceScale: 3)
let roomy = MemoryGuard { 4 << 30 }

/// A folder that is removed with the test.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString, isDirectory: true)

  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(at: url) }

  func copyOfTiny(named name: String = "copy") throws -> URL {
    let copy = url.appendingPathComponent(name, isDirectory: true)
    try FileManager.default.copyItem(at: tiny, to: copy)
    return copy
  }

  var root: URL { url.appendingPathComponent("app", isDirectory: true) }

  func store(packed: URL? = nil, memory: MemoryGuard = roomy, freeBytes: Int64 = 1 << 40) -> BundleStore {
    BundleStore(root: root, packed: packed, memory: memory) { _ in freeBytes }
  }
}

/// The engine is held up meanwhile, so that what is waited for cannot pass unseen.
@MainActor func until(_ condition: () -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while !condition() {
    try #require(ContinuousClock.now < deadline, "what was waited for did not come")
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// Files by name, of a folder without folders.
func contents(of folder: URL) throws -> [String: Data] {
  let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
  return try Dictionary(
    uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: folder.appendingPathComponent($0))) })
}

extension URL {
  /// "current" of the folder that a store keeps.
  var current: URL { appendingPathComponent("current", isDirectory: true) }
}
