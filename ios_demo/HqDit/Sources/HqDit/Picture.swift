// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Pixels without any view system.
public struct Picture: Sendable, Hashable {
  public let width: Int
  public let height: Int

  /// Red, green and blue of each pixel, row by row: height * width * 3 bytes.
  public let rgb: Data

  /// - Precondition: `rgb` has three bytes for each pixel.
  public init(width: Int, height: Int, rgb: Data) {
    precondition(
      rgb.count == width * height * 3, "\(width) x \(height) pixels need three bytes each, not \(rgb.count) in all")
    self.width = width
    self.height = height
    self.rgb = rgb
  }
}
