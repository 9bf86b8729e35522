// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The user's choices. The style is nil for models whose labels have none.
public struct Wish: Sendable, Hashable, Codable {
  public var subject: String
  public var style: String?
  public var seed: UInt64
  public var steps: Int
  public var guidanceScale: Float

  public init(subject: String, style: String?, seed: UInt64, steps: Int, guidanceScale: Float) {
    self.subject = subject
    self.style = style
    self.seed = seed
    self.steps = steps
    self.guidanceScale = guidanceScale
  }

  /// "heart, noto"
  public var title: String { [subject, style].compactMap { $0 }.joined(separator: ", ") }

  /// "heart-noto-7.png": letters and digits of ASCII, so that every system takes it.
  public var fileName: String {
    let words = [subject, style, String(seed)].compactMap { $0 }.joined(separator: "-")
      .split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }
    return words.joined(separator: "-").prefix(100) + ".png"
  }
}
