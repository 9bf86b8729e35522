// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit

/// PNG files that know what they were drawn from.
public enum PictureFile {
  private static let settingsKey = "hqdit-settings"

  /// A PNG file with the title, the model and, for ``wish(of:)``, the settings.
  public static func encode(_ picture: Picture, wish: Wish, model: String) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let settings = String(decoding: try encoder.encode(wish), as: UTF8.self)
    return try picture.png(text: [
      "Title": wish.title,
      "Description": "\(model), seed \(wish.seed), \(wish.steps) steps, guidance \(wish.guidanceScale)",
      "Software": "hqdit-mobile \(HqDit.version)",
      settingsKey: settings,
    ])
  }

  /// The settings in a file of ``encode(_:wish:model:)``; nil for any other.
  public static func wish(of file: Data) -> Wish? {
    let settings = textChunks(of: file).first { $0.key == settingsKey }?.text
    return settings.flatMap { try? JSONDecoder().decode(Wish.self, from: Data($0.utf8)) }
  }

  /// The uncompressed iTXt chunks without language, which is how ``encode(_:wish:model:)`` writes them.
  private static func textChunks(of file: Data) -> [(key: String, text: String)] {
    var chunks: [(String, String)] = []
    var rest = file.dropFirst(8)
    while rest.count >= 12 {
      let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
      guard length <= rest.count - 12 else { break }
      let type = rest.dropFirst(4).prefix(4)
      let content = rest.dropFirst(8).prefix(length)
      if type.elementsEqual("iTXt".utf8), let end = content.firstIndex(of: 0) {
        let text = content[end...].dropFirst(5)
        chunks.append((String(decoding: content[..<end], as: UTF8.self), String(decoding: text, as: UTF8.self)))
      }
      rest = rest.dropFirst(12 + length)
    }
    return chunks
  }
}
