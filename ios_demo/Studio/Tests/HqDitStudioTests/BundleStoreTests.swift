// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

@testable import HqDitStudio

@Suite struct BundleStoreTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func nothingAtFirst() async throws {
    #expect(try await folder.store().find() == nil)
  }

  @Test func aFolderIsImported() async throws {
    let store = folder.store()
    try await store.importBundle(from: FolderSource(tiny))
    #expect(try await store.find() == folder.root.current)
    #expect(try contents(of: folder.root.current) == contents(of: tiny))
    try await store.removeBundle()
    #expect(try await store.find() == nil)
  }

  @Test func aZipOfAFolderIsImported() async throws {
    for file in zipFiles("good") {
      try await folder.store().importBundle(from: ZipSource(file))
      #expect(try contents(of: folder.root.current) == contents(of: tiny), "\(file.lastPathComponent)")
    }
  }

  @Test func whateverGoesWrongTheOldBundleStays() async throws {
    let store = folder.store()
    try await store.importBundle(from: FolderSource(tiny))
    let damaged = try folder.copyOfTiny(named: "damaged")
    try Data([1, 2, 3]).write(to: damaged.appendingPathComponent("transformer.pte"))
    let empty = folder.url.appendingPathComponent("empty", isDirectory: true)
    try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: true)
    let linked = try folder.copyOfTiny(named: "linked")
    try FileManager.default.createSymbolicLink(
      at: linked.appendingPathComponent("link"), withDestinationURL: URL(fileURLWithPath: "/etc/passwd"))
    let deep = folder.url.appendingPathComponent("deep/a/b/c/d/e", isDirectory: true)
    try FileManager.default.createDirectory(at: deep, withIntermediateDirectories: true)
    try Data().write(to: deep.appendingPathComponent("file"))

    await refuses("transformer.pte") { try await store.importBundle(from: FolderSource(damaged)) }
    await refuses("manifest.json") { try await store.importBundle(from: FolderSource(empty)) }
    await refuses("link") { try await store.importBundle(from: FolderSource(linked)) }
    await refuses("deep") {
      try await store.importBundle(from: FolderSource(folder.url.appendingPathComponent("deep")))
    }
    await refuses("nowhere") {
      try await store.importBundle(from: FolderSource(folder.url.appendingPathComponent("nowhere")))
    }
    await refuses("storage") { try await folder.store(freeBytes: 64 << 20).importBundle(from: FolderSource(tiny)) }
    await refuses("memory") {
      try await folder.store(memory: MemoryGuard { 64 << 20 | 1000 }).importBundle(from: FolderSource(tiny))
    }
    #expect(try await store.find() == folder.root.current)
    #expect(try contents(of: folder.root.current) == contents(of: tiny))
    #expect(Set(try FileManager.default.contentsOfDirectory(atPath: folder.root.path)) == ["current"])
  }

  @Test func aReplacementThatWasInterruptedIsUndone() async throws {
    try await folder.store().importBundle(from: FolderSource(tiny))
    let replaced = folder.root.appendingPathComponent("replaced")
    try FileManager.default.moveItem(at: folder.root.current, to: replaced)
    #expect(try await folder.store().find() == folder.root.current)
    #expect(!FileManager.default.fileExists(atPath: replaced.path))
  }

  @Test func thePackedBundleComesFirstAndAgainWhenItIsNew() async throws {
    let packed = try folder.copyOfTiny(named: "packed")
    #expect(try await folder.store(packed: packed).find() == folder.root.current)
    // Another one that the user brings stays ...
    let other = try folder.copyOfTiny(named: "other")
    try rename("other", in: other)
    try await folder.store(packed: packed).importBundle(from: FolderSource(other))
    let kept = try #require(try await folder.store(packed: packed).find())
    #expect(try await HqDit(bundle: kept).info.name == "other")
    // ... until the app is built with a new one.
    try rename("newer", in: packed)
    let renewed = try #require(try await folder.store(packed: packed).find())
    #expect(try await HqDit(bundle: renewed).info.name == "newer")
  }

  @Test func aPackedFolderWithoutABundleIsNone() async throws {
    #expect(try await folder.store(packed: folder.url).find() == nil)
  }

  @Test(
    arguments: [
      "../escape", "/absolute", "a//b", "a/./b", "a/../b", "a\\b", "line\nbreak", "", "a/b/c/d/e",
      String(repeating: "x", count: 201),
    ])
  func unsafePathsAreRefused(path: String) {
    #expect(throws: ImportError.self) { try BundleImporter.resolve(path, inside: folder.url) }
  }

  @Test func plainPathsStayInside() throws {
    let inside = try BundleImporter.resolve("a/b \u{1F642}/c..d", inside: folder.url)
    #expect(inside.path == folder.url.path + "/a/b \u{1F642}/c..d")
  }

  private func rename(_ name: String, in bundle: URL) throws {
    let file = bundle.appendingPathComponent("manifest.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    try text.replacingOccurrences(of: "\"name\": \"tiny\"", with: "\"name\": \"\(name)\"")
      .write(to: file, atomically: true, encoding: .utf8)
  }

  private func refuses(
    _ word: String, at location: SourceLocation = #_sourceLocation, _ action: () async throws -> Void
  ) async {
    await #expect(sourceLocation: location) {
      try await action()
    } throws: { error in
      error.localizedDescription.contains(word)
    }
  }
}
