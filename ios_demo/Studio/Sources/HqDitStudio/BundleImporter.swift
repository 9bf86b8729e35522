// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Copies bundles into a folder of the app. A copy takes its place as ``current`` only when it is complete and `check` has
/// accepted it; whatever goes wrong before leaves the old bundle as it was.
public struct BundleImporter: Sendable {
  static let manifest = "manifest.json"
  static let maxFiles = 256
  static let maxDepth = 4
  static let reserveBytes: Int64 = 64 << 20

  public let current: URL
  private let root: URL
  private let old: URL
  private let freeBytes: @Sendable (URL) -> Int64
  private let check: @Sendable (URL) async throws -> Void

  public init(
    root: URL,
    freeBytes: @escaping @Sendable (URL) -> Int64,
    check: @escaping @Sendable (URL) async throws -> Void
  ) {
    self.root = root
    self.freeBytes = freeBytes
    self.check = check
    current = root.appendingPathComponent("current", isDirectory: true)
    old = root.appendingPathComponent("replaced", isDirectory: true)
  }

  public func importBundle(from source: some BundleSource) async throws {
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    let staging = root.appendingPathComponent("incoming", isDirectory: true)
    remove(staging)
    defer { remove(staging) }
    try copy(source, to: staging)
    let bundle = try Self.bundle(in: staging)
    try await check(bundle)
    try replaceCurrent(with: bundle)
  }

  /// Takes the old bundle back if the process died while a new one was about to replace it.
  public func recover() throws {
    if exists(current) || !exists(old) { return }
    try FileManager.default.moveItem(at: old, to: current)
  }

  private func copy(_ source: some BundleSource, to staging: URL) throws {
    var files = 0
    var budget = freeBytes(root) - Self.reserveBytes
    try source.forEachFile { path, content in
      files += 1
      if files > Self.maxFiles { throw ImportError("more than \(Self.maxFiles) files: this is not a bundle") }
      let target = try Self.resolve(path, inside: staging)
      if exists(target) { throw ImportError("\(path) appears twice") }
      try makeFile(target, path)
      let output = try FileHandle(forWritingTo: target)
      defer { try? output.close() }
      try content { piece in
        budget -= Int64(piece.count)
        if budget < 0 { throw ImportError("not enough free storage for this bundle") }
        try output.write(contentsOf: piece)
      }
    }
  }

  private func replaceCurrent(with bundle: URL) throws {
    remove(old)
    if exists(current) { try FileManager.default.moveItem(at: current, to: old) }
    do {
      try FileManager.default.moveItem(at: bundle, to: current)
    } catch {
      try? FileManager.default.moveItem(at: old, to: current)
      throw error
    }
    remove(old)
    StoragePolicy.apply(to: current)
  }

  /// `path` below `folder`. The path comes from a stranger's archive, so only plain names pass.
  static func resolve(_ path: String, inside folder: URL) throws -> URL {
    // By scalars: to Swift a slash and the accent behind it are one character, and no slash.
    let names = path.unicodeScalars.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let arePlain = names.allSatisfy { name in
      !name.isEmpty && name.utf8.count <= 200 && name != "." && name != ".."
        && name.unicodeScalars.allSatisfy { $0 != "\\" && $0.properties.generalCategory != .control }
    }
    guard names.count <= maxDepth, arePlain else {
      throw ImportError("the bundle holds a file with an unsafe path: \(path.prefix(200))")
    }
    return names.reduce(folder) { $0.appendingPathComponent($1) }
  }

  /// The folder with the manifest: `staging`, or the only folder in it, as "zip -r bundle.zip bundle" makes.
  private static func bundle(in staging: URL) throws -> URL {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: staging.path)) ?? []
    let only = names.count == 1 ? staging.appendingPathComponent(names[0], isDirectory: true) : staging
    for folder in [staging, only] where isFile(folder.appendingPathComponent(manifest)) { return folder }
    throw ImportError("no \(manifest): this is not a bundle of hqdit-export")
  }
}

/// An empty file, with the folders above it.
private func makeFile(_ target: URL, _ path: String) throws {
  do {
    let folder = target.deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data().write(to: target, options: .withoutOverwriting)
  } catch {
    throw ImportError("\(path) cannot be stored: \(error.localizedDescription)")
  }
}

private func exists(_ file: URL) -> Bool { FileManager.default.fileExists(atPath: file.path) }

private func isFile(_ file: URL) -> Bool {
  var isFolder: ObjCBool = false
  return FileManager.default.fileExists(atPath: file.path, isDirectory: &isFolder) && !isFolder.boolValue
}

private func remove(_ file: URL) { try? FileManager.default.removeItem(at: file) }
