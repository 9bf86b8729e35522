// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit

/// The latest pictures, as PNG files in a folder of the app. What else lies there is left alone.
public struct RecentPictures: Sendable {
  public static let maxCount = 50

  private let folder: URL

  public init(folder: URL) { self.folder = folder }

  public struct Entry: Sendable, Hashable, Identifiable {
    public let file: URL
    public let wish: Wish

    public var id: URL { file }
  }

  /// The newest first.
  public func entries() -> [Entry] {
    files().reversed().compactMap { file in
      (try? Data(contentsOf: file)).flatMap(PictureFile.wish).map { Entry(file: file, wish: $0) }
    }
  }

  /// Stores a picture and removes the oldest beyond ``maxCount``.
  @discardableResult
  public func add(_ picture: Picture, wish: Wish, model: String) throws -> Entry {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let last = files().last.flatMap { Int($0.lastPathComponent.prefix(Self.digits)) } ?? 0
    let number = String(last + 1)
    let prefix = String(repeating: "0", count: Self.digits - number.count) + number
    let file = folder.appendingPathComponent("\(prefix)-\(wish.fileName)")
    try PictureFile.encode(picture, wish: wish, model: model).write(to: file, options: .atomic)
    for old in files().dropLast(Self.maxCount) { try FileManager.default.removeItem(at: old) }
    return Entry(file: file, wish: wish)
  }

  private static let digits = 10

  /// Those that ``add(_:wish:model:)`` named, the oldest first.
  private func files() -> [URL] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    let ours = names.filter { name in
      name.prefix(Self.digits).allSatisfy(\.isNumber) && name.dropFirst(Self.digits).first == "-"
        && name.hasSuffix(".png")
    }
    return ours.sorted().map { folder.appendingPathComponent($0) }
  }
}
