// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit

/// Where the app keeps the model: one bundle in its private storage, put there by the user, or copied from the app itself:
/// when there is no other, and when the app was built with a new one.
public actor BundleStore {
  private let importer: BundleImporter
  private let packed: URL?
  /// The manifest of the packed bundle that has had its turn.
  private let seen: URL

  /// - Parameters:
  ///   - root: a folder of the app's own.
  ///   - packed: the bundle that was built into the app, if any.
  ///   - memory: a bundle that needs more is not taken.
  ///   - freeBytes: the storage left for a folder.
  public init(
    root: URL,
    packed: URL?,
    memory: MemoryGuard,
    freeBytes: @escaping @Sendable (URL) -> Int64 = freeStorage
  ) {
    importer = BundleImporter(root: root, freeBytes: freeBytes) { folder in
      // The engine compares every file with its hash and reads the programs: what opens here will open later.
      let options = OpenOptions(memoryLimitBytes: memory.limitBytes)
      await (try HqDit(bundle: folder, options: options)).close()
    }
    self.packed = packed.flatMap { Self.manifest(of: $0) == nil ? nil : $0 }
    seen = root.appendingPathComponent("packed.json")
  }

  /// The bundle to open; nil if there is none yet.
  public func find() async throws -> URL? {
    try importer.recover()
    if let packed, isNew(packed) || !hasBundle { try await importer.importBundle(from: FolderSource(packed)) }
    markSeen()
    return hasBundle ? importer.current : nil
  }

  /// Replaces the bundle. No model may be open.
  public func importBundle(from source: some BundleSource) async throws {
    try await importer.importBundle(from: source)
    markSeen()
  }

  /// Removes the imported bundle; the packed one, if any, comes back with the next ``find()``.
  public func removeBundle() throws { if hasBundle { try FileManager.default.removeItem(at: importer.current) } }

  private var hasBundle: Bool { Self.manifest(of: importer.current) != nil }

  private func isNew(_ packed: URL) -> Bool {
    guard let turn = try? Data(contentsOf: seen) else { return false }
    return turn != Self.manifest(of: packed)
  }

  private func markSeen() {
    guard let manifest = packed.flatMap(Self.manifest), manifest != (try? Data(contentsOf: seen)) else { return }
    try? manifest.write(to: seen, options: .atomic)
  }

  private static func manifest(of bundle: URL) -> Data? {
    try? Data(contentsOf: bundle.appendingPathComponent(BundleImporter.manifest))
  }
}

/// The storage left where `folder` is, in bytes; 0 if the system does not say.
@Sendable public func freeStorage(_ folder: URL) -> Int64 {
  let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder.path)
  return (attributes?[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
}
