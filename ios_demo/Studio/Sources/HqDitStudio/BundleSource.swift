// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Files to import, with the paths that they shall have in the bundle.
public protocol BundleSource: Sendable {
  /// Calls `visit` for each file, in any order.
  func forEachFile(_ visit: (_ path: String, _ content: FileContent) throws -> Void) throws
}

/// Gives the bytes of a file to `write`, piece by piece.
public typealias FileContent = (_ write: (Data) throws -> Void) throws -> Void

/// What systems put beside the files that were asked for.
func isSystemFile(_ path: String) -> Bool {
  path.hasPrefix("__MACOSX/") || path.hasSuffix(".DS_Store")
}

/// A folder that the user picked, or the one packed into the app.
public struct FolderSource: BundleSource {
  private let folder: URL

  public init(_ folder: URL) { self.folder = folder }

  public func forEachFile(_ visit: (String, FileContent) throws -> Void) throws {
    try visitFolder(folder, prefix: "", visit)
  }

  private func visitFolder(_ folder: URL, prefix: String, _ visit: (String, FileContent) throws -> Void) throws {
    let depth = prefix.utf8.filter { $0 == UInt8(ascii: "/") }.count
    if depth >= BundleImporter.maxDepth { throw ImportError("\(prefix) is too deep") }
    for name in try names(in: folder) {
      let (file, path) = (folder.appendingPathComponent(name), prefix + name)
      if isSystemFile(path) { continue }
      switch try FileManager.default.attributesOfItem(atPath: file.path)[.type] as? FileAttributeType {
      case .typeDirectory?: try visitFolder(file, prefix: path + "/", visit)
      case .typeRegular?: try visit(path) { write in try read(file, write) }
      default: throw ImportError("\(path) is no file: a bundle has no links")
      }
    }
  }

  private func names(in folder: URL) throws -> [String] {
    do { return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() } catch {
      throw ImportError("\(folder.lastPathComponent) cannot be read: \(error.localizedDescription)")
    }
  }

  private func read(_ file: URL, _ write: (Data) throws -> Void) throws {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    while let piece = try handle.read(upToCount: 1 << 18), !piece.isEmpty { try write(piece) }
  }
}
